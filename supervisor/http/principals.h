/* principals.h - who is at the other end of a connection, and what he may. Any thread. */
#ifndef SUPERVISOR_PRINCIPALS_H
#define SUPERVISOR_PRINCIPALS_H

#include <sys/types.h>

#include "supervisor/config.h"
#include "supervisor/http/api.h"

/* By user, group and further groups: the most that any line of the configuration gives;
 * root, and the user that wispd runs as, are admins in any case. ROLE_NONE: a stranger. */
void principals_judge(const struct config *c, uid_t uid, const gid_t *groups, size_t count,
		      struct caller *ret);

/* The same of a connected Unix socket. */
void principals_of_socket(const struct config *c, int fd, struct caller *ret);

#endif
