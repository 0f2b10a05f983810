/* api_budgets.c - routes about what a tenant may spend, and what it has reserved. */
#include <errno.h>

#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/metering/budget.h"
#include "supervisor/metering/meter.h"
#include "supervisor/wispd.h"

enum { HOUR_MS = 3600000, MAX_AHEAD_DAYS = 31, WARN_PER_MILLE = 800, PER_MILLE = 1000 };

static const int64_t VCPUS_MAX = 1000000, MIB_MAX = INT64_C(1) << 40;

/* What a tenant's reservation is called in the ledger: there is one. */
static const char thing[] = "reservation";

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

static const struct budget budget_defaults = {
	.warn_per_mille = WARN_PER_MILLE,
	.ahead_ms = HOUR_MS,
	.action = BUDGET_REFUSE,
};

static const struct body_field budget_fields[] = {
	{ .name = "limit_nano",
	  .type = BODY_U64,
	  PLACE(budget, limit_nano),
	  .max = INT64_MAX,
	  .required = true },
	{ .name = "warn_per_mille",
	  .type = BODY_U64,
	  PLACE(budget, warn_per_mille),
	  .max = PER_MILLE },
	{ .name = "ahead_ms",
	  .type = BODY_U64,
	  PLACE(budget, ahead_ms),
	  .max = (uint64_t)MAX_AHEAD_DAYS * 24 * HOUR_MS },
	{ .name = "action",
	  .type = BODY_ENUM,
	  PLACE(budget, action),
	  .names = budget_action_names },
};

static const struct body_table budget_table = {
	.size = sizeof(struct budget),
	.defaults = &budget_defaults,
	.fields = budget_fields,
	.nfields = sizeof(budget_fields) / sizeof(budget_fields[0]),
};

struct reservation_body {
	uint64_t vcpus, mem_mib;
};

static const struct body_field reservation_fields[] = {
	{ .name = "vcpus",
	  .type = BODY_U64,
	  PLACE(reservation_body, vcpus),
	  .max = VCPUS_MAX,
	  .required = true },
	{ .name = "mem_mib",
	  .type = BODY_U64,
	  PLACE(reservation_body, mem_mib),
	  .max = MIB_MAX,
	  .required = true },
};

static const struct body_table reservation_table = {
	.size = sizeof(struct reservation_body),
	.fields = reservation_fields,
	.nfields = sizeof(reservation_fields) / sizeof(reservation_fields[0]),
};

/* There is such a tenant, and the caller may see him. */
static int check_tenant(struct api_call *call)
{
	int64_t known = 0;
	int r = store_number(
		call->d->truth.store, &known, &call->err,
		"SELECT count(*) FROM tenant WHERE name = ? AND ifnull(?, name) = name", "ss",
		call->id, call->caller->tenant[0] ? call->caller->tenant : NULL);

	if (r < 0 || known)
		return r;
	return error_set(&call->err, -ENOENT, "tenant", "PUT /tenants/{id} makes one",
			 "There is no tenant %.64s", call->id);
}

static int get_budget(struct api_call *call)
{
	json_t *j = NULL;
	int r = check_tenant(call);

	if (r < 0)
		return r;
	j = budget_describe(call->d, call->id, &call->err);
	return j ? api_reply(call, j) : call->err.code;
}

static int put_budget(struct api_call *call)
{
	int r = check_tenant(call);

	return r < 0 ? r
		     : budget_set(call->d, call->id, call->config, call->caller->actor, &call->err);
}

static int delete_budget(struct api_call *call)
{
	return budget_remove(call->d, call->id, call->caller->actor, &call->err);
}

static int reserved(struct api_call *call, enum meter meter, int64_t *ret)
{
	return store_number(call->d->truth.store, ret, &call->err,
			    "SELECT ifnull((SELECT amount FROM held WHERE meter = ? AND tenant = ?"
			    " AND thing = ?), 0)",
			    "sss", meters[meter].name, call->id, thing);
}

static int get_reservation(struct api_call *call)
{
	int64_t vcpus = 0, mem_mib = 0;
	int r = check_tenant(call);

	if (r == 0)
		r = reserved(call, METER_RESERVED_VCPUS, &vcpus);
	if (r == 0)
		r = reserved(call, METER_RESERVED_MEMORY, &mem_mib);
	return r < 0 ? r
		     : api_reply(call,
				 json_pack("{s:s, s:I, s:I}", "tenant", call->id, "vcpus",
					   (json_int_t)vcpus, "mem_mib", (json_int_t)mem_mib));
}

static int put_reservation(struct api_call *call)
{
	const struct reservation_body *b = call->config;
	struct truth *t = &call->d->truth;
	int r = check_tenant(call);

	if (r == 0)
		r = meter_hold(t, METER_RESERVED_VCPUS, call->id, thing, NULL, (int64_t)b->vcpus,
			       call->caller->actor, &call->err);
	if (r == 0)
		r = meter_hold(t, METER_RESERVED_MEMORY, call->id, thing, NULL, (int64_t)b->mem_mib,
			       call->caller->actor, &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:I, s:I}", "tenant", call->id, "vcpus",
						 (json_int_t)b->vcpus, "mem_mib",
						 (json_int_t)b->mem_mib));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/tenants/{id}/budget",      ROLE_VIEWER, false, 200, NULL,               get_budget,
	  .what = "A tenant's budget: what is spent in this month, and what is projected." },
	{ "PUT",    "/tenants/{id}/budget",      ROLE_ADMIN,  true,  200, &budget_table,      put_budget,
	  .what = "What a tenant may spend in a month, in billionths of its plan's currency. What is open is "
		  "projected `ahead_ms` further; at the limit events tell of it (`warn`), starts are refused "
		  "(`refuse`), or all that runs is stopped, too (`stop`)." },
	{ "DELETE", "/tenants/{id}/budget",      ROLE_ADMIN,  true,  200, NULL,               delete_budget,
	  .what = "Takes the budget away." },
	{ "GET",    "/tenants/{id}/reservation", ROLE_VIEWER, false, 200, NULL,               get_reservation,
	  .what = "What a tenant has reserved." },
	{ "PUT",    "/tenants/{id}/reservation", ROLE_ADMIN,  true,  200, &reservation_table, put_reservation,
	  .what = "Reserves processors and memory, at the prices of the tenant's plan; use within it is counted "
		  "apart. 0 and 0 end it." },
};
/* clang-format on */

const struct api_area api_budgets = { "Budgets and reservations", routes,
				      sizeof(routes) / sizeof(routes[0]) };
