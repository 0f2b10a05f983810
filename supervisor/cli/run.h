/* run.h - a command in an instance of its own: made, entered, and ended with it. */
#ifndef SUPERVISOR_CLI_RUN_H
#define SUPERVISOR_CLI_RUN_H

#include <jansson.h>

#include "guest-images/agent/caller.h"
#include "supervisor/cli/cli.h"

/* Makes an instance by this request (stolen; remove: it is attended), runs the command in it as soon as its agent
 * answers, and then stops it, or removes it: that also when a signal interrupts, which
 * before the command begins ends all, and later is the command's. The command's exit status, or as
 * caller_status() has it. */
int cli_run(struct cli *cli, json_t *request, const struct caller_exec *e, bool remove);

/* Attends an instance that was made so (life/attend.h), as long as *fd is open; *fd: -1, or what
 * this made before: if that has ended, as it does with wispd, it is made anew. An exit status. */
int cli_attend(struct cli *cli, const char *id, int *fd);

/* What is to run in an instance of an image: the words, or what the image says, with its
 * variables, user and folder where none are given. The caller's until cli_plan_clear(). */
struct cli_plan {
	json_t *image; /* to which the texts belong */
	const char *arguments[2 * CLI_OPERANDS_MAX], *environment[2 * CLI_OPERANDS_MAX];
};

/* e: what was given, and then with the image's; its arguments are NULL when nobody says what to
 * run. An exit status. */
int cli_plan_make(struct cli *cli, const char *image, const char *const words[],
		  struct cli_plan *plan, struct caller_exec *e);
void cli_plan_clear(struct cli_plan *plan);

/* Adds " -- " and the words, as a shell reads them, to a kernel's command line: what wisp-init
 * then runs. NULL: memory is short; to be freed. */
char *cli_command_line(const char *cmdline, const char *const words[]);

#endif
