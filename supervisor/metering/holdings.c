/* holdings.c - a table of kinds of things, each with the rows that are not told of. */
#include <jansson.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/holdings.h"
#include "supervisor/metering/meter.h"

enum { THING_BYTES = 128 };

/* One such thing: its tenant, itself, the instance that it goes with or NULL, how much. */
static const struct {
	enum meter meter;
	const char *next;
} kinds[] = {
	/* 1 to 3: it can be used (volume.h). */
	{ METER_VOLUME_SPACE,
	  "SELECT tenant, id, NULL, size_mib FROM volume WHERE state BETWEEN 1 AND 3"
	  " AND size_mib > 0 AND NOT EXISTS (SELECT 1 FROM held WHERE meter = 'volume_space'"
	  " AND held.tenant = volume.tenant AND thing = id) LIMIT 1" },
	/* 1: ready (snapshot.h). */
	{ METER_SNAPSHOT_SPACE,
	  "SELECT tenant, id, NULL, size_mib FROM snapshot WHERE state = 1 AND size_mib > 0"
	  " AND NOT EXISTS (SELECT 1 FROM held WHERE meter = 'snapshot_space'"
	  " AND held.tenant = snapshot.tenant AND thing = id) LIMIT 1" },
	/* Its row does not say whose it is, but the operation that imported it may still. */
	{ METER_IMAGE_SPACE,
	  "SELECT o.tenant, i.digest, NULL, (i.bytes + 1048575) / 1048576 FROM image i"
	  " JOIN operation o ON o.id = (SELECT id FROM operation WHERE subject = i.name AND verb ="
	  " 'import' AND state = 'done' ORDER BY created_wall_ns DESC LIMIT 1) WHERE i.bytes > 0"
	  " AND NOT EXISTS (SELECT 1 FROM held WHERE meter = 'image_space' AND thing = i.digest)"
	  " LIMIT 1" },
	{ METER_POOL_TIME,
	  "SELECT tenant, 'pool ' || name, NULL, least FROM pool WHERE tenant <> '' AND NOT leaving"
	  " AND least > 0 AND NOT EXISTS (SELECT 1 FROM held WHERE meter = 'pool_time'"
	  " AND held.tenant = pool.tenant AND thing = 'pool ' || name) LIMIT 1" },
	{ METER_DEVICE_TIME,
	  "SELECT i.tenant, c.address, i.id, 1 FROM device_claim c JOIN instance i ON i.id ="
	  " c.instance WHERE NOT EXISTS (SELECT 1 FROM held WHERE meter = 'device_time'"
	  " AND held.tenant = i.tenant AND thing = c.address) LIMIT 1" },
};

/* 1: told of one; 0: there is none left. */
static int tell_next(struct truth *t, enum meter meter, const char *next, struct error *err)
{
	char tenant[NAME_BYTES], thing[THING_BYTES], instance[INSTANCE_ID_BYTES];
	int64_t amount;
	struct rows rows;
	int r = store_select(t->store, &rows, err, next, "");

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	rows_text(&rows, 0, tenant, sizeof(tenant));
	rows_text(&rows, 1, thing, sizeof(thing));
	rows_text(&rows, 2, instance, sizeof(instance));
	amount = rows_int(&rows, 3);
	rows_end(&rows);
	if (r <= 0)
		return r;
	r = meter_hold(t, meter, tenant, thing, instance[0] ? instance : NULL, amount, "wispd",
		       err);
	return r < 0 ? r : 1;
}

static int add_id(void *ids, const struct instance *i)
{
	return json_array_append_new(ids, json_string(i->id));
}

/* Addresses, ports, processors. */
static int follow_all(struct truth *t, struct error *err)
{
	json_t *ids = json_array(), *id;
	int r = instance_each(t, NULL, add_id, ids, err);
	struct instance i;
	size_t n;

	json_array_foreach(ids, n, id)
	{
		if (r == 0)
			r = instance_load(t, json_string_value(id), &i, err);
		if (r == 0)
			r = meter_follow(t, &i, err);
	}
	json_decref(ids);
	return r;
}

int holdings_tell(struct truth *t, struct error *err)
{
	int64_t before = 0, after = 0;
	int r = store_number(t->store, &before, err, "SELECT count(*) FROM held", "");

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && r >= 0; k++) {
		do
			r = tell_next(t, kinds[k].meter, kinds[k].next, err);
		while (r > 0);
	}
	if (r == 0)
		r = follow_all(t, err);
	if (r == 0)
		r = store_number(t->store, &after, err, "SELECT count(*) FROM held", "");
	return r < 0 ? r : (int)(after - before);
}
