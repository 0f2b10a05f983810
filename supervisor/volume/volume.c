/* volume.c - the rows of volumes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/meter.h"
#include "supervisor/volume/volume.h"

#define COLUMNS "id, tenant, name, format, state, size_mib, place, instance, slot, read_only"

const char *const volume_format_names[] = {
	[VOLUME_RAW] = "raw",
	[VOLUME_EXT4] = "ext4",
	NULL,
};

static const char *const state_names[] = {
	[VOLUME_MAKING] = "making",   [VOLUME_READY] = "ready",	      [VOLUME_GROWING] = "growing",
	[VOLUME_COPYING] = "copying", [VOLUME_REMOVING] = "removing", [VOLUME_ERASING] = "erasing",
};

static const char *const place_names[] = {
	[VOLUME_FREE] = "free",
	[VOLUME_PLUGGING] = "plugging",
	[VOLUME_ATTACHED] = "attached",
	[VOLUME_UNPLUGGING] = "unplugging",
};

/* --- reading --- */

static void read_row(const struct rows *r, struct volume *v)
{
	*v = (struct volume){
		.format = (enum volume_format)rows_int(r, 3),
		.state = (enum volume_state)rows_int(r, 4),
		.size_mib = rows_int(r, 5),
		.place = (enum volume_place)rows_int(r, 6),
		.slot = rows_int(r, 8),
		.read_only = rows_int(r, 9) != 0,
	};
	rows_text(r, 0, v->id, sizeof(v->id));
	rows_text(r, 1, v->tenant, sizeof(v->tenant));
	rows_text(r, 2, v->name, sizeof(v->name));
	rows_text(r, 7, v->instance, sizeof(v->instance));
}

int volume_find(struct truth *t, const char *tenant, const char *which, struct volume *ret,
		struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM volume WHERE ifnull(?2, tenant) = tenant"
			     " AND (id = ?1 OR (name = ?1 AND (?2 IS NOT NULL OR 1 ="
			     "  (SELECT count(*) FROM volume WHERE name = ?1))))",
			     "ss", which, tenant);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		read_row(&rows, ret);
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, "volume", "wispctl volume ls lists what there is",
				 "There is no volume %.64s", which);
	return r < 0 ? r : 0;
}

int volume_find_ready(struct truth *t, const char *tenant, const char *which, struct volume *ret,
		      struct error *err)
{
	struct volume v = { 0 };
	int r = volume_find(t, tenant, which, &v, err);

	if (r < 0)
		return r;
	if (v.state != VOLUME_READY || (v.place != VOLUME_FREE && v.place != VOLUME_ATTACHED))
		return error_set(err, -EBUSY, "volume", "try again when that has ended",
				 "Volume %s is %s, and %s", v.name, state_names[v.state],
				 place_names[v.place]);
	*ret = v;
	return 0;
}

int volume_load(struct truth *t, const char *instance, struct volume ret[VOLUMES_MAX],
		struct error *err)
{
	struct rows rows;
	int count = 0;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM volume WHERE instance = ? ORDER BY slot", "s",
			     instance);

	if (r < 0)
		return r;
	while (count < VOLUMES_MAX && (r = rows_next(&rows, err)) > 0)
		read_row(&rows, &ret[count++]);
	rows_end(&rows);
	return r < 0 ? r : count;
}

int volume_each(struct truth *t, const char *tenant, volume_fn fn, void *ctx, struct error *err)
{
	struct volume v;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM volume WHERE ifnull(?1, tenant) = tenant"
			     " ORDER BY tenant, name",
			     "s", tenant);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &v);
		r = fn(ctx, &v);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* --- writing --- */

/* What it may grow to is its tenant's from the beginning; it is billed once it can be used, and
 * until its removal begins: to overwrite it is the host's affair. */
static int hold(struct truth *t, const struct volume *v, struct error *err)
{
	bool usable = v->state == VOLUME_READY || v->state == VOLUME_GROWING ||
		      v->state == VOLUME_COPYING;
	int r = quota_hold(t, v->id, v->tenant, RESOURCE_DISK_MIB, v->size_mib, err);

	return r < 0 ? r
		     : meter_hold(t, METER_VOLUME_SPACE, v->tenant, v->id, NULL,
				  usable ? v->size_mib : 0, "wispd", err);
}

int volume_add(struct truth *t, struct volume *v, struct error *err)
{
	uint8_t random[6];
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, NULL, NULL, "There is no randomness");
	memcpy(v->id, "vol-", 4);
	hex_encode(random, sizeof(random), v->id + 4);
	v->state = VOLUME_MAKING;
	r = store_run(t->store, err,
		      "INSERT INTO volume (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 0, 0)",
		      "sssiiii", v->id, v->tenant, v->name, (int64_t)v->format, (int64_t)v->state,
		      v->size_mib, (int64_t)v->place);
	if (r == -EEXIST)
		return error_set(err, -EEXIST, "name", "choose another, or delete that one",
				 "There is a volume %s already", v->name);
	return r < 0 ? r : hold(t, v, err);
}

int volume_update(struct truth *t, const struct volume *v, struct error *err)
{
	bool given = v->place != VOLUME_FREE;
	int r = store_run(t->store, err,
			  "UPDATE volume SET state = ?, size_mib = ?, place = ?, instance = ?,"
			  " slot = ?, read_only = ? WHERE id = ?",
			  "iiisiis", (int64_t)v->state, v->size_mib, (int64_t)v->place,
			  given ? v->instance : NULL, v->slot, (int64_t)v->read_only, v->id);

	return r < 0 ? r : hold(t, v, err);
}

int volume_forget(struct truth *t, const struct volume *v, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM volume WHERE id = ?", "s", v->id);

	if (r >= 0)
		r = quota_hold(t, v->id, v->tenant, RESOURCE_DISK_MIB, 0, err);
	return r < 0 ? r : meter_let_go(t, METER_VOLUME_SPACE, v->id, "wispd", err);
}

int volume_tell(struct truth *t, const char *type, const struct volume *v, const char *actor,
		json_t *body, struct error *err)
{
	struct ledger_event e = { .type = type, .tenant = v->tenant, .actor = actor };
	int r;

	body = body ? body : json_object();
	json_object_set_new(body, "volume", json_string(v->id));
	json_object_set_new(body, "name", json_string(v->name));
	json_object_set_new(body, "size_mib", json_integer((json_int_t)v->size_mib));
	if (v->instance[0])
		json_object_set_new(body, "instance", json_string(v->instance));
	e.body = body;
	r = ledger_append(t->ledger, &e, NULL, err);
	json_decref(body);
	return r;
}

/* --- giving --- */

static int choose_slot(struct truth *t, const struct instance *i, int64_t *slot, struct error *err)
{
	struct volume have[VOLUMES_MAX];
	int count = volume_load(t, i->id, have, err);

	if (count == VOLUMES_MAX)
		return error_set(err, -EBUSY, "volume", "detach one first",
				 "%s has %d volumes already", i->name, VOLUMES_MAX);
	*slot = 0;
	for (int n = 0; n < count; n++)
		if (have[n].slot == *slot)
			++*slot;
	return count < 0 ? count : 0;
}

int volume_give(struct truth *t, struct volume *v, const struct instance *i, bool read_only,
		enum volume_place place, struct error *err)
{
	int r;

	if (v->place != VOLUME_FREE)
		return error_set(err, -EBUSY, "volume", "detach it first",
				 "Volume %s is another instance's", v->name);
	if (strcmp(v->tenant, i->tenant) != 0)
		return error_set(err, -ENOENT, "volume", NULL, "There is no volume %s", v->name);
	r = choose_slot(t, i, &v->slot, err);
	if (r < 0)
		return r;
	v->place = place;
	v->read_only = read_only;
	memcpy(v->instance, i->id, sizeof(v->instance));
	return volume_update(t, v, err);
}

int volume_take(struct truth *t, const struct instance *i, const char q[][VOLUME_REQUEST_BYTES],
		unsigned count, struct error *err)
{
	int r = 0;

	for (unsigned n = 0; n < count && r == 0; n++) {
		size_t len = strcspn(q[n], ":");
		bool read_only = strcmp(q[n] + len, ":ro") == 0;
		char name[VOLUME_REQUEST_BYTES];
		struct volume v = { 0 };

		snprintf(name, sizeof(name), "%.*s", (int)len, q[n]);
		if (q[n][len] && !read_only)
			return error_set(err, -EINVAL, "volumes", "NAME, or NAME:ro",
					 "A volume cannot be had so");
		r = volume_find_ready(t, i->tenant, name, &v, err);
		if (r == 0)
			r = volume_give(t, &v, i, read_only, VOLUME_ATTACHED, err);
	}
	return r;
}

int volume_drop(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err,
			  "UPDATE volume SET place = 0, instance = NULL, slot = 0, read_only = 0"
			  " WHERE instance = ?",
			  "s", i->id);

	return r < 0 ? r : 0;
}

json_t *volume_describe(const struct volume *v)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:b}", "id", v->id, "name",
			 v->name, "tenant", v->tenant, "format", volume_format_names[v->format],
			 "state", state_names[v->state], "size_mib", (json_int_t)v->size_mib,
			 "place", place_names[v->place], "instance", v->instance, "read_only",
			 v->read_only);
}
