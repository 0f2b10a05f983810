/* serve.h - a virtiofsd for a share: what a guest may do there, as the host sees it.
 *
 * The program is root of a namespace of users in which there is nobody but the one that the
 * configuration names: what the guest's root does, he does. Its other users can use what is
 * there as far as its modes let them, and make nothing. Of the host's files the program sees
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
