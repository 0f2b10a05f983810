/* api_pools.c - routes about warm pools. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/pool/keeper.h"
#include "supervisor/wispd.h"

enum { KEEP_DEFAULT_S = 300 };

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct pool_body {
	char name[NAME_BYTES], image[DIGEST_BYTES], shape[NAME_BYTES], cmdline[CMDLINE_BYTES];
	bool host;
	uint32_t nnetworks;
	char networks[LEASES_MAX][NAME_BYTES];
	uint64_t least, most, keep_s;
	bool has_least, has_most, has_keep;
};

static const struct pool_body pool_default = {
	.shape = "small",
	.least = 1,
	.keep_s = KEEP_DEFAULT_S,
};

/* Without a most it is the least. */
static int check_size(const struct pool_body *b, struct error *err)
{
	if (!b->has_most || b->least <= b->most)
		return 0;
	return error_set(err, -EINVAL, "max", "make it as large as min at least",
			 "There cannot be %llu and no more than %llu", (unsigned long long)b->least,
			 (unsigned long long)b->most);
}

static int check_pool(void *config, struct error *err)
{
	struct pool_body *b = config;

	if (!instance_name_ok(b->name))
		return error_set(
			err, -EINVAL, "name",
			"lower-case letters, digits, dots and hyphens; a letter or digit first",
			"The name cannot be used");
	return check_size(b, err);
}

#define SIZES                                                                        \
	{ .name = "min",                                                             \
	  .type = BODY_U64,                                                          \
	  PLACE(pool_body, least),                                                   \
	  .max = POOL_SIZE_MAX,                                                      \
	  .mark = offsetof(struct pool_body, has_least) },                           \
		{ .name = "max",                                                     \
		  .type = BODY_U64,                                                  \
		  PLACE(pool_body, most),                                            \
		  .max = POOL_SIZE_MAX,                                              \
		  .mark = offsetof(struct pool_body, has_most) },                    \
	{                                                                            \
		.name = "keep_s", .type = BODY_U64, PLACE(pool_body, keep_s),        \
		.max = POOL_KEEP_S_MAX, .mark = offsetof(struct pool_body, has_keep) \
	}

static const struct body_field pool_fields[] = {
	{ .name = "name", .type = BODY_STRING, PLACE(pool_body, name), .min = 1, .required = true },
	{ .name = "image",
	  .type = BODY_STRING,
	  PLACE(pool_body, image),
	  .min = 1,
	  .required = true },
	{ .name = "shape", .type = BODY_STRING, PLACE(pool_body, shape), .min = 1 },
	{ .name = "cmdline", .type = BODY_STRING, PLACE(pool_body, cmdline) },
	{ .name = "host", .type = BODY_BOOL, PLACE(pool_body, host) },
	{ .name = "networks",
	  .type = BODY_STRINGS,
	  PLACE(pool_body, networks),
	  .mark = offsetof(struct pool_body, nnetworks),
	  .max = LEASES_MAX },
	SIZES,
};

static const struct body_table pool_table = {
	.size = sizeof(struct pool_body),
	.defaults = &pool_default,
	.fields = pool_fields,
	.nfields = sizeof(pool_fields) / sizeof(pool_fields[0]),
	.check = check_pool,
};

static const struct body_field size_fields[] = { SIZES };

static const struct body_table size_table = {
	.size = sizeof(struct pool_body),
	.fields = size_fields,
	.nfields = sizeof(size_fields) / sizeof(size_fields[0]),
};

/* --- reading --- */

struct listing {
	struct api_call *call;
	json_t *pools;
};

static int add_one(void *ctx, const struct pool *p)
{
	struct listing *l = ctx;

	return p->leaving ? 0
			  : json_array_append_new(l->pools, keeper_describe(l->call->d->keeper, p));
}

static int list(struct api_call *call)
{
	struct listing l = { .call = call, .pools = json_array() };
	int r = pool_each(&call->d->truth, call->tenant, add_one, &l, &call->err);

	if (r < 0) {
		json_decref(l.pools);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "pools", l.pools));
}

static int get(struct api_call *call)
{
	struct pool p;
	int r = pool_find(&call->d->truth, call->tenant, call->id, &p, &call->err);

	return r < 0 ? r : api_reply(call, keeper_describe(call->d->keeper, &p));
}

/* --- writing --- */

static void look(struct wispd *d, void *ctx)
{
	(void)ctx;
	keeper_wake(d->keeper);
}

static int refuse_host(struct api_call *call)
{
	return error_set(&call->err, -EACCES, NULL, "ask an admin", "This is a pool of the host's");
}

/* Networks are a tenant's, so what is in one is for nobody else. */
static int read_networks(struct api_call *call, const struct pool_body *b, struct pool *p)
{
	size_t used = 0;

	if (b->host && b->nnetworks)
		return error_set(&call->err, -EINVAL, "networks", "make it a tenant's pool",
				 "A pool for all tenants is in no network");
	for (unsigned i = 0; i < b->nnetworks; i++) {
		struct network n;
		int r = network_find(&call->d->truth, p->tenant, b->networks[i], &n, &call->err);

		if (r < 0)
			return r;
		if (!network_has_links(&n))
			return error_set(
				&call->err, -EINVAL, "networks",
				"choose one of mode bridge or routed",
				"No pool is in %s: what waits there would keep a passt each",
				n.name);
		if (n.netdev)
			return error_set(&call->err, -EINVAL, "networks",
					 "choose one of the data path system",
					 "No pool is in %s: what was saved elsewhere sends frames "
					 "that are not whole",
					 n.name);
		used += (size_t)snprintf(p->networks + used, sizeof(p->networks) - used, "%s%s",
					 i ? " " : "", n.name);
	}
	return 0;
}

static int create(struct api_call *call)
{
	const struct pool_body *b = call->config;
	struct pool p = { .least = (int64_t)b->least,
			  .most = (int64_t)(b->has_most ? b->most : b->least),
			  .keep_s = (int64_t)b->keep_s };
	struct pool_plan plan;
	int r = b->host ? 0 : api_check_tenant(call);

	if (r == 0 && b->host && call->caller->role < ROLE_ADMIN)
		return refuse_host(call);
	if (r < 0)
		return r;
	if (!b->host)
		snprintf(p.tenant, sizeof(p.tenant), "%s", call->tenant);
	memcpy(p.name, b->name, sizeof(p.name));
	memcpy(p.image, b->image, sizeof(p.image));
	memcpy(p.shape, b->shape, sizeof(p.shape));
	memcpy(p.cmdline, b->cmdline, sizeof(p.cmdline));
	r = pool_plan(&call->d->truth, &p, &plan, &call->err);
	if (r == 0)
		r = read_networks(call, b, &p);
	if (r == 0)
		r = pool_create(&call->d->truth, &p, call->caller->actor, &call->err);
	call->after = look;
	return r < 0 ? r : api_reply(call, keeper_describe(call->d->keeper, &p));
}

/* One that the caller may change: his tenant's, or an admin any. */
static int find_own(struct api_call *call, struct pool *ret)
{
	int r = pool_find(&call->d->truth, call->tenant, call->id, ret, &call->err);

	if (r == 0 && !ret->tenant[0] && call->caller->role < ROLE_ADMIN)
		return refuse_host(call);
	return r;
}

static int resize(struct api_call *call)
{
	struct pool_body b = *(struct pool_body *)call->config;
	struct pool p;
	int r = find_own(call, &p);

	if (r < 0)
		return r;
	b.least = b.has_least ? b.least : (uint64_t)p.least;
	b.most = b.has_most ? b.most : (uint64_t)p.most;
	b.has_most = true;
	r = check_size(&b, &call->err);
	if (r < 0)
		return r;
	p.least = (int64_t)b.least;
	p.most = (int64_t)b.most;
	p.keep_s = b.has_keep ? (int64_t)b.keep_s : p.keep_s;
	r = pool_resize(&call->d->truth, &p, call->caller->actor, &call->err);
	call->after = look;
	return r < 0 ? r : api_reply(call, keeper_describe(call->d->keeper, &p));
}

static int remove_pool(struct api_call *call)
{
	struct pool p;
	int r = find_own(call, &p);

	call->after = look;
	return r < 0 ? r : pool_leave(&call->d->truth, &p, call->caller->actor, &call->err);
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/pools",      ROLE_VIEWER,   false, 200, NULL,        list,
	  .what = "All pools that the tenant can use, the host's too: how many blanks are ready, being made "
		  "and wanted, how many takes got one or missed, and why there are no more." },
	{ "POST",   "/pools",      ROLE_OPERATOR, true,  201, &pool_table, create,
	  .what = "Keeps VMMs of this image, shape and command line ready: as many as were asked for in the "
		  "busiest ten seconds of the last `keep_s`, at least `min`, at most `max`; each with an "
		  "interface in each of `networks`; with `host` for all tenants, which an admin may." },
	{ "GET",    "/pools/{id}", ROLE_VIEWER,   false, 200, NULL,        get,
	  .what = "One pool, by name." },
	{ "PATCH",  "/pools/{id}", ROLE_OPERATOR, true,  200, &size_table, resize,
	  .what = "Changes how many are kept, and for how long." },
	{ "DELETE", "/pools/{id}", ROLE_OPERATOR, true,  200, NULL,        remove_pool,
	  .what = "Removes it; the blanks in it are ended, what was taken stays." },
};
/* clang-format on */

const struct api_area api_pools = { "Pools", routes, sizeof(routes) / sizeof(routes[0]) };
