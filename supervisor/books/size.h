/* size.h - what an instance has got beyond its shape and its image, and how that changes.
 *
 * Memory: an instance has mem_mib (instance.h), which is the shape's when it is made. A shape
 * with a mem_max_mib makes it elastic: while it runs it can have less, or more up to that.
 * Disk: its root disk is as large as the image's, until it is grown; what it was grown by is
 * held of its tenant's disk_mib, under the instance's id. Neither becomes the image's again.
 *
 * One resize of a running instance is under way at a time: a row, from the move to "resizing"
 * until the one that ends it. The books have the larger of both sizes meanwhile: more is
 * theirs before the guest gets it, less when the guest has given it.
 *
 * Loop thread. (T): within a transaction. Errors as of store.h, and -EDQUOT, -EUSERS (quota.h).
 */
#ifndef SUPERVISOR_SIZE_H
#define SUPERVISOR_SIZE_H

#include <jansson.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/operation.h"

enum { SIZE_WORDS_BYTES = 160 };

/* Of memory or of the disk: the members of the other are 0. */
struct resize {
	char operation[OPERATION_ID_BYTES];
	int64_t mem_from_mib, mem_mib;
	int64_t disk_from_mib, disk_mib; /* the first: 0, it was never grown */
	int64_t timeout_ms;		 /* that the guest may take */
};

/* What came of it. */
struct resize_outcome {
	int result;		      /* 0 or a negative errno */
	const char *cause;	      /* of a failure */
	int64_t mem_mib;	      /* that it has now */
	char words[SIZE_WORDS_BYTES]; /* of the guest, about its file system; "": none */
};

/* What it can have at most; 0: its memory cannot change while it runs. */
int size_memory_max(struct truth *t, const struct instance *i, int64_t *ret, struct error *err);
/* What its VMM's memory can take up on a disk at most. */
int size_memory_room(struct truth *t, const struct instance *i, int64_t *ret, struct error *err);

/* What its disk was grown to; 0: it is the image's. */
int size_disk(struct truth *t, const char *instance, int64_t *ret, struct error *err);
/* (T) It is so large from now on (0: as the image's, which has image_mib). */
int size_set_disk(struct truth *t, const struct instance *i, int64_t size_mib, int64_t image_mib,
		  struct error *err);

/* (T) Begins one; the move to "resizing" comes next. */
int size_begin(struct truth *t, struct instance *i, const struct resize *q, const char *actor,
	       struct error *err);
/* (T) Before the move that ends it. o NULL: nobody knows, for its VMM has ended. */
int size_end(struct truth *t, struct instance *i, const struct resize_outcome *o, const char *actor,
	     struct error *err);
/* 1 and the one that is under way, or 0. */
int size_find(struct truth *t, const char *instance, struct resize *ret, struct error *err);

/* (T) An event: its sizes are these now. o may be NULL. */
int size_tell(struct truth *t, const struct instance *i, const struct resize_outcome *o,
	      const char *actor, struct error *err);
/* (T) The instance is gone, and what it held. */
int size_drop(struct truth *t, const struct instance *i, struct error *err);

/* As the API shows it; the caller owns the reference. NULL and *err. */
json_t *size_describe(struct truth *t, const struct instance *i, struct error *err);

#endif
