/* serve.h - a virtiofsd for a share: what a guest may do there, as the host sees it.
 *
 * The program is root of a namespace of users in which there are those that the configuration
 * names: one, who does what the guest's root does, and perhaps a range, who do what its other
 * users do. A guest's user for whom there is nobody can use what is there as far as its modes let
 * him, and makes nothing. Of the host's files the program sees
 * the folder alone, which cannot be written to by anybody in there if it is read-only.
 *
 * Any thread. 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_SHARE_SERVE_H
#define SUPERVISOR_SHARE_SERVE_H

#include "supervisor/life/launch.h"

/* Begun anew, and ended, as companion.h has it. -EACCES: it is not allowed any more. */
int share_serve(const struct launch *l, unsigned n, struct error *err);
int share_end(const struct launch *l, unsigned n, struct error *err);

/* Of its socket, as the VMM sees it. */
void share_socket(unsigned n, char path[LAUNCH_FILE_BYTES]);

#endif
