/* principals.c - the kernel says who connected; the configuration says what he may. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/http/principals.h"

enum { GROUPS_MAX = 256 };

static bool matches(const struct principal *p, uid_t uid, const gid_t *groups, size_t count)
{
	if (p->has_uid)
		return p->uid == uid;
	for (size_t i = 0; i < count; i++)
		if (groups[i] == p->gid)
			return true;
	return false;
}

void principals_judge(const struct config *c, uid_t uid, const gid_t *groups, size_t count,
		      struct caller *ret)
{
	*ret = (struct caller){ .role = ROLE_NONE };
	snprintf(ret->actor, sizeof(ret->actor), "uid:%u", (unsigned)uid);
	if (uid == 0 || uid == geteuid())
		ret->role = ROLE_ADMIN;
	for (uint32_t i = 0; i < c->nprincipals; i++) {
		const struct principal *p = &c->principals[i];
		/* The names begin with the first role that is one. */
		enum role role = (enum role)(p->role + ROLE_VIEWER);

		if (role <= ret->role || !matches(p, uid, groups, count))
			continue;
		ret->role = role;
		snprintf(ret->tenant, sizeof(ret->tenant), "%s", p->tenant);
	}
	if (ret->role == ROLE_ADMIN)
		ret->tenant[0] = '\0';
}

void principals_of_socket(const struct config *c, int fd, struct caller *ret)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	gid_t groups[GROUPS_MAX + 1];
	socklen_t len = sizeof(peer), groups_len = GROUPS_MAX * sizeof(groups[0]);
	size_t count = 0;

	*ret = (struct caller){ .role = ROLE_NONE, .actor = "unknown" };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	/* Who is in more groups than fit is judged by his own alone. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_len) == 0)
		count = groups_len / sizeof(groups[0]);
	groups[count++] = peer.gid;
	principals_judge(c, peer.uid, groups, count, ret);
	ret->pid = peer.pid;
}
