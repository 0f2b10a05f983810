/* flows.h - what a bridge of Open vSwitch's is told about its ports: OpenFlow, as text.
 *
 * Lines for "ovs-ofctl add-flows", which makes one transaction of them; each lease's begin
 * with the removal of what it had, so they can be told again. The cookie of a flow says
 * whose it is, and the bridge's other flows are left alone.
 *
 *	table 0		what a lease's port may send, as rules.h has it for other networks: from
 *			its MAC address and its addresses, or not at all; nothing with a VLAN's tag
 *	table 200	its allow list, if it has one: a connection is begun only if it is allowed
 *	table 202	what the table of connections said of a packet with such a list
 *	table 201	all that may pass, to where the bridge has learnt; what goes to a guest
 *			with a list is noted, so that it may answer
 *
 * Any thread.
 */
#ifndef SUPERVISOR_NETWORK_FLOWS_H
#define SUPERVISOR_NETWORK_FLOWS_H

#include <stdio.h>

#include "supervisor/network/lease.h"

/* Of a bridge of the network's own, which carries nothing but what it is told to. */
void flows_print_bridge(FILE *out);
/* -EINVAL: its allow list is none. The port is there, and has the name of the lease's link. */
int flows_print_lease(const char *tag, const struct lease *l, FILE *out, struct error *err);
void flows_remove_lease(const char *tag, const struct lease *l, FILE *out);

#endif
