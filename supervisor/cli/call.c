/* call.c - requests of wispctl, and printing what comes. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"

enum {
	KEY_BYTES = 64,
	ATTEMPTS = 3,
	WAIT_MS = 5000,
	SHOWN_MS = 300,
	BAR_WIDTH = 30,
	COLUMNS_MAX = 16,
	NUMBER_BYTES = 32
};

/* --- requests --- */

static void set_key(struct cli *cli, bool writes)
{
	uint64_t random[2] = { 0 };
	char header[KEY_BYTES];

	if (!writes || getrandom(random, sizeof(random), 0) != sizeof(random)) {
		wisp_set_header(cli->client, NULL);
		return;
	}
	snprintf(header, sizeof(header), "Idempotency-Key: %016" PRIx64 "%016" PRIx64, random[0],
		 random[1]);
	wisp_set_header(cli->client, header);
}

/* Nobody listens; who did may come back. */
static bool is_away(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

int cli_try(struct cli *cli, const char *verb, const char *path, const char *body,
	    struct wisp_reply *reply)
{
	int r = -EIO;

	for (unsigned i = 0; i < ATTEMPTS && (r == -EIO || r == -ETIMEDOUT || is_away(r)); i++) {
		if (is_away(r) && !cli_await_wispd(cli))
			return r;
		r = wisp_call(cli->client, verb, path, body, reply);
	}
	return r;
}

/* The message, and what is said to do about it. */
static int complain(const struct cli *cli, const struct wisp_reply *reply, int r)
{
	json_t *j = reply->body ? json_loads(reply->body, 0, NULL) : NULL;
	const char *hint = json_string_value(json_object_get(j, "hint"));

	if (cli->quiet) {
		json_decref(j);
		return r == -EPROTO ? EXIT_REFUSED : EXIT_UNREACHABLE;
	}
	if (cli->json && j)
		cli_print_json(cli, j);
	if (hint && *hint)
		fprintf(stderr, "wispctl: %s (%s)\n", wisp_error(cli->client), hint);
	else
		fprintf(stderr, "wispctl: %s\n", wisp_error(cli->client));
	if (is_away(r))
		fputs("wispctl: is wispd running? systemctl status wispd; --socket PATH, if it "
		      "listens elsewhere\n",
		      stderr);
	json_decref(j);
	return r == -EPROTO ? EXIT_REFUSED : EXIT_UNREACHABLE;
}

int cli_call(struct cli *cli, const char *verb, const char *path, json_t *body, json_t **ret)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct wisp_reply reply = { 0 };
	char full[2 * CLI_PATH_BYTES];
	int r;

	json_decref(body);
	snprintf(full, sizeof(full), "%s%s%s", path,
		 !cli->tenant	     ? ""
		 : strchr(path, '?') ? "&tenant="
				     : "?tenant=",
		 cli->tenant ? cli->tenant : "");
	set_key(cli, strcmp(verb, "GET") != 0);
	r = cli_try(cli, verb, full, text, &reply);
	free(text);
	if (r < 0)
		r = complain(cli, &reply, r);
	else if (ret)
		*ret = json_loads(reply.body, 0, NULL);
	wisp_reply_clear(&reply);
	return r;
}

void cli_add_text(json_t *body, const char *member, const char *text)
{
	if (text)
		json_object_set_new(body, member, json_string(text));
}

void cli_add_list(json_t *body, const char *member, const char *text)
{
	json_t *list = text ? json_array() : NULL;

	while (text) {
		size_t len = strcspn(text, ",");

		json_array_append_new(list, json_stringn(text, len));
		text = text[len] ? text + len + 1 : NULL;
	}
	if (list)
		json_object_set_new(body, member, list);
}

json_t *cli_labels(const struct cli_arguments *a, int row)
{
	json_t *labels = json_object();

	for (unsigned i = 0; i < a->many_count; i++) {
		size_t len = strcspn(a->many[i], "=");
		char key[256];

		if (a->many_row[i] != row)
			continue;
		snprintf(key, sizeof(key), "%.*s", (int)len, a->many[i]);
		json_object_set_new(labels, key,
				    json_string(a->many[i] + len + (a->many[i][len] == '=')));
	}
	return labels;
}

/* How far it is, on a terminal: one line, which the next one replaces. */
static void show_progress(const json_t *operation, bool active)
{
	const json_t *progress = json_object_get(operation, "progress");
	int percent = (int)json_integer_value(json_object_get(progress, "percent"));
	const char *stage = json_string_value(json_object_get(progress, "stage"));
	char bar[BAR_WIDTH + 1];

	if (!isatty(STDERR_FILENO))
		return;
	if (!stage || !active) {
		fputs("\r\033[K", stderr);
		return;
	}
	memset(bar, ' ', BAR_WIDTH);
	bar[BAR_WIDTH] = '\0';
	memset(bar, '#', (size_t)(percent < 100 ? percent : 100) * BAR_WIDTH / 100);
	fprintf(stderr, "\r[%s] %3d%% %s\033[K", bar, percent, stage);
}

int cli_look(struct cli *cli, const char *operation, unsigned wait_ms, bool *active)
{
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	const char *state;
	int status;

	snprintf(path, sizeof(path), "/operations/%s?wait_ms=%u", operation ? operation : "",
		 wait_ms);
	status = cli_call(cli, "GET", path, NULL, &j);
	state = json_string_value(json_object_get(j, "state"));
	*active = state && strcmp(state, "active") == 0;
	show_progress(j, *active);
	if (state && strcmp(state, "failed") == 0) {
		if (!cli->quiet)
			fprintf(stderr, "wispctl: %s: %s\n",
				json_string_value(json_object_get(j, "code")),
				json_string_value(json_object_get(j, "message")));
		status = EXIT_REFUSED;
	}
	json_decref(j);
	return status;
}

int cli_wait(struct cli *cli, const json_t *reply)
{
	const char *id = json_string_value(json_object_get(reply, "operation"));
	bool active = true;
	int status = 0;

	while (active && status == 0)
		status = cli_look(cli, id, isatty(STDERR_FILENO) ? SHOWN_MS : WAIT_MS, &active);
	return status;
}

/* --- printing --- */

bool cli_print_json(const struct cli *cli, const json_t *j)
{
	if (!cli->json)
		return false;
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	return true;
}

const char *cli_text(const json_t *object, const char *member, char *buf, size_t size)
{
	const json_t *v = json_object_get(object, member);

	buf[0] = '\0';
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(buf, size, "%s", json_is_true(v) ? "yes" : "no");
	return buf;
}

/* What a terminal would obey does not come through. */
static void put_cell(const char *text, int width)
{
	int n = 0;

	for (; *text; text++, n++)
		putchar(iscntrl((unsigned char)*text) ? '?' : *text);
	printf("%*s", width > n ? width - n : 0, "");
}

static void put_heading(const char *const members[], const int widths[])
{
	for (unsigned c = 0; members[c]; c++) {
		for (const char *p = members[c]; *p; p++)
			putchar(toupper((unsigned char)*p));
		printf("%*s", members[c + 1] ? widths[c] - (int)strlen(members[c]) + 2 : 0, "");
	}
	putchar('\n');
}

void cli_print_table(const json_t *list, const char *const members[])
{
	int widths[COLUMNS_MAX] = { 0 };
	char buf[NUMBER_BYTES];
	json_t *row;
	size_t i;

	for (unsigned c = 0; members[c]; c++)
		widths[c] = (int)strlen(members[c]);
	json_array_foreach(list, i, row)
	{
		for (unsigned c = 0; members[c]; c++) {
			int len = (int)strlen(cli_text(row, members[c], buf, sizeof(buf)));

			widths[c] = len > widths[c] ? len : widths[c];
		}
	}
	put_heading(members, widths);
	json_array_foreach(list, i, row)
	{
		for (unsigned c = 0; members[c]; c++)
			put_cell(cli_text(row, members[c], buf, sizeof(buf)),
				 members[c + 1] ? widths[c] + 2 : 0);
		putchar('\n');
	}
}

int cli_inspect(struct cli *cli, const char *path)
{
	const struct cli in_json = { .json = true };
	json_t *j = NULL;
	int status = cli_call(cli, "GET", path, NULL, &j);

	if (status == 0)
		cli_print_json(&in_json, j);
	json_decref(j);
	return status;
}

int cli_list(struct cli *cli, const char *path, const char *member, const char *const columns[])
{
	json_t *j = NULL;
	int status = cli_call(cli, "GET", path, NULL, &j);

	if (status == 0 && !cli_print_json(cli, j))
		cli_print_table(json_object_get(j, member), columns);
	json_decref(j);
	return status;
}
