/* seats.h - who has which processors and which node's memory: the books of place.h.
 *
 * An instance has its place as long as it has processors and memory at all (states.h,
 * HOLD_ALL): it is chosen and written in the transaction that admits a start, and goes in
 * the one that tells of the end. A processor is one row: no two can have it, whoever errs.
 *
 * A slice is what an operator has set aside for another engine (Slurm, Kubernetes) by its
 * name: processors, memory, huge pages. Nothing of ours is placed there, and the rest of the
 * host is smaller by it.
 *
 * Loop thread. (T): within a transaction. Errors as of store.h; -EUSERS: the host has no
 * such place (any more), and *err says why not.
 */
#ifndef SUPERVISOR_SEATS_H
#define SUPERVISOR_SEATS_H

#include <jansson.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/host/place.h"

/* (T) Gives an instance its place, unless it has it, or takes it away. */
int seats_hold(struct truth *t, const struct instance *i, bool wanted, struct error *err);

/* Whether there is such a place now, and room for it beside those that float. */
int seats_check(struct truth *t, const struct instance *i, struct error *err);

/* The place that an instance has: 1, or 0: none of its own. */
int seats_find(struct truth *t, const char *instance, struct place *ret, struct error *err);

/* Where instances float that are bound to this node, or (TOPOLOGY_ANY_NODE) to none. */
int seats_shared(struct truth *t, int node, cpu_set_t *ret, struct error *err);

/* How much of this resource's capacity is not for what floats in ordinary memory. */
int seats_set_aside(struct truth *t, enum resource resource, int64_t *ret, struct error *err);

/* Why an instance is where it is; if it has no place, where it would be now. The caller owns
 * the reference. NULL and *err. */
json_t *seats_explain(struct truth *t, const struct instance *i, struct error *err);

struct slice {
	char name[NAME_BYTES];
	cpu_set_t cpus;
	int64_t memory_mib, huge_mib;
	int node; /* of the huge pages and the memory; TOPOLOGY_ANY_NODE: of no one */
};

/* (T) Makes a slice, or makes it anew. -EINVAL; -EBUSY: an instance or a slice has one of
 * the processors. */
int slice_set(struct truth *t, const struct slice *s, const char *actor, struct error *err);
/* (T) -ENOENT. */
int slice_remove(struct truth *t, const char *name, const char *actor, struct error *err);
/* The caller owns the reference; NULL and *err. */
json_t *slice_list(struct truth *t, struct error *err);

#endif
