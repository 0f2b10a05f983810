/* wire.h - makes a host have what the books say of its networks: links, addresses, rules.
 *
 * Made when the first VMM of a network starts, and again whenever it is asked for: a bridge
 * stays until its network is removed, a tap until its VMM has ended. Rules come before a
 * link is up, and go after it. Where the kernel cannot count by class (classes.h), that is
 * logged, and all else is as it should be.
 *
 * The host forwards packets from then on (net.ipv4.ip_forward), which is not taken back.
 *
 * Any thread, but for wire_restore(). 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_WIRE_H
#define SUPERVISOR_NETWORK_WIRE_H

#include "supervisor/network/lease.h"

struct config;
struct firewall;
struct wispd;

/* queues: for a guest with more than one processor. */
int wire_attach(const struct config *c, struct firewall *f, const char *tag, const struct lease *l,
		uid_t owner, bool queues, struct error *err);
/* One that is attached as its network has it is to have what its lease says; before its guest
 * runs. May be done twice. */
int wire_change(const struct config *c, struct firewall *f, const char *tag, const struct lease *l,
		struct error *err);
/* Its rules go soon after, and before those of whoever is next to have its number or address. */
int wire_detach(const struct config *c, struct firewall *f, const char *tag, const struct lease *l,
		struct error *err);

/* What a network has on the host, once nobody is in it; of the last one, the tables. */
int wire_remove(const struct config *c, struct firewall *f, const char *tag,
		const struct network *n, struct error *err);

/* Loop thread, at the start of wispd: the rules as they should be, links without a row
 * removed; how many those were. */
int wire_restore(struct wispd *d, struct error *err);

#endif
