/* meter_held.c - what a tenant holds: a row for each thing, and an event for each change. */
#include <errno.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/meter.h"

enum { THING_BYTES = 128 };

static const char actor[] = "wispd";

static int no_memory(struct error *err)
{
	return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
}

static int write_held(struct truth *t, enum meter meter, const char *tenant, const char *thing,
		      const char *instance, int64_t amount, int64_t seq, struct error *err)
{
	int r;

	if (amount == 0)
		r = store_run(t->store, err,
			      "DELETE FROM held WHERE meter = ? AND tenant = ? AND thing = ?",
			      "sss", meters[meter].name, tenant, thing);
	else
		r = store_run(t->store, err,
			      "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
			      " SET amount = excluded.amount, seq = excluded.seq,"
			      " instance = excluded.instance",
			      "ssssii", meters[meter].name, tenant, thing, instance ? instance : "",
			      amount, seq);
	return r < 0 ? r : 0;
}

static int tell_held(struct truth *t, enum meter meter, const char *tenant, const char *thing,
		     int64_t amount, const char *who, int64_t *seq, struct error *err)
{
	json_t *body = json_pack("{s:s, s:s, s:I}", "meter", meters[meter].name, "thing", thing,
				 "amount", (json_int_t)amount);
	const struct ledger_event e = {
		.type = "meter.held", .tenant = tenant, .actor = who, .body = body
	};
	int r = body ? ledger_append(t->ledger, &e, seq, err) : no_memory(err);

	json_decref(body);
	return r;
}

int meter_hold(struct truth *t, enum meter meter, const char *tenant, const char *thing,
	       const char *instance, int64_t amount, const char *who, struct error *err)
{
	int64_t before = 0, seq = 0;
	int r;

	if (meter >= METERS_COUNT || meters[meter].kind != METER_HELD || amount < 0 ||
	    strlen(thing) >= THING_BYTES)
		return error_set(err, -EINVAL, NULL, NULL, "Nobody can hold that");
	r = store_number(t->store, &before, err,
			 "SELECT ifnull((SELECT amount FROM held WHERE meter = ? AND tenant = ?"
			 " AND thing = ?), 0)",
			 "sss", meters[meter].name, tenant, thing);
	if (r < 0 || before == amount)
		return r;
	r = tell_held(t, meter, tenant, thing, amount, who, &seq, err);
	return r < 0 ? r : write_held(t, meter, tenant, thing, instance, amount, seq, err);
}

int meter_follow(struct truth *t, const struct instance *i, struct error *err)
{
	int64_t addresses = 0, ports = 0, processors = 0;
	int r = store_number(t->store, &addresses, err,
			     "SELECT ifnull((SELECT amount FROM hold WHERE instance = ?"
			     " AND resource = ?), 0)",
			     "ss", i->id, resource_names[RESOURCE_ADDRESSES]);

	if (r == 0)
		r = store_number(t->store, &ports, err,
				 "SELECT count(*) FROM lease JOIN publication ON lease = n"
				 " WHERE instance = ?",
				 "s", i->id);
	if (r == 0)
		r = store_number(t->store, &processors, err,
				 "SELECT count(*) FROM seat WHERE instance = ?", "s", i->id);
	if (r == 0)
		r = meter_hold(t, METER_ADDRESS_TIME, i->tenant, i->id, i->id, addresses, actor,
			       err);
	if (r == 0)
		r = meter_hold(t, METER_PORT_TIME, i->tenant, i->id, i->id, ports, actor, err);
	if (r == 0)
		r = meter_hold(t, METER_PROCESSOR_TIME, i->tenant, i->id, i->id, processors, actor,
			       err);
	return r;
}

static int find_holder(struct truth *t, enum meter meter, const char *thing,
		       char tenant[NAME_BYTES], struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT tenant FROM held WHERE meter = ? AND thing = ? LIMIT 1", "ss",
			     meters[meter].name, thing);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	rows_text(&rows, 0, tenant, NAME_BYTES);
	rows_end(&rows);
	return r;
}

int meter_let_go(struct truth *t, enum meter meter, const char *thing, const char *who,
		 struct error *err)
{
	char tenant[NAME_BYTES];
	int r;

	while ((r = find_holder(t, meter, thing, tenant, err)) > 0) {
		r = meter_hold(t, meter, tenant, thing, NULL, 0, who, err);
		if (r < 0)
			break;
	}
	return r;
}

/* One of the things that go with an instance. 1, or 0: there is none left. */
static int next_held(struct truth *t, const struct instance *i, enum meter *meter,
		     char thing[THING_BYTES], struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT meter, thing FROM held WHERE instance = ? LIMIT 1", "s",
			     i->id);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	for (*meter = 0; r > 0 && *meter < METERS_COUNT; (*meter)++)
		if (strcmp(meters[*meter].name, rows_string(&rows, 0)) == 0)
			break;
	rows_text(&rows, 1, thing, THING_BYTES);
	rows_end(&rows);
	return r;
}

int meter_release(struct truth *t, const struct instance *i, struct error *err)
{
	char thing[THING_BYTES];
	enum meter meter;
	int r;

	while ((r = next_held(t, i, &meter, thing, err)) > 0) {
		r = meter_hold(t, meter, i->tenant, thing, i->id, 0, actor, err);
		if (r < 0)
			break;
	}
	return r;
}
