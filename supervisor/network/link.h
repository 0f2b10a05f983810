/* link.h - links of the host: bridges, taps, and what they need, by rtnetlink.
 *
 * Everything bears to be done again. Any thread: each call has a socket of its own. 0 or a
 * negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_LINK_H
#define SUPERVISOR_NETWORK_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/network/prefix.h"
#include "vmm/base/error.h"

/* A bridge, up, with this MAC address for good. */
int link_make_bridge(const char *name, const char *mac, struct error *err);

/* A tap that only this user can open, down; one that is there is made anew. */
int link_make_tap(const char *name, uid_t owner, bool queues, struct error *err);

/* Into a bridge. */
int link_join(const char *name, const char *bridge, struct error *err);
int link_set_up(const char *name, struct error *err);
/* Up, but the host neither asks nor answers there by ARP. */
int link_set_up_silent(const char *name, struct error *err);
int link_set_mtu(const char *name, unsigned mtu, struct error *err);
/* A virtual function of an interface's device, by its number. Its guest cannot send from
 * another MAC address unless it is trusted, and sees no VLAN but this one. */
struct link_function {
	char mac[18];  /* "": as its driver made it */
	uint64_t vlan; /* 0: none */
	bool trusted;
};
int link_set_function(const char *name, unsigned number, const struct link_function *f,
		      struct error *err);
/* An address of the host's, with the length of its network; that may be of one address. */
int link_add_address(const char *name, const struct address *a, unsigned bits, struct error *err);
/* The way to one address. */
int link_add_route(const char *name, const struct address *to, struct error *err);

/* A file of /proc/sys/net, "ipv4/ip_forward", unless it says so already. */
int link_set_option(const char *file, const char *value, struct error *err);

/* What passed through a link since it was made. No two links of a host have the same index,
 * whatever their names. */
struct link_counters {
	int index;
	int64_t rx_bytes,
		tx_bytes;   /* as the host sees it: a guest's tap receives what that sends */
	int64_t tx_dropped; /* frames for which there was no room */
};
/* -ENODEV: it is not there. */
int link_read(const char *name, struct link_counters *ret, struct error *err);

/* One that is not there is removed. */
int link_remove(const char *name, struct error *err);

/* Calls fn for each name that begins so, until it returns a negative number. */
int link_each(const char *begin, int (*fn)(void *ctx, const char *name), void *ctx,
	      struct error *err);

#endif
