/* exists.c - rows of instances, with usage told apart by instance. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "supervisor/billing/exists.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/states.h"
#include "supervisor/books/store.h"

enum { WHEN_BYTES = 32 };

static const int64_t NS_PER_S = 1000000000;

enum { ID, NAME, SHAPE, VCPUS, MEM_MIB, IMAGE, STATE, CREATED, LAUNCHED, DELETED };

static const char select_those[] =
	"SELECT * FROM (SELECT id, name, shape, vcpus, mem_mib, image, state, created_wall_ns,"
	" (" LEDGER_PARTS("i.id", "0") "SELECT min(wall_ns) FROM " LEDGER_EVENTS_OF(
		"i.id") " WHERE type = 'instance.running'),"
			" (SELECT wall_ns FROM event WHERE seq = i.changed_seq AND i.state = 11) AS deleted"
			" FROM instance i WHERE tenant = ?1 AND created_wall_ns < ?3)"
			" WHERE ifnull(deleted, ?3) >= ?2 ORDER BY created_wall_ns, id";

/* --- what was used --- */

/* {instance: {meter: quantity}} */
static int add_quantity(void *ctx, const struct usage_row *row)
{
	json_t *all = ctx, *one = json_object_get(all, row->slice);
	const char *meter = meters[row->meter].name;
	json_int_t before;

	if (!*row->slice || row->adjustment)
		return 0;
	if (!one) {
		one = json_object();
		json_object_set_new(all, row->slice, one);
	}
	before = json_integer_value(json_object_get(one, meter));
	return json_object_set_new(one, meter, json_integer(before + row->quantity)) < 0 ? -ENOMEM
											 : 0;
}

static json_t *find_quantities(struct truth *t, const char *tenant, int period, struct error *err)
{
	json_t *all = json_object();
	struct usage *u = NULL;
	int r = usage_replay_sliced(t->store, 0, USAGE_BY_INSTANCE, &u, err);

	if (r == 0)
		r = usage_settle(u, tenant, period, err);
	if (r == 0 && usage_each(u, tenant, period, add_quantity, all) < 0)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	usage_free(u);
	if (r == 0)
		return all;
	json_decref(all);
	return NULL;
}

/* --- the records --- */

static json_t *when(int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	char text[WHEN_BYTES] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

static json_t *when_or_null(const struct rows *rows, int column)
{
	return rows_is_null(rows, column) ? json_null() : when(rows_int(rows, column));
}

/* quantities: of this instance; NULL: it used nothing. */
static json_t *describe(const struct rows *rows, const char *tenant, int period, json_t *quantities)
{
	json_t *in = json_object_get(quantities, "net_in");
	json_t *out = json_object_get(quantities, "net_out");
	json_t *payload = json_pack(
		"{s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:s, s:{s:{s:I, s:I}}}", "tenant_id", tenant,
		"instance_id", rows_string(rows, ID), "display_name", rows_string(rows, NAME),
		"instance_type", rows_string(rows, SHAPE), "vcpus",
		(json_int_t)rows_int(rows, VCPUS), "memory_mb", (json_int_t)rows_int(rows, MEM_MIB),
		"image_ref", rows_string(rows, IMAGE), "state", states[rows_int(rows, STATE)].name,
		"bandwidth", "all", "bw_in", json_integer_value(in), "bw_out",
		json_integer_value(out));

	json_object_set_new(payload, "created_at", when(rows_int(rows, CREATED)));
	json_object_set_new(payload, "launched_at", when_or_null(rows, LAUNCHED));
	json_object_set_new(payload, "deleted_at", when_or_null(rows, DELETED));
	json_object_set_new(payload, "audit_period_beginning", when(period_start_ns(period)));
	json_object_set_new(payload, "audit_period_ending", when(period_start_ns(period + 1)));
	if (quantities)
		json_object_set(payload, "usage", quantities);
	else
		json_object_set_new(payload, "usage", json_object());
	return payload;
}

static json_t *wrap(const char *id, int period, json_t *payload)
{
	char text[PERIOD_TEXT_BYTES], message[64];

	snprintf(message, sizeof(message), "%s/%s", period_text(period, text), id);
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "event_type", "compute.instance.exists",
			 "message_id", message, "publisher_id", "wispd", "priority", "INFO",
			 "payload", payload);
}

json_t *exists_describe(struct truth *t, const char *tenant, int period, struct error *err)
{
	json_t *quantities = find_quantities(t, tenant, period, err), *all = json_array();
	struct rows rows;
	int r = quantities ? store_select(t->store, &rows, err, select_those, "sii", tenant,
					  period_start_ns(period), period_start_ns(period + 1))
			   : -ENOMEM;

	if (r == 0) {
		while ((r = rows_next(&rows, err)) > 0) {
			const char *id = rows_string(&rows, ID);
			json_t *used = json_object_get(quantities, id);

			json_array_append_new(
				all, wrap(id, period, describe(&rows, tenant, period, used)));
		}
		rows_end(&rows);
	}
	json_decref(quantities);
	if (r == 0)
		return all;
	json_decref(all);
	return NULL;
}
