/* rules.h - what nftables is told about networks: text, and nothing else.
 *
 * One table for each of the families bridge and inet, "wispd_TAG", with the same chains
 * whatever there is; networks and leases are elements of its sets, and a chain for each
 * lease that may not send everywhere. So what a lease adds is a few elements, and they can
 * be added again, and removed when they were never there: the text for a removal adds first.
 *
 * What holds, all of it decided by the link that a packet came from, or by the user whose
 * passt sent it:
 *
 * - A guest sends from its own MAC address and its own addresses, or not at all; it speaks
 *   for nobody else by ARP, gives no addresses (DHCP, router advertisements), and uses no
 *   other protocols than ARP, IPv4 and IPv6.
 * - It reaches its own network and the world, as far as its allow list goes; never another
 *   network, and of the host nothing but echoes from its gateway.
 * - It is reached from its own network, by answers, and by what it publishes.
 *
 * Of networks of Open vSwitch's the first, and what passes within them, is up to flows
 * (flows.h). What their taps send is nobody's here: the host's stack drops it.
 *
 * Texts are put together, the base first, into one transaction of "nft -f". Any thread.
 */
#ifndef SUPERVISOR_NETWORK_RULES_H
#define SUPERVISOR_NETWORK_RULES_H

#include <stdbool.h>
#include <stdio.h>

#include "supervisor/network/lease.h"

/* Both tables, their sets and chains: made if they are missing, else as they should be. tracked:
 * the kernel tracks connections on bridges; where it does not, a guest with an allow list cannot
 * answer neighbours to whom it may not speak. */
void rules_print_base(const char *tag, bool tracked, FILE *out);
/* What such a kernel does not take. */
void rules_print_tracked(const char *tag, FILE *out);
void rules_print_network(const char *tag, const struct network *n, FILE *out);
/* -EINVAL: its allow list is none. */
int rules_print_lease(const char *tag, const struct lease *l, FILE *out, struct error *err);
/* Of a lease with a link that is there with what its network allows: its own list, and ports. */
int rules_change_lease(const char *tag, const struct lease *l, FILE *out, struct error *err);

/* The same added and removed, since only what is there can be removed. */
void rules_remove_network(const char *tag, const struct network *n, FILE *out);
int rules_remove_lease(const char *tag, const struct lease *l, FILE *out, struct error *err);

/* Both tables, whether they are there or not. */
void rules_remove_all(const char *tag, FILE *out);

#endif
