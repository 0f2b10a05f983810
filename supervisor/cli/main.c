/* main.c - wispctl, the command line to wispd: finds the command, reads its options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

#define SOCKET "/run/wisp/wispd.sock"

enum { CALL_TIMEOUT_MS = 30000, NAME_WIDTH = 16, OPTION_WIDTH = 22 };

static const struct cli_area *const areas[] = {
	&cli_instances, &cli_guests,  &cli_changes,   &cli_engines,  &cli_snapshots,  &cli_images,
	&cli_networks,	&cli_volumes, &cli_pools,     &cli_billing,  &cli_scheduling, &cli_top,
	&cli_ledger,	&cli_devices, &cli_placement, &cli_runbooks, &cli_host,	      NULL,
};

static const char usage_text[] =
	"Usage: wispctl [--socket PATH] [--tenant NAME] [--json] [--no-wait] COMMAND [OPTION]..."
	" [OPERAND]...\n\n"
	"  --socket PATH   where wispd listens, by default $WISPD_SOCKET or " SOCKET "\n"
	"  --tenant NAME   whose things are meant (for an admin)\n"
	"  --json          print what wispd answers\n"
	"  --no-wait       fail at once where wispd does not listen, rather than after 30 s\n"
	"  completion      print what makes bash complete command lines\n"
	"  --version       print the version, and exit\n"
	"  --help          print this, or with a command its options, and exit\n";

/* "env,e": the name, and the letter. */
static size_t name_length(const struct cli_option *o)
{
	return strcspn(o->name, ",");
}

static char letter_of(const struct cli_option *o)
{
	const char *comma = strchr(o->name, ',');

	return comma ? comma[1] : '\0';
}

/* --- help --- */

static void print_usage(FILE *out)
{
	fputs(usage_text, out);
	for (const struct cli_area *const *area = areas; *area; area++) {
		fprintf(out, "\n%s\n", (*area)->title);
		for (const struct cli_command *c = (*area)->commands; c->name; c++)
			fprintf(out, "  %-*s %s\n", NAME_WIDTH, c->name, c->what);
	}
}

static void print_command(const struct cli_command *c, FILE *out)
{
	fprintf(out, "Usage: wispctl %s%s %s\n\n%s\n", c->name, c->options ? " [OPTION]..." : "",
		c->operands, c->what);
	for (const struct cli_option *o = c->options; o && o->name; o++) {
		const char letter[] = { '-', letter_of(o), ',', ' ', '\0' };
		char text[64];

		snprintf(text, sizeof(text), "%s--%.*s%s%s", letter_of(o) ? letter : "",
			 (int)name_length(o), o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		fprintf(out, "  %-*s %s\n", OPTION_WIDTH, text, o->what);
	}
}

/* --- finding --- */

/* The command that the first one or two words name; *words: how many. */
static const struct cli_command *find(int count, char **args, int *words)
{
	for (const struct cli_area *const *area = areas; *area; area++) {
		for (const struct cli_command *c = (*area)->commands; c->name; c++) {
			const char *space = strchr(c->name, ' ');
			size_t first = space ? (size_t)(space - c->name) : strlen(c->name);

			if (strlen(args[0]) != first || strncmp(args[0], c->name, first) != 0)
				continue;
			if (space && (count < 2 || strcmp(args[1], space + 1) != 0))
				continue;
			*words = space ? 2 : 1;
			return c;
		}
	}
	return NULL;
}

/* Whether it is the first of the command's two words. */
static bool begins(const struct cli_command *c, const char *word)
{
	size_t len = strlen(word);

	return strncmp(c->name, word, len) == 0 && c->name[len] == ' ';
}

/* Where the first word is right, what may follow it. */
static void say_unknown(int count, char **args)
{
	bool found = false;

	fprintf(stderr, "wispctl: there is no command %s", args[0]);
	for (const struct cli_area *const *area = areas; *area; area++) {
		for (const struct cli_command *c = (*area)->commands; c->name; c++) {
			if (!begins(c, args[0]))
				continue;
			if (!found && count > 1)
				fprintf(stderr, " %s", args[1]);
			fprintf(stderr, "%s %s", found ? "," : "; there is", c->name);
			found = true;
		}
	}
	fputs(found ? "\n" : "; wispctl --help lists them\n", stderr);
}

/* --- options --- */

static int find_option(const struct cli_command *c, const char *arg, size_t len)
{
	for (int i = 0; c->options && c->options[i].name; i++)
		if (name_length(&c->options[i]) == len &&
		    strncmp(c->options[i].name, arg, len) == 0)
			return i;
	return -1;
}

static bool may_repeat(const struct cli_option *o)
{
	size_t len = o->value ? strlen(o->value) : 0;

	return len > 3 && strcmp(o->value + len - 3, "...") == 0;
}

static void take_value(const struct cli_command *c, int row, const char *value,
		       struct cli_arguments *a)
{
	a->option[row] = value;
	if ((row != c->many && !may_repeat(&c->options[row])) || a->many_count == CLI_OPERANDS_MAX)
		return;
	a->many_row[a->many_count] = row;
	a->many[a->many_count++] = value;
}

/* "--name", "--name value" or "--name=value"; how many arguments it took, 0: wrong. */
static int read_option(const struct cli_command *c, int count, char **args, struct cli_arguments *a)
{
	const char *name = args[0] + 2, *equals = strchr(name, '=');
	int row = find_option(c, name, equals ? (size_t)(equals - name) : strlen(name));
	const char *value = equals ? equals + 1 : NULL;
	int took = 1;

	if (row < 0 || (!c->options[row].value && equals))
		return 0;
	if (c->options[row].value && !value) {
		if (count < 2)
			return 0;
		value = args[1];
		took = 2;
	}
	take_value(c, row, value ? value : "", a);
	return took;
}

static int find_letter(const struct cli_command *c, char letter)
{
	for (int i = 0; c->options && c->options[i].name; i++)
		if (letter_of(&c->options[i]) == letter)
			return i;
	return -1;
}

/* "-f", "-it", "-e value" or "-evalue". */
static int read_letters(const struct cli_command *c, int count, char **args,
			struct cli_arguments *a)
{
	for (const char *at = args[0] + 1; *at; at++) {
		int row = find_letter(c, *at);

		if (row < 0)
			return 0;
		if (!c->options[row].value) {
			take_value(c, row, "", a);
			continue;
		}
		if (!at[1] && count < 2)
			return 0;
		take_value(c, row, at[1] ? at + 1 : args[1], a);
		return at[1] ? 1 : 2;
	}
	return 1;
}

/* How many arguments it took; 0: it is not understood. */
static int read_argument(const struct cli_command *c, int count, char **args, bool *only_operands,
			 struct cli_arguments *a)
{
	/* Before the rest of a command line it may stand, and means nothing. */
	if (strcmp(args[0], "--") == 0 &&
	    (!*only_operands || (c->many == CLI_REST && args[-1] == a->operand[0]))) {
		*only_operands = true;
		return 1;
	}
	if (!*only_operands && strncmp(args[0], "--", 2) == 0)
		return read_option(c, count, args, a);
	if (!*only_operands && args[0][0] == '-' && args[0][1])
		return read_letters(c, count, args, a);
	if (a->operands == CLI_OPERANDS_MAX - 1)
		return 0;
	a->operand[a->operands++] = args[0];
	*only_operands = *only_operands || c->many == CLI_REST;
	return 1;
}

static bool read_arguments(const struct cli_command *c, int count, char **args,
			   struct cli_arguments *a)
{
	bool only_operands = false;

	while (count > 0) {
		int took = read_argument(c, count, args, &only_operands, a);

		if (!took) {
			fprintf(stderr, "wispctl: %s: not understood\n", args[0]);
			return false;
		}
		args += took;
		count -= took;
	}
	return a->operands >= c->least && a->operands <= c->most;
}

static int run(struct cli *cli, const char *socket, int count, char **args)
{
	struct cli_arguments a = { 0 };
	const struct cli_command *c;
	int words = 0, status;

	if (strcmp(args[0], "completion") == 0) {
		cli_complete(areas);
		return 0;
	}
	c = find(count, args, &words);
	if (!c) {
		say_unknown(count, args);
		return EXIT_USAGE;
	}
	if (count > words && strcmp(args[words], "--help") == 0) {
		print_command(c, stdout);
		return 0;
	}
	if (!read_arguments(c, count - words, args + words, &a)) {
		print_command(c, stderr);
		return EXIT_USAGE;
	}
	if (wisp_open(socket, &cli->client) < 0) {
		fputs("wispctl: out of memory\n", stderr);
		return EXIT_UNREACHABLE;
	}
	cli->socket = socket;
	wisp_set_timeout(cli->client, CALL_TIMEOUT_MS);
	status = c->run(cli, &a);
	wisp_close(cli->client);
	return status;
}

int main(int argc, char **argv)
{
	const char *socket = getenv("WISPD_SOCKET");
	struct cli cli = { 0 };
	int at = 1;

	for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
		if (strcmp(argv[at], "--json") == 0) {
			cli.json = true;
		} else if (strcmp(argv[at], "--no-wait") == 0) {
			cli.no_wait = true;
		} else if (strcmp(argv[at], "--socket") == 0 && at + 1 < argc) {
			socket = argv[++at];
		} else if (strcmp(argv[at], "--tenant") == 0 && at + 1 < argc) {
			cli.tenant = argv[++at];
		} else if (strcmp(argv[at], "--version") == 0) {
			printf("wispctl v%s\n", WISP_VERSION);
			return 0;
		} else {
			bool help = strcmp(argv[at], "--help") == 0;

			print_usage(help ? stdout : stderr);
			return help ? 0 : EXIT_USAGE;
		}
	}
	if (at == argc) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	return run(&cli, socket ? socket : SOCKET, argc - at, argv + at);
}
