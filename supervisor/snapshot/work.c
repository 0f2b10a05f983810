/* work.c - snapshots that are being removed: a worker removes the files, then the row goes.
 *
 * What is to be removed is found in the books each time that something may have changed;
 * to remove it twice does no harm, so nothing has to be remembered here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/books/store.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/workers.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/snapshot/snapshot.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/unknown.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

static const char actor[] = "wispd";

struct removal {
	struct work work;
	struct wispd *d;
	char id[SNAPSHOT_ID_BYTES];
	int result;
	struct error err;
};

static void run(struct work *work)
{
	struct removal *w = (struct removal *)work;

	w->result = snapshot_files_remove(&w->d->config, w->id, &w->err);
}

static int write_gone(struct wispd *d, const char *id, struct error *err)
{
	struct snapshot s;
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = snapshot_find(&d->truth, NULL, id, &s, err);
	if (r == 0)
		r = snapshot_forget(&d->truth, &s, actor, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

/* One that was removed twice has no row the second time; one that could not be made is known
 * as such until nobody waits for it. Anything else that fails is left to the next look. */
static void done(struct work *work)
{
	struct removal *w = (struct removal *)work;

	if (w->result == 0)
		w->result = write_gone(w->d, w->id, &w->err);
	if (w->result < 0 && w->result != -ENOENT && w->result != -EBUSY && w->result != -ECANCELED)
		log_error("snapshot %s: %s", w->id, w->err.text);
	free(w);
}

static int begin(void *ctx, const struct snapshot *s)
{
	struct wispd *d = ctx;
	struct removal *w = s->state == SNAPSHOT_REMOVING ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return 0;
	w->work = (struct work){ .run = run, .done = done };
	w->d = d;
	w->result = -ECANCELED;
	snprintf(w->id, sizeof(w->id), "%s", s->id);
	workers_add(d->workers, &w->work);
	return 0;
}

/* A look at the books is cheap, a transaction is not. */
static int write_unused(struct wispd *d, int64_t *left, struct error *err)
{
	int r = snapshot_count_leaving(&d->truth, left, err);

	if (r < 0 || *left == 0)
		return r;
	r = store_begin(d->truth.store, err);
	if (r == 0)
		r = snapshot_remove_unused(&d->truth, err);
	if (r >= 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

void snapshots_look(struct wispd *d, void *ctx)
{
	struct error err;
	int64_t left = 0;
	int r = write_unused(d, &left, &err);

	(void)ctx;
	if (r == 0 && left)
		r = snapshot_each(&d->truth, NULL, begin, d, &err);
	if (r < 0)
		log_error("snapshots: %s", err.text);
}

/* --- those who wait --- */

struct waiting {
	unsigned count;
	char ids[SNAPSHOT_FORKS_MAX][INSTANCE_ID_BYTES];
};

static int find_waiting(struct wispd *d, const char *snapshot, struct waiting *ret,
			struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT user FROM snapshot_use WHERE snapshot = ?", "s", snapshot);

	if (r < 0)
		return r;
	while (ret->count < SNAPSHOT_FORKS_MAX && (r = rows_next(&rows, err)) > 0)
		rows_text(&rows, 0, ret->ids[ret->count++], INSTANCE_ID_BYTES);
	rows_end(&rows);
	return r < 0 ? r : 0;
}

void snapshots_tell(struct wispd *d, const char *snapshot)
{
	struct waiting *w = calloc(1, sizeof(*w));
	struct error err = { .text = "out of memory" };

	if (!w || find_waiting(d, snapshot, w, &err) < 0)
		log_error("snapshot %s: %s", snapshot, err.text);
	for (unsigned i = 0; w && i < w->count; i++)
		lifecycle_look(d->lifecycle, w->ids[i]);
	free(w);
	snapshots_look(d, NULL);
}

/* --- after a crash --- */

static bool is_nobodys(void *ctx, const char *id)
{
	struct wispd *d = ctx;
	char path[NAME_MAX + 16];
	struct snapshot s;
	struct error err;

	snprintf(path, sizeof(path), "snapshots/%.*s", NAME_MAX, id);
	return snapshot_find(&d->truth, NULL, id, &s, &err) == -ENOENT &&
	       !unknown_keep(d, -1, path, id);
}

static int write_cut_off(struct wispd *d, struct error *err)
{
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = snapshot_remove_cut_off(&d->truth, err);
	if (r >= 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

int snapshots_recover(struct wispd *d, struct error *err)
{
	int r = write_cut_off(d, err);

	if (r < 0)
		return r;
	snapshots_look(d, NULL);
	return snapshot_files_sweep(&d->config, is_nobodys, d, err);
}
