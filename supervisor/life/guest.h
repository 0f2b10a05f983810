/* guest.h - the agent in a guest: whether it is there, and how the guest is.
 *
 * Asked over the vsock again and again, first as often as a start may wait for, later at
 * the configured interval. What a guest answers is its own word: it is bounded, shown, and
 * believed for nothing but that somebody answers. Loop thread; nothing here waits.
 */
#ifndef SUPERVISOR_GUEST_H
#define SUPERVISOR_GUEST_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/life/launch.h"
#include "supervisor/life/runtime.h"
#include "vmm/base/error.h"

struct guest;
struct wispd;

/* Begins to ask the guest of this VMM, whose socket may not be there yet. It is told its
 * addresses first (identity.h). on_ready(ctx): it has answered for the first time. -ENOMEM,
 * -ENOTSUP: its runtime has no vsock. */
int guest_create(struct wispd *d, const struct launch *l, void (*on_ready)(void *ctx), void *ctx,
		 struct guest **ret, struct error *err);
void guest_destroy(struct guest *g); /* accepts NULL */

bool guest_is_ready(const struct guest *g);

/* {"state": "awaited", "ready" or "silent", "seen_wall_ns", "health": {...}}. */
json_t *guest_describe(const struct guest *g);

/* A connection to a port of the guest's vsock, or to its console (runtime.h), begun without
 * waiting: a descriptor. "CONNECT port" is said already; what follows is the answer to it.
 * -EAGAIN: there are as many as the VMM can have. Any thread. */
int guest_connect(const struct launch *l, enum runtime_way way, unsigned port, struct error *err);

#endif
