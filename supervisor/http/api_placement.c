/* api_placement.c - routes about where guests run: slices, and a guest's topology. */
#include <errno.h>
#include <string.h>

#include "supervisor/books/seats.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/http/api_placement.h"
#include "supervisor/life/where.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

enum { MEMORY_MIB_MAX = 1 << 30 };

/* --- an instance's wish --- */

static const struct body_field placement_fields[] = {
	{ .name = "node",
	  .type = BODY_U64,
	  PLACE(placement_body, node),
	  .max = 1023,
	  .mark = offsetof(struct placement_body, has_node),
	  .nullable = true },
	{ .name = "profile",
	  .type = BODY_ENUM,
	  PLACE(placement_body, profile),
	  .names = place_profile_names },
	{ .name = "huge_pages",
	  .type = BODY_BOOL,
	  PLACE(placement_body, huge_pages),
	  .mark = offsetof(struct placement_body, has_huge_pages) },
};

const struct body_table placement_table = {
	.size = sizeof(struct placement_body),
	.fields = placement_fields,
	.nfields = sizeof(placement_fields) / sizeof(placement_fields[0]),
};

/* The profile for those who want to know what they have: nothing is left to a default. */
static int check_explicit(const struct placement_body *b, const char *runtime, struct error *err)
{
	if (!runtime[0])
		return error_set(
			err, -EINVAL, "runtime", "say wisp or qemu",
			"Profile latency leaves nothing to a default: no runtime is given");
	if (!b->has_node)
		return error_set(err, -EINVAL, "placement.node", "wispctl host lists them",
				 "Profile latency leaves nothing to a default: no node is given");
	if (!b->has_huge_pages || !b->huge_pages)
		return error_set(
			err, -EINVAL, "placement.huge_pages",
			"say true, and set huge pages aside on that node",
			"Profile latency has its memory in huge pages, and that is not said");
	return 0;
}

int placement_read(const struct wispd *d, const struct placement_body *b, const char *runtime,
		   struct place_wish *ret, struct error *err)
{
	int r = b->profile == PLACE_LATENCY ? check_explicit(b, runtime, err) : 0;

	*ret = (struct place_wish){
		.profile = (enum place_profile)b->profile,
		.has_node = b->has_node,
		.node = (int)b->node,
		.huge_pages = b->huge_pages,
	};
	if (r < 0 || place_is_plain(ret) || d->config.cgroup[0])
		return r;
	return error_set(err, -ENOTSUP, "placement", "set cgroup in the configuration",
			 "Without control groups nobody is kept on his processors");
}

/* --- a guest's topology --- */

static int get_topology(struct api_call *call)
{
	struct instance i;
	json_t *all;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r < 0)
		return r;
	all = where_describe(call->d, &i, &call->err);
	return all ? api_reply(call, all) : call->err.code;
}

/* --- slices --- */

struct slice_body {
	uint64_t node, memory_mib, huge_mib;
	bool has_node;
	char cpus[TOPOLOGY_LIST_BYTES];
};

static const struct body_field slice_fields[] = {
	{ .name = "cpus", .type = BODY_STRING, PLACE(slice_body, cpus) },
	{ .name = "memory_mib",
	  .type = BODY_U64,
	  PLACE(slice_body, memory_mib),
	  .max = MEMORY_MIB_MAX },
	{ .name = "huge_mib",
	  .type = BODY_U64,
	  PLACE(slice_body, huge_mib),
	  .max = MEMORY_MIB_MAX },
	{ .name = "node",
	  .type = BODY_U64,
	  PLACE(slice_body, node),
	  .max = 1023,
	  .mark = offsetof(struct slice_body, has_node),
	  .nullable = true },
};

static const struct body_table slice_table = {
	.size = sizeof(struct slice_body),
	.fields = slice_fields,
	.nfields = sizeof(slice_fields) / sizeof(slice_fields[0]),
};

static int list_slices(struct api_call *call)
{
	json_t *all = slice_list(&call->d->truth, &call->err);

	return all ? api_reply(call, json_pack("{s:o}", "slices", all)) : call->err.code;
}

static int put_slice(struct api_call *call)
{
	const struct slice_body *b = call->config;
	struct slice s = {
		.memory_mib = (int64_t)b->memory_mib,
		.huge_mib = (int64_t)b->huge_mib,
		.node = b->has_node ? (int)b->node : TOPOLOGY_ANY_NODE,
	};

	if (strlen(call->id) >= sizeof(s.name) || !instance_name_ok(call->id))
		return error_set(&call->err, -EINVAL, "name",
				 "1 to 63 lower-case letters, digits, dots and hyphens",
				 "The name cannot be used");
	if (b->cpus[0] && topology_parse(b->cpus, &s.cpus) < 0)
		return error_set(&call->err, -EINVAL, "cpus", "a list as 2-3,8",
				 "This is no list of processors");
	memcpy(s.name, call->id, strlen(call->id) + 1);
	return slice_set(&call->d->truth, &s, call->caller->actor, &call->err);
}

static int delete_slice(struct api_call *call)
{
	return slice_remove(&call->d->truth, call->id, call->caller->actor, &call->err);
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/instances/{id}/topology", ROLE_VIEWER, false, 200, NULL, get_topology,
	  .what = "What it has of the host: processors thread by thread, memory by nodes, interfaces, drives, devices, and what "
		  "was left to `defaults`." },
	{ "GET",    "/slices",      ROLE_VIEWER, false, 200, NULL,         list_slices,
	  .what = "What is set aside of the host for other engines, by their names." },
	{ "PUT",    "/slices/{id}", ROLE_ADMIN,  true,  200, &slice_table, put_slice,
	  .what = "Sets whole cores, memory, and huge pages of a node aside: nothing is placed there, and the rest is smaller by it." },
	{ "DELETE", "/slices/{id}", ROLE_ADMIN,  true,  200, NULL,         delete_slice,
	  .what = "Gives them back." },
};
/* clang-format on */

const struct api_area api_placement = { "Placement", routes, sizeof(routes) / sizeof(routes[0]) };
