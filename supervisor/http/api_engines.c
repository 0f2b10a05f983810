/* api_engines.c - routes by which an engine makes the process of a VMM (life/adopted.h), and by
 * which its own books are compared with ours (metering/engine_figures.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/http/api_areas.h"
#include "supervisor/http/api_life.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/life/runtime.h"
#include "supervisor/metering/engine_figures.h"
#include "supervisor/wispd.h"

enum { WAIT_MS = 60000 };

static const uint64_t FIGURE_MAX = UINT64_C(1) << 50;

static int find_adopted(struct api_call *call, struct instance *ret)
{
	int r = instance_find(&call->d->truth, call->tenant, call->id, ret, &call->err);

	if (r < 0 || adopted(ret))
		return r;
	return error_set(&call->err, -EPERM, "engine", "start it, or make it with \"engine\"",
			 "%s is no engine's", ret->name);
}

/* Room for it is asked for now, and not waited for: the engine has a queue of its own. */
static int launch(struct api_call *call)
{
	struct move move = { .actor = call->caller->actor };
	struct instance i = { 0 };
	int r = api_check_room(call);

	if (r == 0)
		r = find_adopted(call, &i);
	if (r < 0)
		return r;
	if (!state_find_move(i.state, "start"))
		return api_refuse_move(call, &i, "start");
	r = queue_decide(call->d->queue, &i, &call->err);
	if (r >= 0)
		r = adopted_offer(&call->d->truth, &i, call->caller->pid,
				  call->d->config.cgroup[0] != '\0', call->caller->actor,
				  &call->err);
	if (r == 0)
		r = instance_move(&call->d->truth, &i, STATE_STARTING, &move, &call->err);
	return r < 0 ? r : api_answer(call, &i, "launch", STATE_RUNNING);
}

static int reply_command(struct api_call *call, const struct instance *i)
{
	struct launch *l = calloc(1, sizeof(*l));
	struct runtime_command *command = calloc(1, sizeof(*command));
	json_t *argv = json_array();
	int r = -ENOMEM;

	if (l && command)
		r = lifecycle_load(call->d, i, l, &call->err);
	if (r == 0)
		r = l->runtime->command(l, command, &call->err);
	for (unsigned n = 0; r == 0 && n < command->count; n++)
		json_array_append_new(argv, json_string(command->argv[n]));
	free(command);
	free(l);
	if (r == 0)
		return api_reply(call, json_pack("{s:o}", "argv", argv));
	json_decref(argv);
	return r;
}

/* Not before the process is written down as what stands for the VMM, and only to that one. */
static int get_command(struct api_call *call)
{
	struct incarnation last = { 0 };
	struct instance i = { 0 };
	int r = find_adopted(call, &i);

	if (r == 0)
		r = instance_incarnation(&call->d->truth, &i, &last, &call->err);
	if (r < 0)
		return r;
	if (r > 0 && !last.ended && last.pid == call->caller->pid)
		return reply_command(call, &i);
	if (i.state != STATE_STARTING)
		return error_set(&call->err, -EPERM, "state", "wispctl explain, wispctl events",
				 "%s is %s: %s", i.name, states[i.state].name, i.cause);
	if (call->request->last)
		return error_set(&call->err, -EBUSY, NULL, "ask again",
				 "%s is not ready for a process", i.name);
	call->wait_ms = WAIT_MS;
	return 0;
}

/* --- an engine's own books --- */

#define PLACE(member)                                      \
	.offset = offsetof(struct engine_figures, member), \
	.size = sizeof(((struct engine_figures *)NULL)->member)
#define MARK(member) .mark = offsetof(struct engine_figures, member)

static const struct body_field figures_fields[] = {
	{ .name = "engine", .type = BODY_STRING, PLACE(engine), .min = 1, .required = true },
	{ .name = "ref", .type = BODY_STRING, PLACE(ref), .min = 1, .required = true },
	{ .name = "elapsed_ms",
	  .type = BODY_U64,
	  PLACE(elapsed_ms),
	  MARK(has_elapsed),
	  .max = FIGURE_MAX },
	{ .name = "cpu_us", .type = BODY_U64, PLACE(cpu_us), MARK(has_cpu), .max = FIGURE_MAX },
	{ .name = "vcpus", .type = BODY_U64, PLACE(vcpus), MARK(has_vcpus), .max = FIGURE_MAX },
	{ .name = "mem_mib", .type = BODY_U64, PLACE(mem_mib), MARK(has_mem), .max = FIGURE_MAX },
};

static const struct body_table figures_table = {
	.size = sizeof(struct engine_figures),
	.fields = figures_fields,
	.nfields = sizeof(figures_fields) / sizeof(figures_fields[0]),
};

/* An engine accounts for much that is none of ours: that is no error. */
static int compare_figures(struct api_call *call)
{
	char detail[ENGINE_DETAIL_BYTES] = "";
	struct instance i = { 0 };
	int r = engine_figures_judge(&call->d->truth, call->config, &i, detail, &call->err);

	if (r < 0)
		return r;
	return api_reply(call, json_pack("{s:s, s:s, s:s}", "instance", i.id, "name", i.name,
					 "differs", detail));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "POST", "/instances/{id}/launch",  ROLE_ADMIN, true,  202, NULL, launch,
	  .what = "Starts one that was made with `engine`. The process that asks is to become its VMM's jailer: it "
		  "asks for the command next, executes it, and must be root. Its control group is the VMM's." },
	{ "GET",  "/instances/{id}/command", ROLE_ADMIN, false, 200, NULL, get_command,
	  .what = "The command line for the process that has launched it, as soon as all else is ready." },
	{ "POST", "/reconciliations",        ROLE_ADMIN, true,  200, &figures_table, compare_figures,
	  .what = "Holds what an engine's own books say of one instance, by that engine's word for it, against ours. "
		  "What `differs` is a finding until figures come that fit; an empty `instance`: it is none of ours." },
};
/* clang-format on */

const struct api_area api_engines = { "Engines", routes, sizeof(routes) / sizeof(routes[0]) };
