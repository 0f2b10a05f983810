/* api_host.c - routes about the host as a whole: operations, events, health. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"
#include "supervisor/doctor.h"
#include "supervisor/host/watch.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/images/import.h"
#include "supervisor/metering/reconcile.h"
#include "supervisor/metering/verification.h"
#include "supervisor/wispd.h"

enum { EVENTS_MAX = 1000, EVENTS_USUAL = 100 };

static int get_version(struct api_call *call)
{
	return api_reply(call, json_pack("{s:s, s:s, s:s, s:s}", "version", WISP_VERSION, "host_id",
					 ledger_host_id(call->d->truth.ledger), "boot_id",
					 ledger_boot_id(call->d->truth.ledger), "caller",
					 call->caller->actor));
}

static int get_openapi(struct api_call *call)
{
	return api_reply(call, api_openapi());
}

static int get_host(struct api_call *call)
{
	return api_reply(call, host_watch_describe(call->d->host_watch));
}

static int get_states(struct api_call *call)
{
	return api_reply(call, states_describe());
}

static int get_doctor(struct api_call *call)
{
	json_t *findings = doctor_examine(call->d, &call->err);

	return findings ? api_reply(call, findings) : call->err.code;
}

/* --- operations --- */

static int get_operation(struct api_call *call)
{
	int64_t wait_ms = 0;
	json_t *progress,
		*j = operation_describe(&call->d->truth, call->tenant, call->id, &call->err);
	int r;

	if (!j)
		return call->err.code;
	r = api_query_number(call, "wait_ms", 0, &wait_ms);
	if (r < 0) {
		json_decref(j);
		return r;
	}
	progress = imports_progress(call->d->imports, call->id);
	if (!progress)
		progress = verification_progress(call->d, call->id);
	if (progress)
		json_object_set_new(j, "progress", progress);
	if (strcmp(json_string_value(json_object_get(j, "state")), "active") == 0)
		call->wait_ms = (uint64_t)wait_ms;
	return api_reply(call, j);
}

/* --- events --- */

static json_t *event_of(const struct rows *r)
{
	json_t *body = json_loads(rows_string(r, 9), 0, NULL);

	return json_pack("{s:I, s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:s, s:o}", "seq",
			 (json_int_t)rows_int(r, 0), "boot_id", rows_string(r, 1), "boot_ns",
			 (json_int_t)rows_int(r, 2), "wall_ns", (json_int_t)rows_int(r, 3), "type",
			 rows_string(r, 4), "tenant", rows_string(r, 5), "instance",
			 rows_string(r, 6), "incarnation", (json_int_t)rows_int(r, 7), "actor",
			 rows_string(r, 8), "body", body ? body : json_object());
}

#define EVENTS                                                                               \
	"SELECT seq, boot_id, boot_ns, wall_ns, type, tenant, instance, incarnation, actor," \
	" body FROM "
#define ASKED_FOR " WHERE seq > ?1 AND ifnull(?2, tenant) = tenant ORDER BY seq LIMIT ?3"

/* Of one instance, or of all. */
static int select_events(struct api_call *call, int64_t after, int64_t limit, struct rows *rows)
{
	const char *instance = call->request->query(call->request->connection, "instance");
	struct store *store = call->d->truth.store;

	if (instance)
		return store_select(store, rows, &call->err,
				    LEDGER_PARTS("?4", "?1") EVENTS LEDGER_EVENTS_OF("?4")
					    ASKED_FOR,
				    "isis", after, call->tenant, limit, instance);
	return store_select(store, rows, &call->err, EVENTS "event" ASKED_FOR, "isi", after,
			    call->tenant, limit);
}

static int read_events(struct api_call *call, int64_t after, int64_t limit, json_t *events,
		       int64_t *last)
{
	struct rows rows;
	int r = select_events(call, after, limit, &rows);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, &call->err)) > 0) {
		*last = rows_int(&rows, 0);
		json_array_append_new(events, event_of(&rows));
	}
	rows_end(&rows);
	return r;
}

/* tail: the last so many of all, then what comes. */
static int first_event(struct api_call *call, int64_t *after)
{
	char hex[LEDGER_HEX_BYTES];
	int64_t tail = 0, head = 0;
	int r = api_query_number(call, "after", -1, after);

	if (r == 0)
		r = api_query_number(call, "tail", 0, &tail);
	if (r < 0 || *after >= 0)
		return r;
	r = ledger_head(call->d->truth.ledger, &head, hex, &call->err);
	*after = tail && head > tail ? head - tail : 0;
	return r;
}

static int get_events(struct api_call *call)
{
	int64_t after = 0, limit = 0, wait_ms = 0, last;
	json_t *events = json_array();
	int r = first_event(call, &after);

	if (r == 0)
		r = api_query_number(call, "limit", EVENTS_USUAL, &limit);
	if (r == 0)
		r = api_query_number(call, "wait_ms", 0, &wait_ms);
	last = after;
	if (r == 0)
		r = read_events(call, after, limit < EVENTS_MAX ? limit : EVENTS_MAX, events,
				&last);
	if (r < 0) {
		json_decref(events);
		return r;
	}
	if (json_array_size(events) == 0)
		call->wait_ms = (uint64_t)wait_ms;
	return api_reply(call, json_pack("{s:I, s:o}", "next", (json_int_t)last, "events", events));
}

/* --- health --- */

static int get_findings(struct api_call *call)
{
	json_t *list = reconcile_list(call->d, NULL, &call->err);

	return list ? api_reply(call, json_pack("{s:o}", "findings", list)) : call->err.code;
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET", "/version",         ROLE_VIEWER, false, 200, NULL, get_version,
	  .what = "Which wispd this is, on which host and boot, and whom it takes the caller for." },
	{ "GET", "/host",            ROLE_VIEWER, false, 200, NULL, get_host,
	  .what = "The inventory: processors, nodes, memory, devices, KVM, kernel, firmware, mitigations, labels; and what is free `now`." },
	{ "GET", "/openapi",         ROLE_VIEWER, false, 200, NULL, get_openapi,
	  .what = "This reference as an OpenAPI 3 document." },
	{ "GET", "/states",          ROLE_VIEWER, false, 200, NULL, get_states,
	  .what = "The states of an instance, and the moves between them." },
	{ "GET", "/operations/{id}", ROLE_VIEWER, false, 200, NULL, get_operation,
	  .what = "What became of long work: `active`, `done`, or `failed` with a code; of an import, how far it is.",
	  .query = "`wait_ms`: answer when it has ended, or after this time" },
	{ "GET", "/events",          ROLE_VIEWER, false, 200, NULL, get_events,
	  .what = "Events in order; `next` is what to give as `after` for those that follow.",
	  .query = "`after`: an event's number; `tail`: instead, so many of the last; `limit`: at most so "
		   "many; `instance`: of this one, by id; `wait_ms`: if there is none, wait this long for one" },
	{ "GET", "/findings",        ROLE_ADMIN,  false, 200, NULL, get_findings,
	  .what = "Where books and kernel differ: open findings first, then the last that were cleared." },
	{ "GET", "/doctor",          ROLE_ADMIN,  false, 200, NULL, get_doctor,
	  .what = "Examines host and books; each finding comes with its remedy. Of the ledger the newest 10,000 events, and "
		  "the database's pages up to 64 MiB: `POST /ledger/verify` reads all." },
};
/* clang-format on */

const struct api_area api_host = { "Host", routes, sizeof(routes) / sizeof(routes[0]) };
