/* command_placement.c - wispctl's commands about the host itself, and where on it guests run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

enum { BUF_BYTES = 32 };

/* --- the inventory --- */

/* Objects, a line each; what they hold on the same line. */
static void print_value(const json_t *v)
{
	const char *name;
	json_t *member;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach((json_t *)v, name, member)
		{
			printf(json_is_object(member) ? " %s:" : " %s=", name);
			print_value(member);
		}
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, member)
		{
			fputs(i ? "," : "", stdout);
			print_value(member);
		}
	} else if (json_is_string(v)) {
		fputs(json_string_value(v), stdout);
	} else {
		json_dumpf(v, stdout, JSON_ENCODE_ANY);
	}
}

static void print_section(const char *name, const json_t *section)
{
	const char *member;
	json_t *value;

	printf("%s\n", name);
	json_object_foreach((json_t *)section, member, value)
	{
		printf("  %s:%s", member, json_is_object(value) ? "" : " ");
		print_value(value);
		putchar('\n');
	}
}

static int host(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL, *section;
	int status = cli_call(cli, "GET", "/host", NULL, &j);
	const char *name;

	(void)a;
	if (status == 0 && !cli_print_json(cli, j))
		json_object_foreach(j, name, section) print_section(name, section);
	json_decref(j);
	return status;
}

/* --- places --- */

void cli_print_place(const json_t *place)
{
	static const char *const members[] = { "node", "fits", "because", NULL };
	char buf[BUF_BYTES];

	if (!json_is_true(json_object_get(place, "fits")))
		printf("no place");
	else
		printf(json_is_true(json_object_get(place, "held")) ? "place" : "would be placed");
	printf(": profile %s", cli_text(place, "profile", buf, sizeof(buf)));
	if (json_is_integer(json_object_get(place, "node")))
		printf(", node %s", cli_text(place, "node", buf, sizeof(buf)));
	if (json_array_size(json_object_get(place, "vcpus")))
		printf(", processors %s", cli_text(place, "cpus", buf, sizeof(buf)));
	printf("; %s\n", cli_text(place, "because", buf, sizeof(buf)));
	cli_print_table(json_object_get(place, "options"), members);
}

static void print_table_of(const json_t *all, const char *member, const char *const columns[])
{
	const json_t *list = json_object_get(all, member);

	if (!json_array_size(list))
		return;
	printf("%s\n", member);
	cli_print_table(list, columns);
}

static int topology(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const vcpus[] = {
		"vcpu", "cpus", "bound", "ran_last_on", "thread", NULL
	};
	static const char *const interfaces[] = { "id", "link", "bridge", "queues", NULL };
	static const char *const drives[] = { "id", "volume", "storage", "read_only", NULL };
	static const char *const devices[] = { "address", "node", "cpus", NULL };
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/instances/%s/topology", a->operand[0]);
	status = cli_call(cli, "GET", path, NULL, &j);
	if (status == 0 && !cli_print_json(cli, j)) {
		print_section("memory", json_object_get(j, "memory"));
		print_table_of(j, "vcpus", vcpus);
		print_table_of(j, "interfaces", interfaces);
		print_table_of(j, "drives", drives);
		print_table_of(j, "devices", devices);
		fputs("left to a default: ", stdout);
		print_value(json_object_get(j, "defaults"));
		putchar('\n');
	}
	json_decref(j);
	return status;
}

/* --- slices --- */

static int slice_ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name",	   "cpus", "memory_mib",
					       "huge_mib", "node", NULL };

	(void)a;
	return cli_list(cli, "/slices", "slices", members);
}

enum { SLICE_CPUS, SLICE_MEMORY, SLICE_HUGE, SLICE_NODE };

static const struct cli_option slice_options[] = {
	[SLICE_CPUS] = { "cpus", "LIST", "whole cores, as 2-3,8" },
	[SLICE_MEMORY] = { "memory_mib", "N", "so much memory" },
	[SLICE_HUGE] = { "huge_mib", "N", "so much in huge pages of 2 MiB" },
	[SLICE_NODE] = { "node", "N", "whose they are" },
	{ 0 },
};

static int slice_set(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();
	char path[CLI_PATH_BYTES];

	cli_add_text(body, "cpus", a->option[SLICE_CPUS]);
	for (unsigned i = SLICE_MEMORY; i <= SLICE_NODE; i++)
		if (a->option[i])
			json_object_set_new(body, slice_options[i].name,
					    json_integer(strtoll(a->option[i], NULL, 10)));
	snprintf(path, sizeof(path), "/slices/%s", a->operand[0]);
	return cli_call(cli, "PUT", path, body, NULL);
}

static int slice_rm(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/slices/%s", a->operand[0]);
	return cli_call(cli, "DELETE", path, NULL, NULL);
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "host",      "",     "show what this host is",                             NULL,          -1, 0, 0, host },
	{ "topology",  "INSTANCE", "show where it runs, and what it has there",      NULL,          -1, 1, 1, topology },
	{ "slice ls",  "",     "list what is set aside for other engines",           NULL,          -1, 0, 0, slice_ls },
	{ "slice set", "NAME", "set processors and memory aside for another engine", slice_options, -1, 1, 1, slice_set },
	{ "slice rm",  "NAME", "give them back",                                     NULL,          -1, 1, 1, slice_rm },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_placement = { "Placement", commands };
