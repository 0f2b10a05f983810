/* work.h - what follows from the rows of snapshots: files removed, those who wait told.
 *
 * Loop thread.
 */
#ifndef SUPERVISOR_SNAPSHOT_WORK_H
#define SUPERVISOR_SNAPSHOT_WORK_H

#include "vmm/base/error.h"

struct wispd;

/* After a commit that may have changed what becomes of any snapshot: those that nobody needs
 * are removed. For api_call.after, too, whose ctx it does not look at. */
void snapshots_look(struct wispd *d, void *ctx);

/* The same; and the instances that wait for this one are looked at: it is ready, or never
 * will be. */
void snapshots_tell(struct wispd *d, const char *snapshot);

/* At the start of wispd: what was cut off is removed, and folders that no row names; how many
 * of those there were. */
int snapshots_recover(struct wispd *d, struct error *err);

#endif
