/* ctl.c - wisp-ctl: one call to a microVM's API, or its events, from a shell. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/fork.h"
#include "api/client/libwisp.h"

enum { EXIT_REFUSED = 1, EXIT_UNREACHABLE = 2, EXIT_USAGE = 153 };

static const char usage_text[] =
	"Usage: wisp-ctl SOCKET GET|PUT|PATCH|DELETE PATH [BODY]\n"
	"       wisp-ctl SOCKET start|pause|resume\n"
	"       wisp-ctl SOCKET events\n"
	"       wisp-ctl SOCKET fork DIR COUNT [LOAD]\n\n"
	"Prints what the machine answers. events prints them as they come, a name and a line\n"
	"of JSON each, until the machine is gone. fork saves the machine in DIR while it runs, and\n"
	"starts COUNT copies of it; LOAD: an object with more for their PUT /snapshot/load, in\n"
	"which {n} is the copy's number.\n"
	"Exit status: 0; 1 when the machine refused, and why is said; 2 when it cannot be reached.\n";

static const struct {
	const char *name;
	int (*run)(struct wisp *w);
} words[] = {
	{ "start", wisp_start },
	{ "pause", wisp_pause },
	{ "resume", wisp_resume },
};

static int print_event(void *ctx, const char *name, const char *json)
{
	(void)ctx;
	printf("%s %s\n", name, json);
	return fflush(stdout);
}

static int call(struct wisp *w, int count, char **args)
{
	struct wisp_reply reply;
	int r = wisp_call(w, args[0], args[1], count > 2 ? args[2] : NULL, &reply);

	if (r == 0 && reply.len)
		printf("%s\n", reply.body);
	wisp_reply_clear(&reply);
	return r;
}

/* fork DIR COUNT [LOAD] */
static int run_fork(struct wisp *w, int count, char **args, bool *known)
{
	char reason[FORK_REASON_BYTES], *end;
	unsigned long copies = strtoul(args[2], &end, 10);
	int r;

	*known = *end == '\0' && copies > 0 && copies <= FORK_MAX;
	if (!*known)
		return 0;
	r = fork_machine(w, args[1], (unsigned)copies, count > 3 ? args[3] : NULL, reason);
	if (r < 0)
		fprintf(stderr, "wisp-ctl: %s\n", reason);
	return r;
}

/* *known: it is a command. */
static int run(struct wisp *w, int count, char **args, bool *known)
{
	if ((count == 3 || count == 4) && strcmp(args[0], "fork") == 0)
		return run_fork(w, count, args, known);
	*known = true;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (count == 1 && strcmp(words[i].name, args[0]) == 0)
			return words[i].run(w);
	}
	if (count == 1 && strcmp(args[0], "events") == 0)
		return wisp_events(w, print_event, NULL);
	if (count == 2 || count == 3)
		return call(w, count, args);
	*known = false;
	return 0;
}

int main(int argc, char **argv)
{
	struct wisp *w;
	bool known;
	int r;

	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage_text, stdout) < 0;
	if (argc < 3) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	r = wisp_open(argv[1], &w);
	if (r < 0) {
		fprintf(stderr, "wisp-ctl: %s\n", strerror(-r));
		return EXIT_UNREACHABLE;
	}
	r = run(w, argc - 2, argv + 2, &known);
	if (!known)
		fputs(usage_text, stderr);
	else if (r < 0 && strcmp(argv[2], "fork") != 0)
		fprintf(stderr, "wisp-ctl: %s\n", wisp_error(w));
	wisp_close(w);
	if (!known)
		return EXIT_USAGE;
	return r == 0 ? 0 : r == -EPROTO ? EXIT_REFUSED : EXIT_UNREACHABLE;
}
