/* lease.h - interfaces of instances as they are written down: which address, what it may.
 *
 * A lease is one interface of one instance, for the instance's life: a number, which names
 * its link, and a place in its network, which gives its addresses (the same place in both
 * prefixes) and its MAC address. The row goes when the link has gone, so no address is ever
 * two guests'. The ports that it publishes are the host's, each one lease's.
 *
 * A blank of a pool (pool/pool.h) has leases, too, which become an instance's with it.
 *
 * Loop thread. Errors as of store.h, and -ENOENT, -EINVAL, -EUSERS: no address is free,
 * -EDQUOT. (T): within a transaction.
 */
#ifndef SUPERVISOR_NETWORK_LEASE_H
#define SUPERVISOR_NETWORK_LEASE_H

#include "supervisor/network/network.h"

enum {
	LEASES_MAX = 4, /* of an instance */
	LEASE_PORTS_MAX = 16,
	LEASE_PORT_BYTES = 24,
	MAC_BYTES = 18, /* as text */
	LEASE_RATE_MAX = 1 << 30,
	LEASE_NETWORKS_BYTES = LEASES_MAX * NAME_BYTES,
};

/* One that is asked for. */
struct lease_request {
	char network[NAME_BYTES];
	char address[ADDRESS_TEXT]; /* of IPv4; "": any */
	uint32_t negress, npublish;
	char egress[POLICY_RULES_MAX][POLICY_RULE_BYTES]; /* none: as the network says */
	char publish[LEASE_PORTS_MAX][LEASE_PORT_BYTES];  /* "8080:80", "5353:53/udp" */
	uint64_t rx_bytes_per_s, tx_bytes_per_s;	  /* to and from the guest; 0: no limit */
};

struct lease_port {
	int protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t port, guest_port;
};

struct lease {
	int64_t n;
	char instance[INSTANCE_ID_BYTES];
	unsigned slot; /* which one of the instance's */
	uint32_t place;
	struct address address4, address6; /* the second may be none */
	char mac[MAC_BYTES], link[LINK_BYTES];
	int64_t rx_bytes_per_s, tx_bytes_per_s;
	char egress[POLICY_TEXT_BYTES]; /* its own or the network's */
	unsigned nports;
	struct lease_port ports[LEASE_PORTS_MAX];
	uid_t user; /* of passt: whose connections are the guest's; 0: none was leased */
	struct network network;
};

/* The MAC address of who has this address of IPv4. */
void lease_mac(const struct address *a, char mac[MAC_BYTES]);

/* The address that IPv6 makes of that MAC address (RFC 4291, appendix A). */
void lease_link_local(const struct lease *l, char buf[ADDRESS_TEXT]);

/* What a request says by itself is right. -EINVAL. */
int lease_check(const struct lease_request *q, struct error *err);

/* The names of these requests' networks, as a list: "a b". false: one asks for an address, which
 * a blank has already. */
bool lease_list_networks(const struct lease_request *q, unsigned count,
			 char ret[LEASE_NETWORKS_BYTES]);
/* The next of such a list, which is moved on; false: that was all. */
bool lease_next_network(const char **list, char name[NAME_BYTES]);

/* (T) Leases in such a list of a tenant's networks, for what will be an instance. */
int lease_prepare(struct truth *t, const char *instance, const char *tenant, const char *networks,
		  struct error *err);
/* (T) Leases for all that an instance asks for, and its hold of addresses. One that was a blank
 * has them already, but for what it may beyond its networks. */
int lease_take(struct truth *t, const struct instance *i, const struct lease_request *q,
	       unsigned count, struct error *err);
/* Whether it has an allow list or ports of its own. */
bool lease_is_special(const struct lease *l);
/* (T) All that it has. */
int lease_drop(struct truth *t, const struct instance *i, struct error *err);

/* Those of an instance, in order; how many. */
int lease_load(struct truth *t, const char *instance, struct lease ret[LEASES_MAX],
	       struct error *err);

/* Calls fn for each lease of a blank, or of an instance whose VMM may be alive. */
typedef int (*lease_fn)(void *ctx, const struct lease *l);
int lease_each_alive(struct truth *t, lease_fn fn, void *ctx, struct error *err);

/* Whether there is such a lease of that number; true when it is not known. */
bool lease_may_live(struct truth *t, int64_t n);

/* As the API shows them: of an instance, or (NULL) of a network. */
json_t *lease_list(struct truth *t, const char *instance, int64_t network, struct error *err);

#endif
