/* snapshot.h - saved machines, as they are written down.
 *
 * A snapshot is a tenant's: what an instance was at one moment, its memory, its processors
 * and its own disk, with all that another instance needs to go on from there. Its files
 * (files.h) are there as long as its row; the row says first what becomes of them:
 *
 *   making    its instance is "saving" or "saving_live" (states.h); the end of that is the
 *             end of this
 *   ready     whole; instances can be made of it
 *   removing  its files are being removed, then the row
 *
 * A use is an instance that is to begin by loading it: from the transaction that makes the
 * instance until the instance has run for the first time, or is deleted. A snapshot with a
 * use cannot be removed. One that is `passing` was made for its uses (a fork) and goes with
 * the last of them. It holds what it may take of its tenant's disk_mib, under its own id, and
 * is metered by what it takes.
 *
 * Loop thread. Errors as of store.h, and -ENOENT, -EBUSY. (T): within a transaction.
 */
#ifndef SUPERVISOR_SNAPSHOT_SNAPSHOT_H
#define SUPERVISOR_SNAPSHOT_SNAPSHOT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/life/launch.h"

enum {
	SNAPSHOT_ID_BYTES = LAUNCH_SNAPSHOT_BYTES,
	SNAPSHOT_INTERFACES_BYTES = 8192,
	SNAPSHOT_FORKS_MAX = 64, /* instances that may wait for one that is being made */
};

/* The numbers are in the database: they never change. They are what an operation on a
 * snapshot has for a goal, too (operation.h); the last one is of those only. */
enum snapshot_state { SNAPSHOT_MAKING, SNAPSHOT_READY, SNAPSHOT_REMOVING, SNAPSHOT_GONE };

struct snapshot {
	char id[SNAPSHOT_ID_BYTES]; /* of its folder, too */
	char tenant[NAME_BYTES], name[NAME_BYTES];
	char labels[LABELS_BYTES];
	enum snapshot_state state;
	bool resume;	  /* its instance ran, and runs on when it is made */
	bool passing;	  /* goes with its last use */
	int64_t most_mib; /* that its files may take: memory and disk */
	int64_t size_mib; /* that they take; 0: not known yet */
	int64_t created_wall_ns;

	/* What was saved. */
	char instance[INSTANCE_ID_BYTES];
	char image[DIGEST_BYTES], shape[NAME_BYTES], cmdline[CMDLINE_BYTES];
	int64_t shape_version, vcpus, mem_mib;
	int64_t disk_mib; /* its root disk was grown to; 0: it was not */
	bool hotplug;
	/* A list of requests for leases (lease.h) in JSON: the same networks, limits, rules. */
	char interfaces[SNAPSHOT_INTERFACES_BYTES];
};

/* (T) Writes one that is being made; its id is chosen, and its name, if that is "".
 * -EEXIST, -EDQUOT. */
int snapshot_add(struct truth *t, struct snapshot *s, struct error *err);

/* (T) The one that is being made of an instance is ready, with files of this size; or it
 * could not be made, and is being removed. 0, too, if there is none. */
int snapshot_made(struct truth *t, const char *instance, int64_t size_mib, const char *actor,
		  struct error *err);
int snapshot_not_made(struct truth *t, const char *instance, const char *why, const char *actor,
		      struct error *err);

/* (T) It is to be removed. -EBUSY: it has a use, or is being made. */
int snapshot_remove(struct truth *t, struct snapshot *s, struct error *err);
/* (T) Its files are gone. -EBUSY: somebody has not heard of it yet. */
int snapshot_forget(struct truth *t, const struct snapshot *s, const char *actor,
		    struct error *err);
/* How many are being removed, or are to be by the next. */
int snapshot_count_leaving(struct truth *t, int64_t *ret, struct error *err);
/* (T) All that go with a last use that they no longer have are to be removed; and, at the
 * start of wispd, those whose making was cut off. */
int snapshot_remove_unused(struct truth *t, struct error *err);
int snapshot_remove_cut_off(struct truth *t, struct error *err);

/* (T) The instance begins by loading it. It is not asked whose it is: that is for who calls. */
int snapshot_use(struct truth *t, const char *snapshot, const char *instance, struct error *err);
/* (T) It has begun, or never will. */
int snapshot_drop(struct truth *t, const char *instance, struct error *err);

/* By name or id, of this tenant; NULL: of any, if there is only one. */
int snapshot_find(struct truth *t, const char *tenant, const char *which, struct snapshot *ret,
		  struct error *err);
/* The one that this instance is to load; 1, or 0: none. */
int snapshot_of_use(struct truth *t, const char *instance, struct snapshot *ret, struct error *err);
/* The one that is being made of this instance; 1, or 0: none. */
int snapshot_of_saving(struct truth *t, const char *instance, struct snapshot *ret,
		       struct error *err);

/* Calls fn for each of a tenant, or (NULL) of all, as instance_each() does. */
typedef int (*snapshot_fn)(void *ctx, const struct snapshot *s);
int snapshot_each(struct truth *t, const char *tenant, snapshot_fn fn, void *ctx,
		  struct error *err);

/* As the API shows it; the caller owns the reference. */
json_t *snapshot_describe(const struct snapshot *s);

#endif
