/* command_engines.c - what an engine runs to have a VMM for its child, and what is done with that
 * one's own books. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"
#include "supervisor/cli/figures.h"

enum { ARGUMENTS_MAX = 256, BOOKS_BYTES = 64 << 20 };

static int complain(const char *what)
{
	fprintf(stderr, "wispctl: %s: %s\n", what, strerror(errno));
	return EXIT_REFUSED;
}

/* Becomes that program, with nothing of ours but its output; returns if it cannot. */
static int execute(const json_t *argv)
{
	const char *arguments[ARGUMENTS_MAX + 1] = { 0 };
	const json_t *text;
	int input;
	size_t i;

	json_array_foreach(argv, i, text)
	{
		if (i < ARGUMENTS_MAX)
			arguments[i] = json_string_value(text);
	}
	if (!arguments[0] || json_array_size(argv) > ARGUMENTS_MAX) {
		errno = EPROTO;
		return complain("what wispd says is no command");
	}
	input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input < 0 || dup2(input, STDIN_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		return complain("cannot let go of files");
	execv(arguments[0], (char *const *)arguments);
	return complain(arguments[0]);
}

/* This process offers itself, and when all else is ready it is told what to become. */
static int launch(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/instances/%s/launch", a->operand[0]);
	status = cli_call(cli, "POST", path, NULL, NULL);
	if (status)
		return status;
	snprintf(path, sizeof(path), "/instances/%s/command", a->operand[0]);
	status = cli_call(cli, "GET", path, NULL, &reply);
	if (status == 0)
		status = execute(json_object_get(reply, "argv"));
	json_decref(reply);
	return status;
}

/* --- an engine's own books --- */

/* All of a file, "-": of the input. The caller's; NULL: errno says why. */
static char *read_all(const char *path)
{
	FILE *f = fopen(strcmp(path, "-") == 0 ? "/dev/stdin" : path, "re");
	char *text;
	size_t n;

	if (!f)
		return NULL;
	text = calloc(1, BOOKS_BYTES + 1);
	n = text ? fread(text, 1, BOOKS_BYTES + 1, f) : 0;
	fclose(f);
	if (n <= BOOKS_BYTES)
		return text;
	free(text);
	errno = EFBIG;
	return NULL;
}

/* One after the other; what is an instance of ours goes into known, with what differs. */
static int compare_all(struct cli *cli, json_t *figures, json_t *known)
{
	json_t *row;
	int status = 0;
	size_t n;

	json_array_foreach(figures, n, row)
	{
		json_t *reply = NULL;

		status = cli_call(cli, "POST", "/reconciliations", json_incref(row), &reply);
		if (status)
			break;
		json_object_set(reply, "ref", json_object_get(row, "ref"));
		if (json_string_length(json_object_get(reply, "instance")))
			json_array_append(known, reply);
		json_decref(reply);
	}
	return status;
}

static bool any_differs(const json_t *known)
{
	const json_t *row;
	size_t n;

	json_array_foreach(known, n, row)
	{
		if (json_string_length(json_object_get(row, "differs")))
			return true;
	}
	return false;
}

static int reconcile(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "ref", "instance", "name", "differs", NULL };
	char *text = read_all(a->operand[1]);
	json_t *figures = text ? figures_parse(a->operand[0], text) : NULL;
	json_t *known = json_array();
	int status;

	if (!text)
		status = complain(a->operand[1]);
	else if (!figures) {
		errno = EPROTO;
		status = complain("neither a table of sacct with JobID, nor JSON of podman stats");
	} else
		status = compare_all(cli, figures, known);
	if (status == 0 && !cli_print_json(cli, known))
		cli_print_table(known, members);
	if (status == 0 && any_differs(known))
		status = EXIT_REFUSED;
	json_decref(known);
	json_decref(figures);
	free(text);
	return status;
}

static const struct cli_command commands[] = {
	{ "launch", "INSTANCE", "become the VMM of one made with --engine; its end is mine", NULL,
	  -1, 1, 1, launch },
	{ "reconcile", "ENGINE FILE", "hold an engine's own figures against the books", NULL, -1, 2,
	  2, reconcile },
	{ 0 },
};

const struct cli_area cli_engines = { "Engines", commands };
