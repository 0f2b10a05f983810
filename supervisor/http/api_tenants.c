/* api_tenants.c - routes about tenants, their quotas, and shapes. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/board.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct tenant_body {
	struct {
		uint64_t most;
		bool given;
	} quota[RESOURCES_COUNT];
	uint64_t weight;
};

static const struct tenant_body tenant_default = { .weight = 100 };

#define QUOTA(text, resource)                                                                \
	{                                                                                    \
		.name = (text), .type = BODY_U64, PLACE(tenant_body, quota[resource].most),  \
		.mark = offsetof(struct tenant_body, quota[resource].given), .max = 1 << 30, \
		.nullable = true                                                             \
	}

static const struct body_field tenant_fields[] = {
	QUOTA("instances", RESOURCE_INSTANCES),
	QUOTA("vcpus", RESOURCE_VCPUS),
	QUOTA("memory_mib", RESOURCE_MEMORY_MIB),
	{ .name = "weight", .type = BODY_U64, PLACE(tenant_body, weight), .min = 1, .max = 10000 },
	QUOTA("addresses", RESOURCE_ADDRESSES),
	QUOTA("disk_mib", RESOURCE_DISK_MIB),
};

static const struct body_table tenant_table = {
	.size = sizeof(struct tenant_body),
	.defaults = &tenant_default,
	.fields = tenant_fields,
	.nfields = sizeof(tenant_fields) / sizeof(tenant_fields[0]),
};

struct shape_body {
	uint64_t vcpus, mem_mib, mem_max_mib;
};

static int check_shape(void *config, struct error *err)
{
	const struct shape_body *b = config;

	if (!b->mem_max_mib || b->mem_max_mib >= b->mem_mib)
		return 0;
	return error_set(err, -EINVAL, "mem_max_mib", "leave it out for memory that never changes",
			 "A guest begins with no more memory than it can have");
}

static const struct body_field shape_fields[] = {
	{ .name = "vcpus",
	  .type = BODY_U64,
	  PLACE(shape_body, vcpus),
	  .min = 1,
	  .max = BOARD_VCPUS_MAX,
	  .required = true },
	{ .name = "mem_mib",
	  .type = BODY_U64,
	  PLACE(shape_body, mem_mib),
	  .min = 1,
	  .max = 1 << 20,
	  .required = true },
	{ .name = "mem_max_mib", .type = BODY_U64, PLACE(shape_body, mem_max_mib), .max = 1 << 20 },
};

static const struct body_table shape_table = {
	.size = sizeof(struct shape_body),
	.fields = shape_fields,
	.nfields = sizeof(shape_fields) / sizeof(shape_fields[0]),
	.check = check_shape,
};

static int check_name(struct api_call *call)
{
	if (strlen(call->id) < NAME_BYTES && instance_name_ok(call->id))
		return 0;
	return error_set(&call->err, -EINVAL, "name",
			 "1 to 63 lower-case letters, digits, dots and hyphens",
			 "The name cannot be used");
}

static int tell(struct api_call *call, const char *type, json_t *body, int64_t *seq)
{
	struct ledger_event e = { .type = type, .actor = call->caller->actor, .body = body };
	int r = body ? ledger_append(call->d->truth.ledger, &e, seq, &call->err)
		     : error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

/* --- tenants --- */

static json_t *describe_quota(struct api_call *call, const char *tenant)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < RESOURCES_COUNT; i++) {
		int64_t used = 0, most = -1;

		if (quota_get(&call->d->truth, tenant, i, &used, &most, &call->err) < 0) {
			json_decref(all);
			return NULL;
		}
		json_object_set_new(all, resource_names[i],
				    json_pack("{s:I, s:o}", "used", (json_int_t)used, "most",
					      most < 0 ? json_null() : json_integer(most)));
	}
	return all;
}

static int put_tenant(struct api_call *call)
{
	const struct tenant_body *b = call->config;
	json_t *body = json_pack("{s:s, s:I}", "name", call->id, "weight", (json_int_t)b->weight);
	int64_t seq = 0;
	int r = check_name(call);

	for (unsigned i = 0; i < RESOURCES_COUNT; i++)
		if (b->quota[i].given)
			json_object_set_new(body, resource_names[i],
					    json_integer((json_int_t)b->quota[i].most));
	if (r < 0)
		json_decref(body);
	else
		r = tell(call, "tenant.set", body, &seq);
	if (r == 0)
		r = store_run(call->d->truth.store, &call->err,
			      "INSERT INTO tenant (name, created_seq, weight) VALUES (?, ?, ?)"
			      " ON CONFLICT DO UPDATE SET weight = excluded.weight",
			      "sii", call->id, seq, (int64_t)b->weight);
	for (unsigned i = 0; i < RESOURCES_COUNT && r >= 0; i++)
		r = quota_set_limit(&call->d->truth, call->id, i,
				    b->quota[i].given ? (int64_t)b->quota[i].most : -1, &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:o}", "name", call->id, "quota",
						 describe_quota(call, call->id)));
}

/* A tenant sees himself, an admin all. */
static int list_tenants(struct api_call *call)
{
	json_t *names = json_array(), *all = json_array(), *name;
	struct rows rows;
	size_t at;
	int r = store_select(call->d->truth.store, &rows, &call->err,
			     "SELECT name FROM tenant WHERE ifnull(?1, name) = name ORDER BY name",
			     "s", call->tenant);

	while (r >= 0 && (r = rows_next(&rows, &call->err)) > 0)
		json_array_append_new(names, json_string(rows_string(&rows, 0)));
	if (r >= 0)
		rows_end(&rows);
	json_array_foreach(names, at, name)
	{
		json_t *quota = describe_quota(call, json_string_value(name));

		json_array_append_new(all, json_pack("{s:O, s:o*}", "name", name, "quota", quota));
	}
	json_decref(names);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "tenants", all));
}

/* --- shapes --- */

/* What a shape was stays: a change is a new version, and instances name theirs. */
static int put_shape(struct api_call *call)
{
	const struct shape_body *b = call->config;
	int64_t version = 0;
	int r = check_name(call);

	if (r == 0)
		r = store_number(call->d->truth.store, &version, &call->err,
				 "SELECT ifnull(max(version), 0) + 1 FROM shape WHERE name = ?",
				 "s", call->id);
	if (r == 0)
		r = tell(call, "shape.set",
			 json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", call->id, "version",
				   (json_int_t)version, "vcpus", (json_int_t)b->vcpus, "mem_mib",
				   (json_int_t)b->mem_mib, "mem_max_mib",
				   (json_int_t)b->mem_max_mib),
			 NULL);
	if (r == 0)
		r = store_run(call->d->truth.store, &call->err,
			      "INSERT INTO shape VALUES (?, ?, ?, ?, ?)", "siiii", call->id,
			      version, (int64_t)b->vcpus, (int64_t)b->mem_mib,
			      (int64_t)b->mem_max_mib);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:I}", "name", call->id, "version",
						 (json_int_t)version));
}

static int list_shapes(struct api_call *call)
{
	json_t *all = json_array();
	struct rows rows;
	int r = store_select(call->d->truth.store, &rows, &call->err,
			     "SELECT name, max(version), vcpus, mem_mib, mem_max_mib FROM shape"
			     " GROUP BY name ORDER BY mem_mib, name",
			     "");

	while (r >= 0 && (r = rows_next(&rows, &call->err)) > 0)
		json_array_append_new(all, json_pack("{s:s, s:I, s:I, s:I, s:I}", "name",
						     rows_string(&rows, 0), "version",
						     (json_int_t)rows_int(&rows, 1), "vcpus",
						     (json_int_t)rows_int(&rows, 2), "mem_mib",
						     (json_int_t)rows_int(&rows, 3), "mem_max_mib",
						     (json_int_t)rows_int(&rows, 4)));
	if (r >= 0)
		rows_end(&rows);
	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "shapes", all));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET", "/tenants",      ROLE_VIEWER, false, 200, NULL,          list_tenants,
	  .what = "Tenants, with what they hold and what they may." },
	{ "PUT", "/tenants/{id}", ROLE_ADMIN,  true,  200, &tenant_table, put_tenant,
	  .what = "Makes a tenant, or sets his quota anew; what is not given is not limited. "
		  "Of two tenants whose instances wait, the one that holds less for its `weight` "
		  "goes first." },
	{ "GET", "/shapes",       ROLE_VIEWER, false, 200, NULL,          list_shapes,
	  .what = "The latest version of each shape." },
	{ "PUT", "/shapes/{id}",  ROLE_ADMIN,  true,  200, &shape_table,  put_shape,
	  .what = "A new version of a shape; instances keep theirs. With `mem_max_mib` the memory of one that "
		  "runs can change: it begins with `mem_mib`, and has at most so much." },
};
/* clang-format on */

const struct api_area api_tenants = { "Tenants and shapes", routes,
				      sizeof(routes) / sizeof(routes[0]) };
