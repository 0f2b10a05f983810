/* save.h - what a snapshot of an instance begins with: its row, and the move to "saving".
 *
 * Loop thread. Errors as of store.h.
 */
#ifndef SUPERVISOR_SNAPSHOT_SAVE_H
#define SUPERVISOR_SNAPSHOT_SAVE_H

#include "supervisor/snapshot/snapshot.h"

struct wispd;

/* (T) Fills *s, whose name and labels are given, with what the instance is, and begins; a kick
 * of the instance is due. It is in a state that can be saved (states.h: "snapshot"; live, so
 * that its guest runs on: "live snapshot"). -ENOTSUP: its runtime saves none, or not so; -EBUSY:
 * it has shares, or something is being done to its volumes; -ENOSPC, -EDQUOT. */
int snapshot_begin(struct wispd *d, struct instance *i, struct snapshot *s, bool live,
		   const char *actor, struct error *err);

/* Whether a snapshot of it would have all that it has. -ENOTSUP, -EBUSY: it has shares. */
int snapshot_check_saveable(struct wispd *d, const struct instance *i, struct error *err);

#endif
