/* kind.h - the kinds of resources that an instance has: one contract for all.
 *
 * A kind is a const table in a file of its own, listed in kinds[] in the order in which its
 * like is set up; what is taken down goes in reverse order. A NULL function: nothing to do.
 *
 * Truth first: what an instance has of a kind is a row before it is a thing, and the row
 * goes after the thing has gone. So side effects must bear to be done twice, and to be
 * undone when they were never done: after a crash nobody knows. sweep() at the start removes
 * the things that have no row.
 */
#ifndef SUPERVISOR_KIND_H
#define SUPERVISOR_KIND_H

#include "supervisor/books/instance.h"
#include "supervisor/life/launch.h"

struct wispd;

struct kind {
	const char *name;

	/* Rows; loop thread, within the transaction that makes the instance, or ends it. */
	int (*reserve)(struct wispd *d, const struct instance *i, struct error *err);
	int (*release)(struct wispd *d, const struct instance *i, struct error *err);

	/* Loop thread: what the others need of the rows. */
	int (*load)(struct wispd *d, const struct instance *i, struct launch *l, struct error *err);

	/* Side effects; any thread. Once when it is created, and when it is deleted. */
	int (*prepare)(struct launch *l, struct error *err);
	int (*remove)(struct launch *l, struct error *err);
	/* Before each start of a VMM, and after each end. */
	int (*attach)(struct launch *l, struct error *err);
	int (*detach)(struct launch *l, struct error *err);

	/* Loop thread, after work with these side effects, however that ended: writes down what
	 * it found, in a transaction of its own. */
	int (*report)(struct wispd *d, const struct launch *l, struct error *err);

	/* Loop thread, at the start of wispd, before anything is served: removes things that
	 * no row names. Returns how many, or a negative errno. */
	int (*sweep)(struct wispd *d, struct error *err);
};

extern const struct kind *const kinds[]; /* NULL-ended */

/* What all of them do, in order; the first error ends it, but for release and the removing
 * ones, which go on and return the first error. */
int kinds_reserve(struct wispd *d, const struct instance *i, struct error *err);
int kinds_release(struct wispd *d, const struct instance *i, struct error *err);
int kinds_load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err);
int kinds_prepare(struct launch *l, struct error *err);
int kinds_remove(struct launch *l, struct error *err);
int kinds_attach(struct launch *l, struct error *err);
int kinds_detach(struct launch *l, struct error *err);
int kinds_report(struct wispd *d, const struct launch *l, struct error *err);
int kinds_sweep(struct wispd *d, struct error *err);

#endif
