/* run.c - make, wait, exec, end; signals are held back until they can be obeyed.
 *
 * From before the instance is made until it is gone SIGINT, SIGTERM and SIGHUP are blocked:
 * they are looked for while it starts, passed on to the command while that runs
 * (caller_exec()), and nothing is left behind by them.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/cli/guest.h"
#include "supervisor/cli/run.h"
#include "vmm/base/fd.h"

enum { WAIT_MS = 300, STATUS_SIGNAL = 128, NOBODY = -1 };

static void held_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

/* The one that has come, taken; 0: none. */
static int interrupted(void)
{
	static const struct timespec now = { 0 };
	sigset_t set;
	int number;

	held_signals(&set);
	number = sigtimedwait(&set, NULL, &now);
	return number > 0 ? number : 0;
}

/* --- attending --- */

int cli_attend(struct cli *cli, const char *id, int *fd)
{
	struct pollfd ended = { .fd = *fd, .events = POLLIN };
	char path[CLI_PATH_BYTES];

	if (*fd >= 0 && poll(&ended, 1, 0) == 0)
		return 0;
	*fd = fd_close(*fd);
	snprintf(path, sizeof(path), "/instances/%s/attend", id);
	return cli_stream(cli, path, fd);
}

/* --- running --- */

/* attended: a connection, or NOBODY. */
static int await(struct cli *cli, const char *operation, const char *id, int *attended)
{
	bool active = true;
	int status = 0, number;

	while (active && status == 0) {
		status = cli_look(cli, operation, WAIT_MS, &active);
		if (status == 0 && *attended != NOBODY)
			status = cli_attend(cli, id, attended);
		number = interrupted();
		if (number)
			return STATUS_SIGNAL + number;
	}
	return status ? CALLER_FAILED : 0;
}

/* It may have ended, and gone, by itself. */
static void end(struct cli *cli, const char *id, bool remove)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;

	cli->quiet = true;
	snprintf(path, sizeof(path), "/instances/%s%s", id, remove ? "" : "/stop");
	if (cli_call(cli, remove ? "DELETE" : "POST", path, NULL, &reply) == 0)
		cli_wait(cli, reply);
	cli->quiet = false;
	json_decref(reply);
}

int cli_run(struct cli *cli, json_t *request, const struct caller_exec *e, bool remove)
{
	json_t *reply = NULL;
	sigset_t set, before;
	const char *id;
	int status, attended = NOBODY;

	held_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	if (cli_call(cli, "POST", "/instances", request, &reply) == 0) {
		id = json_string_value(json_object_get(json_object_get(reply, "instance"), "id"));
		status = remove && cli_attend(cli, id, &attended) ? CALLER_FAILED : 0;
		if (status == 0)
			status = await(cli, json_string_value(json_object_get(reply, "operation")),
				       id, &attended);
		if (status == 0)
			status = cli_exec(cli, id, e);
		end(cli, id, remove);
		fd_close(attended);
	} else {
		status = CALLER_FAILED;
	}
	json_decref(reply);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return status;
}

/* --- what the image wants --- */

/* Behind those that are there; what does not fit is left out. */
static unsigned add_texts(const char *texts[], unsigned count, const json_t *list)
{
	const json_t *text;
	size_t i;

	json_array_foreach(list, i, text)
	{
		if (count < 2 * CLI_OPERANDS_MAX - 1)
			texts[count++] = json_string_value(text);
	}
	texts[count] = NULL;
	return count;
}

static void add_words(const char *texts[], unsigned count, const char *const words[])
{
	for (; words && *words && count < 2 * CLI_OPERANDS_MAX - 1; words++)
		texts[count++] = *words;
	texts[count] = NULL;
}

static const char *text_of(const json_t *run, const char *member)
{
	const char *text = json_string_value(json_object_get(run, member));

	return text && *text ? text : NULL;
}

int cli_plan_make(struct cli *cli, const char *image, const char *const words[],
		  struct cli_plan *plan, struct caller_exec *e)
{
	char path[CLI_PATH_BYTES];
	const json_t *run;
	unsigned count;
	int status;

	*plan = (struct cli_plan){ 0 };
	snprintf(path, sizeof(path), "/images/%s", image);
	status = cli_call(cli, "GET", path, NULL, &plan->image);
	if (status)
		return status;
	run = json_object_get(plan->image, "run");
	count = add_texts(plan->arguments, 0, json_object_get(run, "entrypoint"));
	if (*words)
		add_words(plan->arguments, count, words);
	else
		add_texts(plan->arguments, count, json_object_get(run, "cmd"));
	/* Of two with one name the later one counts. */
	count = add_texts(plan->environment, 0, json_object_get(run, "env"));
	add_words(plan->environment, count, e->environment);
	e->arguments = plan->arguments[0] ? plan->arguments : NULL;
	e->environment = plan->environment;
	e->user = e->user ? e->user : text_of(run, "user");
	e->directory = e->directory ? e->directory : text_of(run, "workdir");
	return 0;
}

void cli_plan_clear(struct cli_plan *plan)
{
	json_decref(plan->image);
}

/* --- a command for wisp-init --- */

/* In single quotes; one of its own as '\''. */
static void put_word(FILE *out, const char *word)
{
	fputc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			fputc(*word, out);
	}
	fputc('\'', out);
}

char *cli_command_line(const char *cmdline, const char *const words[])
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "%s%s--", cmdline ? cmdline : "", cmdline && *cmdline ? " " : "");
	for (; *words; words++) {
		fputc(' ', out);
		put_word(out, *words);
	}
	fclose(out);
	return text;
}
