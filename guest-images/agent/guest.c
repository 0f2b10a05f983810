/* guest.c - wisp-guest: run commands in a guest, copy files, and look after it, by its agent.
 *
 * A table of commands; each has its own options, and one connection.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-images/agent/caller.h"
#include "guest-images/agent/fields.h"
#include "vmm/base/fd.h"

enum {
	CONNECT_LIMIT_MS = 10 * 1000,
	ANSWER_LIMIT_MS = 10 * 1000,
	EXIT_USAGE = 2,
	MAX_VARIABLES = 256,
};

struct target {
	const char *uds;
	uint32_t port;
};

struct command {
	const char *name, *usage;
	int (*run)(const struct target *t, int argc, char **argv); /* -1: wrong usage */
};

static int fail(const struct error *err)
{
	char line[1024];

	fprintf(stderr, "wisp-guest: %s\n", error_line(err, line, sizeof(line)));
	return CALLER_FAILED;
}

static bool number(const char *text, unsigned long most, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !errno && !*end && *ret <= most;
}

/* --- exec --- */

static const struct option exec_options[] = {
	{ "interactive", no_argument, NULL, 'i' },
	{ "tty", no_argument, NULL, 't' },
	{ "env", required_argument, NULL, 'e' },
	{ "user", required_argument, NULL, 'u' },
	{ "workdir", required_argument, NULL, 'w' },
	{ "timeout", required_argument, NULL, 'T' },
	{ 0 },
};

/* False: wrong usage. variables: up to MAX_VARIABLES and a NULL. */
static bool exec_parse(int argc, char **argv, struct caller_exec *e, const char **variables)
{
	unsigned long seconds;
	size_t count = 0;
	int c;

	while ((c = getopt_long(argc, argv, "+ite:u:w:T:", exec_options, NULL)) != -1) {
		switch (c) {
		case 'i':
			e->interactive = true;
			break;
		case 't':
			e->terminal = true;
			break;
		case 'u':
			e->user = optarg;
			break;
		case 'w':
			e->directory = optarg;
			break;
		case 'e':
			if (count == MAX_VARIABLES)
				return false;
			variables[count++] = optarg;
			break;
		case 'T':
			if (!number(optarg, INT32_MAX / 1000, &seconds))
				return false;
			e->timeout_ms = (uint32_t)seconds * 1000;
			break;
		default:
			return false;
		}
	}
	variables[count] = NULL;
	e->environment = variables;
	e->arguments = (const char *const *)argv + optind;
	return optind < argc;
}

static int run_exec(const struct target *t, int argc, char **argv)
{
	const char *variables[MAX_VARIABLES + 1];
	struct caller_outcome outcome = { 0 };
	struct caller_exec e = { 0 };
	int fd, r, guest_code;
	struct error err;

	if (!exec_parse(argc, argv, &e, variables))
		return -1;
	fd = caller_connect(t->uds, t->port, CONNECT_LIMIT_MS, &err);
	if (fd < 0)
		return fail(&err);
	r = caller_exec(fd, &e, &outcome, &guest_code, &err);
	fd_close(fd);
	if (r < 0)
		fail(&err);
	return caller_status(r, guest_code, &outcome);
}

/* --- cp --- */

/* The path behind "guest:", or NULL. */
static const char *guest_path(const char *text)
{
	static const char prefix[] = "guest:";

	return strncmp(text, prefix, strlen(prefix)) == 0 ? text + strlen(prefix) : NULL;
}

static int run_copy(const struct target *t, int argc, char **argv)
{
	const char *from = argc == 3 ? guest_path(argv[1]) : NULL;
	const char *to = argc == 3 ? guest_path(argv[2]) : NULL;
	struct tree_result result;
	struct error err;
	int fd, r;

	if (!from == !to)
		return -1;
	fd = caller_connect(t->uds, t->port, CONNECT_LIMIT_MS, &err);
	if (fd < 0)
		return fail(&err);
	if (from)
		r = caller_read(fd, from, argv[2], &result, &err);
	else
		r = caller_write(fd, argv[1], to, &result, &err);
	fd_close(fd);
	return r < 0 ? fail(&err) : 0;
}

/* --- what is asked and answered --- */

static int ask(const struct target *t, const char *verb, const char *const fields[],
	       struct caller_answer *answer)
{
	struct error err;
	int fd = caller_connect(t->uds, t->port, CONNECT_LIMIT_MS, &err), r;

	if (fd < 0)
		return fail(&err);
	r = caller_ask(fd, verb, fields, ANSWER_LIMIT_MS, answer, &err);
	fd_close(fd);
	return r < 0 ? fail(&err) : 0;
}

/* A guest may answer what it likes: no control characters to the terminal. */
static void print_field(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
	putchar('\n');
}

static int run_health(const struct target *t, int argc, char **argv)
{
	const char *const nothing[] = { NULL };
	struct caller_answer *answer = calloc(1, sizeof(*answer));
	int status = CALLER_FAILED;

	(void)argv;
	if (argc != 1) {
		free(answer);
		return -1;
	}
	if (answer)
		status = ask(t, "health", nothing, answer);
	for (size_t at = 0; status == 0 && at < answer->len; at += strlen(answer->bytes + at) + 1)
		print_field(answer->bytes + at);
	free(answer);
	return status;
}

/* A name and a '=', which the agent would ignore when it did not know it. */
static bool is_identity(const char *text)
{
	static const char *const names[] = { "seed=", "clock_ns=", "hostname=", "machine_id=",
					     "mac=",  "address=",  "gateway=",	"resolver=" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(text, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

static int run_identity(const struct target *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!is_identity(argv[i]))
			return -1;
	}
	return ask(t, "identity", (const char *const *)argv + 1, NULL);
}

static int run_stop(const struct target *t, int argc, char **argv)
{
	const char *const fields[] = { "mode=poweroff", NULL };

	(void)argv;
	return argc == 1 ? ask(t, "shutdown", fields, NULL) : -1;
}

static int run_reboot(const struct target *t, int argc, char **argv)
{
	const char *const fields[] = { "mode=reboot", NULL };

	(void)argv;
	return argc == 1 ? ask(t, "shutdown", fields, NULL) : -1;
}

/* --- the command line --- */

static const struct command commands[] = {
	{ "exec",
	  "[-i] [-t] [-e NAME=VALUE]... [-u USER[:GROUP]] [-w DIRECTORY] [-T SECONDS] [--] COMMAND [ARGUMENT]...",
	  run_exec },
	{ "cp", "PATH guest:PATH | guest:PATH PATH", run_copy },
	{ "health", "", run_health },
	{ "identity",
	  "[hostname=NAME] [machine_id=HEX] [\"mac=IFACE MAC\"]... [\"address=IFACE IP/BITS\"]... [gateway=IP] [\"resolver=IP DOMAIN\"] [seed=HEX] [clock_ns=N]",
	  run_identity },
	{ "stop", "", run_stop },
	{ "reboot", "", run_reboot },
};

static int usage(FILE *out)
{
	fputs("Usage: wisp-guest UDS_PATH[:PORT] COMMAND...\n"
	      "UDS_PATH is the uds_path of the guest's vsock; the agent listens on port 1024 unless it was\n"
	      "told another one.\n",
	      out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %s %s\n", commands[i].name, commands[i].usage);
	return out == stdout ? 0 : EXIT_USAGE;
}

/* Cuts ":PORT" off the path. False when it is no port. */
static bool target_parse(char *text, struct target *ret)
{
	char *colon = strrchr(text, ':');
	unsigned long port = AGENT_PORT;

	if (colon && !strchr(colon, '/')) {
		if (!number(colon + 1, UINT32_MAX - 1, &port))
			return false;
		*colon = '\0';
	}
	*ret = (struct target){ text, (uint32_t)port };
	return true;
}

int main(int argc, char **argv)
{
	struct target target;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return usage(stdout);
	if (argc < 3 || !target_parse(argv[1], &target))
		return usage(stderr);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int status;

		if (strcmp(commands[i].name, argv[2]) != 0)
			continue;
		status = commands[i].run(&target, argc - 2, argv + 2);
		if (status >= 0)
			return status;
		fprintf(stderr, "Usage: wisp-guest UDS_PATH[:PORT] %s %s\n", commands[i].name,
			commands[i].usage);
		return EXIT_USAGE;
	}
	return usage(stderr);
}
