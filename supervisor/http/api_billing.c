/* api_billing.c - routes about what was used and what it costs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/billing/exists.h"
#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/plan.h"
#include "supervisor/billing/statement.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/metering/reconcile.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct assign_body {
	char plan[PLAN_NAME_BYTES];
	uint64_t version;
};

static const struct body_field assign_fields[] = {
	{ .name = "plan",
	  .type = BODY_STRING,
	  PLACE(assign_body, plan),
	  .min = 1,
	  .required = true },
	{ .name = "version",
	  .type = BODY_U64,
	  PLACE(assign_body, version),
	  .min = 1,
	  .max = INT32_MAX,
	  .required = true },
};

static const struct body_table assign_table = {
	.size = sizeof(struct assign_body),
	.fields = assign_fields,
	.nfields = sizeof(assign_fields) / sizeof(assign_fields[0]),
};

struct credit_body {
	uint64_t amount_nano;
	char reason[CAUSE_BYTES];
};

static const struct body_field credit_fields[] = {
	{ .name = "amount_nano",
	  .type = BODY_U64,
	  PLACE(credit_body, amount_nano),
	  .min = 1,
	  .max = INT64_MAX,
	  .required = true },
	{ .name = "reason",
	  .type = BODY_STRING,
	  PLACE(credit_body, reason),
	  .min = 1,
	  .required = true },
};

static const struct body_table credit_table = {
	.size = sizeof(struct credit_body),
	.fields = credit_fields,
	.nfields = sizeof(credit_fields) / sizeof(credit_fields[0]),
};

/* --- what the routes have in common --- */

static const char *whose(const struct api_call *call)
{
	return call->tenant ? call->tenant : "default";
}

/* PERIOD_NONE, and call->err is set. */
static int read_period(struct api_call *call, const char *text)
{
	int period = period_parse(text);

	if (period == PERIOD_NONE)
		error_set(&call->err, -EINVAL, "period", "a month, as 2026-11",
			  "%.32s is no period", text);
	return period;
}

static int check_tenant(struct api_call *call, const char *tenant)
{
	int64_t known;
	int r = store_number(call->d->truth.store, &known, &call->err,
			     "SELECT count(*) FROM tenant WHERE name = ?", "s", tenant);

	if (r < 0 || known)
		return r;
	return error_set(&call->err, -ENOENT, "tenant", "PUT /tenants/{id} makes one",
			 "There is no tenant %.64s", tenant);
}

/* --- usage --- */

static int describe_row(void *ctx, const struct usage_row *row)
{
	json_t *rows = ctx;

	return json_array_append_new(
		rows, json_pack("{s:s, s:I, s:s, s:s, s:b, s:s, s:I}", "plan",
				row->plan ? row->plan->name : "", "version",
				(json_int_t)(row->plan ? row->plan->version : 0), "meter",
				meters[row->meter].name, "unit", meters[row->meter].unit,
				"adjustment", row->adjustment, "slice", row->slice, "quantity",
				(json_int_t)row->quantity));
}

static int describe_gap(void *ctx, const struct usage_gap *gap)
{
	json_t *gaps = ctx;

	return json_array_append_new(gaps, usage_describe_gap(gap));
}

static json_t *describe_usage(struct usage *u, const char *tenant, int period)
{
	json_t *rows = json_array(), *gaps = json_array();
	char text[PERIOD_TEXT_BYTES];

	usage_each(u, tenant, period, describe_row, rows);
	usage_gaps(u, tenant, period, describe_gap, gaps);
	return json_pack("{s:s, s:s, s:b, s:I, s:o, s:o}", "tenant", tenant, "period",
			 period_text(period, text), "closed", period <= usage_closed(u, tenant),
			 "credit_nano", (json_int_t)usage_credit_nano(u, tenant), "usage", rows,
			 "gaps", gaps);
}

static int read_slice(struct api_call *call, enum usage_slice *ret)
{
	const char *text = call->request->query(call->request->connection, "by");

	*ret = USAGE_WHOLE;
	if (!text)
		return 0;
	if (strcmp(text, "day") == 0)
		*ret = USAGE_BY_DAY;
	else if (strcmp(text, "shape") == 0)
		*ret = USAGE_BY_SHAPE;
	else if (strcmp(text, "instance") == 0)
		*ret = USAGE_BY_INSTANCE;
	else
		return error_set(&call->err, -EINVAL, "by", "day, shape or instance",
				 "Usage is not told apart by %.32s", text);
	return 0;
}

/* What the query asks for; the caller owns the reference. NULL, and call->err is set. */
static json_t *find_usage(struct api_call *call)
{
	const char *text = call->request->query(call->request->connection, "period");
	int period = text ? read_period(call, text) : period_of(ledger_wall_ns());
	enum usage_slice slice;
	json_t *j = NULL;
	struct usage *u;

	if (period == PERIOD_NONE || read_slice(call, &slice) < 0 ||
	    usage_replay_sliced(call->d->truth.store, 0, slice, &u, &call->err) < 0)
		return NULL;
	if (usage_settle(u, whose(call), period, &call->err) == 0) {
		j = describe_usage(u, whose(call), period);
		if (!j)
			error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	}
	usage_free(u);
	return j;
}

static int get_usage(struct api_call *call)
{
	json_t *j = find_usage(call);

	return j ? api_reply(call, j) : call->err.code;
}

static int get_exists(struct api_call *call)
{
	const char *text = call->request->query(call->request->connection, "period");
	int period = text ? read_period(call, text) : period_of(ledger_wall_ns());
	json_t *all = NULL;

	if (period != PERIOD_NONE)
		all = exists_describe(&call->d->truth, whose(call), period, &call->err);
	return all ? api_reply(call, json_pack("{s:o}", "records", all)) : call->err.code;
}

static int finish_text(struct api_call *call, int r)
{
	return r < 0 ? error_set(&call->err, r, NULL, NULL, "It cannot be written: %s",
				 strerror(-r))
		     : 0;
}

static int get_usage_table(struct api_call *call)
{
	static const char *const members[] = { "plan",	     "version", "meter",    "unit",
					       "adjustment", "slice",	"quantity", NULL };
	json_t *j = find_usage(call);
	int r;

	if (!j)
		return call->err.code;
	r = statement_table(json_object_get(j, "usage"), members, &call->text);
	json_decref(j);
	return finish_text(call, r);
}

/* --- invoices --- */

static int get_invoice(struct api_call *call)
{
	int period = read_period(call, call->id);

	return period == PERIOD_NONE ? call->err.code
				     : invoice_make(&call->d->truth, whose(call), period, 0,
						    &call->text, &call->err);
}

/* The same, as a text of another kind. */
static int write_invoice(struct api_call *call, int (*write)(const char *invoice, char **ret))
{
	char *invoice = NULL;
	int r = get_invoice(call);

	if (r < 0)
		return r;
	invoice = call->text;
	call->text = NULL;
	r = write(invoice, &call->text);
	free(invoice);
	return finish_text(call, r);
}

static int get_invoice_table(struct api_call *call)
{
	return write_invoice(call, statement_csv);
}

static int get_statement(struct api_call *call)
{
	return write_invoice(call, statement_html);
}

static int list_invoices(struct api_call *call)
{
	json_t *all = json_array();
	struct rows rows;
	int r = store_select(call->d->truth.store, &rows, &call->err,
			     "SELECT tenant, body FROM event WHERE " LEDGER_LANDMARKS
			     " AND type = 'period.closed'"
			     " AND ifnull(?1, tenant) = tenant ORDER BY seq",
			     "s", call->tenant);

	while (r >= 0 && (r = rows_next(&rows, &call->err)) > 0) {
		json_t *one = json_loads(rows_string(&rows, 1), 0, NULL);

		json_object_set_new(one, "tenant", json_string(rows_string(&rows, 0)));
		json_array_append_new(all, one);
	}
	if (r >= 0)
		rows_end(&rows);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "invoices", all));
}

/* What is found does not keep it open, but is known before. */
static int compare_books(struct api_call *call)
{
	return call->d->reconcile ? reconcile_now(call->d->reconcile, &call->err) : 0;
}

static int close_for_all(struct api_call *call)
{
	int period = read_period(call, call->id), r = call->err.code;
	int64_t closed = 0;

	if (period != PERIOD_NONE)
		r = compare_books(call);
	if (r == 0)
		r = invoice_close_all(&call->d->truth, period, call->caller->actor, &closed,
				      &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:I}", "period", call->id, "closed",
						 (json_int_t)closed));
}

static int close_period(struct api_call *call)
{
	int period = read_period(call, call->id), r = call->err.code;

	if (period != PERIOD_NONE)
		r = check_tenant(call, whose(call));
	if (r == 0)
		r = compare_books(call);
	if (r == 0)
		r = invoice_close(&call->d->truth, whose(call), period, call->caller->actor,
				  &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:s}", "tenant", whose(call), "period",
						 call->id));
}

static int verify_invoices(struct api_call *call)
{
	struct invoice_report report;
	int r = invoice_verify(&call->d->truth, &report, &call->err);

	return r < 0 ? r
		     : api_reply(call, json_pack("{s:b, s:I, s:I}", "same", report.bad_seq == 0,
						 "checked", (json_int_t)report.checked, "bad_seq",
						 (json_int_t)report.bad_seq));
}

/* --- plans and credits --- */

static int list_plans(struct api_call *call)
{
	json_t *all = json_array();
	struct rows rows;
	int r = store_select(call->d->truth.store, &rows, &call->err,
			     "SELECT body FROM event WHERE " LEDGER_LANDMARKS
			     " AND type = 'plan.published' ORDER BY seq",
			     "");

	while (r >= 0 && (r = rows_next(&rows, &call->err)) > 0)
		json_array_append_new(all, json_loads(rows_string(&rows, 0), 0, NULL));
	if (r >= 0)
		rows_end(&rows);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "plans", all));
}

static int post_plan(struct api_call *call)
{
	const struct plan *p = call->config;
	int r = invoice_publish_plan(&call->d->truth, p, call->caller->actor, &call->err);

	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:I}", "name", p->name, "version",
						 (json_int_t)p->version));
}

static int put_tenant_plan(struct api_call *call)
{
	const struct assign_body *b = call->config;
	int r = check_tenant(call, call->id);

	if (r == 0)
		r = invoice_assign_plan(&call->d->truth, call->id, b->plan, (int64_t)b->version,
					call->caller->actor, &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:s, s:I}", "tenant", call->id, "plan",
						 b->plan, "version", (json_int_t)b->version));
}

static int post_credit(struct api_call *call)
{
	const struct credit_body *b = call->config;
	int r = check_tenant(call, call->id);

	if (r == 0)
		r = invoice_credit(&call->d->truth, call->id, (int64_t)b->amount_nano, b->reason,
				   call->caller->actor, &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:I}", "tenant", call->id, "amount_nano",
						 (json_int_t)b->amount_nano));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",  "/usage",                ROLE_VIEWER, false, 200, NULL,          get_usage,
	  .what = "What a tenant used in a month so far, and the gaps in what is known of it.",
	  .query = "`period`: a month as `2026-11`, by default this one; `by`: `day`, `shape` or `instance`, to tell apart" },
	{ "GET",  "/usage/csv",            ROLE_VIEWER, false, 200, NULL,          get_usage_table,
	  .what = "The same as CSV.", .query = "as of `GET /usage`", .type = "text/csv; charset=utf-8" },
	{ "GET",  "/usage/exists",         ROLE_VIEWER, false, 200, NULL,          get_exists,
	  .what = "An audit record for each instance that existed in a month, as OpenStack's `compute.instance.exists`.",
	  .query = "`period`: as of `GET /usage`" },
	{ "GET",  "/invoices",             ROLE_VIEWER, false, 200, NULL,          list_invoices,
	  .what = "The closed periods, with total and hash of each invoice." },
	{ "GET",  "/invoices/verify",      ROLE_ADMIN,  false, 200, NULL,          verify_invoices,
	  .what = "Makes every closed invoice again and compares it with its hash in the ledger." },
	{ "GET",  "/invoices/{id}",        ROLE_VIEWER, false, 200, NULL,          get_invoice,
	  .what = "A tenant's invoice of a month, by all that is known now.", .type = "application/json" },
	{ "GET",  "/invoices/{id}/csv",    ROLE_VIEWER, false, 200, NULL,          get_invoice_table,
	  .what = "Its lines as CSV.", .type = "text/csv; charset=utf-8" },
	{ "GET",  "/invoices/{id}/html",   ROLE_VIEWER, false, 200, NULL,          get_statement,
	  .what = "The same as a page to read.", .type = "text/html; charset=utf-8" },
	{ "POST", "/invoices/{id}/close",  ROLE_ADMIN,  true,  200, NULL,          close_period,
	  .what = "Closes a month that has ended: its invoice is final." },
	{ "POST", "/invoices/{id}/close-all", ROLE_ADMIN, true, 200, NULL,         close_for_all,
	  .what = "The same for all tenants of which it is open." },
	{ "GET",  "/plans",                ROLE_VIEWER, false, 200, NULL,          list_plans,
	  .what = "All versions of all price plans." },
	{ "POST", "/plans",                ROLE_ADMIN,  true,  201, &plan_table,   post_plan,
	  .what = "Publishes a version of a price plan, which then stays as it is." },
	{ "PUT",  "/tenants/{id}/plan",    ROLE_ADMIN,  true,  200, &assign_table, put_tenant_plan,
	  .what = "What a tenant pays by from now on." },
	{ "POST", "/tenants/{id}/credits", ROLE_ADMIN,  true,  201, &credit_table, post_credit,
	  .what = "Gives a tenant a credit, which the next invoices use up." },
};
/* clang-format on */

const struct api_area api_billing = { "Usage and invoices", routes,
				      sizeof(routes) / sizeof(routes[0]) };
