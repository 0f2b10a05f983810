/* relay.h - streams between clients and guests, through wispd: bytes, and nothing else.
 *
 * wispd has decided who may speak to whom; from then on it carries what both say, without
 * looking at it. Neither side can make it wait or hold more than RELAY_BUFFER_BYTES for a
 * direction: who does not read is not read for. Loop thread.
 */
#ifndef SUPERVISOR_RELAY_H
#define SUPERVISOR_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/error.h"

enum { RELAY_BUFFER_BYTES = 32 << 10, RELAYS_MAX = 384, RELAYS_TENANT_MAX = 128 };

struct relays;
struct sd_event;

/* Two connected stream sockets. */
struct relay_ends {
	int client; /* is closed by ended() */
	int guest;  /* the relay's own from the call on */
	const char *tenant;
	const char *early; /* what the client has said already; at most RELAY_BUFFER_BYTES */
	size_t early_len;
	void (*ended)(void *ctx);
	void *ctx;
};

int relays_create(struct sd_event *loop, struct relays **ret, struct error *err);
void relays_destroy(struct relays *r); /* ends them all; accepts NULL */

/* Whether this tenant may have another one. */
bool relays_have_room(const struct relays *r, const char *tenant);

/* Begins to carry; when that cannot be, ended() is called at once. An end of one side is
 * passed on once all before it was delivered; after both, or a broken one, all is closed. */
void relays_add(struct relays *r, const struct relay_ends *ends);

#endif
