/* keep.h - a program that serves a VMM, or a network, kept running beside it.
 *
 * The keeper is the first process of a process namespace of its own: who kills it kills all
 * that it has started, and there is no other way in which they could stay behind. It is a
 * daemon, known by the lock that it holds on a file of root's.
 */
#ifndef SUPERVISOR_KEEPER_KEEP_H
#define SUPERVISOR_KEEPER_KEEP_H

#include <stdbool.h>
#include <sys/types.h>

#include "jailer/options.h"
#include "vmm/base/error.h"

struct keep {
	const char *lock;   /* held while it lives */
	const char *log;    /* what the program says is added here */
	const char *folder; /* the program's working directory; perhaps a stranger's */
	const char *socket; /* in the folder; NULL: of a network's, which has none */
	/* It serves a network: with the host's ports, and its links (CAP_NET_ADMIN, _BIND_SERVICE,
	 * _RAW). It finds its folder at /tmp, of the namespace, where nobody can write, and goes
	 * into the background when it serves. */
	bool network;
	/* The keeper makes the socket, which is the folder's owner's, and the program gets it
	 * listening as descriptor 3; else the program makes it, then goes into the background. */
	bool listen;
	uid_t user; /* and group, of the program */
	/* A folder that it is to serve, below in share (share/folder.h): it finds that at /tmp,
	 * of the namespace, and is root of a namespace of users where there is its user, and those
	 * from 1 on, who are first_other and so many that follow, on the host. NULL: none. Nobody in
	 * there can write to it if it is read_only. */
	const char *share, *below;
	uid_t first_other;
	unsigned others; /* 0: only its user is there */
	bool read_only;
	/* The control groups that all of it runs in: id, parent_cgroup and values are read. */
	struct jail_options groups;
	char *const *argv;
};

/* Returns when the program serves, or it or the keeper could not begin: 0, or a negative
 * errno and *err. -EBUSY: somebody holds the lock. Makes namespaces: for a process that ends
 * soon. */
int keep_begin(const struct keep *k, struct error *err);

#endif
