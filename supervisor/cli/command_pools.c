/* command_pools.c - wispctl's commands about warm pools. */
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/cli/cli.h"

static void add_number(json_t *body, const char *name, const char *text)
{
	if (text)
		json_object_set_new(body, name, json_integer(strtoll(text, NULL, 10)));
}

enum {
	POOL_MIN,
	POOL_MAX,
	POOL_KEEP,
	RESIZE_OPTIONS,
	POOL_SHAPE = RESIZE_OPTIONS,
	POOL_CMDLINE,
	POOL_NET,
	POOL_HOST,
	CREATE_OPTIONS
};

/* clang-format off */
#define SIZE_ROWS \
	[POOL_MIN] = { "min", "N", "as many at least" }, \
	[POOL_MAX] = { "max", "N", "as many at most" }, \
	[POOL_KEEP] = { "keep", "SECONDS", "for so long as many as a burst has asked for" }
/* clang-format on */

static const struct cli_option resize_options[] = { SIZE_ROWS, [RESIZE_OPTIONS] = { 0 } };

static const struct cli_option create_options[] = {
	SIZE_ROWS,
	[POOL_SHAPE] = { "shape", "SHAPE", "by default small" },
	[POOL_CMDLINE] = { "cmdline", "TEXT", "added to the kernel's command line" },
	[POOL_NET] = { "net", "NETWORK,...", "each has an interface in these" },
	[POOL_HOST] = { "host", NULL, "for all tenants" },
	[CREATE_OPTIONS] = { 0 },
};

static void add_sizes(json_t *body, const struct cli_arguments *a)
{
	add_number(body, "min", a->option[POOL_MIN]);
	add_number(body, "max", a->option[POOL_MAX]);
	add_number(body, "keep_s", a->option[POOL_KEEP]);
}

/* One request; the pool's name is printed. */
static int ask(struct cli *cli, const char *verb, const char *path, json_t *body, const char *name)
{
	json_t *reply = NULL;
	int status = cli_call(cli, verb, path, body, &reply);

	if (status == 0 && !cli_print_json(cli, reply))
		puts(name);
	json_decref(reply);
	return status;
}

static int create(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_pack("{s:s, s:s, s:b}", "name", a->operand[0], "image", a->operand[1],
				 "host", a->option[POOL_HOST] != NULL);

	cli_add_text(body, "shape", a->option[POOL_SHAPE]);
	cli_add_text(body, "cmdline", a->option[POOL_CMDLINE]);
	cli_add_list(body, "networks", a->option[POOL_NET]);
	add_sizes(body, a);
	return ask(cli, "POST", "/pools", body, a->operand[0]);
}

static int ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name",	 "tenant", "image", "shape", "ready",
					       "wanted", "min",	   "max",   "cause", NULL };

	(void)a;
	return cli_list(cli, "/pools", "pools", members);
}

static int inspect(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/pools/%s", a->operand[0]);
	return cli_inspect(cli, path);
}

static int resize(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();
	char path[CLI_PATH_BYTES];

	add_sizes(body, a);
	snprintf(path, sizeof(path), "/pools/%s", a->operand[0]);
	return ask(cli, "PATCH", path, body, a->operand[0]);
}

static int rm(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	int first = 0;

	for (unsigned i = 0; i < a->operands; i++) {
		int status;

		snprintf(path, sizeof(path), "/pools/%s", a->operand[i]);
		status = ask(cli, "DELETE", path, NULL, a->operand[i]);
		first = first ? first : status;
	}
	return first;
}

static const struct cli_command commands[] = {
	{ "pool create", "NAME IMAGE", "keep VMMs of an image ready", create_options, -1, 2, 2,
	  create },
	{ "pool ls", "", "list pools", NULL, -1, 0, 0, ls },
	{ "pool inspect", "POOL", "all there is to know about one", NULL, -1, 1, 1, inspect },
	{ "pool resize", "POOL", "keep more, or fewer", resize_options, -1, 1, 1, resize },
	{ "pool rm", "POOL...", "keep none any more", NULL, -1, 1, CLI_OPERANDS_MAX, rm },
	{ 0 },
};

const struct cli_area cli_pools = { "Pools", commands };
