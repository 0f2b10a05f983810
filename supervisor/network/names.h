/* names.h - what the dnsmasq of a network is told: text, and nothing else (dnsmasq(8)).
 *
 * It answers the guests of one bridge, and knows nothing but what stands here:
 *
 * - A guest gets the addresses of its lease, known by its MAC address; a stranger gets none.
 *   What a client says of itself is not believed.
 * - An instance is INSTANCE.NETWORK.internal, and its addresses have that name; nothing else
 *   ends in "internal", which nobody is asked about. Other names are the resolvers', if there
 *   are any.
 *
 * Folders are what the program sees (dnsmasq.h). Any thread.
 */
#ifndef SUPERVISOR_NETWORK_NAMES_H
#define SUPERVISOR_NETWORK_NAMES_H

#include <stdbool.h>
#include <stdio.h>

#include "supervisor/network/lease.h"

#define NAMES_TOP "internal"

/* Of its folder: its configuration, and a file for each lease. */
#define NAMES_CONFIG "config"
#define NAMES_HOSTS  "hosts" /* addresses and their names */
#define NAMES_DHCP   "dhcp"  /* MAC addresses and what they get */

enum { NAMES_PREFIX6_LEAST = 64 }; /* bits of a prefix in which it gives addresses */

/* Whether it can be a part of a domain: what instances may be called is more than that. */
bool names_usable(const char *name);

/* at: where the folder is. */
void names_print_config(const char *tag, const struct network *n, const char *at, FILE *out);
void names_print_dhcp(const struct lease *l, FILE *out);
/* Nothing, if the name is not usable. */
void names_print_hosts(const struct lease *l, const char *name, FILE *out);

#endif
