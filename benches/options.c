/* options.c - the command line of wisp-bench. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/options.h"

enum kind {
	OPT_FLAG,
	OPT_NUMBER,
	OPT_TEXT,
	OPT_INPUT,  /* a file that must be readable; made absolute */
	OPT_OUTPUT, /* a file to be written; made absolute */
};

struct option {
	const char *name;
	enum kind kind;
	size_t off;
	int64_t min, max; /* of a number */
	bool outer;	  /* not for the copy inside the test host */
	const char *value, *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option table[] = {
	{ "vmm", OPT_TEXT, AT(vmms), 0, 0, false, "LIST",
	  "which VMMs: wisp,qemu,firecracker (default: those that are there)" },
	{ "runs", OPT_NUMBER, AT(runs), 1, 100000, false, "N", "timed runs of each VMM" },
	{ "warmup", OPT_NUMBER, AT(warmup), 0, 1000, false, "N",
	  "runs of each VMM before, not counted (default: 1)" },
	{ "inspect", OPT_NUMBER, AT(inspect), 0, 1000, false, "N",
	  "runs of each VMM after, for memory and exits (default: 5)" },
	{ "timeout", OPT_NUMBER, AT(timeout_s), 1, 86400, false, "SECONDS",
	  "limit of one run (default: 60)" },
	{ "kvm", OPT_FLAG, AT(kvm), 0, 0, true, NULL, "run on this machine's KVM" },
	{ "testhost", OPT_FLAG, AT(testhost), 0, 0, true, NULL,
	  "run inside the test host, under deterministic time" },
	{ "json", OPT_OUTPUT, AT(json), 0, 0, true, "FILE", "write the results there" },
	{ "plot", OPT_OUTPUT, AT(plot), 0, 0, true, "FILE", "draw the phases: .svg or .png" },
	{ "details", OPT_FLAG, AT(details), 0, 0, false, NULL, "print wisp's own report too" },
	{ "busy", OPT_FLAG, AT(busy), 0, 0, true, NULL,
	  "keep the processor busy (a clock that leaps when idle)" },
	{ "no-table", OPT_FLAG, AT(no_table), 0, 0, true, NULL, "print no table" },
	{ "kernel", OPT_INPUT, AT(kernel), 0, 0, false, "FILE", "boot: the kernel" },
	{ "initrd", OPT_INPUT, AT(initrd), 0, 0, false, "FILE", "boot: its initrd" },
	{ "disk", OPT_INPUT, AT(disk), 0, 0, false, "FILE",
	  "boot: a raw disk image, attached read-only" },
	{ "cmdline", OPT_TEXT, AT(cmdline), 0, 0, false, "TEXT",
	  "boot: the kernel's command line" },
	{ "marker", OPT_TEXT, AT(marker), 0, 0, false, "TEXT",
	  "boot: what the console says when init runs" },
	{ "end", OPT_TEXT, AT(end), 0, 0, false, "exit|marker",
	  "boot: a run ends by itself, or is killed at the marker" },
	{ "mem", OPT_NUMBER, AT(mem_mib), 1, 1u << 20, false, "MIB",
	  "guest memory (default: 128)" },
	{ "vcpus", OPT_NUMBER, AT(vcpus), 1, 32, false, "N", "virtual processors (default: 1)" },
	{ "wisp", OPT_INPUT, AT(wisp), 0, 0, false, "PATH", "wisp (default: beside wisp-bench)" },
	{ "qemu", OPT_INPUT, AT(qemu), 0, 0, false, "PATH",
	  "QEMU (default: $QEMU, then qemu-system-x86_64 on PATH)" },
	{ "firecracker", OPT_INPUT, AT(firecracker), 0, 0, false, "PATH",
	  "Firecracker (default: $FIRECRACKER)" },
	{ "huge-pages", OPT_TEXT, AT(huge_pages), 0, 0, false, "TEXT",
	  "wisp's huge_pages: None, Transparent, 2M (default: Transparent for boot, blk, net,\n"
	  "                           as QEMU asks for them too; None for startup)" },
	{ "qemu-machine", OPT_TEXT, AT(qemu_machine), 0, 0, false, "TEXT", "QEMU's -M" },
	{ "qemu-cpu", OPT_TEXT, AT(qemu_cpu), 0, 0, false, "TEXT", "QEMU's -cpu" },
	{ "help", OPT_FLAG, AT(help), 0, 0, true, NULL, "this text" },
};

enum { NOPTIONS = sizeof(table) / sizeof(table[0]) };

/* The member that the option fills. */
static void *member_of(const struct options *o, const struct option *opt)
{
	return (char *)o + opt->off;
}

static bool *flag_of(const struct options *o, const struct option *opt)
{
	return member_of(o, opt);
}

static int64_t *number_of(const struct options *o, const struct option *opt)
{
	return member_of(o, opt);
}

static char **text_of(const struct options *o, const struct option *opt)
{
	return member_of(o, opt);
}

static int set_number(struct options *o, const struct option *opt, const char *value,
		      struct error *err)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno || end == value || *end || n < opt->min || n > opt->max)
		return error_set(err, -EINVAL, opt->name, NULL,
				 "--%s %s is not a number from %lld to %lld", opt->name, value,
				 (long long)opt->min, (long long)opt->max);
	*number_of(o, opt) = n;
	return 0;
}

static char *absolute_output(const char *value)
{
	char dir[PATH_MAX], *path = NULL;

	if (value[0] == '/')
		return strdup(value);
	if (!getcwd(dir, sizeof(dir)) || asprintf(&path, "%s/%s", dir, value) < 0)
		return NULL;
	return path;
}

static int set_text(struct options *o, const struct option *opt, const char *value,
		    struct error *err)
{
	char *text;

	if (opt->kind == OPT_INPUT)
		text = access(value, R_OK) == 0 ? realpath(value, NULL) : NULL;
	else if (opt->kind == OPT_OUTPUT)
		text = absolute_output(value);
	else
		text = strdup(value);
	if (!text)
		return error_errno(err, opt->name, NULL, "--%s %s", opt->name, value);
	free(*text_of(o, opt));
	*text_of(o, opt) = text;
	return 0;
}

/* The option that a word names, with its "=value" if it has one. */
static const struct option *find(const char *word, const char **value)
{
	size_t len = strcspn(word, "=");

	*value = word[len] ? word + len + 1 : NULL;
	for (size_t i = 0; i < NOPTIONS; i++)
		if (strncmp(table[i].name, word, len) == 0 && table[i].name[len] == '\0')
			return &table[i];
	return NULL;
}

/* Consumes argv[*i] and, where it takes one, its value. */
static int parse_option(int argc, char **argv, int *i, struct options *o, struct error *err)
{
	const char *value;
	const struct option *opt = find(argv[*i] + 2, &value);

	if (!opt || (opt->kind == OPT_FLAG && value))
		return error_set(err, -EINVAL, NULL, "see wisp-bench --help", "unknown option %s",
				 argv[*i]);
	if (opt->kind == OPT_FLAG) {
		*flag_of(o, opt) = true;
		return 0;
	}
	if (!value && *i + 1 == argc)
		return error_set(err, -EINVAL, opt->name, NULL, "--%s needs a value", opt->name);
	if (!value)
		value = argv[++*i];
	if (opt->kind == OPT_NUMBER)
		return set_number(o, opt, value, err);
	return set_text(o, opt, value, err);
}

static int from_environment(struct options *o, struct error *err)
{
	static const struct {
		const char *variable, *option;
	} pairs[] = { { "QEMU", "qemu" }, { "FIRECRACKER", "firecracker" } };
	int r = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]) && r == 0; i++) {
		const char *unused, *value = getenv(pairs[i].variable);
		const struct option *opt = find(pairs[i].option, &unused);

		if (value && *value && !*text_of(o, opt))
			r = set_text(o, opt, value, err);
	}
	return r;
}

static int check(const struct options *o, struct error *err)
{
	if (o->kvm && o->testhost)
		return error_set(err, -EINVAL, "testhost", "choose one",
				 "--kvm and --testhost exclude each other");
	if (o->end && strcmp(o->end, "exit") != 0 && strcmp(o->end, "marker") != 0)
		return error_set(err, -EINVAL, "end", NULL, "--end is exit or marker, not %s",
				 o->end);
	return 0;
}

int options_parse(int argc, char **argv, struct options *ret, const char **name, struct error *err)
{
	int r = 0;

	*ret = (struct options)OPTIONS_UNSET;
	*name = NULL;
	for (int i = 1; i < argc && r == 0; i++) {
		if (strncmp(argv[i], "--", 2) == 0)
			r = parse_option(argc, argv, &i, ret, err);
		else if (!*name)
			*name = argv[i];
		else
			r = error_set(err, -EINVAL, NULL, "one benchmark at a time",
				      "unexpected word %s", argv[i]);
	}
	if (r == 0)
		r = from_environment(ret, err);
	return r == 0 ? check(ret, err) : r;
}

static void write_option(const struct options *o, const struct option *opt, struct argv *ret)
{
	switch (opt->kind) {
	case OPT_FLAG:
		if (*flag_of(o, opt))
			argv_add(ret, "--%s", opt->name);
		break;
	case OPT_NUMBER:
		if (*number_of(o, opt) >= 0)
			argv_add(ret, "--%s=%lld", opt->name, (long long)*number_of(o, opt));
		break;
	case OPT_TEXT:
	case OPT_INPUT:
	case OPT_OUTPUT:
		if (*text_of(o, opt))
			argv_add(ret, "--%s=%s", opt->name, *text_of(o, opt));
		break;
	}
}

void options_write(const struct options *o, struct argv *ret)
{
	for (size_t i = 0; i < NOPTIONS; i++)
		if (!table[i].outer)
			write_option(o, &table[i], ret);
}

void options_print(FILE *f)
{
	for (size_t i = 0; i < NOPTIONS; i++) {
		char left[40];

		snprintf(left, sizeof(left), "--%s %s", table[i].name,
			 table[i].value ? table[i].value : "");
		fprintf(f, "  %-24s %s\n", left, table[i].help);
	}
}

void options_free(struct options *o)
{
	for (size_t i = 0; i < NOPTIONS; i++)
		if (table[i].kind == OPT_TEXT || table[i].kind == OPT_INPUT ||
		    table[i].kind == OPT_OUTPUT)
			free(*text_of(o, &table[i]));
	*o = (struct options)OPTIONS_UNSET;
}
