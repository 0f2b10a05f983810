/* network.h - networks as they are written down: whose, which addresses, how it is wired.
 *
 * A network is a tenant's. No two networks of a host have an address in common, so an
 * address says whose it is. The first address of each prefix is the host's own there, the
 * guests' gateway.
 *
 *	bridge	guests are on one wire, a bridge of the host
 *	routed	each guest has a line of its own, and the host routes between them
 *	passt	each guest has a passt of its own, a program without privileges, whose
 *		connections are the host's; guests reach each other by what they publish
 *	ovs	guests are ports of a bridge of Open vSwitch's (ovs.h): the network's own, where
 *		the host is the gateway, or another's, where whoever that is has the gateway's
 *		address
 *
 * On a bridge guests may be served with addresses, by DHCP and router advertisements, and with
 * the names of the network's instances (names.h).
 *
 * Loop thread. Errors as of store.h, and -ENOENT, -EINVAL. (T): within a transaction.
 */
#ifndef SUPERVISOR_NETWORK_NETWORK_H
#define SUPERVISOR_NETWORK_NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/network/policy.h"
#include "supervisor/network/prefix.h"

enum {
	NETWORK_TAG_BYTES = 7,
	LINK_BYTES = 16,
	NETWORK_GATEWAY = 1,
	NETWORK_FIRST_GUEST = 2,
	NETWORK_RESOLVERS_MAX = 4,
	NETWORK_RESOLVERS_BYTES = NETWORK_RESOLVERS_MAX * ADDRESS_TEXT,
	NETWORK_VLAN_MAX = 4094,
};

enum network_mode { NETWORK_BRIDGE, NETWORK_ROUTED, NETWORK_PASST, NETWORK_OVS };

/* How guests learn their addresses: by their command line and agent, or they ask. */
enum network_addressing { NETWORK_TOLD, NETWORK_DHCP };

struct network {
	int64_t n; /* its number, in the names of its links and rules */
	char tenant[NAME_BYTES], name[NAME_BYTES];
	enum network_mode mode;
	struct prefix prefix4, prefix6; /* the second may be none */
	bool nat;			/* guests reach the world by the host's address */
	bool leaving;			/* its links and rules are being removed */
	bool last;			/* and the table of rules with it */
	char bridge[LINK_BYTES];	/* of mode ovs: another's; "": its own */
	unsigned vlan;			/* on another's: that its guests are in; 0: none */
	bool netdev;			/* its own is in vswitchd, not in the kernel */
	char egress[POLICY_TEXT_BYTES]; /* of guests without a list of their own */
	enum network_addressing addressing;
	bool dns;				 /* its instances' names are answered */
	char resolvers[NETWORK_RESOLVERS_BYTES]; /* that know other names: addresses, "a b" */
	uid_t user; /* of what serves its guests (dnsmasq.h); 0: nothing does */
};

extern const char *const network_mode_names[]; /* NULL-ended */
extern const char *const network_addressing_names[];
extern const char *const network_datapath_names[]; /* by netdev; NULL-ended */

/* Six characters that the names of all links and tables of this wispd begin with. */
void network_tag(struct truth *t, char tag[NETWORK_TAG_BYTES]);
/* The bridge of a network. */
void network_link(const char *tag, int64_t n, char name[LINK_BYTES]);

/* (T) -EEXIST: the name, or an address, is another one's; -EAGAIN: the last one is just
 * being removed. n->n is chosen. */
int network_add(struct truth *t, struct network *n, const char *actor, struct error *err);
/* (T) From now on nobody can use it. -EBUSY: somebody does; -EAGAIN: one at a time. */
int network_leave(struct truth *t, struct network *n, const char *actor, struct error *err);
/* (T) Its links and rules are gone. */
int network_forget(struct truth *t, int64_t n, struct error *err);

/* By name, of this tenant; NULL: of any, if there is only one. Not one that is leaving. */
int network_find(struct truth *t, const char *tenant, const char *name, struct network *ret,
		 struct error *err);
int network_load(struct truth *t, int64_t n, struct network *ret, struct error *err);

/* Calls fn for each, leaving ones, too, as instance_each() does. */
typedef int (*network_fn)(void *ctx, const struct network *n);
int network_each(struct truth *t, const char *tenant, network_fn fn, void *ctx, struct error *err);

/* Whether each guest has a tap there. Any thread. */
static inline bool network_has_links(const struct network *n)
{
	return n->mode != NETWORK_PASST;
}

/* Whether the host is the gateway: what leaves the network is routed by it. */
static inline bool network_is_routed(const struct network *n)
{
	return network_has_links(n) && !n->bridge[0];
}

/* Whether what passes by its taps is told apart by class (classes.h): on another's bridge nobody
 * knows what is the world, and vswitchd itself reads taps past the kernel's rules. Any thread. */
static inline bool network_is_classed(const struct network *n)
{
	return network_is_routed(n) && !n->netdev;
}

/* Whether its guests are on one wire, a bridge of wispd's. */
static inline bool network_has_bridge(const struct network *n)
{
	return n->mode == NETWORK_BRIDGE || (n->mode == NETWORK_OVS && !n->bridge[0]);
}

/* Whether something serves its guests. Any thread. */
static inline bool network_is_served(const struct network *n)
{
	return n->dns || n->addressing == NETWORK_DHCP;
}

/* By what name that holds a user. */
void network_owner(const struct network *n, char name[NAME_BYTES]);

/* As the API shows it; the caller owns the reference. */
json_t *network_describe(const struct network *n, const char *tag);

/* The rules of a list, each a text of its own. */
json_t *network_egress_list(const char *lines);
/* The next of a list of resolvers, which is moved on; false: that was all. */
bool network_next_resolver(const char **list, struct address *ret);

#endif
