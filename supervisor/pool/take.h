/* take.h - an instance that begins as a blank of a pool.
 *
 * A take is part of the transaction that makes the instance: the blank's row goes, and the
 * instance has its id, and with that its user, folder and process, which it has as its first
 * incarnation. So a blank is one instance's or none's, whenever wispd dies.
 *
 * Loop thread; (T) as in instance.h.
 */
#ifndef SUPERVISOR_TAKE_H
#define SUPERVISOR_TAKE_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/pool/pool.h"

struct wispd;

struct take {
	bool asked; /* there is a pool for it */
	bool found; /* and a blank is ready */
	struct pool pool;
	struct blank blank; /* or only the snapshot in its plan */
	const char *why;    /* none was found, static */
};

/* What the instance is to have. */
struct take_wish {
	const char *pool; /* of this one; "": of any that fits */
	bool plain;	  /* it has nothing that a blank cannot have */
	const struct lease_request *interfaces;
	unsigned ninterfaces;
};

/* (T) For an instance that is planned, but not made: with a blank it has its id from now on, and
 * its leases. -EINVAL: it is none of that pool's. */
int take_choose(struct wispd *d, struct instance *i, const struct take_wish *wish, struct take *ret,
		struct error *err);

/* (T) Once the instance is made and has what it is to have: its process is the blank's, and it
 * is starting. Or there was none, and it starts as others do, but with the pool's snapshot. */
int take_bind(struct wispd *d, struct instance *i, const struct take *take, const char *actor,
	      struct error *err);

/* For api_call.after; id: of the instance, from malloc. */
void take_follow(struct wispd *d, void *id);

/* For the answer: the pool, and whether it had a blank; null without one. The caller's. */
json_t *take_describe(const struct take *take);

#endif
