/* firewall.h - nft, the program, run with a text. Any thread: nftables keeps order.
 *
 * A text is one transaction: all of it, or nothing and -EIO with nft's own words.
 */
#ifndef SUPERVISOR_NETWORK_FIREWALL_H
#define SUPERVISOR_NETWORK_FIREWALL_H

#include <stddef.h>
#include <stdio.h>

#include "supervisor/config.h"
#include "vmm/base/error.h"

/* A text that is being written. */
struct firewall_text {
	FILE *out; /* NULL: memory is short */
	char *text;
	size_t len;
};

void firewall_begin(struct firewall_text *t);

/* Gives it to nft, and frees it. */
int firewall_apply(const struct config *c, struct firewall_text *t, struct error *err);
/* Frees it. */
void firewall_drop(struct firewall_text *t);

#endif
