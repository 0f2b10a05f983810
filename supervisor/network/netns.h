/* netns.h - network namespaces that somebody else has made: a CNI plug-in, podman, an engine.
 *
 * An instance may be given one, and one interface of it: that one's frames become the guest's.
 * A tap is made beside it, the two are tied together (tc.h), and the VMM enters the namespace.
 * The guest has the interface's MAC address, addresses, gateway and MTU; nothing of it is
 * wispd's to lease, and what the namespace's owner lets pass is his matter. What was made there
 * goes when the VMM has ended.
 *
 * The owner may take it away at any time: then there is nothing to undo.
 *
 * Any thread: what is done in a namespace is done by a thread of its own, and waited for. 0 or
 * a negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_NETNS_H
#define SUPERVISOR_NETWORK_NETNS_H

#include <stdbool.h>

#include "supervisor/config.h"
#include "supervisor/network/lease.h"
#include "supervisor/network/link.h"

enum { NETNS_ADDRESSES_MAX = 8 };

struct netns {
	char path[CONFIG_FOLDER_BYTES]; /* "": none was given */
	char link[LINK_BYTES], tap[LINK_BYTES];
};

/* What an interface is like. */
struct netns_link {
	bool found; /* or nothing else is known */
	char mac[MAC_BYTES];
	unsigned mtu, naddresses;
	struct {
		struct address address;
		unsigned bits;
	} addresses[NETNS_ADDRESSES_MAX];
	struct address gateway4, gateway6; /* of the family 0: none */
};

/* Right by itself, and in one of the folders that wispd is told of. -EINVAL, -EACCES. */
int netns_check(const struct config *c, const char *path, const char *link, struct error *err);

/* -ENOENT: it is gone; -EINVAL: it is no network namespace, or the host's own. */
int netns_read(const struct netns *n, struct netns_link *ret, struct error *err);
int netns_attach(const struct netns *n, uid_t owner, bool queues, struct error *err);
int netns_detach(const struct netns *n, struct error *err);
/* Of the tap. */
int netns_count(const struct netns *n, struct link_counters *ret, struct error *err);

#endif
