/* api_instances.c - routes about instances. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/size.h"
#include "supervisor/books/store.h"
#include "supervisor/books/trace.h"
#include "supervisor/device/claims.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/http/api_create.h"
#include "supervisor/http/api_life.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/attend.h"
#include "supervisor/life/console.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/life/runtime.h"
#include "supervisor/metering/reconcile.h"
#include "supervisor/network/given.h"
#include "supervisor/network/lease.h"
#include "supervisor/share/share.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

static const int64_t NS_PER_MS = 1000000;

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

/* --- bodies --- */

struct update_body {
	uint64_t generation;
	bool has_name, has_labels, has_ttl;
	char name[NAME_BYTES], labels[LABELS_BYTES];
	uint64_t ttl_s;
};

static int check_update(void *config, struct error *err)
{
	struct update_body *b = config;

	return api_check_name(b->name, err);
}

static const struct body_field update_fields[] = {
	{ .name = "generation",
	  .type = BODY_U64,
	  PLACE(update_body, generation),
	  .min = 1,
	  .max = INT64_MAX,
	  .required = true },
	{ .name = "name",
	  .type = BODY_STRING,
	  PLACE(update_body, name),
	  .min = 1,
	  .mark = offsetof(struct update_body, has_name) },
	{ .name = "labels",
	  .type = BODY_MAP,
	  PLACE(update_body, labels),
	  .mark = offsetof(struct update_body, has_labels) },
	{ .name = "ttl_s",
	  .type = BODY_U64,
	  PLACE(update_body, ttl_s),
	  .max = 315360000,
	  .mark = offsetof(struct update_body, has_ttl) },
};

static const struct body_table update_table = {
	.size = sizeof(struct update_body),
	.fields = update_fields,
	.nfields = sizeof(update_fields) / sizeof(update_fields[0]),
	.check = check_update,
};

/* Of all verbs. */
struct verb_body {
	uint64_t generation; /* 0: whatever it is */
	bool has_timeout, wipe;
	uint64_t timeout_ms;
};

static const struct body_field verb_fields[] = {
	{ .name = "generation", .type = BODY_U64, PLACE(verb_body, generation), .max = INT64_MAX },
};

static const struct body_table verb_table = {
	.size = sizeof(struct verb_body),
	.fields = verb_fields,
	.nfields = 1,
};

static const struct body_field delete_fields[] = {
	{ .name = "generation", .type = BODY_U64, PLACE(verb_body, generation), .max = INT64_MAX },
	{ .name = "wipe", .type = BODY_BOOL, PLACE(verb_body, wipe) },
};

static const struct body_table delete_table = {
	.size = sizeof(struct verb_body),
	.fields = delete_fields,
	.nfields = 2,
};

static const struct body_field stop_fields[] = {
	{ .name = "generation", .type = BODY_U64, PLACE(verb_body, generation), .max = INT64_MAX },
	{ .name = "timeout_ms",
	  .type = BODY_U64,
	  PLACE(verb_body, timeout_ms),
	  .max = 3600000,
	  .mark = offsetof(struct verb_body, has_timeout),
	  .nullable = true },
};

static const struct body_table stop_table = {
	.size = sizeof(struct verb_body),
	.fields = stop_fields,
	.nfields = 2,
};

/* --- reading --- */

static int add_one(void *ctx, const struct instance *i)
{
	return json_array_append_new(ctx, instance_summarize(i));
}

static int list(struct api_call *call)
{
	json_t *all = json_array();
	int r = instance_each(&call->d->truth, call->tenant, add_one, all, &call->err);

	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "instances", all));
}

static int get(struct api_call *call)
{
	struct incarnation last = { 0 };
	char ref[ADOPTED_REF_BYTES];
	struct instance i;
	json_t *reply, *interfaces;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r == 0)
		r = adopted_ref(&call->d->truth, &i, ref, &call->err);
	if (r == 0)
		r = instance_incarnation(&call->d->truth, &i, &last, &call->err);
	if (r < 0)
		return r;
	interfaces = lease_list(&call->d->truth, i.id, 0, &call->err);
	if (!interfaces)
		return call->err.code;
	reply = instance_describe(&i);
	if (reply) {
		json_object_set_new(
			reply, "last_exit",
			json_pack("{s:s, s:i}", "kind", last.exit_kind, "code", last.exit_code));
		json_object_set_new(reply, "engine_ref", json_string(ref));
		json_object_set_new(reply, "attended", attend_describe(call->d->attendance, i.id));
		json_object_set_new(reply, "interfaces", interfaces);
		json_object_set_new(reply, "netns",
				    given_describe(&call->d->truth, i.id, &call->err));
		json_object_set_new(reply, "shares", share_list(&call->d->truth, i.id, &call->err));
		json_object_set_new(reply, "size", size_describe(&call->d->truth, &i, &call->err));
		json_object_set_new(reply, "agent",
				    lifecycle_describe_agent(call->d->lifecycle, i.id));
		json_object_set_new(reply, "findings", reconcile_list(call->d, i.id, &call->err));
	}
	return api_reply(call, reply);
}

static int explain(struct api_call *call)
{
	struct instance i;
	json_t *record;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r < 0)
		return r;
	record = claims_explain(call->d, &i, &call->err);
	if (!record)
		return call->err.code;
	json_object_set_new(record, "placement", seats_explain(&call->d->truth, &i, &call->err));
	return api_reply(call, record);
}

static int get_logs(struct api_call *call)
{
	const char *of = call->request->query(call->request->connection, "of");
	int64_t from = 0;
	struct instance i;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r == 0)
		r = api_query_number(call, "from", 0, &from);
	if (r < 0)
		return r;
	if (of && strcmp(of, "vmm") != 0 && strcmp(of, "console") != 0)
		return error_set(&call->err, -EINVAL, "of", "console or vmm",
				 "There is no such log");
	return api_reply(call, console_read(call->d, &i, of && of[0] == 'v', from, &call->err));
}

static int get_trace(struct api_call *call)
{
	struct instance i;
	json_t *stages;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r < 0)
		return r;
	stages = trace_describe(&call->d->truth, &i, &call->err);
	return stages ? api_reply(call, json_pack("{s:o}", "stages", stages)) : call->err.code;
}

/* --- changing --- */

/* What cannot be done now is done when it is next started, or by the next wispd. */
static void follow_name(struct wispd *d, void *id)
{
	struct error err = { 0 };

	if (kind_network_rename(d, id, &err) < 0)
		log_warn("%s keeps its name in its networks: %s", (const char *)id, err.text);
}

static int update(struct api_call *call)
{
	const struct update_body *b = call->config;
	struct instance i;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r == 0)
		r = api_check_generation(call, &i, b->generation);
	if (r < 0)
		return r;
	if (b->has_name)
		snprintf(i.name, sizeof(i.name), "%s", b->name);
	if (b->has_labels)
		memcpy(i.labels, b->labels, sizeof(i.labels));
	if (b->has_ttl)
		api_set_expiry(&i, b->ttl_s);
	r = instance_update(&call->d->truth, &i, call->caller->actor, &call->err);
	if (r < 0)
		return r;
	memcpy(call->kick, i.id, sizeof(i.id));
	r = b->has_name ? api_follow(call, follow_name, i.id) : 0;
	return r < 0 ? r : api_reply(call, instance_describe(&i));
}

static int run_verb(struct api_call *call, const char *verb, enum state goal, int64_t stop_ns)
{
	const struct verb_body *b = call->config;
	struct move move = { .actor = call->caller->actor };
	const struct state_move *m;
	struct instance i;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r == 0)
		r = api_check_generation(call, &i, b->generation);
	if (r < 0)
		return r;
	m = state_find_move(i.state, verb);
	if (!m)
		return api_refuse_move(call, &i, verb);
	if (adopted(&i) && m->to == STATE_STOPPING && goal == STATE_RUNNING)
		return api_refuse_engine(call, &i);
	i.stop_boot_ns = stop_ns;
	move.cause = m->by;
	move.then_start = m->to == STATE_STOPPING && goal == STATE_RUNNING;
	r = instance_move(&call->d->truth, &i, m->to, &move, &call->err);
	return r < 0 ? r : api_answer(call, &i, verb, (int)goal);
}

/* At once, or in its turn. */
static int start(struct api_call *call)
{
	const struct verb_body *b = call->config;
	struct move move = { .actor = call->caller->actor };
	struct error why = { 0 };
	struct instance i = { 0 };
	int r = api_check_room(call);

	if (r == 0)
		r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);
	if (r == 0)
		r = api_check_generation(call, &i, b->generation);
	if (r < 0)
		return r;
	if (!state_find_move(i.state, "start"))
		return api_refuse_move(call, &i, "start");
	if (adopted(&i))
		return api_refuse_engine(call, &i);
	r = queue_decide(call->d->queue, &i, &why);
	if (r < 0) {
		call->err = why;
		return r;
	}
	move.cause = r == STATE_QUEUED ? why.text : NULL;
	r = instance_move(&call->d->truth, &i, (enum state)r, &move, &call->err);
	return r < 0 ? r : api_answer(call, &i, "start", STATE_RUNNING);
}

/* When a stop becomes a kill. */
static int64_t stop_deadline(const struct api_call *call)
{
	const struct verb_body *b = call->config;
	uint64_t ms = b->has_timeout ? b->timeout_ms : call->d->config.stop_timeout_ms;

	return ledger_boot_ns() + (int64_t)ms * NS_PER_MS;
}

static int stop(struct api_call *call)
{
	return run_verb(call, "stop", STATE_STOPPED, stop_deadline(call));
}

static int reboot_verb(struct api_call *call)
{
	return run_verb(call, "reboot", STATE_RUNNING, stop_deadline(call));
}

static int pause_verb(struct api_call *call)
{
	return run_verb(call, "pause", STATE_PAUSED, 0);
}

static int resume(struct api_call *call)
{
	return run_verb(call, "resume", STATE_RUNNING, 0);
}

static int want_wipe(struct api_call *call)
{
	struct instance i;
	int r = instance_find(&call->d->truth, call->tenant, call->id, &i, &call->err);

	if (r == 0)
		r = store_run(call->d->truth.store, &call->err,
			      "INSERT INTO wipe VALUES (?) ON CONFLICT DO NOTHING", "s", i.id);
	return r < 0 ? r : 0;
}

static int remove_verb(struct api_call *call)
{
	const struct verb_body *b = call->config;
	int r = b->wipe ? want_wipe(call) : 0;

	return r < 0 ? r : run_verb(call, "delete", STATE_DELETED, 0);
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/instances",             ROLE_VIEWER,   false, 200, NULL,          list,
	  .what = "All instances, in short." },
	{ "POST",   "/instances",             ROLE_OPERATOR, true,  202, &api_create_table, api_create,
	  .what = "Makes an instance of an image; with `start`, runs it; with `remove`, deletes it once "
		  "it has ended; with `attended`, when nobody attends it. Where there is no room to start it, it waits up to `wait_ms` in the "
		  "queue, by `priority` (0 to 9). With `engine` its VMM is to be a process of that one's." },
	{ "GET",    "/instances/{id}",        ROLE_VIEWER,   false, 200, NULL,          get,
	  .what = "One instance, by id or name: how its last VMM ended, and how its guest's agent is." },
	{ "PATCH",  "/instances/{id}",        ROLE_OPERATOR, true,  200, &update_table, update,
	  .what = "Renames, labels, or sets the time to live anew (0: for ever)." },
	{ "DELETE", "/instances/{id}",        ROLE_OPERATOR, true,  202, &delete_table, remove_verb,
	  .what = "Ends it if it runs, and removes all that it has; with `wipe`, overwrites its disk first, "
		  "reads it again, and puts a certificate into the ledger." },
	{ "POST",   "/instances/{id}/start",  ROLE_OPERATOR, true,  202, &verb_table,   start,
	  .what = "Starts it." },
	{ "POST",   "/instances/{id}/stop",   ROLE_OPERATOR, true,  202, &stop_table,   stop,
	  .what = "Asks the guest to power off, and kills it after `timeout_ms`." },
	{ "POST",   "/instances/{id}/reboot", ROLE_OPERATOR, true,  202, &stop_table,   reboot_verb,
	  .what = "Stops it so, and starts it again; what it holds it keeps." },
	{ "POST",   "/instances/{id}/pause",  ROLE_OPERATOR, true,  202, &verb_table,   pause_verb,
	  .what = "Stops its processors; it stays in memory." },
	{ "POST",   "/instances/{id}/resume", ROLE_OPERATOR, true,  202, &verb_table,   resume,
	  .what = "Lets them go on." },
	{ "GET",    "/instances/{id}/trace",  ROLE_VIEWER,   false, 200, NULL,          get_trace,
	  .what = "How long each stage of its starts took, in microseconds." },
	{ "GET",    "/instances/{id}/explain", ROLE_VIEWER,  false, 200, NULL,          explain,
	  .what = "Why it runs on what it runs on: the decision that was made when it was." },
	{ "GET",    "/instances/{id}/logs",   ROLE_VIEWER,   false, 200, NULL,          get_logs,
	  .what = "What its console has said, in parts: `next` is where to go on.",
	  .query = "`from`: a position; `of`: `console` or `vmm`" },
};
/* clang-format on */

const struct api_area api_instances = { "Instances", routes, sizeof(routes) / sizeof(routes[0]) };
