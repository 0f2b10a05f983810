/* command_host.c - wispctl's commands about the host: events, health, tenants, shapes. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "supervisor/cli/cli.h"

enum { EVENTS_WAIT_MS = 20000, TIME_BYTES = 32, BUF_BYTES = 32 };

static const json_int_t NS_PER_S = 1000000000, NS_PER_MS = 1000000;

/* --- events --- */

enum { EVENTS_FOLLOW, EVENTS_TAIL };

static const struct cli_option events_options[] = {
	[EVENTS_FOLLOW] = { "follow,f", NULL, "and those to come" },
	[EVENTS_TAIL] = { "tail", "N", "the last so many; by default 100" },
	{ 0 },
};

static void print_event(const json_t *e)
{
	json_int_t wall_ns = json_integer_value(json_object_get(e, "wall_ns"));
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	char when[TIME_BYTES] = "", buf[BUF_BYTES];
	struct tm tm;

	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	printf("%lld %s.%03lldZ %s %s %s ",
	       (long long)json_integer_value(json_object_get(e, "seq")), when,
	       (long long)(wall_ns % NS_PER_S / NS_PER_MS), cli_text(e, "type", buf, sizeof(buf)),
	       cli_text(e, "instance", buf, sizeof(buf)), cli_text(e, "actor", buf, sizeof(buf)));
	json_dumpf(json_object_get(e, "body"), stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}

static void print_events(const struct cli *cli, const json_t *events)
{
	json_t *e;
	size_t i;

	json_array_foreach(events, i, e)
	{
		if (cli->json) {
			json_dumpf(e, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			print_event(e);
		}
	}
	fflush(stdout);
}

static int events(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	int status;

	snprintf(path, sizeof(path), "/events?limit=1000&tail=%lld",
		 a->option[EVENTS_TAIL] ? strtoll(a->option[EVENTS_TAIL], NULL, 10) : 100LL);
	do {
		json_t *j = NULL;

		status = cli_call(cli, "GET", path, NULL, &j);
		if (status == 0) {
			print_events(cli, json_object_get(j, "events"));
			snprintf(path, sizeof(path), "/events?after=%lld&wait_ms=%d",
				 (long long)json_integer_value(json_object_get(j, "next")),
				 EVENTS_WAIT_MS);
		}
		json_decref(j);
	} while (status == 0 && a->option[EVENTS_FOLLOW]);
	return status;
}

/* --- the rest --- */

static int doctor(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "check", "ok", "what", "remedy", NULL };
	json_t *j = NULL;
	int status = cli_call(cli, "GET", "/doctor", NULL, &j);
	bool healthy = json_is_true(json_object_get(j, "healthy"));

	(void)a;
	if (status == 0 && !cli_print_json(cli, j))
		cli_print_table(json_object_get(j, "findings"), members);
	json_decref(j);
	return status == 0 && !healthy ? EXIT_REFUSED : status;
}

static int findings(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "kind",	     "subject",	    "detail",
					       "opened_seq", "cleared_seq", NULL };

	(void)a;
	return cli_list(cli, "/findings", "findings", members);
}

static int shape_ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name",	  "version",	 "vcpus",
					       "mem_mib", "mem_max_mib", NULL };

	(void)a;
	return cli_list(cli, "/shapes", "shapes", members);
}

static int shape_set(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	json_t *body =
		json_pack("{s:I, s:I}", "vcpus", (json_int_t)strtoll(a->operand[1], NULL, 10),
			  "mem_mib", (json_int_t)strtoll(a->operand[2], NULL, 10));

	if (a->operands > 3)
		json_object_set_new(body, "mem_max_mib",
				    json_integer(strtoll(a->operand[3], NULL, 10)));
	snprintf(path, sizeof(path), "/shapes/%s", a->operand[0]);
	return cli_call(cli, "PUT", path, body, NULL);
}

/* {"used", "most"} of each resource, as "used of most". */
static void print_tenant(const json_t *tenant)
{
	char buf[BUF_BYTES];
	const char *name;
	json_t *quota;

	printf("%s:", cli_text(tenant, "name", buf, sizeof(buf)));
	json_object_foreach(json_object_get(tenant, "quota"), name, quota)
	{
		printf(" %s %s", name, cli_text(quota, "used", buf, sizeof(buf)));
		if (json_is_integer(json_object_get(quota, "most")))
			printf(" of %s", cli_text(quota, "most", buf, sizeof(buf)));
	}
	putchar('\n');
}

static int tenant_ls(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL, *tenant;
	int status = cli_call(cli, "GET", "/tenants", NULL, &j);
	size_t i;

	(void)a;
	if (status == 0 && !cli_print_json(cli, j))
		json_array_foreach(json_object_get(j, "tenants"), i, tenant) print_tenant(tenant);
	json_decref(j);
	return status;
}

static const struct cli_option tenant_options[] = {
	{ "instances", "N", "at most so many instances" },
	{ "vcpus", "N", "at most so many processors" },
	{ "memory_mib", "N", "at most so much memory" },
	{ "weight", "N", "of its share when instances wait for room; by default 100" },
	{ "addresses", "N", "at most so many addresses in networks" },
	{ "disk_mib", "N", "at most so much in volumes" },
	{ 0 },
};

static int tenant_set(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_object();
	char path[CLI_PATH_BYTES];

	for (unsigned i = 0; tenant_options[i].name; i++)
		if (a->option[i])
			json_object_set_new(body, tenant_options[i].name,
					    json_integer(strtoll(a->option[i], NULL, 10)));
	snprintf(path, sizeof(path), "/tenants/%s", a->operand[0]);
	return cli_call(cli, "PUT", path, body, NULL);
}

static int version(struct cli *cli, const struct cli_arguments *a)
{
	(void)a;
	return cli_inspect(cli, "/version");
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "events",        "",     "print what has happened",                events_options, -1, 0, 0, events },
	{ "doctor",        "",     "look for what is wrong, and say what to do", NULL,       -1, 0, 0, doctor },
	{ "findings",      "",     "list where books and kernel differ",     NULL,           -1, 0, 0, findings },
	{ "shape ls",      "",     "list shapes",                            NULL,           -1, 0, 0, shape_ls },
	{ "shape set",     "NAME VCPUS MIB [MOST]", "make a shape, or a new version of it", NULL, -1, 3, 4, shape_set },
	{ "tenant ls",     "",     "list tenants, and what they hold",       NULL,           -1, 0, 0, tenant_ls },
	{ "tenant set",    "NAME", "make a tenant, or set his quota anew",   tenant_options, -1, 1, 1, tenant_set },
	{ "version",       "",     "tell about wispd",                       NULL,           -1, 0, 0, version },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_host = { "Host", commands };
