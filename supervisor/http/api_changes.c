/* api_changes.c - routes that make another machine of an instance.
 *
 * It keeps its id, its name, its addresses and its volumes.
 */
#include <errno.h>
#include <string.h>

#include "supervisor/books/operation.h"
#include "supervisor/books/size.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/http/api_life.h"
#include "supervisor/life/board.h"
#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/snapshot.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/volume/disk.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

enum { MIB_MAX = 1 << 24, TIMEOUT_MS_MAX = 3600000 };

struct change_body {
	uint64_t generation;
	char image[DIGEST_BYTES];
};

static const struct body_field rebuild_fields[] = {
	{ .name = "generation",
	  .type = BODY_U64,
	  PLACE(change_body, generation),
	  .max = INT64_MAX },
	{ .name = "image", .type = BODY_STRING, PLACE(change_body, image), .min = 1 },
};

static const struct body_table rebuild_table = {
	.size = sizeof(struct change_body),
	.fields = rebuild_fields,
	.nfields = 2,
};

struct resize_body {
	uint64_t generation;
	char shape[NAME_BYTES];
	uint64_t mem_mib, disk_mib, timeout_ms;
};

static const struct resize_body resize_default = { .timeout_ms = 60000 };

static int check_resize(void *config, struct error *err)
{
	const struct resize_body *b = config;

	if ((b->shape[0] != 0) + (b->mem_mib != 0) + (b->disk_mib != 0) == 1)
		return 0;
	return error_set(err, -EINVAL, NULL, "say shape, mem_mib or disk_mib",
			 "One thing is changed at a time");
}

static const struct body_field resize_fields[] = {
	{ .name = "generation",
	  .type = BODY_U64,
	  PLACE(resize_body, generation),
	  .max = INT64_MAX },
	{ .name = "shape", .type = BODY_STRING, PLACE(resize_body, shape), .min = 1 },
	{ .name = "mem_mib", .type = BODY_U64, PLACE(resize_body, mem_mib), .max = MIB_MAX },
	{ .name = "disk_mib", .type = BODY_U64, PLACE(resize_body, disk_mib), .max = MIB_MAX },
	{ .name = "timeout_ms",
	  .type = BODY_U64,
	  PLACE(resize_body, timeout_ms),
	  .max = TIMEOUT_MS_MAX },
};

static const struct body_table resize_table = {
	.size = sizeof(struct resize_body),
	.defaults = &resize_default,
	.fields = resize_fields,
	.nfields = sizeof(resize_fields) / sizeof(resize_fields[0]),
	.check = check_resize,
};

/* Of the path. */
static int find(struct api_call *call, uint64_t generation, struct instance *ret)
{
	int r = api_check_room(call);

	if (r == 0)
		r = instance_find(&call->d->truth, call->tenant, call->id, ret, &call->err);
	return r < 0 ? r : api_check_generation(call, ret, generation);
}

/* Whether its runtime can run what it is to become. */
static int check_board(struct api_call *call, const struct instance *i)
{
	struct board b;
	int r = board_find(&call->d->truth, i, &b, &call->err);

	return r < 0 ? r : board_check(i, &b, &call->err);
}

/* What it was to begin with, if it was a snapshot, goes with the rest. */
static int rebuild(struct api_call *call)
{
	const struct change_body *b = call->config;
	struct move move = { .actor = call->caller->actor, .cause = "rebuild" };
	struct truth *t = &call->d->truth;
	struct instance i = { 0 };
	int r = find(call, b->generation, &i);

	if (r == 0 && !state_find_move(i.state, "rebuild"))
		r = api_refuse_move(call, &i, "rebuild");
	if (r == 0 && b->image[0])
		r = api_use_image(call, b->image, &i);
	if (r == 0)
		r = check_board(call, &i);
	if (r == 0 && b->image[0])
		r = instance_remake(t, &i, call->caller->actor, &call->err);
	if (r == 0)
		r = snapshot_drop(t, i.id, &call->err);
	if (r >= 0)
		r = instance_move(t, &i, STATE_CREATING, &move, &call->err);
	if (r < 0)
		return r;
	call->after = snapshots_look;
	return api_answer(call, &i, "rebuild", STATE_CREATED);
}

/* --- resize --- */

static bool is_idle(const struct instance *i)
{
	return state_find_move(i->state, "rebuild") != NULL;
}

static int reply_with(struct api_call *call, const struct instance *i)
{
	return api_reply(call, json_pack("{s:o}", "instance", instance_describe(i)));
}

/* Another machine at its next start. A guest that is to go on from a snapshot has the
 * processors and the memory that it had. */
static int remake(struct api_call *call, struct instance *i)
{
	struct snapshot s;
	int r = snapshot_of_use(&call->d->truth, i->id, &s, &call->err);

	if (r > 0)
		return error_set(&call->err, -EBUSY, NULL, "start it first, or rebuild it",
				 "%s is to go on from snapshot %s", i->name, s.name);
	if (r == 0)
		r = instance_remake(&call->d->truth, i, call->caller->actor, &call->err);
	return r < 0 ? r : reply_with(call, i);
}

static int resize_shape(struct api_call *call, struct instance *i)
{
	const struct resize_body *b = call->config;
	int r = is_idle(i) ? api_use_shape(call, b->shape, i) : api_refuse_move(call, i, "rebuild");

	if (r == 0)
		r = check_board(call, i);
	return r < 0 ? r : remake(call, i);
}

/* Of one that runs: the row says what is being done, the operation when it is over. */
static int begin(struct api_call *call, struct instance *i, struct resize *q)
{
	const struct move move = { .actor = call->caller->actor };
	const struct resize_body *b = call->config;
	struct truth *t = &call->d->truth;
	int r = 0;

	if (!state_find_move(i->state, "resize"))
		return api_refuse_move(call, i, "resize");
	q->timeout_ms = (int64_t)b->timeout_ms;
	/* No state is its goal: it ends with the row. */
	r = operation_begin(t, i->tenant, i->id, "resize", STATE_RESIZING, q->operation,
			    &call->err);
	if (r == 0)
		r = size_begin(t, i, q, call->caller->actor, &call->err);
	if (r == 0)
		r = instance_move(t, i, STATE_RESIZING, &move, &call->err);
	if (r < 0)
		return r;
	memcpy(call->kick, i->id, sizeof(i->id));
	return api_reply(call, json_pack("{s:s, s:o}", "operation", q->operation, "instance",
					 instance_describe(i)));
}

static int check_memory(struct api_call *call, const struct instance *i)
{
	const struct resize_body *b = call->config;
	const struct runtime *runtime = runtime_find(i->runtime);
	int64_t max = 0;
	int r = size_memory_max(&call->d->truth, i, &max, &call->err);

	if (r < 0)
		return r;
	if (!max || (!is_idle(i) && (!runtime || !runtime->set_memory)))
		return error_set(&call->err, -ENOTSUP, "mem_mib",
				 "resize it to another shape; or use one with mem_max_mib, of "
				 "which wisp runs instances with profile shared",
				 "The memory of %s is its shape's", i->name);
	if ((int64_t)b->mem_mib > max)
		return error_set(&call->err, -ERANGE, "mem_mib", "use a larger shape",
				 "Shape %s has at most %lld MiB", i->shape, (long long)max);
	return 0;
}

static int resize_memory(struct api_call *call, struct instance *i)
{
	const struct resize_body *b = call->config;
	struct resize q = { .mem_from_mib = i->mem_mib, .mem_mib = (int64_t)b->mem_mib };
	int r = check_memory(call, i);

	if (r < 0)
		return r;
	if (!is_idle(i))
		return begin(call, i, &q);
	i->mem_mib = q.mem_mib;
	return remake(call, i);
}

/* One that does not run has it at its next start. */
static int resize_disk(struct api_call *call, struct instance *i)
{
	const struct resize_body *b = call->config;
	const struct runtime *runtime = runtime_find(i->runtime);
	struct resize q = { .disk_mib = (int64_t)b->disk_mib };
	struct truth *t = &call->d->truth;
	int64_t now_mib = 0, image_mib = 0;
	int r = api_find_disk(call, i, &now_mib, &image_mib);

	if (r < 0)
		return r;
	if (q.disk_mib <= now_mib)
		return error_set(&call->err, -EINVAL, "disk_mib", "a disk does not become smaller",
				 "The disk of %s has %lld MiB", i->name, (long long)now_mib);
	if (!is_idle(i) && (!runtime || !runtime->refresh_drive))
		return error_set(&call->err, -ENOTSUP, "disk_mib", "stop it first",
				 "%s does not hear that a disk has grown", i->runtime);
	r = disk_check_room(&call->d->config, q.disk_mib - now_mib, &call->err);
	if (r == 0)
		r = size_disk(t, i->id, &q.disk_from_mib, &call->err);
	if (r == 0)
		r = size_set_disk(t, i, q.disk_mib, image_mib, &call->err);
	if (r == 0 && !is_idle(i))
		return begin(call, i, &q);
	if (r == 0)
		r = size_tell(t, i, NULL, call->caller->actor, &call->err);
	return r < 0 ? r : reply_with(call, i);
}

static int resize(struct api_call *call)
{
	const struct resize_body *b = call->config;
	struct instance i = { 0 };
	int r = find(call, b->generation, &i);

	if (r < 0)
		return r;
	if (b->shape[0])
		return resize_shape(call, &i);
	return b->mem_mib ? resize_memory(call, &i) : resize_disk(call, &i);
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "POST", "/instances/{id}/rebuild", ROLE_OPERATOR, true, 202, &rebuild_table, rebuild,
	  .what = "Gives one that does not run a fresh disk, of its image or of another. What was on the old one "
		  "is lost." },
	{ "POST", "/instances/{id}/resize",  ROLE_OPERATOR, true, 202, &resize_table,  resize,
	  .what = "Gives it memory (`mem_mib`, up to the shape's `mem_max_mib`) or takes some back; a larger root "
		  "disk (`disk_mib`); or another `shape`. One that runs gets the first two as it runs, "
		  "and there is an operation to wait for; its guest has `timeout_ms`, and what it does "
		  "not do is undone. One that does not run has all of them at its next start." },
};
/* clang-format on */

const struct api_area api_changes = { "Changes of instances", routes,
				      sizeof(routes) / sizeof(routes[0]) };
