/* passt.h - a passt for an interface: the guest's router, and its user's connections.
 *
 * The program turns the guest's frames into connections of an unprivileged user's, the one
 * of the instance's VMM: by him the rules know them (rules.h). It gives the guest its
 * address by DHCP and router advertisements, too, and listens on what is published.
 *
 * Any thread. 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_PASST_H
#define SUPERVISOR_NETWORK_PASST_H

#include "supervisor/life/launch.h"

/* Begun anew, and ended, as companion.h has it. */
int passt_begin(const struct launch *l, const struct launch_net *n, struct error *err);
int passt_end(const struct launch *l, const struct launch_net *n, struct error *err);

/* Of its socket, as the VMM sees it. */
void passt_socket(const struct launch_net *n, char path[LAUNCH_FILE_BYTES]);

#endif
