/* firewall.h - what nftables is told: texts for nft (nft.h), one after the other, many at a time.
 *
 * A transaction that removes anything may wait until all processors have passed through the
 * kernel's scheduler, however much it removes. So a thread does nothing else, and takes all that
 * came while it was busy as one transaction, in the order in which it came.
 *
 * Any thread, but for create and destroy. 0 or a negative errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_FIREWALL_H
#define SUPERVISOR_NETWORK_FIREWALL_H

#include <stdbool.h>
#include <stdio.h>

#include "supervisor/config.h"
#include "supervisor/network/classes.h"
#include "supervisor/network/network.h"
#include "vmm/base/error.h"

struct firewall;

int firewall_create(const struct config *c, const char tag[NETWORK_TAG_BYTES],
		    struct firewall **ret, struct error *err);
/* Once what it was told is done. Accepts NULL. */
void firewall_destroy(struct firewall *f);

/* A text that is being written to out, which is NULL when memory is short. What it is for: MORE in
 * the tables, which are put in front when they may be missing; the tables ANEW, with this in them;
 * or the tables taken AWAY, and this done. */
struct firewall_text {
	FILE *out;
	char *text;
	size_t len;
	enum { FIREWALL_MORE, FIREWALL_ANEW, FIREWALL_AWAY } tables;
};

void firewall_begin(struct firewall_text *t);
void firewall_drop(struct firewall_text *t);
/* Holds when it returns: all of it, or nothing. The text is dropped. */
int firewall_apply(struct firewall *f, struct firewall_text *t, struct error *err);
/* Soon, and before whatever it is told from now on; that it fails is logged. */
int firewall_apply_later(struct firewall *f, struct firewall_text *t, struct error *err);

/* What was counted of a lease's traffic (classes.h). */
int firewall_count(struct firewall *f, const struct lease *l, struct class_counters *ret,
		   struct error *err);

#endif
