/* api_changes.c - routes that make another machine of an instance that does not run.
 *
 * It keeps its id, its name, its addresses and its volumes.
 */
#include <errno.h>
#include <string.h>

#include "supervisor/http/api_areas.h"
#include "supervisor/http/api_life.h"
#include "supervisor/snapshot/snapshot.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct change_body {
	uint64_t generation;
	char image[DIGEST_BYTES], shape[NAME_BYTES];
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

static const struct body_field resize_fields[] = {
	{ .name = "generation",
	  .type = BODY_U64,
	  PLACE(change_body, generation),
	  .max = INT64_MAX },
	{ .name = "shape",
	  .type = BODY_STRING,
	  PLACE(change_body, shape),
	  .min = 1,
	  .required = true },
};

static const struct body_table resize_table = {
	.size = sizeof(struct change_body),
	.fields = resize_fields,
	.nfields = 2,
};

/* Of the path; whatever it is to become, it is not when it runs. */
static int find_idle(struct api_call *call, const char *verb, struct instance *ret)
{
	const struct change_body *b = call->config;
	int r = api_check_room(call);

	if (r == 0)
		r = instance_find(&call->d->truth, call->tenant, call->id, ret, &call->err);
	if (r == 0)
		r = api_check_generation(call, ret, b->generation);
	if (r < 0)
		return r;
	return state_find_move(ret->state, verb) ? 0 : api_refuse_move(call, ret, verb);
}

/* What it was to begin with, if it was a snapshot, goes with the rest. */
static int rebuild(struct api_call *call)
{
	const struct change_body *b = call->config;
	struct move move = { .actor = call->caller->actor, .cause = "rebuild" };
	struct truth *t = &call->d->truth;
	struct instance i = { 0 };
	int r = find_idle(call, "rebuild", &i);

	if (r == 0 && b->image[0])
		r = api_use_image(call, b->image, &i);
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

/* A guest that is to go on from a snapshot has the processors and the memory that it had. */
static int resize(struct api_call *call)
{
	const struct change_body *b = call->config;
	struct snapshot s;
	struct instance i = { 0 };
	int r = find_idle(call, "rebuild", &i);

	if (r == 0)
		r = snapshot_of_use(&call->d->truth, i.id, &s, &call->err);
	if (r > 0)
		return error_set(&call->err, -EBUSY, "shape", "start it first, or rebuild it",
				 "%s is to go on from snapshot %s", i.name, s.name);
	if (r == 0)
		r = api_use_shape(call, b->shape, &i);
	if (r == 0)
		r = instance_remake(&call->d->truth, &i, call->caller->actor, &call->err);
	return r < 0 ? r : api_reply(call, instance_describe(&i));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "POST", "/instances/{id}/rebuild", ROLE_OPERATOR, true, 202, &rebuild_table, rebuild,
	  .what = "Gives one that does not run a fresh disk, of its image or of another. What was on the old one "
		  "is lost." },
	{ "POST", "/instances/{id}/resize",  ROLE_OPERATOR, true, 200, &resize_table,  resize,
	  .what = "Gives one that does not run another shape, which its next start has; the quota is asked "
		  "then." },
};
/* clang-format on */

const struct api_area api_changes = { "Changes of instances", routes,
				      sizeof(routes) / sizeof(routes[0]) };
