/* golden.c - from an image to a snapshot of a guest that has booted, one look at a time. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/images/image.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/pool/golden.h"
#include "supervisor/snapshot/save.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/wispd.h"

enum { WAIT_MS = 600000, VERSION_BYTES = 32 };

static const char actor[] = "wispd";

const char *const golden_state_names[] = {
	[GOLDEN_NONE] = "none",
	[GOLDEN_MAKING] = "making",
	[GOLDEN_READY] = "ready",
};

struct golden {
	char instance[INSTANCE_ID_BYTES];
	char snapshot[SNAPSHOT_ID_BYTES]; /* "": not begun */
	char image[DIGEST_BYTES], version[VERSION_BYTES];
	int64_t shape_version;
};

/* --- its row --- */

/* 1 or 0. */
static int find(struct truth *t, const struct pool *p, struct golden *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT instance, snapshot, image, shape_version, version"
			     " FROM golden WHERE pool = ?",
			     "i", p->n);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		rows_text(&rows, 0, ret->instance, sizeof(ret->instance));
		rows_text(&rows, 1, ret->snapshot, sizeof(ret->snapshot));
		rows_text(&rows, 2, ret->image, sizeof(ret->image));
		ret->shape_version = rows_int(&rows, 3);
		rows_text(&rows, 4, ret->version, sizeof(ret->version));
	}
	rows_end(&rows);
	return r;
}

static bool fits(const struct golden *g, const struct pool_plan *plan)
{
	return strcmp(g->image, plan->image) == 0 && g->shape_version == plan->shape_version &&
	       strcmp(g->version, WISP_VERSION) == 0;
}

/* --- taking down --- */

/* Whatever it is doing, it is deleted; 0, too, when it is on its way or gone. */
static int delete_instance(struct wispd *d, const char *id, struct error *err)
{
	const struct move move = { .actor = actor,
				   .cause = "the golden snapshot needs it no more" };
	struct instance i;
	int r = instance_load(&d->truth, id, &i, err);

	if (r < 0 || !state_find_move(i.state, "delete"))
		return r == -ENOENT ? 0 : r;
	return instance_move(&d->truth, &i, STATE_DELETING, &move, err);
}

/* One that is being made goes with its instance. */
static int remove_snapshot(struct wispd *d, const char *id, struct error *err)
{
	struct snapshot s;
	int r = id[0] ? snapshot_find(&d->truth, NULL, id, &s, err) : -ENOENT;

	if (r < 0 || s.state != SNAPSHOT_READY)
		return r == -ENOENT ? 0 : r;
	return snapshot_remove(&d->truth, &s, err);
}

static int write_drop(struct wispd *d, const struct pool *p, const struct golden *g,
		      struct error *err)
{
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = delete_instance(d, g->instance, err);
	if (r == 0)
		r = remove_snapshot(d, g->snapshot, err);
	if (r == 0)
		r = store_run(d->truth.store, err, "DELETE FROM golden WHERE pool = ?", "i", p->n);
	if (r >= 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

static int drop(struct wispd *d, const struct pool *p, const struct golden *g, struct error *err)
{
	int r = write_drop(d, p, g, err);

	if (r < 0)
		return r;
	lifecycle_kick(d->lifecycle, g->instance);
	snapshots_look(d, NULL);
	return 0;
}

int golden_drop(struct wispd *d, const struct pool *p, struct error *err)
{
	struct golden g = { 0 };
	int r = find(&d->truth, p, &g, err);

	return r <= 0 ? r : drop(d, p, &g, err);
}

/* Of no version, it fits no more. */
int golden_spoil(struct wispd *d, const struct pool *p, struct error *err)
{
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = store_run(d->truth.store, err, "UPDATE golden SET version = '' WHERE pool = ?",
			      "i", p->n);
	if (r >= 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

/* --- making --- */

static int write_instance(struct wispd *d, const struct pool *p, const struct pool_plan *plan,
			  struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err,
			  "INSERT OR IGNORE INTO tenant (name, created_seq) VALUES (?, 0)", "s",
			  GOLDEN_TENANT);

	if (r >= 0)
		r = instance_create(&d->truth, i, actor, err);
	if (r == 0)
		r = kinds_reserve(d, i, err);
	if (r == 0)
		r = lease_prepare(&d->truth, i->id, p->tenant, p->networks, err);
	if (r == 0)
		r = store_run(d->truth.store, err, "INSERT INTO golden VALUES (?, ?, '', ?, ?, ?)",
			      "issis", p->n, i->id, plan->image, plan->shape_version, WISP_VERSION);
	return r < 0 ? r : 0;
}

static int begin(struct wispd *d, const struct pool *p, const struct pool_plan *plan,
		 struct error *err)
{
	struct instance i = {
		.tenant = GOLDEN_TENANT,
		.owner_engine = INSTANCE_OWN_ENGINE,
		.runtime = "wisp",
		.shape_version = plan->shape_version,
		.vcpus = plan->vcpus,
		.mem_mib = plan->mem_mib,
		.labels = "{}",
		.start_wanted = true,
		.wait_ms = WAIT_MS, /* for room on the host */
	};
	int r;

	memcpy(i.shape, p->shape, sizeof(i.shape));
	memcpy(i.image, plan->image, sizeof(i.image));
	memcpy(i.cmdline, p->cmdline, sizeof(i.cmdline));
	r = store_begin(d->truth.store, err);
	if (r == 0)
		r = write_instance(d, p, plan, &i, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0) {
		store_rollback(d->truth.store);
		return r;
	}
	lifecycle_kick(d->lifecycle, i.id);
	return GOLDEN_MAKING;
}

static int write_save(struct wispd *d, const struct pool *p, struct instance *i, struct error *err)
{
	struct snapshot s = { .labels = "{}" };
	int r = store_begin(d->truth.store, err);

	if (r == 0)
		r = snapshot_begin(d, i, &s, false, actor, err);
	if (r == 0)
		r = store_run(d->truth.store, err, "UPDATE golden SET snapshot = ? WHERE pool = ?",
			      "si", s.id, p->n);
	if (r >= 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

static int fail(struct wispd *d, const struct pool *p, const struct golden *g, const char *why,
		struct error *err)
{
	int r = drop(d, p, g, err);

	return r < 0 ? r
		     : error_set(err, -ECANCELED, NULL, NULL,
				 "The golden snapshot was not made: %s", why);
}

/* Its guest has booted when it runs: then its agent has answered. */
static int look_at_instance(struct wispd *d, const struct pool *p, const struct golden *g,
			    struct error *err)
{
	struct instance i;
	int r = instance_load(&d->truth, g->instance, &i, err);

	if (r < 0)
		return r;
	if (i.state == STATE_FAILED || i.state == STATE_STOPPED || i.state == STATE_DELETING ||
	    i.state == STATE_DELETED)
		return fail(d, p, g, i.cause, err);
	if (i.state != STATE_RUNNING)
		return GOLDEN_MAKING;
	r = write_save(d, p, &i, err);
	if (r < 0)
		return r;
	lifecycle_kick(d->lifecycle, i.id);
	return GOLDEN_MAKING;
}

/* Once it is there, its instance goes. */
static int end_instance(struct wispd *d, const struct golden *g, struct error *err)
{
	struct instance i;
	int r = instance_load(&d->truth, g->instance, &i, err);

	if (r < 0 || i.state == STATE_DELETING || i.state == STATE_DELETED)
		return r == -ENOENT ? 0 : r;
	r = store_begin(d->truth.store, err);
	if (r == 0)
		r = delete_instance(d, g->instance, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0) {
		store_rollback(d->truth.store);
		return r;
	}
	lifecycle_kick(d->lifecycle, g->instance);
	return 0;
}

static int look_at_snapshot(struct wispd *d, const struct pool *p, const struct golden *g,
			    struct pool_plan *plan, struct error *err)
{
	struct snapshot s;
	int r = snapshot_find(&d->truth, NULL, g->snapshot, &s, err);

	if (r == -ENOENT || (r == 0 && s.state == SNAPSHOT_REMOVING))
		return fail(d, p, g, "it could not be saved", err);
	if (r < 0 || s.state == SNAPSHOT_MAKING)
		return r < 0 ? r : GOLDEN_MAKING;
	r = end_instance(d, g, err);
	if (r < 0)
		return r;
	memcpy(plan->snapshot, s.id, sizeof(plan->snapshot));
	return GOLDEN_READY;
}

int golden_look(struct wispd *d, const struct pool *p, struct pool_plan *plan, struct error *err)
{
	struct golden g = { 0 };
	struct image image;
	int r = image_find(&d->truth, plan->image, &image, err), there;

	if (r < 0)
		return r;
	there = find(&d->truth, p, &g, err);
	if (there < 0)
		return there;
	if (there && !(image.agent && fits(&g, plan))) {
		r = drop(d, p, &g, err);
		there = 0;
	}
	if (r < 0 || !image.agent)
		return r < 0 ? r : GOLDEN_NONE;
	if (!there)
		return begin(d, p, plan, err);
	return g.snapshot[0] ? look_at_snapshot(d, p, &g, plan, err)
			     : look_at_instance(d, p, &g, err);
}
