/* command_changes.c - wispctl's commands that change what an instance is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

/* --- name, labels, time to live --- */

/* Of the instance as it was looked at: what somebody else has changed since is kept. */
static int change(struct cli *cli, const char *instance, const json_t *seen, json_t *body)
{
	char path[CLI_PATH_BYTES];

	json_object_set(body, "generation", json_object_get(seen, "generation"));
	snprintf(path, sizeof(path), "/instances/%s", instance);
	return cli_call(cli, "PATCH", path, body, NULL);
}

static int look(struct cli *cli, const char *instance, json_t **ret)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/instances/%s", instance);
	return cli_call(cli, "GET", path, NULL, ret);
}

static int set_member(struct cli *cli, const char *instance, const char *member, json_t *value)
{
	json_t *seen = NULL;
	int status = look(cli, instance, &seen);

	if (status == 0)
		status = change(cli, instance, seen, json_pack("{s:O}", member, value));
	json_decref(seen);
	json_decref(value);
	return status;
}

static int rename_command(struct cli *cli, const struct cli_arguments *a)
{
	return set_member(cli, a->operand[0], "name", json_string(a->operand[1]));
}

static int expire(struct cli *cli, const struct cli_arguments *a)
{
	return set_member(cli, a->operand[0], "ttl_s",
			  json_integer(strtoll(a->operand[1], NULL, 10)));
}

/* "KEY=VALUE" sets, "KEY-" takes away. */
static int apply(json_t *labels, const char *text)
{
	size_t len = strcspn(text, "=");
	char key[256];

	snprintf(key, sizeof(key), "%.*s", (int)len, text);
	if (text[len])
		return json_object_set_new(labels, key, json_string(text + len + 1));
	if (len < 2 || text[len - 1] != '-') {
		fprintf(stderr, "wispctl: %s: KEY=VALUE, or KEY- to take it away\n", text);
		return -1;
	}
	key[len < sizeof(key) ? len - 1 : sizeof(key) - 1] = '\0';
	(void)json_object_del(labels, key);
	return 0;
}

static int label(struct cli *cli, const struct cli_arguments *a)
{
	json_t *seen = NULL, *labels;
	int status = look(cli, a->operand[0], &seen);

	if (status != 0)
		return status;
	labels = json_deep_copy(json_object_get(seen, "labels"));
	for (unsigned i = 1; i < a->operands && status == 0; i++)
		status = apply(labels, a->operand[i]) < 0 ? EXIT_USAGE : 0;
	if (status == 0)
		status = change(cli, a->operand[0], seen, json_pack("{s:O}", "labels", labels));
	json_decref(labels);
	json_decref(seen);
	return status;
}

/* --- another machine --- */

static int ask(struct cli *cli, const char *instance, const char *verb, json_t *body)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/instances/%s/%s", instance, verb);
	status = cli_call(cli, "POST", path, body, &reply);
	if (status == 0 && json_object_get(reply, "operation"))
		status = cli_wait(cli, reply);
	if (status == 0)
		puts(instance);
	json_decref(reply);
	return status;
}

enum { RESIZE_MEMORY, RESIZE_DISK, RESIZE_TIMEOUT };

static const struct cli_option resize_options[] = {
	[RESIZE_MEMORY] = { "memory", "MIB", "so much memory, while it runs, too" },
	[RESIZE_DISK] = { "disk", "MIB", "so large a root disk, while it runs, too" },
	[RESIZE_TIMEOUT] = { "timeout", "SECONDS", "that its guest may take; by default 60" },
	{ 0 },
};

static void add_number(json_t *body, const char *member, const char *text, int64_t unit)
{
	if (text)
		json_object_set_new(body, member, json_integer(strtoll(text, NULL, 10) * unit));
}

static int resize(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();

	cli_add_text(body, "shape", a->operands > 1 ? a->operand[1] : NULL);
	add_number(body, "mem_mib", a->option[RESIZE_MEMORY], 1);
	add_number(body, "disk_mib", a->option[RESIZE_DISK], 1);
	add_number(body, "timeout_ms", a->option[RESIZE_TIMEOUT], 1000);
	return ask(cli, a->operand[0], "resize", body);
}

static int rollback(struct cli *cli, const struct cli_arguments *a)
{
	return ask(cli, a->operand[0], "rollback", json_pack("{s:s}", "snapshot", a->operand[1]));
}

static int rebuild(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();

	cli_add_text(body, "image", a->operands > 1 ? a->operand[1] : NULL);
	return ask(cli, a->operand[0], "rebuild", body);
}

static const struct cli_command commands[] = {
	{ "rename", "INSTANCE NAME", "call it otherwise", NULL, -1, 2, 2, rename_command },
	{ "label", "INSTANCE KEY=VALUE...", "set labels; KEY- takes one away", NULL, -1, 2,
	  CLI_OPERANDS_MAX, label },
	{ "expire", "INSTANCE SECONDS", "delete it then; 0: never", NULL, -1, 2, 2, expire },
	{ "resize", "INSTANCE [SHAPE]", "give it memory, disk, or at its next start another shape",
	  resize_options, -1, 1, 2, resize },
	{ "rebuild", "INSTANCE [IMAGE]", "give one that does not run a fresh disk", NULL, -1, 1, 2,
	  rebuild },
	{ "rollback", "INSTANCE SNAPSHOT", "have its next start go on from there", NULL, -1, 2, 2,
	  rollback },
	{ 0 },
};

const struct cli_area cli_changes = { "Changes of instances", commands };
