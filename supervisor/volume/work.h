/* work.h - what is done to a volume: on a worker, then written down.
 *
 * The row says what is being done before it begins (volume.h); work_begin() hands a copy to
 * a worker, and when that has come to an end, well or badly, the row, the event and the end
 * of the operation are one transaction. What a crash cut off is finished or undone when
 * wispd starts. Loop thread.
 */
#ifndef SUPERVISOR_VOLUME_WORK_H
#define SUPERVISOR_VOLUME_WORK_H

#include "supervisor/books/operation.h"
#include "supervisor/life/launch.h"
#include "supervisor/life/workers.h"
#include "supervisor/volume/disk.h"
#include "supervisor/volume/volume.h"

struct wispd;

enum volume_verb {
	VERB_MAKE,
	VERB_COPY, /* of another */
	VERB_GROW,
	VERB_BACK_UP,
	VERB_REMOVE,
	VERB_ERASE,
	VERB_PLUG,
	VERB_UNPLUG,
	VERBS_COUNT,
};

struct volume_work {
	struct work work;
	struct wispd *d;
	enum volume_verb verb;
	char operation[OPERATION_ID_BYTES]; /* "": nobody waits */
	char actor[ACTOR_BYTES];
	struct volume volume, source; /* the second: of a copy */
	char path[PATH_MAX];	      /* of a back-up */
	int64_t old_size_mib;	      /* of one that grows */
	bool live;		      /* launch is of an instance that may run */
	struct launch launch;
	struct launch_drive drive; /* the volume, there */

	/* What came of it. */
	bool shared;
	struct erasure erasure;
	int result;
	struct error err;
};

/* For api_call.after: w belongs to the caller, and is copied. */
void volume_work_begin(struct wispd *d, void *w);

/* Finds the instance that has it, and what its VMM would need to know. */
int volume_work_aim(struct volume_work *w, struct error *err);

/* The drive that a volume is to its instance. */
void volume_drive(const struct volume *v, struct launch_drive *ret);

/* At the start of wispd: steps that were cut off, and files that no row names; how many of
 * those there were. */
int volume_recover(struct wispd *d, struct error *err);

#endif
