/* options.c - the options of `run`: one table for parser and help. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/testhost/options.h"
#include "vmm/base/error.h"

enum {
	SMP_MAX = 64,
	NUMA_MAX = 8,
	MEM_MIN_MIB = 256,
	MEM_MAX_MIB = 1024 * 1024,
	TIMEOUT_MAX_S = 24 * 60 * 60,
	SMP_DEFAULT = 2,
	MEM_DEFAULT_MIB = 2048,
	TIMEOUT_DEFAULT_S = 600,
	PATIENCE_DEFAULT_S = 10,
};

struct option_row {
	const char *name;
	const char *arg; /* what the help calls its value; NULL: it has none */
	const char *help;
	int (*set)(struct options *o, const char *value, struct error *e);
};

static int parse_number(const char *name, const char *value, unsigned min, unsigned max,
			unsigned *ret, struct error *e)
{
	char *end;

	errno = 0;
	unsigned long n = strtoul(value, &end, 10);

	if (errno || !isdigit((unsigned char)*value) || *end || n < min || n > max)
		return error_set(e, -EINVAL, name, NULL,
				 "%s takes a number from %u to %u, not '%s'", name, min, max,
				 value);
	*ret = (unsigned)n;
	return 0;
}

static int set_icount(struct options *o, const char *value, struct error *e)
{
	(void)value;
	(void)e;
	o->icount = true;
	return 0;
}

static int set_vfio(struct options *o, const char *value, struct error *e)
{
	(void)value;
	(void)e;
	o->vfio = true;
	return 0;
}

static int set_verbose(struct options *o, const char *value, struct error *e)
{
	(void)value;
	(void)e;
	o->verbose = true;
	return 0;
}

static int set_smp(struct options *o, const char *value, struct error *e)
{
	return parse_number("--smp", value, 1, SMP_MAX, &o->smp, e);
}

static int set_numa(struct options *o, const char *value, struct error *e)
{
	return parse_number("--numa", value, 1, NUMA_MAX, &o->numa, e);
}

static int set_mem(struct options *o, const char *value, struct error *e)
{
	return parse_number("--mem", value, MEM_MIN_MIB, MEM_MAX_MIB, &o->mem_mib, e);
}

static int set_timeout(struct options *o, const char *value, struct error *e)
{
	return parse_number("--timeout", value, 1, TIMEOUT_MAX_S, &o->timeout_s, e);
}

static int set_patience(struct options *o, const char *value, struct error *e)
{
	return parse_number("--patience", value, 1, TIMEOUT_MAX_S, &o->patience_s, e);
}

static int set_cpu(struct options *o, const char *value, struct error *e)
{
	if (*value == '\0')
		return error_set(e, -EINVAL, "--cpu", "qemu-system-x86_64 -cpu help lists them",
				 "--cpu takes the name of a processor model");
	o->cpu = value;
	return 0;
}

static int add_share(struct options *o, const char *value, struct error *e)
{
	struct stat st;

	if (o->nshares == OPTIONS_SHARES_MAX)
		return error_set(e, -EINVAL, "--share", NULL, "more than %d directories to share",
				 OPTIONS_SHARES_MAX);

	char *path = realpath(value, NULL);

	if (!path || stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || strcmp(path, "/") == 0) {
		free(path);
		return error_set(e, -EINVAL, "--share", "it must exist, and cannot be /",
				 "cannot share %s: not a directory", value);
	}
	o->shares[o->nshares++] = path;
	return 0;
}

static int add_module(struct options *o, const char *value, struct error *e)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-";

	if (o->nmodules == OPTIONS_MODULES_MAX)
		return error_set(e, -EINVAL, "--module", NULL, "more than %d modules",
				 OPTIONS_MODULES_MAX);
	if (*value == '\0' || *value == '-' || value[strspn(value, letters)] != '\0')
		return error_set(e, -EINVAL, "--module", NULL, "'%s' is no name of a module",
				 value);
	o->modules[o->nmodules++] = value;
	return 0;
}

static const struct option_row rows[] = {
	{ "--icount", NULL, "count instructions as time: repeatable, slower, one CPU", set_icount },
	{ "--vfio", NULL, "add an IOMMU and a PCI device, 0000:00:04.0, to pass on", set_vfio },
	{ "--smp", "N", "CPUs (2; with --icount 1)", set_smp },
	{ "--numa", "N", "nodes that share CPUs and memory evenly (1)", set_numa },
	{ "--mem", "MIB", "memory (2048)", set_mem },
	{ "--timeout", "S", "seconds until it is ended with exit code 124 (600)", set_timeout },
	{ "--patience", "S", "seconds that a guest may stand still in KVM (10)", set_patience },
	{ "--share", "DIR", "mount DIR read-write, at its own path", add_share },
	{ "--module", "NAME", "load a kernel module before CMD runs", add_module },
	{ "--cpu", "MODEL", "processor model (EPYC)", set_cpu },
	{ "--verbose", NULL, "show the kernel's console, with times, on stderr", set_verbose },
};

/* The row that arg names; *value is what stands behind its '=', or NULL. */
static const struct option_row *find_row(const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");

	*value = arg[len] ? arg + len + 1 : NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strncmp(rows[i].name, arg, len) == 0 && rows[i].name[len] == '\0')
			return &rows[i];
	}
	return NULL;
}

static int check_whole(struct options *o, struct error *e)
{
	if (!o->command[0])
		return error_set(e, -EINVAL, "CMD", "put it behind --", "no command to run");
	if (o->icount && o->smp > 1)
		return error_set(e, -EINVAL, "--smp", "leave it out",
				 "--icount runs one CPU, not %u", o->smp);
	if (o->smp == 0)
		o->smp = o->icount ? 1 : SMP_DEFAULT;
	if (o->numa > 1 && (o->smp % o->numa || o->mem_mib % o->numa))
		return error_set(e, -EINVAL, "--numa", "give --smp and --mem that divide by it",
				 "%u nodes cannot share %u CPUs and %u MiB evenly", o->numa, o->smp,
				 o->mem_mib);
	return 0;
}

int options_parse(char *const argv[], struct options *o, struct error *e)
{
	char *const *at = argv;

	*o = (struct options){ .mem_mib = MEM_DEFAULT_MIB,
			       .timeout_s = TIMEOUT_DEFAULT_S,
			       .patience_s = PATIENCE_DEFAULT_S,
			       .cpu = "EPYC" };
	for (; *at && **at == '-'; at++) {
		const char *value;

		if (strcmp(*at, "--") == 0) {
			at++;
			break;
		}

		const struct option_row *row = find_row(*at, &value);

		if (!row)
			return error_set(e, -EINVAL, *at, "wisp-testhost help", "unknown option %s",
					 *at);
		if (row->arg && !value && !(value = *++at))
			return error_set(e, -EINVAL, row->name, NULL, "%s lacks its %s", row->name,
					 row->arg);
		if (!row->arg && value)
			return error_set(e, -EINVAL, row->name, NULL, "%s takes no value",
					 row->name);

		int r = row->set(o, value, e);

		if (r < 0)
			return r;
	}
	o->command = at;
	return check_whole(o, e);
}

void options_clear(struct options *o)
{
	for (unsigned i = 0; i < o->nshares; i++)
		free(o->shares[i]);
	o->nshares = 0;
}

void options_help(FILE *to)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char left[32];

		snprintf(left, sizeof(left), "%s %s", rows[i].name, rows[i].arg ? rows[i].arg : "");
		fprintf(to, "  %-16s %s\n", left, rows[i].help);
	}
}
