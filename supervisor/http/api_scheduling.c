/* api_scheduling.c - routes about who may start: the queue, the cordon, draining. */
#include <errno.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

static const int64_t NS_PER_MS = 1000000;

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct cordon_body {
	char reason[CORDON_BYTES];
	uint64_t timeout_ms;
	bool has_timeout;
};

static const struct body_field cordon_fields[] = {
	{ .name = "reason",
	  .type = BODY_STRING,
	  PLACE(cordon_body, reason),
	  .min = 1,
	  .required = true },
	{ .name = "timeout_ms",
	  .type = BODY_U64,
	  PLACE(cordon_body, timeout_ms),
	  .max = 3600000,
	  .mark = offsetof(struct cordon_body, has_timeout) },
};

static const struct body_table cordon_table = {
	.size = sizeof(struct cordon_body),
	.fields = cordon_fields,
	.nfields = 1,
};

static const struct body_table drain_table = {
	.size = sizeof(struct cordon_body),
	.fields = cordon_fields,
	.nfields = 2,
};

struct uncordon_body {
	bool restart;
};

static const struct body_field uncordon_fields[] = {
	{ .name = "restart", .type = BODY_BOOL, PLACE(uncordon_body, restart) },
};

static const struct body_table uncordon_table = {
	.size = sizeof(struct uncordon_body),
	.fields = uncordon_fields,
	.nfields = 1,
};

static int get(struct api_call *call)
{
	json_t *j = queue_describe(call->d->queue, call->tenant, &call->err);

	return j ? api_reply(call, j) : call->err.code;
}

static int put_cordon(struct api_call *call)
{
	const struct cordon_body *b = call->config;

	return queue_cordon(call->d->queue, b->reason, call->caller->actor, &call->err);
}

/* Those that ran before a drain wait in the queue, which begins when this is committed. */
static int delete_cordon(struct api_call *call)
{
	const struct uncordon_body *b = call->config;
	int restarted = 0;
	int r = queue_cordon(call->d->queue, NULL, call->caller->actor, &call->err);

	if (r == 0 && b->restart)
		r = restarted =
			queue_restart_drained(call->d->queue, call->caller->actor, &call->err);
	return r < 0 ? r : api_reply(call, json_pack("{s:i}", "restarted", restarted));
}

/* --- draining --- */

static int add_id(void *ctx, const struct instance *i)
{
	const struct state_move *m = state_find_move(i->state, "stop");

	if (!m || i->state == STATE_QUEUED)
		return 0;
	return json_array_append_new(ctx, json_string(i->id));
}

/* Stops one, by an operation that can be waited for. */
static int stop_one(struct api_call *call, const char *id, int64_t stop_boot_ns, json_t *operations)
{
	const struct move move = { .actor = call->caller->actor, .cause = "the host is drained" };
	char operation[OPERATION_ID_BYTES];
	struct truth *t = &call->d->truth;
	struct instance i;
	int r = instance_load(t, id, &i, &call->err);

	i.stop_boot_ns = stop_boot_ns;
	if (r == 0)
		r = queue_note_drained(call->d->queue, &i, &call->err);
	if (r == 0)
		r = instance_move(t, &i, STATE_STOPPING, &move, &call->err);
	if (r == 0)
		r = operation_begin(t, i.tenant, i.id, "drain", STATE_STOPPED, operation,
				    &call->err);
	if (r == 0)
		json_array_append_new(operations, json_pack("{s:s, s:s}", "operation", operation,
							    "instance", i.id));
	return r;
}

static void look_at_all(struct wispd *d, void *ctx)
{
	struct error err;

	(void)ctx;
	if (lifecycle_kick_all(d->lifecycle, &err) < 0)
		log_warn("not all that is to be drained was looked at: %s", err.text);
}

static int drain(struct api_call *call)
{
	const struct cordon_body *b = call->config;
	uint64_t ms = b->has_timeout ? b->timeout_ms : call->d->config.stop_timeout_ms;
	int64_t stop_boot_ns = ledger_boot_ns() + (int64_t)ms * NS_PER_MS;
	json_t *ids = json_array(), *operations = json_array(), *id;
	size_t n;
	int r = queue_cordon(call->d->queue, b->reason, call->caller->actor, &call->err);

	if (r == 0)
		r = instance_each(&call->d->truth, NULL, add_id, ids, &call->err);
	json_array_foreach(ids, n, id)
	{
		if (r == 0)
			r = stop_one(call, json_string_value(id), stop_boot_ns, operations);
	}
	json_decref(ids);
	if (r < 0) {
		json_decref(operations);
		return r;
	}
	call->after = look_at_all;
	return api_reply(call, json_pack("{s:o}", "stopping", operations));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/scheduling",        ROLE_VIEWER, false, 200, NULL,            get,
	  .what = "What the host has and holds, its cordon, and who waits for room, in order, and why." },
	{ "PUT",    "/scheduling/cordon", ROLE_ADMIN,  true,  200, &cordon_table,   put_cordon,
	  .what = "Lets nothing start any more; what may wait waits." },
	{ "DELETE", "/scheduling/cordon", ROLE_ADMIN,  true,  200, &uncordon_table, delete_cordon,
	  .what = "Lets it start again; with `restart` what a drain has stopped, too, in its turn." },
	{ "POST",   "/scheduling/drain",  ROLE_ADMIN,  true,  202, &drain_table,    drain,
	  .what = "A cordon, and all that runs is stopped, as `stop` does." },
};
/* clang-format on */

const struct api_area api_scheduling = { "Scheduling", routes, sizeof(routes) / sizeof(routes[0]) };
