/* command_ledger.c - wispctl's commands about the ledger: its end, its proof, its copies.
 *
 * What is done with a copy, rather than with a wispd that runs, is done by the wispd beside
 * this program: it alone knows the database.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"

enum { BUF_BYTES = 32 };

/* --- a wispd that runs --- */

static int head(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL;
	char buf[BUF_BYTES];
	int status = cli_call(cli, "GET", "/ledger/head", NULL, &j);

	(void)a;
	if (status == 0 && !cli_print_json(cli, j))
		printf("%lld:%s\n", (long long)json_integer_value(json_object_get(j, "seq")),
		       cli_text(j, "hash", buf, sizeof(buf)));
	json_decref(j);
	return status;
}

static int anchor(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL;
	char buf[BUF_BYTES];
	int status = cli_call(cli, "GET", "/ledger/anchor", NULL, &j);

	(void)a;
	if (status == 0 && !cli_print_json(cli, j))
		puts(cli_text(j, "anchor", buf, sizeof(buf)));
	json_decref(j);
	return status;
}

static int metrics(struct cli *cli, const struct cli_arguments *a)
{
	struct wisp_reply reply = { 0 };
	int r = cli_try(cli, "GET", "/metrics", NULL, &reply);

	(void)a;
	if (r < 0)
		fprintf(stderr, "wispctl: %s\n", wisp_error(cli->client));
	else
		fputs(reply.body, stdout);
	wisp_reply_clear(&reply);
	return r == 0 ? 0 : r == -EPROTO ? EXIT_REFUSED : EXIT_UNREACHABLE;
}

static int backup(struct cli *cli, const struct cli_arguments *a)
{
	char path[PATH_MAX], here[PATH_MAX];
	json_t *j = NULL;
	int status, n;

	if (!getcwd(here, sizeof(here)))
		here[0] = '\0';
	n = snprintf(path, sizeof(path), "%s%s%s", a->operand[0][0] == '/' ? "" : here,
		     a->operand[0][0] == '/' ? "" : "/", a->operand[0]);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		fputs("wispctl: the path is too long\n", stderr);
		return EXIT_USAGE;
	}
	status = cli_call(cli, "POST", "/ledger/backup", json_pack("{s:s}", "path", path), &j);
	if (status == 0)
		status = cli_wait(cli, j);
	json_decref(j);
	return status;
}

/* --- a copy --- */

enum { RESTORE_CONFIG };

static const struct cli_option restore_options[] = {
	[RESTORE_CONFIG] = { "config", "FILE", "wispd's configuration, by default its own" },
	{ 0 },
};

/* Becomes the wispd beside this program. option NULL: there is no more to say. */
static int become_wispd(const char *verb, const char *copy, const char *option, const char *value)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/wispd"));
	char *slash;

	path[n < 0 ? 0 : n] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		strcpy(slash, "/wispd");
	if (value)
		execl(path, "wispd", option, value, verb, copy, (char *)NULL);
	else
		execl(path, "wispd", verb, copy, (char *)NULL);
	fprintf(stderr, "wispctl: cannot start %s: %s\n", path, strerror(errno));
	return EXIT_UNREACHABLE;
}

static int restore(struct cli *cli, const struct cli_arguments *a)
{
	(void)cli;
	return become_wispd("--restore", a->operand[0], "--config", a->option[RESTORE_CONFIG]);
}

/* --- proof --- */

enum { VERIFY_ANCHOR, VERIFY_FILE, VERIFY_ALL, VERIFY_ARCHIVE };

static const struct cli_option verify_options[] = {
	[VERIFY_ANCHOR] = { "anchor", "ANCHOR", "what ledger anchor or head printed at some time" },
	[VERIFY_FILE] = { "file", "COPY", "look into a back-up instead" },
	[VERIFY_ALL] = { "all", NULL, "what was rolled up, too, by wispd's archive" },
	[VERIFY_ARCHIVE] = { "archive", "FOLDER", "with --file: the archive of that back-up" },
	{ 0 },
};

/* What came of an operation, which is a text of JSON; the caller's. */
static int read_result(struct cli *cli, const json_t *begun, json_t **ret)
{
	const char *id = json_string_value(json_object_get(begun, "operation"));
	char path[CLI_PATH_BYTES], buf[BUF_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/operations/%s", id ? id : "");
	status = cli_call(cli, "GET", path, NULL, &j);
	if (status == 0)
		*ret = json_loads(cli_text(j, "result", buf, sizeof(buf)), 0, NULL);
	json_decref(j);
	return status;
}

static int call_verify(struct cli *cli, const struct cli_arguments *a, json_t **ret)
{
	json_t *begun = NULL, *body = json_pack("{s:b}", "archive", a->option[VERIFY_ALL] != NULL);
	int status;

	cli_add_text(body, "anchor", a->option[VERIFY_ANCHOR]);
	status = cli_call(cli, "POST", "/ledger/verify", body, &begun);
	if (status == 0)
		status = cli_wait(cli, begun);
	if (status == 0)
		status = read_result(cli, begun, ret);
	json_decref(begun);
	return status;
}

static int verify(struct cli *cli, const struct cli_arguments *a)
{
	char buf[BUF_BYTES];
	json_t *j = NULL;
	int status;
	bool whole;

	if (a->option[VERIFY_FILE])
		return become_wispd("--verify", a->option[VERIFY_FILE], "--archive",
				    a->option[VERIFY_ARCHIVE]);
	status = call_verify(cli, a, &j);
	whole = json_is_true(json_object_get(j, "whole"));
	if (status == 0 && !cli_print_json(cli, j)) {
		printf("%lld events are as they were written\n",
		       (long long)json_integer_value(json_object_get(j, "checked")));
		if (json_integer_value(json_object_get(j, "rolled_up")) > 0)
			printf("%lld were rolled up; --all proves them by the archive\n",
			       (long long)json_integer_value(json_object_get(j, "rolled_up")));
		if (json_integer_value(json_object_get(j, "bad_seq")) > 0)
			printf("%s\n", cli_text(j, "fault", buf, sizeof(buf)));
		if (cli_text(j, "database", buf, sizeof(buf))[0])
			printf("the database is damaged: %s\n", buf);
	}
	json_decref(j);
	return status == 0 && !whole ? EXIT_REFUSED : status;
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "ledger head",    "",     "print the last event's number and hash",    NULL,            -1, 0, 0, head },
	{ "ledger anchor",  "",     "the same, with the time, and signed",       NULL,            -1, 0, 0, anchor },
	{ "ledger verify",  "",     "look whether any event was changed",        verify_options,  -1, 0, 0, verify },
	{ "ledger backup",  "FILE", "copy the database while wispd runs",        NULL,            -1, 1, 1, backup },
	{ "ledger restore", "FILE", "put a copy in its place; wispd must not run", restore_options, -1, 1, 1, restore },
	{ "metrics",        "",     "print wispd's numbers, for Prometheus",     NULL,            -1, 0, 0, metrics },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_ledger = { "Ledger", commands };
