/* command_scheduling.c - wispctl's commands about the queue, the cordon, draining. */
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/cli/cli.h"

static int queue(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const columns[] = { "position",  "name",    "tenant",
					       "vcpus",	    "mem_mib", "priority",
					       "waited_ms", "why",     NULL };

	(void)a;
	return cli_list(cli, "/scheduling", "waiting", columns);
}

static int cordon(struct cli *cli, const struct cli_arguments *a)
{
	return cli_call(cli, "PUT", "/scheduling/cordon",
			json_pack("{s:s}", "reason", a->operand[0]), NULL);
}

enum { UNCORDON_RESTART };

static const struct cli_option uncordon_options[] = {
	[UNCORDON_RESTART] = { "restart", NULL, "and start again what a drain has stopped" },
	{ 0 },
};

static int uncordon(struct cli *cli, const struct cli_arguments *a)
{
	return cli_call(cli, "DELETE", "/scheduling/cordon",
			json_pack("{s:b}", "restart", a->option[UNCORDON_RESTART] != NULL), NULL);
}

enum { DRAIN_TIMEOUT };

static const struct cli_option drain_options[] = {
	[DRAIN_TIMEOUT] = { "timeout", "SECONDS",
			    "how long they have to power off before they are killed" },
	{ 0 },
};

static int drain(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_pack("{s:s}", "reason", a->operand[0]), *reply = NULL, *one;
	const char *timeout = a->option[DRAIN_TIMEOUT];
	size_t n;
	int status;

	if (timeout)
		json_object_set_new(body, "timeout_ms",
				    json_integer(strtoll(timeout, NULL, 10) * 1000));
	status = cli_call(cli, "POST", "/scheduling/drain", body, &reply);
	json_array_foreach(json_object_get(reply, "stopping"), n, one)
	{
		if (status == 0)
			status = cli_wait(cli, one);
		if (status == 0)
			puts(json_string_value(json_object_get(one, "instance")));
	}
	json_decref(reply);
	return status;
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "queue",    "",       "list what waits for room, and why",            NULL,             -1, 0, 0, queue },
	{ "cordon",   "REASON", "let nothing start any more",                   NULL,             -1, 1, 1, cordon },
	{ "uncordon", "",       "let it start again",                           uncordon_options, -1, 0, 0, uncordon },
	{ "drain",    "REASON", "cordon the host, and stop all that runs",      drain_options,    -1, 1, 1, drain },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_scheduling = { "Scheduling", commands };
