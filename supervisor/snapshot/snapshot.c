/* snapshot.c - the rows of snapshots and of their uses. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/meter.h"
#include "supervisor/snapshot/volumes.h"

#define COLUMNS                                                                    \
	"id, tenant, name, labels, state, resume, passing, most_mib, size_mib, "   \
	"created_wall_ns, instance, image, shape, cmdline, shape_version, vcpus, " \
	"mem_mib, hotplug, interfaces, disk_mib"

static const char *const state_names[] = {
	[SNAPSHOT_MAKING] = "making",
	[SNAPSHOT_READY] = "ready",
	[SNAPSHOT_REMOVING] = "removing",
};

/* --- reading --- */

static void read_row(const struct rows *r, struct snapshot *s)
{
	*s = (struct snapshot){
		.state = (enum snapshot_state)rows_int(r, 4),
		.resume = rows_int(r, 5) != 0,
		.passing = rows_int(r, 6) != 0,
		.most_mib = rows_int(r, 7),
		.size_mib = rows_int(r, 8),
		.created_wall_ns = rows_int(r, 9),
		.shape_version = rows_int(r, 14),
		.vcpus = rows_int(r, 15),
		.mem_mib = rows_int(r, 16),
		.hotplug = rows_int(r, 17) != 0,
		.disk_mib = rows_int(r, 19),
	};
	rows_text(r, 0, s->id, sizeof(s->id));
	rows_text(r, 1, s->tenant, sizeof(s->tenant));
	rows_text(r, 2, s->name, sizeof(s->name));
	rows_text(r, 3, s->labels, sizeof(s->labels));
	rows_text(r, 10, s->instance, sizeof(s->instance));
	rows_text(r, 11, s->image, sizeof(s->image));
	rows_text(r, 12, s->shape, sizeof(s->shape));
	rows_text(r, 13, s->cmdline, sizeof(s->cmdline));
	rows_text(r, 18, s->interfaces, sizeof(s->interfaces));
}

/* The first row, if there is one: 1; else 0. */
static int read_one(struct rows *rows, struct snapshot *ret, struct error *err)
{
	int r = rows_next(rows, err);

	if (r > 0)
		read_row(rows, ret);
	rows_end(rows);
	return r;
}

int snapshot_find(struct truth *t, const char *tenant, const char *which, struct snapshot *ret,
		  struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM snapshot WHERE ifnull(?2, tenant) = tenant"
			     " AND (id = ?1 OR (name = ?1 AND (?2 IS NOT NULL OR 1 ="
			     "  (SELECT count(*) FROM snapshot WHERE name = ?1))))",
			     "ss", which, tenant);

	if (r == 0)
		r = read_one(&rows, ret, err);
	if (r == 0)
		return error_set(err, -ENOENT, "snapshot",
				 "wispctl snapshot ls lists what there is",
				 "There is no snapshot %.64s", which);
	return r < 0 ? r : 0;
}

int snapshot_of_use(struct truth *t, const char *instance, struct snapshot *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM snapshot WHERE id ="
			     " (SELECT snapshot FROM snapshot_use WHERE user = ?)",
			     "s", instance);

	return r < 0 ? r : read_one(&rows, ret, err);
}

int snapshot_of_saving(struct truth *t, const char *instance, struct snapshot *ret,
		       struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM snapshot WHERE instance = ? AND state = 0",
			     "s", instance);

	return r < 0 ? r : read_one(&rows, ret, err);
}

int snapshot_each(struct truth *t, const char *tenant, snapshot_fn fn, void *ctx, struct error *err)
{
	struct snapshot s;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM snapshot WHERE ifnull(?1, tenant) = tenant"
			     " ORDER BY tenant, created_wall_ns, id",
			     "s", tenant);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &s);
		r = fn(ctx, &s);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* --- writing --- */

/* body: stolen; more than its name and whose it is of. */
static int tell(struct truth *t, const char *type, const struct snapshot *s, const char *actor,
		json_t *body, struct error *err)
{
	struct ledger_event e = { .type = type, .tenant = s->tenant, .actor = actor };
	int r;

	body = body ? body : json_object();
	json_object_set_new(body, "snapshot", json_string(s->id));
	json_object_set_new(body, "name", json_string(s->name));
	json_object_set_new(body, "instance", json_string(s->instance));
	e.body = body;
	r = ledger_append(t->ledger, &e, NULL, err);
	json_decref(body);
	return r;
}

static int choose_id(struct snapshot *s, struct error *err)
{
	uint8_t random[6];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, NULL, NULL, "There is no randomness");
	memcpy(s->id, "snap-", 5);
	hex_encode(random, sizeof(random), s->id + 5);
	if (!s->name[0])
		snprintf(s->name, sizeof(s->name), "%s", s->id);
	return 0;
}

int snapshot_add(struct truth *t, struct snapshot *s, struct error *err)
{
	int r = choose_id(s, err);

	if (r < 0)
		return r;
	s->state = SNAPSHOT_MAKING;
	s->created_wall_ns = ledger_wall_ns();
	r = store_run(t->store, err,
		      "INSERT INTO snapshot (" COLUMNS
		      ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		      "ssssiiiiiissssiiiisi", s->id, s->tenant, s->name, s->labels,
		      (int64_t)s->state, (int64_t)s->resume, (int64_t)s->passing, s->most_mib,
		      s->size_mib, s->created_wall_ns, s->instance, s->image, s->shape, s->cmdline,
		      s->shape_version, s->vcpus, s->mem_mib, (int64_t)s->hotplug, s->interfaces,
		      s->disk_mib);
	if (r == -EEXIST)
		return error_set(err, -EEXIST, "name", "choose another, or remove that one",
				 "There is a snapshot %s already", s->name);
	return r < 0 ? r : quota_hold(t, s->id, s->tenant, RESOURCE_DISK_MIB, s->most_mib, err);
}

static int write_state(struct truth *t, const struct snapshot *s, struct error *err)
{
	int r = store_run(t->store, err, "UPDATE snapshot SET state = ?, size_mib = ? WHERE id = ?",
			  "iis", (int64_t)s->state, s->size_mib, s->id);

	return r < 0 ? r : 0;
}

static int settle(struct truth *t, const struct snapshot *s, enum snapshot_state state,
		  const char *why, struct error *err)
{
	return operation_settle(t, s->id, (int)state, "not_saved", why, err);
}

static int write_made(struct truth *t, struct snapshot *s, int64_t size_mib, const char *actor,
		      struct error *err)
{
	int r;

	s->state = SNAPSHOT_READY;
	s->size_mib = size_mib;
	r = write_state(t, s, err);
	if (r == 0)
		r = tell(t, "snapshot.created", s, actor,
			 json_pack("{s:I, s:b}", "size_mib", (json_int_t)size_mib, "passing",
				   s->passing),
			 err);
	if (r == 0)
		r = meter_hold(t, METER_SNAPSHOT_SPACE, s->tenant, s->id, NULL, size_mib, actor,
			       err);
	return r < 0 ? r : settle(t, s, SNAPSHOT_READY, "", err);
}

int snapshot_made(struct truth *t, const char *instance, int64_t size_mib, const char *actor,
		  struct error *err)
{
	struct snapshot s;
	int r = snapshot_of_saving(t, instance, &s, err);

	return r <= 0 ? r : write_made(t, &s, size_mib, actor, err);
}

int snapshot_not_made(struct truth *t, const char *instance, const char *why, const char *actor,
		      struct error *err)
{
	struct snapshot s;
	int r = snapshot_of_saving(t, instance, &s, err);

	if (r <= 0)
		return r;
	s.state = SNAPSHOT_REMOVING;
	r = write_state(t, &s, err);
	if (r == 0)
		r = tell(t, "snapshot.failed", &s, actor, json_pack("{s:s}", "cause", why), err);
	return r < 0 ? r : settle(t, &s, SNAPSHOT_REMOVING, why, err);
}

static int count_uses(struct truth *t, const char *id, int64_t *ret, struct error *err)
{
	return store_number(t->store, ret, err,
			    "SELECT count(*) FROM snapshot_use WHERE snapshot = ?", "s", id);
}

int snapshot_remove(struct truth *t, struct snapshot *s, struct error *err)
{
	int64_t uses = 0;
	int r = count_uses(t, s->id, &uses, err);

	if (r < 0)
		return r;
	if (uses || s->state == SNAPSHOT_MAKING)
		return error_set(err, -EBUSY, "snapshot", "try again when they run",
				 "Snapshot %s is being made, or %lld instances are made of it",
				 s->name, (long long)uses);
	s->state = SNAPSHOT_REMOVING;
	return write_state(t, s, err);
}

int snapshot_forget(struct truth *t, const struct snapshot *s, const char *actor, struct error *err)
{
	int64_t uses = 0;
	int r = count_uses(t, s->id, &uses, err);

	if (r == 0 && uses)
		return error_set(err, -EBUSY, "snapshot", NULL, "Snapshot %s has a use", s->name);
	if (r == 0)
		r = snapshot_volumes_forget(t, s->id, err);
	if (r == 0)
		r = store_run(t->store, err, "DELETE FROM snapshot WHERE id = ?", "s", s->id);
	if (r >= 0)
		r = quota_hold(t, s->id, s->tenant, RESOURCE_DISK_MIB, 0, err);
	if (r == 0)
		r = meter_hold(t, METER_SNAPSHOT_SPACE, s->tenant, s->id, NULL, 0, actor, err);
	if (r == 0)
		r = tell(t, "snapshot.removed", s, actor, NULL, err);
	return r < 0 ? r : settle(t, s, SNAPSHOT_GONE, "", err);
}

/* 1: ready, 2: removing. */
#define UNUSED                                     \
	"state = 1 AND passing = 1 AND NOT EXISTS" \
	" (SELECT 1 FROM snapshot_use WHERE snapshot_use.snapshot = snapshot.id)"

int snapshot_count_leaving(struct truth *t, int64_t *ret, struct error *err)
{
	return store_number(t->store, ret, err,
			    "SELECT count(*) FROM snapshot WHERE state = 2 OR (" UNUSED ")", "");
}

int snapshot_remove_unused(struct truth *t, struct error *err)
{
	return store_run(t->store, err, "UPDATE snapshot SET state = 2 WHERE " UNUSED, "");
}

/* 13 and 15: saving (states.h). */
int snapshot_remove_cut_off(struct truth *t, struct error *err)
{
	return store_run(t->store, err,
			 "UPDATE snapshot SET state = 2 WHERE state = 0 AND NOT EXISTS"
			 " (SELECT 1 FROM instance WHERE id = snapshot.instance"
			 "  AND state IN (13, 15))",
			 "");
}

/* --- uses --- */

int snapshot_use(struct truth *t, const char *snapshot, const char *instance, struct error *err)
{
	int r = store_run(t->store, err,
			  "INSERT INTO snapshot_use VALUES (?, ?)"
			  " ON CONFLICT DO UPDATE SET snapshot = excluded.snapshot",
			  "ss", instance, snapshot);

	return r < 0 ? r : 0;
}

int snapshot_drop(struct truth *t, const char *instance, struct error *err)
{
	return store_run(t->store, err, "DELETE FROM snapshot_use WHERE user = ?", "s", instance);
}

/* --- showing --- */

json_t *snapshot_describe(const struct snapshot *s)
{
	json_t *labels = json_loads(s->labels, 0, NULL);
	json_t *interfaces = json_loads(s->interfaces, 0, NULL);

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "id",
		s->id, "name", s->name, "tenant", s->tenant, "state", state_names[s->state],
		"instance", s->instance, "image", s->image, "shape", s->shape, "vcpus",
		(json_int_t)s->vcpus, "mem_mib", (json_int_t)s->mem_mib, "most_mib",
		(json_int_t)s->most_mib, "size_mib", (json_int_t)s->size_mib, "created_wall_ns",
		(json_int_t)s->created_wall_ns, "passing", s->passing, "interfaces",
		interfaces ? interfaces : json_array(), "labels", labels ? labels : json_object());
}
