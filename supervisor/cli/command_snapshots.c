/* command_snapshots.c - wispctl's commands about snapshots, and what is made of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

/* --- snapshots --- */

enum { SAVE_NAME, SAVE_LABEL, SAVE_LIVE };

static const struct cli_option save_options[] = {
	[SAVE_NAME] = { "name", "NAME", "by default its id" },
	[SAVE_LABEL] = { "label", "KEY=VALUE...", "may be repeated" },
	[SAVE_LIVE] = { "live", NULL, "it runs on while its memory is written" },
	{ 0 },
};

/* What the answer calls the thing, once its operation has ended well. */
static int wait_and_print(struct cli *cli, const json_t *reply, const char *thing)
{
	const char *name =
		json_string_value(json_object_get(json_object_get(reply, thing), "name"));
	int status = cli_wait(cli, reply);

	if (status == 0 && name)
		puts(name);
	return status;
}

static int create(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object(), *reply = NULL;
	char path[CLI_PATH_BYTES];
	int status;

	cli_add_text(body, "name", a->option[SAVE_NAME]);
	json_object_set_new(body, "labels", cli_labels(a, SAVE_LABEL));
	json_object_set_new(body, "live", json_boolean(a->option[SAVE_LIVE] != NULL));
	snprintf(path, sizeof(path), "/instances/%s/snapshot", a->operand[0]);
	status = cli_call(cli, "POST", path, body, &reply);
	if (status == 0)
		status = wait_and_print(cli, reply, "snapshot");
	json_decref(reply);
	return status;
}

static int ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name",	  "tenant",   "state", "instance", "vcpus",
					       "mem_mib", "size_mib", "id",    NULL };

	(void)a;
	return cli_list(cli, "/snapshots", "snapshots", members);
}

static int inspect(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/snapshots/%s", a->operand[0]);
	return cli_inspect(cli, path);
}

static int rm(struct cli *cli, const struct cli_arguments *a)
{
	int first = 0;

	for (unsigned i = 0; i < a->operands; i++) {
		char path[CLI_PATH_BYTES];
		json_t *reply = NULL;
		int status;

		snprintf(path, sizeof(path), "/snapshots/%s", a->operand[i]);
		status = cli_call(cli, "DELETE", path, NULL, &reply);
		if (status == 0)
			status = wait_and_print(cli, reply, "snapshot");
		json_decref(reply);
		first = first ? first : status;
	}
	return first;
}

/* --- copies --- */

enum {
	COPY_NAME,
	COPY_LABEL,
	COPY_TTL,
	COPY_RM,
	COPY_WAIT,
	COPY_PRIORITY,
	COPY_OPTIONS,
	FORK_COUNT = COPY_OPTIONS,
	FORK_LIVE,
	FORK_OPTIONS,
};

/* clang-format off */
#define COPY_ROWS \
	[COPY_NAME] = { "name", "NAME", "by default its id; of forks: NAME-1, NAME-2, ..." }, \
	[COPY_LABEL] = { "label", "KEY=VALUE...", "may be repeated" }, \
	[COPY_TTL] = { "ttl", "SECONDS", "delete it then" }, \
	[COPY_RM] = { "rm", NULL, "delete it when it has ended" }, \
	[COPY_WAIT] = { "wait", "SECONDS", "for room to start it; by default it is refused" }, \
	[COPY_PRIORITY] = { "priority", "0-9", "while it waits" }
/* clang-format on */

static const struct cli_option restore_options[] = { COPY_ROWS, [COPY_OPTIONS] = { 0 } };

static const struct cli_option fork_options[] = {
	COPY_ROWS,
	[FORK_COUNT] = { "count,n", "N", "how many; by default one" },
	[FORK_LIVE] = { "live", NULL, "the original runs on while its memory is written" },
	[FORK_OPTIONS] = { 0 },
};

static void add_number(json_t *body, const char *name, const char *text, int64_t unit)
{
	if (text)
		json_object_set_new(body, name, json_integer(strtoll(text, NULL, 10) * unit));
}

static json_t *copy_body(const struct cli_arguments *a)
{
	json_t *body = json_pack("{s:b}", "remove", a->option[COPY_RM] != NULL);

	cli_add_text(body, "name", a->option[COPY_NAME]);
	json_object_set_new(body, "labels", cli_labels(a, COPY_LABEL));
	add_number(body, "ttl_s", a->option[COPY_TTL], 1);
	add_number(body, "wait_ms", a->option[COPY_WAIT], 1000);
	add_number(body, "priority", a->option[COPY_PRIORITY], 1);
	return body;
}

static int restore(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/snapshots/%s/restore", a->operand[0]);
	status = cli_call(cli, "POST", path, copy_body(a), &reply);
	if (status == 0)
		status = wait_and_print(cli, reply, "instance");
	json_decref(reply);
	return status;
}

/* One operation for each copy; the first that fails decides, and all are waited for. */
static int wait_for_all(struct cli *cli, const json_t *reply)
{
	json_t *operation;
	int first = 0;
	size_t i;

	json_array_foreach(json_object_get(reply, "operations"), i, operation)
	{
		json_t *one = json_pack("{s:O}", "operation", operation);
		const json_t *copy = json_array_get(json_object_get(reply, "instances"), i);
		int status = cli_wait(cli, one);

		if (status == 0)
			puts(json_string_value(json_object_get(copy, "name")));
		json_decref(one);
		first = first ? first : status;
	}
	return first;
}

static int fork_command(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = copy_body(a), *reply = NULL;
	char path[CLI_PATH_BYTES];
	int status;

	add_number(body, "count", a->option[FORK_COUNT], 1);
	json_object_set_new(body, "live", json_boolean(a->option[FORK_LIVE] != NULL));
	snprintf(path, sizeof(path), "/instances/%s/fork", a->operand[0]);
	status = cli_call(cli, "POST", path, body, &reply);
	if (status == 0)
		status = wait_for_all(cli, reply);
	json_decref(reply);
	return status;
}

static const struct cli_command commands[] = {
	{ "snapshot create", "INSTANCE", "save one that runs or is paused", save_options, -1, 1, 1,
	  create },
	{ "snapshot ls", "", "list snapshots", NULL, -1, 0, 0, ls },
	{ "snapshot inspect", "SNAPSHOT", "show all there is about one", NULL, -1, 1, 1, inspect },
	{ "snapshot rm", "SNAPSHOT...", "remove snapshots", NULL, -1, 1, CLI_OPERANDS_MAX, rm },
	{ "restore", "SNAPSHOT", "make an instance that goes on from there", restore_options, -1, 1,
	  1, restore },
	{ "fork", "INSTANCE", "make copies of one that runs", fork_options, -1, 1, 1,
	  fork_command },
	{ 0 },
};

const struct cli_area cli_snapshots = { "Snapshots", commands };
