/* ovs.h - bridges of Open vSwitch, and leases' taps as their ports.
 *
 * A network has a bridge of its own, made with its first port and removed with the network,
 * or is on a bridge of somebody else's, of which nothing is touched but what its ports need.
 * Each port is one transaction of ovs-vsctl's, and is marked there (external_ids wispd, the
 * tag, and wispd-instance): the database of Open vSwitch outlives the host's end, and what is
 * marked and belongs to nobody is removed at the start of wispd. What passes is up to flows
 * (flows.h), which hold before the tap is up.
 *
 * A bridge of its own carries nothing without flows (fail_mode secure). In the data path
 * netdev vswitchd reads taps as a socket does, so that frames have to be whole (no offloads),
 * and the host's stack sees them, too: such a tap answers nobody there.
 *
 * Any thread, but for ovs_restore(). 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_OVS_H
#define SUPERVISOR_NETWORK_OVS_H

#include "supervisor/network/lease.h"

struct config;
struct wispd;

/* Its tap, which is there and down, becomes a port, and its flows hold. The bridge, one of the
 * network's own, is there then, with this MAC address. */
int ovs_add_port(const struct config *c, const char *tag, const struct lease *l, const char *mac,
		 struct error *err);
/* The flows of one that is there, anew. */
int ovs_change_port(const struct config *c, const char *tag, const struct lease *l,
		    struct error *err);
/* One that is not there is removed. */
int ovs_remove_port(const struct config *c, const char *tag, const struct lease *l,
		    struct error *err);
int ovs_remove_bridge(const struct config *c, const char *name, struct error *err);

/* Loop thread, at the start of wispd: ports without a row removed, flows as they should be; how
 * many of the former. If Open vSwitch does not answer that is logged: its guests are cut off,
 * and others are not. */
int ovs_restore(struct wispd *d, struct error *err);

#endif
