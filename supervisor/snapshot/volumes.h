/* volumes.h - the volumes of an instance, in a snapshot of it.
 *
 * One that it may write to is copied beside its root disk (files.h), at the same moment. Who
 * goes on from the snapshot gets a volume of his own, a copy of that, in the same slot: a row
 * in VOLUME_MAKING that is his, whose file is made when his is (kind_volume.c). From then on it
 * is a volume like any other. One that it can only read is not copied: it stays as long as the
 * snapshot does, and who goes on gets that very one, if nobody else has it.
 *
 * A struct volume here has what was saved: id, name, format, size_mib, slot, read_only.
 *
 * Loop thread. Errors as of store.h. (T): within a transaction.
 */
#ifndef SUPERVISOR_SNAPSHOT_VOLUMES_H
#define SUPERVISOR_SNAPSHOT_VOLUMES_H

#include "supervisor/snapshot/snapshot.h"
#include "supervisor/volume/volume.h"

struct wispd;

/* How much the copies of an instance's volumes may take. -EBUSY: something is being done to
 * one of them. */
int snapshot_volumes_room(struct truth *t, const struct instance *i, int64_t *mib,
			  struct error *err);

/* (T) Writes down those of the instance that is being saved; and that they are none any more. */
int snapshot_volumes_note(struct truth *t, const struct snapshot *s, struct error *err);
int snapshot_volumes_forget(struct truth *t, const char *snapshot, struct error *err);

/* Those of a snapshot, by slot; how many. */
int snapshot_volumes_load(struct truth *t, const char *snapshot, struct volume ret[VOLUMES_MAX],
			  struct error *err);

/* (T) Gives an instance that is to begin with the snapshot its volumes. -EDQUOT, -ENOSPC; -EBUSY,
 * -ENOENT: one that can only be read is somebody's, or is not as it was. */
int snapshot_volumes_give(struct wispd *d, const struct snapshot *s, const struct instance *i,
			  const char *actor, struct error *err);

/* -EBUSY: a snapshot has this volume, not a copy of it. */
int snapshot_volumes_check_unused(struct truth *t, const struct volume *v, struct error *err);

/* A list, as the API shows it; the caller owns the reference. */
json_t *snapshot_volumes_describe(struct truth *t, const char *snapshot);

#endif
