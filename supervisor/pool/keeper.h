/* keeper.h - keeps the blanks that pools promise: makes them, watches them, ends them.
 *
 * From the rows (pool.h), the demand (demand.h) and what lives now follows what is to be done,
 * and nothing else is remembered: a wispd that comes back takes up the blanks that live and
 * ends what is left of the others. Few are made at a time, none on a cordoned host or a full
 * disk, and what fails is tried again ever more seldom. Loop thread.
 */
#ifndef SUPERVISOR_KEEPER_H
#define SUPERVISOR_KEEPER_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/pool/pool.h"
#include "vmm/base/error.h"

struct keeper;
struct wispd;

/* Takes up what an earlier wispd has left. */
int keeper_create(struct wispd *d, struct keeper **ret, struct error *err);
/* Before the workers' end, and after it: blanks live on. Both accept NULL. */
void keeper_end(struct keeper *k);
void keeper_destroy(struct keeper *k);

/* A VMM has refused this golden snapshot, and its guest boots: it is made anew; one that is refused
 * again and again ever more seldom. */
void keeper_refused(struct keeper *k, const char *snapshot);

/* Pools have changed: looks at them soon. Accepts NULL. */
void keeper_wake(struct keeper *k);

/* One that is ready to become this instance, of this pool: true. It stays the keeper's. Where
 * there is none, ret->plan.snapshot is what such an instance can go on from; "": nothing. */
bool keeper_choose(struct keeper *k, const struct pool *p, const struct instance *i,
		   struct blank *ret);
/* Somebody asked a pool for a blank, and got one or not. */
void keeper_note(struct keeper *k, const struct pool *p, bool got);
/* It is an instance's now (committed): the lifecycle gets its process. */
void keeper_hand_over(struct keeper *k, const char *id);

/* A pool as it is: ready, making, wanted, takes, misses, cause. The caller's. */
json_t *keeper_describe(const struct keeper *k, const struct pool *p);

#endif
