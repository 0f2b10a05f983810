/* api_snapshots.c - routes about snapshots, and instances that begin with one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/operation.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/http/api_life.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/queue.h"
#include "supervisor/network/lease.h"
#include "supervisor/snapshot/save.h"
#include "supervisor/snapshot/volumes.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/wispd.h"

enum { TTL_S_MAX = 315360000, WAIT_MS_MAX = 604800000, NUMBER_BYTES = 4 /* of a fork: "-64" */ };

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct save_body {
	uint64_t generation;
	char name[NAME_BYTES], labels[LABELS_BYTES];
	bool live;
};

static const struct save_body save_default = { .labels = "{}" };

static int check_save(void *config, struct error *err)
{
	struct save_body *b = config;

	return api_check_name(b->name, err);
}

static const struct body_field save_fields[] = {
	{ .name = "generation", .type = BODY_U64, PLACE(save_body, generation), .max = INT64_MAX },
	{ .name = "name", .type = BODY_STRING, PLACE(save_body, name), .min = 1 },
	{ .name = "labels", .type = BODY_MAP, PLACE(save_body, labels) },
	{ .name = "live", .type = BODY_BOOL, PLACE(save_body, live) },
};

static const struct body_table save_table = {
	.size = sizeof(struct save_body),
	.defaults = &save_default,
	.fields = save_fields,
	.nfields = sizeof(save_fields) / sizeof(save_fields[0]),
	.check = check_save,
};

/* What a copy has of its own. */
struct copy_body {
	char name[NAME_BYTES], labels[LABELS_BYTES];
	bool remove;
	uint64_t ttl_s, priority, wait_ms;
	uint64_t generation, count; /* of a fork */
	bool live;		    /* likewise */
};

static const struct copy_body copy_default = { .labels = "{}", .count = 1 };

static int check_copy(void *config, struct error *err)
{
	struct copy_body *b = config;

	if (strlen(b->name) + NUMBER_BYTES > NAME_BYTES - 1)
		return error_set(err, -EINVAL, "name", "choose a shorter one",
				 "There is no room for a number behind the name");
	return api_check_name(b->name, err);
}

#define COPY_FIELDS                                                                                \
	{ .name = "name", .type = BODY_STRING, PLACE(copy_body, name), .min = 1 },                 \
		{ .name = "labels", .type = BODY_MAP, PLACE(copy_body, labels) },                  \
		{ .name = "remove", .type = BODY_BOOL, PLACE(copy_body, remove) },                 \
		{ .name = "ttl_s", .type = BODY_U64, PLACE(copy_body, ttl_s), .max = TTL_S_MAX },  \
		{ .name = "priority",                                                              \
		  .type = BODY_U64,                                                                \
		  PLACE(copy_body, priority),                                                      \
		  .max = QUEUE_PRIORITY_MAX },                                                     \
	{                                                                                          \
		.name = "wait_ms", .type = BODY_U64, PLACE(copy_body, wait_ms), .max = WAIT_MS_MAX \
	}

static const struct body_field restore_fields[] = { COPY_FIELDS };

static const struct body_table restore_table = {
	.size = sizeof(struct copy_body),
	.defaults = &copy_default,
	.fields = restore_fields,
	.nfields = sizeof(restore_fields) / sizeof(restore_fields[0]),
	.check = check_copy,
};

static const struct body_field fork_fields[] = {
	COPY_FIELDS,
	{ .name = "generation", .type = BODY_U64, PLACE(copy_body, generation), .max = INT64_MAX },
	{ .name = "count",
	  .type = BODY_U64,
	  PLACE(copy_body, count),
	  .min = 1,
	  .max = SNAPSHOT_FORKS_MAX },
	{ .name = "live", .type = BODY_BOOL, PLACE(copy_body, live) },
};

static const struct body_table fork_table = {
	.size = sizeof(struct copy_body),
	.defaults = &copy_default,
	.fields = fork_fields,
	.nfields = sizeof(fork_fields) / sizeof(fork_fields[0]),
	.check = check_copy,
};

struct rollback_body {
	uint64_t generation;
	char snapshot[NAME_BYTES];
};

static const struct body_field rollback_fields[] = {
	{ .name = "generation",
	  .type = BODY_U64,
	  PLACE(rollback_body, generation),
	  .max = INT64_MAX },
	{ .name = "snapshot",
	  .type = BODY_STRING,
	  PLACE(rollback_body, snapshot),
	  .min = 1,
	  .required = true },
};

static const struct body_table rollback_table = {
	.size = sizeof(struct rollback_body),
	.fields = rollback_fields,
	.nfields = 2,
};

/* --- reading --- */

static int add_one(void *ctx, const struct snapshot *s)
{
	return json_array_append_new(ctx, snapshot_describe(s));
}

static int list(struct api_call *call)
{
	json_t *all = json_array();
	int r = snapshot_each(&call->d->truth, call->tenant, add_one, all, &call->err);

	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "snapshots", all));
}

static int get(struct api_call *call)
{
	struct snapshot s;
	int r = snapshot_find(&call->d->truth, call->tenant, call->id, &s, &call->err);
	json_t *j;

	if (r < 0)
		return r;
	j = snapshot_describe(&s);
	json_object_set_new(j, "volumes", snapshot_volumes_describe(&call->d->truth, s.id));
	return api_reply(call, j);
}

/* --- saving --- */

/* Its end is the snapshot's. */
static int begin_save(struct api_call *call, struct instance *i, struct snapshot *s, bool live)
{
	const char *verb = live ? "live snapshot" : "snapshot";

	if (!state_find_move(i->state, verb))
		return api_refuse_move(call, i, verb);
	memcpy(call->kick, i->id, sizeof(i->id));
	return snapshot_begin(call->d, i, s, live, call->caller->actor, &call->err);
}

/* Of the path, with this generation. */
static int find_source(struct api_call *call, uint64_t generation, struct instance *ret)
{
	int r = api_check_room(call);

	if (r == 0)
		r = instance_find(&call->d->truth, call->tenant, call->id, ret, &call->err);
	return r < 0 ? r : api_check_generation(call, ret, generation);
}

static int begin_operation(struct api_call *call, const struct snapshot *s, const char *verb,
			   enum snapshot_state goal, char id[OPERATION_ID_BYTES])
{
	return operation_begin(&call->d->truth, s->tenant, s->id, verb, (int)goal, id, &call->err);
}

static int save(struct api_call *call)
{
	const struct save_body *b = call->config;
	char id[OPERATION_ID_BYTES];
	struct snapshot s = { 0 };
	struct instance i = { 0 };
	int r = find_source(call, b->generation, &i);

	memcpy(s.name, b->name, sizeof(s.name));
	memcpy(s.labels, b->labels, sizeof(s.labels));
	if (r == 0)
		r = begin_save(call, &i, &s, b->live);
	if (r == 0)
		r = begin_operation(call, &s, "snapshot", SNAPSHOT_READY, id);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:s, s:o}", "operation", id, "snapshot",
						 snapshot_describe(&s)));
}

static int remove_snapshot(struct api_call *call)
{
	char id[OPERATION_ID_BYTES];
	struct snapshot s = { 0 };
	int r = snapshot_find(&call->d->truth, call->tenant, call->id, &s, &call->err);

	if (r == 0)
		r = snapshot_remove(&call->d->truth, &s, &call->err);
	if (r == 0)
		r = begin_operation(call, &s, "remove", SNAPSHOT_GONE, id);
	if (r < 0)
		return r;
	call->after = snapshots_look;
	return api_reply(
		call, json_pack("{s:s, s:o}", "operation", id, "snapshot", snapshot_describe(&s)));
}

/* --- copies --- */

static void describe_copy(const struct copy_body *b, const struct snapshot *s, struct instance *i)
{
	*i = (struct instance){
		.shape_version = s->shape_version,
		.vcpus = s->vcpus,
		.mem_mib = s->mem_mib,
		.start_wanted = true,
		.remove_wanted = b->remove,
		.priority = (int64_t)b->priority,
		.wait_ms = (int64_t)b->wait_ms,
		.runtime = "wisp",
		.owner_engine = INSTANCE_OWN_ENGINE,
	};
	memcpy(i->tenant, s->tenant, sizeof(i->tenant));
	memcpy(i->image, s->image, sizeof(i->image));
	memcpy(i->shape, s->shape, sizeof(i->shape));
	memcpy(i->cmdline, s->cmdline, sizeof(i->cmdline));
	memcpy(i->labels, b->labels, sizeof(i->labels));
	api_set_expiry(i, b->ttl_s);
}

/* Interfaces in the networks that the saved one was in, with addresses of its own. */
static int take_leases(struct api_call *call, const struct snapshot *s, const struct instance *i)
{
	struct lease_request *q = calloc(LEASES_MAX, sizeof(*q));
	json_t *list = json_loads(s->interfaces, 0, NULL);
	unsigned count = (unsigned)json_array_size(list);
	int r = q && list && count <= LEASES_MAX ? 0 : -ENOMEM;

	if (r < 0)
		error_set(&call->err, r, NULL, NULL, "out of memory");
	for (unsigned n = 0; n < count && r >= 0; n++)
		r = body_read(&api_interface_table, json_array_get(list, n), 0, &q[n], &call->err);
	if (r >= 0)
		r = lease_take(&call->d->truth, i, q, count, &call->err);
	json_decref(list);
	free(q);
	return r;
}

/* An instance that goes on from the snapshot, and an operation that ends when it does. */
static int make_copy(struct api_call *call, const struct snapshot *s, const char *verb,
		     struct instance *i, char operation[OPERATION_ID_BYTES])
{
	struct truth *t = &call->d->truth;
	int r = api_admit(call, i);

	if (r == 0)
		r = instance_create(t, i, call->caller->actor, &call->err);
	if (r == 0)
		r = kinds_reserve(call->d, i, &call->err);
	if (r == 0)
		r = take_leases(call, s, i);
	if (r == 0)
		r = snapshot_volumes_give(call->d, s, i, call->caller->actor, &call->err);
	if (r == 0 && s->hotplug)
		r = api_let_plug(call, i);
	if (r == 0 && s->disk_mib)
		r = api_set_disk(call, i, s->disk_mib);
	if (r == 0)
		r = snapshot_use(t, s->id, i->id, &call->err);
	return r < 0 ? r
		     : operation_begin(t, i->tenant, i->id, verb, STATE_RUNNING, operation,
				       &call->err);
}

static int restore(struct api_call *call)
{
	const struct copy_body *b = call->config;
	char id[OPERATION_ID_BYTES];
	struct snapshot s = { 0 };
	struct instance i;
	int r = api_check_room(call);

	if (r == 0)
		r = snapshot_find(&call->d->truth, call->tenant, call->id, &s, &call->err);
	if (r == 0 && s.state != SNAPSHOT_READY)
		r = error_set(&call->err, -EBUSY, "snapshot", "wait for its operation",
			      "Snapshot %s is not ready", s.name);
	if (r < 0)
		return r;
	describe_copy(b, &s, &i);
	memcpy(i.name, b->name, sizeof(i.name));
	r = make_copy(call, &s, "restore", &i, id);
	if (r < 0)
		return r;
	memcpy(call->kick, i.id, sizeof(i.id));
	return api_reply(
		call, json_pack("{s:s, s:o}", "operation", id, "instance", instance_describe(&i)));
}

/* The copies wait in "creating" for the snapshot that the source is saved to. */
static int make_copies(struct api_call *call, const struct snapshot *s, json_t *operations,
		       json_t *instances)
{
	const struct copy_body *b = call->config;
	char id[OPERATION_ID_BYTES];
	struct instance i;
	int r = 0;

	for (unsigned n = 1; n <= b->count && r == 0; n++) {
		describe_copy(b, s, &i);
		if (b->name[0])
			snprintf(i.name, sizeof(i.name), "%.*s-%u", NAME_BYTES - 1 - NUMBER_BYTES,
				 b->name, n);
		r = make_copy(call, s, "fork", &i, id);
		if (r == 0) {
			json_array_append_new(operations, json_string(id));
			json_array_append_new(instances, instance_summarize(&i));
		}
	}
	return r;
}

static int fork_verb(struct api_call *call)
{
	const struct copy_body *b = call->config;
	json_t *operations = json_array(), *instances = json_array();
	struct snapshot s = { .passing = true, .labels = "{}" };
	struct instance source = { 0 };
	int r = find_source(call, b->generation, &source);

	if (r == 0)
		r = begin_save(call, &source, &s, b->live);
	if (r == 0)
		r = make_copies(call, &s, operations, instances);
	if (r == 0)
		return api_reply(call,
				 json_pack("{s:o, s:o, s:o}", "operations", operations, "instances",
					   instances, "snapshot", snapshot_describe(&s)));
	json_decref(operations);
	json_decref(instances);
	return r;
}

/* --- back --- */

/* They outlive instances, and what is on them now may be wanted. */
static int refuse_volumes(struct api_call *call, const struct instance *i, const struct snapshot *s)
{
	struct volume volumes[VOLUMES_MAX];
	int count = snapshot_volumes_load(&call->d->truth, s->id, volumes, &call->err);

	if (count == 0)
		count = volume_load(&call->d->truth, i->id, volumes, &call->err);
	if (count <= 0)
		return count;
	return error_set(&call->err, -EBUSY, "volumes", "restore it: a new instance, with copies",
			 "%s would lose what was written to volume %s since", i->name,
			 volumes[0].name);
}

/* The guest would find another machine than it was saved on. */
static int check_same(struct api_call *call, const struct instance *i, const struct snapshot *s)
{
	int r;

	if (strcmp(s->instance, i->id) != 0)
		return error_set(&call->err, -EINVAL, "snapshot", "restore it: a new instance",
				 "Snapshot %s is another instance's", s->name);
	if (s->state != SNAPSHOT_READY)
		return error_set(&call->err, -EBUSY, "snapshot", "wait for its operation",
				 "Snapshot %s is not ready", s->name);
	if (strcmp(s->image, i->image) != 0 || s->vcpus != i->vcpus || s->mem_mib != i->mem_mib)
		return error_set(&call->err, -EINVAL, "snapshot",
				 "restore it, or resize and rebuild the instance as it was",
				 "%s has another image or shape than when it was saved", i->name);
	r = snapshot_check_saveable(call->d, i, &call->err);
	return r < 0 ? r : refuse_volumes(call, i, s);
}

static int rollback(struct api_call *call)
{
	const struct rollback_body *b = call->config;
	struct move move = { .actor = call->caller->actor, .cause = "rollback" };
	struct snapshot s = { 0 };
	struct instance i = { 0 };
	int r = find_source(call, b->generation, &i);

	if (r == 0)
		r = snapshot_find(&call->d->truth, i.tenant, b->snapshot, &s, &call->err);
	if (r < 0)
		return r;
	if (!state_find_move(i.state, "rollback"))
		return api_refuse_move(call, &i, "rollback");
	r = check_same(call, &i, &s);
	if (r == 0)
		r = snapshot_use(&call->d->truth, s.id, i.id, &call->err);
	if (r == 0)
		r = instance_move(&call->d->truth, &i, STATE_CREATING, &move, &call->err);
	return r < 0 ? r : api_answer(call, &i, "rollback", STATE_CREATED);
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/snapshots",                ROLE_VIEWER,   false, 200, NULL,           list,
	  .what = "All snapshots of the tenant." },
	{ "GET",    "/snapshots/{id}",           ROLE_VIEWER,   false, 200, NULL,           get,
	  .what = "One snapshot, by name or id." },
	{ "DELETE", "/snapshots/{id}",           ROLE_OPERATOR, true,  202, NULL,           remove_snapshot,
	  .what = "Removes one that no instance is just being made of." },
	{ "POST",   "/snapshots/{id}/restore",   ROLE_OPERATOR, true,  202, &restore_table, restore,
	  .what = "Makes a new instance that goes on from there, with its own disk, addresses and name, and "
		  "volumes of its own for those that it could write to." },
	{ "POST",   "/instances/{id}/snapshot",  ROLE_OPERATOR, true,  202, &save_table,    save,
	  .what = "Saves one that runs or is paused: its memory, its processors, its disk, and volumes that "
		  "it can write to. It stands still meanwhile; with `live` one that runs does so only while "
		  "disks are copied." },
	{ "POST",   "/instances/{id}/rollback",  ROLE_OPERATOR, true,  202, &rollback_table, rollback,
	  .what = "Gives one that does not run the disk of a snapshot of it; its next start goes on from "
		  "there." },
	{ "POST",   "/instances/{id}/fork",      ROLE_OPERATOR, true,  202, &fork_table,    fork_verb,
	  .what = "Makes `count` more instances of one that runs, which go on from where it is. With a "
		  "`name` they are called NAME-1, NAME-2, ...; each has an operation to wait for. `live`: as of "
		  "a snapshot." },
};
/* clang-format on */

const struct api_area api_snapshots = { "Snapshots", routes, sizeof(routes) / sizeof(routes[0]) };
