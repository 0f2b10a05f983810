/* guest.h - what wispctl does in a guest, by its agent (guest-images/agent/caller.h). */
#ifndef SUPERVISOR_CLI_GUEST_H
#define SUPERVISOR_CLI_GUEST_H

#include "guest-images/agent/caller.h"
#include "supervisor/cli/cli.h"

/* Runs a command in a running instance; its exit status, or as caller_status() has it. */
int cli_exec(struct cli *cli, const char *instance, const struct caller_exec *e);

/* The options that exec and run have in common: rows of a table, which begin at first, and
 * what they say. variables: room for CLI_OPERANDS_MAX, to which environment points then.
 * EXIT_USAGE and a word about it: a number that is none. */
enum { EXEC_INTERACTIVE, EXEC_TTY, EXEC_ENV, EXEC_USER, EXEC_WORKDIR, EXEC_TIMEOUT, EXEC_OPTIONS };

/* clang-format off */
#define CLI_EXEC_OPTIONS(first) \
	[(first) + EXEC_INTERACTIVE] = { "interactive,i", NULL, "give the command my input" }, \
	[(first) + EXEC_TTY] = { "tty,t", NULL, "give it a terminal" }, \
	[(first) + EXEC_ENV] = { "env,e", "NAME=VALUE...", "a variable; may be repeated" }, \
	[(first) + EXEC_USER] = { "user,u", "USER[:GROUP]", "who it runs as; by default root" }, \
	[(first) + EXEC_WORKDIR] = { "workdir,w", "DIRECTORY", "where it starts" }, \
	[(first) + EXEC_TIMEOUT] = { "timeout,T", "SECONDS", "end it then" }
/* clang-format on */

int cli_exec_options(const struct cli_arguments *a, int first, const char **variables,
		     struct caller_exec *ret);

#endif
