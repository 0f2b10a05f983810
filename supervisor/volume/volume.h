/* volume.h - disks that outlive instances, as they are written down.
 *
 * A volume is a tenant's, and at most one instance's at a time. Its row is there before its
 * file, and goes after it; what it may grow to is held of its tenant's quota of disk_mib,
 * under the volume's id. Whatever is done to it is a step that a crash may cut off: its
 * state and its place say which, and the next wispd finishes or undoes it.
 *
 * Loop thread. Errors as of store.h, and -ENOENT, -EBUSY: something is being done to it, or
 * somebody has it. (T): within a transaction.
 */
#ifndef SUPERVISOR_VOLUME_VOLUME_H
#define SUPERVISOR_VOLUME_VOLUME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"

enum { VOLUME_ID_BYTES = 24, VOLUME_REQUEST_BYTES = NAME_BYTES + 4, VOLUMES_MAX = 4 };

/* The numbers are in the database: they never change. */
enum volume_state {
	VOLUME_MAKING,
	VOLUME_READY,
	VOLUME_GROWING,
	VOLUME_COPYING, /* it is read */
	VOLUME_REMOVING,
	VOLUME_ERASING, /* overwritten, then removed */
};
enum volume_place { VOLUME_FREE, VOLUME_PLUGGING, VOLUME_ATTACHED, VOLUME_UNPLUGGING };
enum volume_format { VOLUME_RAW, VOLUME_EXT4 };

struct volume {
	char id[VOLUME_ID_BYTES]; /* of its file, too */
	char tenant[NAME_BYTES], name[NAME_BYTES];
	enum volume_format format; /* when it was made */
	enum volume_state state;
	int64_t size_mib;
	enum volume_place place;
	char instance[INSTANCE_ID_BYTES]; /* "": it is free */
	int64_t slot;			  /* which one of the instance's */
	bool read_only;			  /* there */
};

extern const char *const volume_format_names[]; /* NULL-ended */

/* (T) Writes one that is being made; its id is chosen. -EEXIST, -EDQUOT. */
int volume_add(struct truth *t, struct volume *v, struct error *err);
/* (T) As it is now; its hold, too. */
int volume_update(struct truth *t, const struct volume *v, struct error *err);
/* (T) Its file is gone. */
int volume_forget(struct truth *t, const struct volume *v, struct error *err);
/* (T) An event about it; body: stolen, more than its name and size. */
int volume_tell(struct truth *t, const char *type, const struct volume *v, const char *actor,
		json_t *body, struct error *err);

/* By name or id, of this tenant; NULL: of any, if there is only one. */
int volume_find(struct truth *t, const char *tenant, const char *which, struct volume *ret,
		struct error *err);
/* The same, and nothing is being done to it. */
int volume_find_ready(struct truth *t, const char *tenant, const char *which, struct volume *ret,
		      struct error *err);

/* (T) Gives a free one to an instance of the same tenant, in a slot that is free. */
int volume_give(struct truth *t, struct volume *v, const struct instance *i, bool read_only,
		enum volume_place place, struct error *err);
/* (T) Those that an instance asks for: "NAME" or "NAME:ro". */
int volume_take(struct truth *t, const struct instance *i, const char q[][VOLUME_REQUEST_BYTES],
		unsigned count, struct error *err);
/* (T) All that it has are free. */
int volume_drop(struct truth *t, const struct instance *i, struct error *err);

/* Those of an instance, by slot; how many. */
int volume_load(struct truth *t, const char *instance, struct volume ret[VOLUMES_MAX],
		struct error *err);

/* Calls fn for each of a tenant, or (NULL) of all, as instance_each() does. */
typedef int (*volume_fn)(void *ctx, const struct volume *v);
int volume_each(struct truth *t, const char *tenant, volume_fn fn, void *ctx, struct error *err);

/* As the API shows it; the caller owns the reference. */
json_t *volume_describe(const struct volume *v);

#endif
