/* completion.c - bash completes commands and options by what their tables say. */
#include <stdio.h>
#include <string.h>

#include "supervisor/cli/cli.h"

static void put_options(const struct cli_option *o)
{
	for (; o && o->name; o++)
		printf(" --%.*s", (int)strcspn(o->name, ","), o->name);
}

/* What may follow the first word: the second ones of commands of two. */
static void put_seconds(const struct cli_area *const areas[], const char *first, size_t len)
{
	for (; *areas; areas++)
		for (const struct cli_command *c = (*areas)->commands; c->name; c++)
			if (strncmp(c->name, first, len) == 0 && c->name[len] == ' ')
				printf(" %s", c->name + len + 1);
}

static void put_firsts(const struct cli_area *const areas[])
{
	for (; *areas; areas++)
		for (const struct cli_command *c = (*areas)->commands; c->name; c++)
			printf(" %.*s", (int)strcspn(c->name, " "), c->name);
}

static void put_case(const struct cli_command *c)
{
	printf("\t\"%s%s*) words='", c->name, strchr(c->name, ' ') ? "\"" : " \"");
	put_options(c->options);
	puts("' ;;");
}

/* Behind all commands of two words, which it would hide. */
static void put_first_case(const struct cli_area *const areas[], const struct cli_command *c)
{
	size_t len = strcspn(c->name, " ");

	if (!c->name[len])
		return;
	printf("\t\"%.*s \"*) words='", (int)len, c->name);
	put_seconds(areas, c->name, len);
	puts("' ;;");
}

void cli_complete(const struct cli_area *const areas[])
{
	puts("# bash: source <(wispctl completion)\n"
	     "_wispctl()\n{\n\tlocal words=\n"
	     "\tcase \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in");
	for (const struct cli_area *const *area = areas; *area; area++)
		for (const struct cli_command *c = (*area)->commands; c->name; c++)
			put_case(c);
	for (const struct cli_area *const *area = areas; *area; area++)
		for (const struct cli_command *c = (*area)->commands; c->name; c++)
			put_first_case(areas, c);
	fputs("\tesac\n\t[ \"$COMP_CWORD\" -gt 1 ] || words='", stdout);
	put_firsts(areas);
	puts("'\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n"
	     "complete -o default -F _wispctl wispctl");
}
