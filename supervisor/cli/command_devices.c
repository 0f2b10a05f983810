/* command_devices.c - wispctl's commands about the host's PCI devices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

enum { BUF_BYTES = 32 };

static int list(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "address", "class", "id",    "driver", "group",
					       "node",	  "state", "reset", "use",    NULL };
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/devices%s%s", a->operands ? "/" : "",
		 a->operands ? a->operand[0] : "");
	return cli_list(cli, path, "devices", members);
}

enum { WITH, MEM, NUMA, NODE, HUGE_PAGES, LATENCY, FEATURES };

static const struct cli_option examine_options[] = {
	[WITH] = { "with", "DEVICE,...", "other devices for the same guest" },
	[MEM] = { "mem", "MIB", "the guest's memory, by default 512" },
	[NUMA] = { "numa", "POLICY", "preferred, required or any" },
	[NODE] = { "node", "N", "where the guest's memory is to be" },
	[HUGE_PAGES] = { "huge-pages", NULL, "it wants huge pages" },
	[LATENCY] = { "latency", NULL, "nothing may be left to chance" },
	[FEATURES] = { "features", "NAME,...", "that it wants, as snapshot" },
	{ 0 },
};

static void add_query(char path[CLI_PATH_BYTES], const char *name, const char *value)
{
	size_t len = strlen(path);

	if (value)
		snprintf(path + len, CLI_PATH_BYTES - len, "%s%s=%s", strchr(path, '?') ? "&" : "?",
			 name, value);
}

static int examine(struct cli *cli, const struct cli_arguments *a, const char *what, json_t **ret)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/devices/%s/%s", a->operand[0], what);
	add_query(path, "with", a->option[WITH]);
	add_query(path, "mem_mib", a->option[MEM]);
	add_query(path, "numa", a->option[NUMA]);
	add_query(path, "node", a->option[NODE]);
	add_query(path, "huge_pages", a->option[HUGE_PAGES] ? "1" : NULL);
	add_query(path, "latency", a->option[LATENCY] ? "1" : NULL);
	add_query(path, "features", a->option[FEATURES]);
	return cli_call(cli, "GET", path, NULL, ret);
}

static bool is_refused(const json_t *preflight)
{
	const char *verdict = json_string_value(json_object_get(preflight, "verdict"));

	return verdict && strcmp(verdict, "refuse") == 0;
}

static void print_findings(const json_t *preflight)
{
	static const char *const members[] = { "check", "verdict", "text", "remedy", NULL };

	cli_print_table(json_object_get(preflight, "findings"), members);
}

static int preflight(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL;
	int status = examine(cli, a, "preflight", &j);
	bool refused = is_refused(j);

	if (status == 0 && !cli_print_json(cli, j))
		print_findings(j);
	json_decref(j);
	return status == 0 && refused ? EXIT_REFUSED : status;
}

static int explain(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL;
	int status = examine(cli, a, "explain", &j);

	if (status == 0 && !cli_print_json(cli, j))
		cli_print_decision(j);
	json_decref(j);
	return status;
}

void cli_print_decision(const json_t *decision)
{
	static const char *const members[] = { "runtime", "fits", "because", NULL };
	char buf[BUF_BYTES];

	printf("chosen: %s\n", cli_text(decision, "chosen", buf, sizeof(buf)));
	cli_print_table(json_object_get(decision, "options"), members);
	if (json_is_object(json_object_get(decision, "preflight")))
		print_findings(json_object_get(decision, "preflight"));
}

static int prove(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/devices/%s/prove", a->operand[0]);
	status = cli_call(cli, "POST", path, NULL, &reply);
	if (status == 0)
		status = cli_wait(cli, reply);
	json_decref(reply);
	return status;
}

enum { MAC, VLAN, TRUSTED };

static const struct cli_option functions_options[] = {
	[MAC] = { "mac", "MAC,...", "addresses of the first, the second and so on" },
	[VLAN] = { "vlan", "N,...", "VLANs of theirs; 0: none" },
	[TRUSTED] = { "trusted", NULL, "their guests may choose addresses themselves" },
	{ 0 },
};

/* The next part of a list; false when it has ended. */
static bool next_part(const char **at, char part[BUF_BYTES])
{
	size_t len = *at ? strcspn(*at, ",") : 0;

	if (!len)
		return false;
	snprintf(part, BUF_BYTES, "%.*s", (int)len, *at);
	*at += len + ((*at)[len] == ',');
	return true;
}

static json_t *describe_links(const struct cli_arguments *a)
{
	const char *macs = a->option[MAC], *vlans = a->option[VLAN];
	json_t *links = json_array();

	for (;;) {
		char mac[BUF_BYTES] = "", vlan[BUF_BYTES] = "";
		bool any = next_part(&macs, mac);

		any = next_part(&vlans, vlan) || any;
		if (!any)
			return links;
		json_array_append_new(links, json_pack("{s:s, s:I, s:b}", "mac", mac, "vlan",
						       (json_int_t)strtoll(vlan, NULL, 10),
						       "trusted", a->option[TRUSTED] != NULL));
	}
}

static int functions(struct cli *cli, const struct cli_arguments *a)
{
	json_t *reply = NULL, *links = describe_links(a);
	char path[CLI_PATH_BYTES], *end;
	long long count = strtoll(a->operand[1], &end, 10);
	int status;

	if (*end || end == a->operand[1]) {
		fprintf(stderr, "wispctl: %s is no number\n", a->operand[1]);
		json_decref(links);
		return EXIT_USAGE;
	}
	snprintf(path, sizeof(path), "/devices/%s/functions", a->operand[0]);
	status = cli_call(cli, "PUT", path,
			  json_pack("{s:I, s:o}", "count", (json_int_t)count, "links", links),
			  &reply);
	if (status == 0)
		status = cli_wait(cli, reply);
	json_decref(reply);
	return status;
}

/* The decision that was made when the instance was. */
static int explain_instance(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/instances/%s/explain", a->operand[0]);
	status = cli_call(cli, "GET", path, NULL, &j);
	if (status == 0 && !cli_print_json(cli, j)) {
		cli_print_decision(j);
		cli_print_place(json_object_get(j, "placement"));
	}
	json_decref(j);
	return status;
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "device list",      "[DEVICE]", "list the host's PCI devices",                NULL,            -1, 0, 1, list },
	{ "device preflight", "DEVICE",   "look whether it can be handed to a guest",   examine_options, -1, 1, 1, preflight },
	{ "device explain",   "DEVICE",   "say what a guest with it would run on, and why", examine_options, -1, 1, 1, explain },
	{ "device prove",     "ADDRESS",  "reset what is in quarantine, and free it if that is well", NULL, -1, 1, 1, prove },
	{ "device functions", "ADDRESS COUNT", "give it virtual functions; 0 takes them away", functions_options, -1, 2, 2, functions },
	{ "explain",          "INSTANCE", "say why it runs on what it runs on",         NULL,            -1, 1, 1, explain_instance },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_devices = { "Devices", commands };
