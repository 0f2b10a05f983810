/* user.h - who a command runs as, by the image's own /etc/passwd and /etc/group.
 *
 * The C library's functions would load modules for it, which a static program cannot.
 */
#ifndef GUEST_IMAGES_AGENT_USER_H
#define GUEST_IMAGES_AGENT_USER_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

enum { USER_MAX_GROUPS = 64, USER_NAME_LEN = 64 };

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_MAX_GROUPS]; /* the supplementary ones */
	size_t group_count;
	char name[USER_NAME_LEN]; /* "" for a number that has no name */
	char home[PATH_MAX];
};

/* text: NAME, UID, NAME:GROUP or UID:GID; the group by name or number. A number needs no
 * entry in the files, a name does: -ENOENT. -EINVAL: no user can be called so. */
int user_find(const char *text, struct user *ret);

/* Becomes the user. Only root can. 0 or a negative errno. */
int user_become(const struct user *u);

#endif
