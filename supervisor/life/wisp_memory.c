/* wisp_memory.c - ask for both levels, wait for both, and back if that fails. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>

#include "api/client/libwisp.h"
#include "supervisor/life/wisp_memory.h"
#include "vmm/base/clock.h"

enum { POLL_MS = 20, BODY_BYTES = 64, BLOCK_MIB = 2 };

struct levels {
	int64_t ram_mib;     /* that it was started with */
	int64_t region_mib;  /* that can be plugged; 0: it has no such thing */
	int64_t balloon_mib; /* that the balloon holds */
	int64_t plugged_mib, requested_mib;
};

static int refused(struct wisp *w, const char *path, int r, struct error *err)
{
	return error_set(err, r, "mem_mib", NULL, "The VMM refused %s: %s", path, wisp_error(w));
}

struct number {
	const char *name;
	int64_t *ret;
};

/* Numbers of what a path tells, up to one without a name. */
static int get(struct wisp *w, const char *path, const struct number numbers[], struct error *err)
{
	struct wisp_reply reply = { 0 };
	int r = wisp_call(w, "GET", path, NULL, &reply);
	json_t *j = r == 0 ? json_loads(reply.body, 0, NULL) : NULL;

	for (const struct number *n = numbers; n->name; n++)
		*n->ret = json_integer_value(json_object_get(j, n->name));
	json_decref(j);
	wisp_reply_clear(&reply);
	return r < 0 ? refused(w, path, r, err) : 0;
}

static int look(struct wisp *w, struct levels *ret, struct error *err)
{
	const struct number machine[] = { { "mem_size_mib", &ret->ram_mib }, { 0 } };
	const struct number balloon[] = { { "actual_mib", &ret->balloon_mib }, { 0 } };
	const struct number memory[] = { { "total_size_mib", &ret->region_mib },
					 { "plugged_size_mib", &ret->plugged_mib },
					 { "requested_size_mib", &ret->requested_mib },
					 { 0 } };
	int r = get(w, "/machine-config", machine, err);

	if (r == 0)
		r = get(w, "/balloon/statistics", balloon, err);
	if (r < 0)
		return r;
	/* One that began with all that it can have has nothing to be plugged. */
	r = get(w, "/hotplug/memory", memory, err);
	return r == -EPROTO ? 0 : r;
}

static int64_t size_of(const struct levels *at)
{
	return at->ram_mib - at->balloon_mib + at->plugged_mib;
}

static int ask(struct wisp *w, const char *path, const char *name, int64_t mib, struct error *err)
{
	char body[BODY_BYTES];
	int r;

	snprintf(body, sizeof(body), "{\"%s\": %" PRId64 "}", name, mib);
	r = wisp_call(w, "PATCH", path, body, NULL);
	return r < 0 ? refused(w, path, r, err) : 0;
}

static bool is_there(const struct levels *at, const struct levels *wanted, bool less)
{
	return at->plugged_mib == wanted->plugged_mib &&
	       (less ? at->balloon_mib >= wanted->balloon_mib
		     : at->balloon_mib <= wanted->balloon_mib);
}

static int await(struct wisp *w, const struct levels *wanted, bool less, uint64_t deadline_us,
		 struct error *err)
{
	struct levels at = { 0 };
	int r;

	while ((r = look(w, &at, err)) == 0 && !is_there(&at, wanted, less)) {
		if (clock_now_us() > deadline_us)
			return error_set(err, -ETIMEDOUT, "mem_mib",
					 "look at what its guest needs, or give it more time",
					 "Its guest has %" PRId64
					 " MiB, and did not get to %" PRId64 " MiB in time",
					 size_of(&at), size_of(wanted));
		poll(NULL, 0, POLL_MS);
	}
	return r;
}

static int ask_plug(struct wisp *w, const struct levels *at, const struct levels *wanted,
		    struct error *err)
{
	/* A guest without the driver has nothing plugged, and needs not be asked for nothing. */
	if (wanted->plugged_mib == at->requested_mib)
		return 0;
	return ask(w, "/hotplug/memory", "requested_size_mib", wanted->plugged_mib, err);
}

static int ask_balloon(struct wisp *w, const struct levels *wanted, struct error *err)
{
	return ask(w, "/balloon", "amount_mib", wanted->balloon_mib, err);
}

/* Blocks that the guest is to empty are emptied before the balloon takes what is free. */
static int go_to(struct wisp *w, int64_t mib, int64_t timeout_ms, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + (uint64_t)timeout_ms * 1000;
	struct levels at = { 0 }, wanted, half;
	bool less;
	int r = look(w, &at, err);

	if (r < 0)
		return r;
	wanted = half = at;
	wanted.balloon_mib = mib < at.ram_mib ? at.ram_mib - mib : 0;
	wanted.plugged_mib = mib > at.ram_mib ? (mib - at.ram_mib) / BLOCK_MIB * BLOCK_MIB : 0;
	less = size_of(&wanted) < size_of(&at);
	if (wanted.plugged_mib > at.region_mib)
		return error_set(err, -EINVAL, "mem_mib", "stop it: its next start can have more",
				 "It was started with room for %" PRId64 " MiB",
				 at.ram_mib + at.region_mib);
	half.plugged_mib = less ? wanted.plugged_mib : at.plugged_mib;
	half.balloon_mib = less ? at.balloon_mib : wanted.balloon_mib;
	r = less ? ask_plug(w, &at, &half, err) : ask_balloon(w, &half, err);
	if (r == 0)
		r = await(w, &half, less, deadline_us, err);
	if (r == 0)
		r = less ? ask_balloon(w, &wanted, err) : ask_plug(w, &at, &wanted, err);
	return r < 0 ? r : await(w, &wanted, less, deadline_us, err);
}

/* A guest that keeps some of what it got is held to that: it gets no more. */
static void keep(struct wisp *w, struct launch_resize *q)
{
	struct levels at = { 0 };
	struct error none;

	q->now_mib = q->mem_mib;
	if (look(w, &at, &none) < 0)
		return;
	if (at.region_mib &&
	    ask(w, "/hotplug/memory", "requested_size_mib", at.plugged_mib, &none) < 0)
		return;
	if (ask_balloon(w, &at, &none) < 0)
		return;
	if (size_of(&at) < q->mem_mib)
		q->now_mib = size_of(&at) > q->mem_from_mib ? size_of(&at) : q->mem_from_mib;
}

int wisp_memory_set(struct wisp *w, struct launch_resize *q, struct error *err)
{
	struct levels at = { 0 };
	struct error later;
	int r = look(w, &at, err);

	q->now_mib = q->mem_from_mib;
	/* A guest without a driver has not been asked for anything yet. */
	if (r < 0)
		return r;
	r = go_to(w, q->mem_mib, q->timeout_ms, err);
	if (r == 0) {
		q->now_mib = q->mem_mib;
		return 0;
	}
	if (go_to(w, q->mem_from_mib, q->timeout_ms, &later) < 0 && q->mem_mib > q->mem_from_mib)
		keep(w, q);
	return r;
}
