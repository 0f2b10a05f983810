/* command_placement.c - wispctl's commands about the host itself, and where on it guests run. */
#include <stdio.h>
#include <string.h>

#include "supervisor/cli/cli.h"

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

/* clang-format off */
static const struct cli_command commands[] = {
	{ "host", "", "show what this host is", NULL, -1, 0, 0, host },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_placement = { "Placement", commands };
