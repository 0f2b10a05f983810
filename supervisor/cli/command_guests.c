/* command_guests.c - wispctl's commands that reach into guests: exec, cp, health, console. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "guest-images/agent/caller.h"
#include "guest-images/agent/fields.h"
#include "supervisor/cli/cli.h"
#include "supervisor/cli/guest.h"
#include "vmm/base/fd.h"

enum {
	GREETING_LIMIT_MS = 10000,
	ANSWER_LIMIT_MS = 10000,
	CHUNK_BYTES = 4096,
	DETACH = 0x1d, /* Ctrl-] */
};

static int complain(const struct error *err)
{
	char line[1024];

	fprintf(stderr, "wispctl: %s\n", error_line(err, line, sizeof(line)));
	return EXIT_REFUSED;
}

/* A connection to the guest's agent; an exit status. */
static int reach(struct cli *cli, const char *instance, int *fd)
{
	char path[CLI_PATH_BYTES];
	struct error err;
	int status;

	snprintf(path, sizeof(path), "/instances/%s/stream", instance);
	status = cli_stream(cli, path, fd);
	if (status || caller_greeting(*fd, GREETING_LIMIT_MS, &err) == 0)
		return status;
	fd_close(*fd);
	return complain(&err);
}

/* --- exec --- */

int cli_exec_options(const struct cli_arguments *a, int first, const char **variables,
		     struct caller_exec *ret)
{
	const char *seconds = a->option[first + EXEC_TIMEOUT];
	unsigned count = 0;
	char *end;

	ret->interactive = a->option[first + EXEC_INTERACTIVE] != NULL;
	ret->terminal = a->option[first + EXEC_TTY] != NULL;
	ret->user = a->option[first + EXEC_USER];
	ret->directory = a->option[first + EXEC_WORKDIR];
	for (unsigned i = 0; i < a->many_count; i++)
		if (a->many_row[i] == first + EXEC_ENV)
			variables[count++] = a->many[i];
	variables[count] = NULL;
	ret->environment = variables;
	if (seconds) {
		unsigned long n = strtoul(seconds, &end, 10);

		if (*end || n == 0 || n > INT_MAX / 1000) {
			fprintf(stderr, "wispctl: --timeout %s: a number of seconds\n", seconds);
			return EXIT_USAGE;
		}
		ret->timeout_ms = (uint32_t)n * 1000;
	}
	return 0;
}

int cli_exec(struct cli *cli, const char *instance, const struct caller_exec *e)
{
	struct caller_outcome outcome = { 0 };
	struct error err = { 0 };
	int fd, guest_code = 0, r;

	if (reach(cli, instance, &fd))
		return CALLER_FAILED;
	r = caller_exec(fd, e, &outcome, &guest_code, &err);
	fd_close(fd);
	if (r < 0)
		complain(&err);
	return caller_status(r, guest_code, &outcome);
}

static const struct cli_option exec_options[] = {
	CLI_EXEC_OPTIONS(0),
	[EXEC_OPTIONS] = { 0 },
};

static int exec(struct cli *cli, const struct cli_arguments *a)
{
	const char *variables[CLI_OPERANDS_MAX + 1];
	struct caller_exec e = { .arguments = a->operand + 1 };
	int status = cli_exec_options(a, 0, variables, &e);

	return status ? status : cli_exec(cli, a->operand[0], &e);
}

/* --- cp --- */

/* Of "INSTANCE:/PATH" the path, and the instance in buf; NULL: it is a path of ours. */
static const char *guest_path(const char *text, char buf[CLI_PATH_BYTES])
{
	const char *colon = strchr(text, ':'), *slash = strchr(text, '/');

	if (!colon || (slash && slash < colon) || (size_t)(colon - text) >= CLI_PATH_BYTES)
		return NULL;
	snprintf(buf, CLI_PATH_BYTES, "%.*s", (int)(colon - text), text);
	return colon + 1;
}

static int cp(struct cli *cli, const struct cli_arguments *a)
{
	char instance[CLI_PATH_BYTES];
	const char *from = guest_path(a->operand[0], instance);
	const char *to = from ? NULL : guest_path(a->operand[1], instance);
	struct tree_result result;
	struct error err = { 0 };
	int fd, r, status;

	if (!from && !to) {
		fputs("wispctl: one of the two is INSTANCE:/PATH\n", stderr);
		return EXIT_USAGE;
	}
	status = reach(cli, instance, &fd);
	if (status)
		return status;
	if (from)
		r = caller_read(fd, from, a->operand[1], &result, &err);
	else
		r = caller_write(fd, a->operand[0], to, &result, &err);
	fd_close(fd);
	return r < 0 ? complain(&err) : 0;
}

/* --- health --- */

/* A guest may answer what it likes: no control characters to the terminal. */
static void print_fields(const struct caller_answer *answer)
{
	for (size_t at = 0; at < answer->len; at++) {
		char c = answer->bytes[at];

		putchar(c == '\0' ? '\n' : (unsigned char)c < ' ' || c == 0x7f ? '?' : c);
	}
}

static int health(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const nothing[] = { NULL };
	struct caller_answer *answer = calloc(1, sizeof(*answer));
	struct error err = { 0 };
	int fd, status = answer ? reach(cli, a->operand[0], &fd) : EXIT_REFUSED;

	if (status == 0) {
		if (caller_ask(fd, "health", nothing, ANSWER_LIMIT_MS, answer, &err) < 0)
			status = complain(&err);
		else
			print_fields(answer);
		fd_close(fd);
	}
	free(answer);
	return status;
}

/* --- console --- */

static bool write_all(int fd, const char *data, ssize_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, (size_t)len);

		if (n < 0 && errno != EINTR)
			return false;
		data += n > 0 ? n : 0;
		len -= n > 0 ? n : 0;
	}
	return true;
}

/* What is typed, up to the key that detaches; false: no more of it. */
static bool carry_input(int fd, bool typed, bool *detached)
{
	char chunk[CHUNK_BYTES];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
	const char *key = n > 0 && typed ? memchr(chunk, DETACH, (size_t)n) : NULL;

	*detached = key != NULL;
	return n > 0 && write_all(fd, chunk, key ? key - chunk : n);
}

static void attach(int fd, bool typed)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = STDIN_FILENO, .events = POLLIN } };
	char chunk[CHUNK_BYTES];
	bool detached = false;

	while (!detached && poll(p, 2, -1) > 0) {
		if (p[1].revents && !carry_input(fd, typed, &detached))
			p[1].fd = -1;
		if (p[0].revents) {
			ssize_t n = read(fd, chunk, sizeof(chunk));

			if (n <= 0 || !write_all(STDOUT_FILENO, chunk, n))
				return;
		}
	}
}

static int console(struct cli *cli, const struct cli_arguments *a)
{
	struct termios saved, raw;
	bool typed = tcgetattr(STDIN_FILENO, &saved) == 0;
	char path[CLI_PATH_BYTES];
	int fd, status;

	snprintf(path, sizeof(path), "/instances/%s/console", a->operand[0]);
	status = cli_stream(cli, path, &fd);
	if (status)
		return status;
	if (typed) {
		fputs("attached; Ctrl-] leaves\r\n", stderr);
		raw = saved;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	attach(fd, typed);
	if (typed)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	fd_close(fd);
	return 0;
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "exec",    "INSTANCE COMMAND [ARGUMENT]...", "run a command in its guest", exec_options, CLI_REST, 2, CLI_OPERANDS_MAX, exec },
	{ "cp",      "PATH INSTANCE:/PATH | INSTANCE:/PATH PATH", "copy files into its guest, or out of it", NULL, -1, 2, 2, cp },
	{ "health",  "INSTANCE", "ask its guest how it is",         NULL, -1, 1, 1, health },
	{ "console", "INSTANCE", "be at its guest's terminal; Ctrl-] leaves it", NULL, -1, 1, 1, console },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_guests = { "Guests", commands };
