/* size.c - the rows of sizes, and of the resize that is under way. */
#include <errno.h>
#include <string.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/size.h"
#include "supervisor/books/store.h"

/* wisp's memory comes in slots of so many MiB. */
enum { SLOT_MIB = 128 };

/* --- memory --- */

/* Memory on a node, or of huge pages, was given out with the place. */
int size_memory_max(struct truth *t, const struct instance *i, int64_t *ret, struct error *err)
{
	*ret = 0;
	if (!place_is_plain(&i->wish))
		return 0;
	return store_number(t->store, ret, err,
			    "SELECT ifnull((SELECT mem_max_mib FROM shape WHERE name = ?"
			    " AND version = ?), 0)",
			    "si", i->shape, i->shape_version);
}

int size_memory_room(struct truth *t, const struct instance *i, int64_t *ret, struct error *err)
{
	int64_t max = 0;
	int r = size_memory_max(t, i, &max, err);

	*ret = max ? max + SLOT_MIB : i->mem_mib;
	return r;
}

/* --- the disk --- */

int size_disk(struct truth *t, const char *instance, int64_t *ret, struct error *err)
{
	return store_number(t->store, ret, err,
			    "SELECT ifnull((SELECT size_mib FROM root_disk WHERE instance = ?), 0)",
			    "s", instance);
}

int size_set_disk(struct truth *t, const struct instance *i, int64_t size_mib, int64_t image_mib,
		  struct error *err)
{
	int64_t more_mib = size_mib > image_mib ? size_mib - image_mib : 0;
	int r = quota_hold(t, i->id, i->tenant, RESOURCE_DISK_MIB, more_mib, err);

	if (r < 0)
		return r;
	if (size_mib)
		r = store_run(t->store, err,
			      "INSERT INTO root_disk VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
			      " size_mib = excluded.size_mib, image_mib = excluded.image_mib",
			      "sii", i->id, size_mib, image_mib);
	else
		r = store_run(t->store, err, "DELETE FROM root_disk WHERE instance = ?", "s",
			      i->id);
	return r < 0 ? r : 0;
}

/* Back to what it was. */
static int undo_disk(struct truth *t, const struct instance *i, const struct resize *q,
		     struct error *err)
{
	int64_t image_mib = 0;
	int r = store_number(
		t->store, &image_mib, err,
		"SELECT ifnull((SELECT image_mib FROM root_disk WHERE instance = ?), 0)", "s",
		i->id);

	return r < 0 ? r : size_set_disk(t, i, q->disk_from_mib, image_mib, err);
}

/* --- a resize --- */

static int set_memory(struct truth *t, struct instance *i, int64_t mem_mib, const char *actor,
		      struct error *err)
{
	if (i->mem_mib == mem_mib)
		return 0;
	i->mem_mib = mem_mib;
	return instance_remake(t, i, actor, err);
}

int size_begin(struct truth *t, struct instance *i, const struct resize *q, const char *actor,
	       struct error *err)
{
	int r = store_run(t->store, err, "INSERT INTO resize VALUES (?, ?, ?, ?, ?, ?, ?)",
			  "ssiiiii", i->id, q->operation, q->mem_from_mib, q->mem_mib,
			  q->disk_from_mib, q->disk_mib, q->timeout_ms);

	if (r < 0 || q->mem_mib <= i->mem_mib)
		return r < 0 ? r : 0;
	return set_memory(t, i, q->mem_mib, actor, err);
}

int size_find(struct truth *t, const char *instance, struct resize *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT operation, mem_from_mib, mem_mib, disk_from_mib, disk_mib,"
			     " timeout_ms FROM resize WHERE instance = ?",
			     "s", instance);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		*ret = (struct resize){ .mem_from_mib = rows_int(&rows, 1),
					.mem_mib = rows_int(&rows, 2),
					.disk_from_mib = rows_int(&rows, 3),
					.disk_mib = rows_int(&rows, 4),
					.timeout_ms = rows_int(&rows, 5) };
		rows_text(&rows, 0, ret->operation, sizeof(ret->operation));
	}
	rows_end(&rows);
	return r;
}

/* A disk whose VMM has ended is as large as it was to become: its next start makes it so. The
 * memory of a VMM that has ended is what it was. */
static int settle_sizes(struct truth *t, struct instance *i, const struct resize *q,
			const struct resize_outcome *o, const char *actor, struct error *err)
{
	if (q->mem_mib)
		return set_memory(t, i, o ? o->mem_mib : q->mem_from_mib, actor, err);
	return o && o->result < 0 ? undo_disk(t, i, q, err) : 0;
}

static int end_operation(struct truth *t, const struct resize *q, const struct resize_outcome *o,
			 struct error *err)
{
	if (!o && q->mem_mib)
		return 0; /* by the move, which says how the VMM ended */
	if (o && o->result < 0)
		return operation_end(t, q->operation, "not_resized", o->cause, "", err);
	return operation_end(t, q->operation, NULL, "", o ? o->words : "", err);
}

int size_end(struct truth *t, struct instance *i, const struct resize_outcome *o, const char *actor,
	     struct error *err)
{
	struct resize q;
	int r = size_find(t, i->id, &q, err);

	if (r <= 0)
		return r;
	r = settle_sizes(t, i, &q, o, actor, err);
	if (r == 0)
		r = end_operation(t, &q, o, err);
	if (r == 0)
		r = size_tell(t, i, o, actor, err);
	if (r == 0)
		r = store_run(t->store, err, "DELETE FROM resize WHERE instance = ?", "s", i->id);
	return r < 0 ? r : 0;
}

int size_drop(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM resize WHERE instance = ?", "s", i->id);

	return r < 0 ? r : size_set_disk(t, i, 0, 0, err);
}

/* --- showing --- */

int size_tell(struct truth *t, const struct instance *i, const struct resize_outcome *o,
	      const char *actor, struct error *err)
{
	int64_t disk_mib = 0;
	json_t *body;
	int r = size_disk(t, i->id, &disk_mib, err);

	if (r < 0)
		return r;
	body = json_pack("{s:I, s:I, s:s, s:s}", "mem_mib", (json_int_t)i->mem_mib, "disk_mib",
			 (json_int_t)disk_mib, "failed", o && o->result < 0 ? o->cause : "",
			 "file_system", o ? o->words : "");
	return instance_tell(t, i, "instance.resized", actor, body, NULL, err);
}

json_t *size_describe(struct truth *t, const struct instance *i, struct error *err)
{
	int64_t max = 0, disk_mib = 0;
	struct resize q = { 0 };
	int r = size_memory_max(t, i, &max, err);

	if (r == 0)
		r = size_disk(t, i->id, &disk_mib, err);
	if (r == 0)
		r = size_find(t, i->id, &q, err);
	if (r < 0)
		return NULL;
	return json_pack("{s:I, s:I, s:o}", "mem_max_mib", (json_int_t)max, "disk_mib",
			 (json_int_t)disk_mib, "under_way",
			 r ? json_pack("{s:s, s:I, s:I}", "operation", q.operation, "mem_mib",
				       (json_int_t)q.mem_mib, "disk_mib", (json_int_t)q.disk_mib)
			   : json_null());
}
