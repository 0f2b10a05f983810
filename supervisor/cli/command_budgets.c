/* command_budgets.c - wispctl's commands about what a tenant may spend and has reserved. */
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/cli/budgets.h"

static const char *path_of(char buf[CLI_PATH_BYTES], const char *tenant, const char *what)
{
	snprintf(buf, CLI_PATH_BYTES, "/tenants/%s/%s", tenant, what);
	return buf;
}

/* --- budgets --- */

enum { SET_WARN, SET_AHEAD, SET_ACTION };

const struct cli_option budget_options[] = {
	[SET_WARN] = { "warn", "PER_MILLE",
		       "the part of it that a warning comes at; by default 800" },
	[SET_AHEAD] = { "ahead", "MS", "how far what is open is projected; by default an hour" },
	[SET_ACTION] = { "action", "warn|refuse|stop", "what happens at it; by default refuse" },
	{ 0 },
};

static void add_number(json_t *body, const char *member, const char *text)
{
	if (text)
		json_object_set_new(body, member, json_integer(strtoll(text, NULL, 10)));
}

int budget_set(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();
	char path[CLI_PATH_BYTES];

	add_number(body, "limit_nano", a->operand[1]);
	add_number(body, "warn_per_mille", a->option[SET_WARN]);
	add_number(body, "ahead_ms", a->option[SET_AHEAD]);
	cli_add_text(body, "action", a->option[SET_ACTION]);
	return cli_call(cli, "PUT", path_of(path, a->operand[0], "budget"), body, NULL);
}

int budget_show(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = {
		"tenant", "limit_nano", "spent_nano", "projected_nano", "level", "action", NULL
	};
	char path[CLI_PATH_BYTES];
	json_t *j = NULL, *list = json_array();
	int status = cli_call(cli, "GET", path_of(path, a->operand[0], "budget"), NULL, &j);

	if (status == 0 && !cli_print_json(cli, j)) {
		json_array_append(list, j);
		cli_print_table(list, members);
	}
	json_decref(list);
	json_decref(j);
	return status;
}

int budget_remove(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	return cli_call(cli, "DELETE", path_of(path, a->operand[0], "budget"), NULL, NULL);
}

/* --- reservations --- */

int tenant_reserve(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();
	char path[CLI_PATH_BYTES];

	add_number(body, "vcpus", a->operand[1]);
	add_number(body, "mem_mib", a->operand[2]);
	return cli_call(cli, "PUT", path_of(path, a->operand[0], "reservation"), body, NULL);
}
