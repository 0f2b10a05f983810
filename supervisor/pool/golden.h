/* golden.h - the snapshot that all blanks of a pool go on from: a guest that has just booted.
 *
 * A pool whose image has an agent gets one by itself: an instance of the tenant GOLDEN_TENANT
 * boots the pool's image until its agent answers, is saved, and deleted. It is made anew when the
 * image, the shape or this wispd's version is another one, or a VMM refuses it. What is under way
 * is in the books: a row that names the instance, then the snapshot.
 *
 * Loop thread. Errors as of store.h.
 */
#ifndef SUPERVISOR_GOLDEN_H
#define SUPERVISOR_GOLDEN_H

#include "supervisor/pool/pool.h"

#define GOLDEN_TENANT "wisp-pool"

struct wispd;

enum golden_state {
	GOLDEN_NONE, /* the image has no agent that could say when it has booted */
	GOLDEN_MAKING,
	GOLDEN_READY,
};

extern const char *const golden_state_names[];

/* Takes the next step, if there is one: a state, and of a ready one the snapshot's id in the plan;
 * or what it came to, *err, and it can be begun again. */
int golden_look(struct wispd *d, const struct pool *p, struct pool_plan *plan, struct error *err);

/* What there is is not to be gone on from any more: the next look makes another. */
int golden_spoil(struct wispd *d, const struct pool *p, struct error *err);

/* The pool leaves: what there is goes. -EBUSY: not yet. */
int golden_drop(struct wispd *d, const struct pool *p, struct error *err);

#endif
