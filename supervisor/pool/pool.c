/* pool.c - the rows of pools and blanks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/image.h"
#include "supervisor/life/board.h"
#include "supervisor/metering/meter.h"
#include "supervisor/pool/pool.h"

#define COLUMNS "n, tenant, name, image, shape, cmdline, least, most, keep_s, leaving, networks"

/* --- reading --- */

static void read_row(const struct rows *r, struct pool *p)
{
	*p = (struct pool){
		.n = rows_int(r, 0),
		.least = rows_int(r, 6),
		.most = rows_int(r, 7),
		.keep_s = rows_int(r, 8),
		.leaving = rows_int(r, 9) != 0,
	};
	rows_text(r, 1, p->tenant, sizeof(p->tenant));
	rows_text(r, 2, p->name, sizeof(p->name));
	rows_text(r, 3, p->image, sizeof(p->image));
	rows_text(r, 4, p->shape, sizeof(p->shape));
	rows_text(r, 5, p->cmdline, sizeof(p->cmdline));
	rows_text(r, 10, p->networks, sizeof(p->networks));
}

int pool_find(struct truth *t, const char *tenant, const char *name, struct pool *ret,
	      struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM pool WHERE name = ?1 AND NOT leaving"
			     " AND tenant IN (ifnull(?2, tenant), '')"
			     " ORDER BY tenant DESC LIMIT 1",
			     "ss", name, tenant);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		read_row(&rows, ret);
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, "pool", "wispctl pool ls lists what there is",
				 "There is no pool %.64s", name);
	return r < 0 ? r : 0;
}

int pool_match(struct truth *t, const struct instance *i, const char *networks, const char *name,
	       struct pool *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM pool WHERE NOT leaving"
			     " AND tenant IN (?1, '') AND ?2 IN (name, '') AND shape = ?3"
			     " AND cmdline = ?4 AND networks = ?6 AND (image = ?5 OR image ="
			     "  (SELECT name FROM image WHERE digest = ?5))"
			     " ORDER BY tenant DESC, n LIMIT 1",
			     "ssssss", i->tenant, name, i->shape, i->cmdline, i->image, networks);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		read_row(&rows, ret);
	rows_end(&rows);
	return r;
}

int pool_each(struct truth *t, const char *tenant, pool_fn fn, void *ctx, struct error *err)
{
	struct pool p;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM pool WHERE tenant IN (ifnull(?1, tenant), '')"
			     " ORDER BY tenant, name, n",
			     "s", tenant);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &p);
		r = fn(ctx, &p);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

static int plan_shape(struct truth *t, const struct pool *p, struct pool_plan *ret,
		      struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT version, vcpus, mem_mib FROM shape WHERE name = ?"
			     " ORDER BY version DESC LIMIT 1",
			     "s", p->shape);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		ret->shape_version = rows_int(&rows, 0);
		ret->vcpus = rows_int(&rows, 1);
		ret->mem_mib = rows_int(&rows, 2);
	}
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, "shape", "GET /shapes lists what there is",
				 "There is no shape %s", p->shape);
	return r < 0 ? r : 0;
}

int pool_plan(struct truth *t, const struct pool *p, struct pool_plan *ret, struct error *err)
{
	struct image image;
	int r = image_find(t, p->image, &image, err);

	if (r < 0)
		return r;
	if (image.state != IMAGE_PUBLISHED)
		return error_set(err, -ENOENT, "image", "wispctl image ls lists what there is",
				 "Image %s is not published", p->image);
	memcpy(ret->image, image.digest, sizeof(ret->image));
	r = plan_shape(t, p, ret, err);
	if (r < 0 || (image.kernel[0] && ret->vcpus <= BOARD_MICROVM_VCPUS))
		return r;
	return error_set(err, -ENOTSUP, "image", "leave it to runtime qemu, without a pool",
			 "What waits in a pool is a microVM: it wants a kernel, and at most %d"
			 " processors",
			 BOARD_MICROVM_VCPUS);
}

static json_t *describe_networks(const struct pool *p)
{
	json_t *list = json_array();
	const char *rest = p->networks;
	char name[NAME_BYTES];

	while (lease_next_network(&rest, name))
		json_array_append_new(list, json_string(name));
	return list;
}

json_t *pool_describe(const struct pool *p)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I}", "name", p->name, "tenant",
			 p->tenant, "image", p->image, "shape", p->shape, "cmdline", p->cmdline,
			 "networks", describe_networks(p), "min", (json_int_t)p->least, "max",
			 (json_int_t)p->most, "keep_s", (json_int_t)p->keep_s);
}

/* --- writing --- */

/* A tenant's pool is on his bill, by what is kept for him at least; the host's on nobody's. */
static int note(struct truth *t, const char *type, const struct pool *p, int64_t reserved,
		const char *actor, struct error *err)
{
	json_t *body = pool_describe(p);
	struct ledger_event e = { .type = type, .tenant = p->tenant, .actor = actor, .body = body };
	char thing[NAME_BYTES + 8];
	int r;

	r = body ? ledger_append(t->ledger, &e, NULL, err)
		 : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	json_decref(body);
	snprintf(thing, sizeof(thing), "pool %s", p->name);
	if (r == 0 && p->tenant[0])
		r = meter_hold(t, METER_POOL_TIME, p->tenant, thing, NULL, reserved, actor, err);
	return r;
}

int pool_create(struct truth *t, struct pool *p, const char *actor, struct error *err)
{
	int r = store_run(t->store, err,
			  "INSERT INTO pool (tenant, name, image, shape, cmdline, networks, least,"
			  " most, keep_s, leaving) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
			  "ssssssiii", p->tenant, p->name, p->image, p->shape, p->cmdline,
			  p->networks, p->least, p->most, p->keep_s);

	if (r == -EEXIST)
		return error_set(err, -EEXIST, "name", "choose another, or remove that one",
				 "There is a pool %s already", p->name);
	if (r >= 0)
		r = store_number(t->store, &p->n, err, "SELECT last_insert_rowid()", "");
	return r < 0 ? r : note(t, "pool.created", p, p->least, actor, err);
}

int pool_resize(struct truth *t, const struct pool *p, const char *actor, struct error *err)
{
	int r = store_run(t->store, err,
			  "UPDATE pool SET least = ?, most = ?, keep_s = ? WHERE n = ?", "iiii",
			  p->least, p->most, p->keep_s, p->n);

	return r < 0 ? r : note(t, "pool.resized", p, p->least, actor, err);
}

int pool_leave(struct truth *t, const struct pool *p, const char *actor, struct error *err)
{
	int r = store_run(t->store, err, "UPDATE pool SET leaving = 1 WHERE n = ?", "i", p->n);

	return r < 0 ? r : note(t, "pool.removed", p, 0, actor, err);
}

int pool_forget(struct truth *t, int64_t n, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM pool WHERE n = ?", "i", n);

	return r < 0 ? r : 0;
}

/* --- blanks --- */

int blank_create(struct truth *t, struct blank *b, struct error *err)
{
	int r = instance_choose_id(b->id, err);

	if (r == 0)
		r = store_run(t->store, err,
			      "INSERT INTO blank SELECT ?, n, ?, ?, ?, ?, cmdline, -1, '', 0, 0, ?"
			      " FROM pool WHERE n = ?",
			      "ssiiisi", b->id, b->plan.image, b->plan.shape_version, b->plan.vcpus,
			      b->plan.mem_mib, b->plan.snapshot, b->pool);
	return r < 0 ? r : 0;
}

int blank_update(struct truth *t, const struct blank *b, struct error *err)
{
	int r = store_run(t->store, err,
			  "UPDATE blank SET disk_mib = ?, boot_id = ?, pid = ?, pid_start = ?"
			  " WHERE id = ?",
			  "isiis", b->disk_mib, b->boot_id, (int64_t)b->pid, b->pid_start, b->id);

	return r < 0 ? r : 0;
}

int blank_forget(struct truth *t, const char *id, struct error *err)
{
	return store_run(t->store, err, "DELETE FROM blank WHERE id = ?", "s", id);
}

static void read_blank(const struct rows *r, struct blank *b)
{
	*b = (struct blank){
		.pool = rows_int(r, 1),
		.plan = { .shape_version = rows_int(r, 3),
			  .vcpus = rows_int(r, 4),
			  .mem_mib = rows_int(r, 5) },
		.disk_mib = rows_int(r, 7),
		.pid = (pid_t)rows_int(r, 9),
		.pid_start = rows_int(r, 10),
	};
	rows_text(r, 0, b->id, sizeof(b->id));
	rows_text(r, 2, b->plan.image, sizeof(b->plan.image));
	rows_text(r, 6, b->cmdline, sizeof(b->cmdline));
	rows_text(r, 8, b->boot_id, sizeof(b->boot_id));
	rows_text(r, 11, b->plan.snapshot, sizeof(b->plan.snapshot));
}

int blank_each(struct truth *t, blank_fn fn, void *ctx, struct error *err)
{
	struct blank b;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT id, pool, image, shape_version, vcpus, mem_mib, cmdline,"
			     " disk_mib, boot_id, pid, pid_start, snapshot FROM blank ORDER BY id",
			     "");

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		read_blank(&rows, &b);
		r = fn(ctx, &b);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

int blank_exists(struct truth *t, const char *id, struct error *err)
{
	int64_t n = 0;
	int r = store_number(t->store, &n, err, "SELECT count(*) FROM blank WHERE id = ?", "s", id);

	return r < 0 ? r : n != 0;
}

void blank_instance(const struct blank *b, struct instance *ret)
{
	*ret = (struct instance){
		.runtime = "wisp",
		.shape_version = b->plan.shape_version,
		.vcpus = b->plan.vcpus,
		.mem_mib = b->plan.mem_mib,
	};
	memcpy(ret->id, b->id, sizeof(ret->id));
	memcpy(ret->name, b->id, sizeof(b->id));
	memcpy(ret->image, b->plan.image, sizeof(ret->image));
	memcpy(ret->cmdline, b->cmdline, sizeof(ret->cmdline));
}
