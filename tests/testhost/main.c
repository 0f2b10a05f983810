/* main.c - wisp-testhost: run a command inside an emulated KVM host.
 *
 *   options.c  the command line            check.c    what the machine lacks
 *   kernel.c   Debian's kernel, cached     cache.c    where, and how atomically
 *   bzimage.c  what a vmlinuz has inside
 *   initrd.c   the RAM disk of one run, from moddep.c (modules.dep), newc.c (cpio),
 *              job.c (what to run) and scripts.c (guest-init.sh, guest-run.sh)
 *   qemu.c     the machine's command line  run.c      its life, and the output's way
 *   process.c  children that die with us   endmark.c  where a stream ends
 *   tsc.c      how fast its counters run
 *
 * docs/testhost.md says what it is for.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/testhost/check.h"
#include "tests/testhost/kernel.h"
#include "tests/testhost/options.h"
#include "tests/testhost/process.h"
#include "tests/testhost/run.h"
#include "vmm/base/error.h"

enum {
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
};

struct command {
	const char *name;
	const char *help;
	int (*run)(char *const args[], struct interrupt *i);
};

static int report(const struct error *e, int code)
{
	char line[1024];

	fprintf(stderr, "wisp-testhost: %s\n", error_line(e, line, sizeof(line)));
	return code;
}

static int refuse_arguments(char *const args[])
{
	if (!args[0])
		return 0;
	fprintf(stderr, "wisp-testhost: unexpected argument %s (wisp-testhost help)\n", args[0]);
	return EXIT_USAGE;
}

static int prepare(struct interrupt *i, struct kernel *ret, struct error *e)
{
	int r = check_programs(e);

	return r < 0 ? r : kernel_prepare(i, ret, e);
}

static int command_run(char *const args[], struct interrupt *i)
{
	struct error e = { 0 };
	struct options o;
	struct kernel kernel;
	int r = options_parse(args, &o, &e);

	if (r < 0) {
		options_clear(&o);
		return report(&e, EXIT_USAGE);
	}
	r = kernel_find(&kernel, &e);
	if (r == -ENOENT)
		r = prepare(i, &kernel, &e);
	if (r == 0) {
		e.code = 0;
		r = run_command(&o, &kernel, i, &e);
	}
	options_clear(&o);
	return r < 0 ? report(&e, RUN_HOST_DIED) : r;
}

static int command_prepare(char *const args[], struct interrupt *i)
{
	struct error e = { 0 };
	struct kernel kernel;
	int r = refuse_arguments(args);

	if (r != 0)
		return r;
	if (prepare(i, &kernel, &e) < 0)
		return report(&e, EXIT_FAILED);
	printf("%s\n", kernel.image);
	return 0;
}

static int command_check(char *const args[], struct interrupt *i)
{
	int r = refuse_arguments(args);

	(void)i;
	if (r != 0)
		return r;
	return check_report(stdout) ? EXIT_FAILED : 0;
}

static int command_help(char *const args[], struct interrupt *i);

static const struct command commands[] = {
	{ "run", "[OPTION]... -- CMD [ARG]...   run CMD in the test host", command_run },
	{ "prepare", "fetch the newest kernel now rather than at the first run", command_prepare },
	{ "check", "say what the machine lacks, and how to install it", command_check },
	{ "help", "this text", command_help },
};

static void print_help(FILE *to)
{
	fputs("wisp-testhost " WISP_VERSION ": run a command in an emulated KVM host\n\n", to);
	for (size_t n = 0; n < sizeof(commands) / sizeof(commands[0]); n++)
		fprintf(to, "wisp-testhost %-8s %s\n", commands[n].name, commands[n].help);
	fputs("\noptions of run:\n", to);
	options_help(to);
	fputs("\nexit code: CMD's (128 + N: killed by signal N); 124 time is up; 125 the test\n"
	      "host failed; 2 wrong usage\n",
	      to);
}

static int command_help(char *const args[], struct interrupt *i)
{
	(void)args;
	(void)i;
	print_help(stdout);
	return 0;
}

static const struct command *find_command(const char *name)
{
	while (*name == '-') /* --help is as good as help */
		name++;
	for (size_t n = 0; n < sizeof(commands) / sizeof(commands[0]); n++) {
		if (strcmp(commands[n].name, name) == 0)
			return &commands[n];
	}
	return NULL;
}

int main(int argc, char *argv[])
{
	const struct command *c = argc > 1 ? find_command(argv[1]) : NULL;
	struct interrupt interrupt;

	if (!c) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (interrupt_setup(&interrupt) < 0) {
		perror("wisp-testhost: cannot watch for signals");
		return EXIT_FAILED;
	}

	int code = c->run(argv + 2, &interrupt);

	interrupt_raise(&interrupt);
	return code;
}
