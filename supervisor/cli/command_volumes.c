/* command_volumes.c - wispctl's commands about volumes. */
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/cli/cli.h"

/* One request that begins an operation, and its end; what was meant is printed. */
static int ask(struct cli *cli, const char *verb, const char *name, const char *tail, json_t *body)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/volumes%s%s%s", name[0] ? "/" : "", name, tail);
	status = cli_call(cli, verb, path, body, &reply);
	if (status == 0 && json_object_get(reply, "operation"))
		status = cli_wait(cli, reply);
	json_decref(reply);
	return status;
}

static int ask_and_print(struct cli *cli, const char *name, const char *tail, json_t *body)
{
	int status = ask(cli, "POST", name, tail, body);

	if (status == 0)
		puts(name);
	return status;
}

enum { MAKE_SIZE, MAKE_FORMAT, MAKE_FROM };

static const struct cli_option make_options[] = {
	[MAKE_SIZE] = { "size", "MIB", "how large; it is needed, but for a copy" },
	[MAKE_FORMAT] = { "format", "FORMAT", "raw (the default) or ext4" },
	[MAKE_FROM] = { "from", "VOLUME", "a copy of this one, as it is now" },
	{ 0 },
};

static int create(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_pack("{s:s}", "name", a->operand[0]);
	int status;

	cli_add_text(body, "format", a->option[MAKE_FORMAT]);
	cli_add_text(body, "from", a->option[MAKE_FROM]);
	if (a->option[MAKE_SIZE])
		json_object_set_new(body, "size_mib",
				    json_integer(strtoll(a->option[MAKE_SIZE], NULL, 10)));
	status = ask(cli, "POST", "", "", body);
	if (status == 0)
		puts(a->operand[0]);
	return status;
}

static int ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name",	"tenant",   "size_mib", "format", "state",
					       "place", "instance", "id",	NULL };

	(void)a;
	return cli_list(cli, "/volumes", "volumes", members);
}

enum { RM_ERASE };

static const struct cli_option rm_options[] = {
	[RM_ERASE] = { "erase", NULL, "overwrite it first; the ledger has the certificate" },
	{ 0 },
};

static int rm(struct cli *cli, const struct cli_arguments *a)
{
	int first = 0;

	for (unsigned i = 0; i < a->operands; i++) {
		json_t *body = json_pack("{s:b}", "erase", a->option[RM_ERASE] != NULL);
		int status = ask(cli, "DELETE", a->operand[i], "", body);

		if (status == 0)
			puts(a->operand[i]);
		first = first ? first : status;
	}
	return first;
}

enum { ATTACH_READ_ONLY };

static const struct cli_option attach_options[] = {
	[ATTACH_READ_ONLY] = { "read-only", NULL, "the instance cannot write" },
	{ 0 },
};

static int attach(struct cli *cli, const struct cli_arguments *a)
{
	return ask_and_print(cli, a->operand[0], "/attach",
			     json_pack("{s:s, s:b}", "instance", a->operand[1], "read_only",
				       a->option[ATTACH_READ_ONLY] != NULL));
}

static int detach(struct cli *cli, const struct cli_arguments *a)
{
	return ask_and_print(cli, a->operand[0], "/detach", NULL);
}

static int grow(struct cli *cli, const struct cli_arguments *a)
{
	return ask_and_print(
		cli, a->operand[0], "/grow",
		json_pack("{s:I}", "size_mib", (json_int_t)strtoll(a->operand[1], NULL, 10)));
}

static int backup(struct cli *cli, const struct cli_arguments *a)
{
	return ask_and_print(cli, a->operand[0], "/backup",
			     json_pack("{s:s}", "path", a->operand[1]));
}

static const struct cli_command commands[] = {
	{ "volume create", "NAME", "make a volume", make_options, -1, 1, 1, create },
	{ "volume ls", "", "list volumes", NULL, -1, 0, 0, ls },
	{ "volume attach", "VOLUME INSTANCE", "make it a disk of an instance", attach_options, -1,
	  2, 2, attach },
	{ "volume detach", "VOLUME", "take it from its instance", NULL, -1, 1, 1, detach },
	{ "volume grow", "VOLUME MIB", "make it larger", NULL, -1, 2, 2, grow },
	{ "volume backup", "VOLUME FILE", "copy it to a file of the host", NULL, -1, 2, 2, backup },
	{ "volume rm", "VOLUME...", "remove volumes that nobody has", rm_options, -1, 1,
	  CLI_OPERANDS_MAX, rm },
	{ 0 },
};

const struct cli_area cli_volumes = { "Volumes", commands };
