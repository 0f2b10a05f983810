/* job.c - what the guest is to do, as a piece of shell that its init reads.
 *
 * Whatever the caller says (paths, arguments, environment) is quoted by one
 * function, and so cannot become shell. The environment goes through env(1),
 * since its names need not be names that a shell accepts; the machine's env, since
 * busybox would start its own applets instead of the machine's programs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/testhost/job.h"
#include "tests/testhost/options.h"
#include "tests/testhost/run.h"

static void put_quoted(FILE *f, const char *word)
{
	fputs(" '", f);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", f);
		else
			fputc(*word, f);
	}
	fputc('\'', f);
}

static void put_modules(FILE *f, const struct options *o)
{
	fputs("modules='", f);
	for (unsigned i = 0; i < o->nmodules; i++)
		fprintf(f, " %s", o->modules[i]);
	fputs(o->vfio ? " vfio-pci'\n" : "'\n", f);
}

static void put_shares(FILE *f, const struct options *o)
{
	fputs("mount_shares()\n{\n\t:\n", f);
	for (unsigned i = 0; i < o->nshares; i++) {
		fprintf(f, "\tmount_share share%u", i);
		put_quoted(f, o->shares[i]);
		fputc('\n', f);
	}
	fputs("}\n", f);
}

static void put_command(FILE *f, const struct options *o, const struct job_context *context)
{
	fputs("run_command()\n{\n\tcd", f);
	put_quoted(f, context->cwd);
	fputs(" || exit 125\n\texec /usr/bin/env -i", f);
	for (char *const *at = context->environ; *at; at++) {
		if (strchr(*at, '='))
			put_quoted(f, *at);
	}
	/* Between env and the command, whose name may hold a '=', stands setsid. */
	fputs(" WISP_TESTHOST=1 /usr/bin/setsid --", f);
	for (char *const *at = o->command; *at; at++)
		put_quoted(f, *at);
	fputs("\n}\n", f);
}

int job_text(const struct options *o, const struct job_context *context, char **ret, size_t *len)
{
	FILE *f = open_memstream(ret, len);

	if (!f)
		return -ENOMEM;
	fprintf(f, "token=%s\npatience=%u\nlost_status=%d\n", context->token, o->patience_s,
		RUN_GUEST_LOST);
	put_modules(f, o);
	put_shares(f, o);
	put_command(f, o, context);
	return fclose(f) == 0 ? 0 : -ENOMEM;
}
