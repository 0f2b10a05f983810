/* main.c - wisp-cpu: makes, checks and watches over CPU templates.
 *
 * The way to a template for a fleet of different hosts: `template dump` on each,
 * `template strip` of what they have in common, a template for what is left, `template
 * verify` of it on each. `fingerprint dump` then, and `fingerprint compare` later, tell
 * when to look again.
 *
 * The commands and their options have the names of Firecracker's cpu-template-helper.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/arch.h"
#include "vmm/cpu/compare.h"
#include "vmm/cpu/fingerprint.h"
#include "vmm/cpu/template_json.h"

enum { MAX_FILES = 64, EXIT_DIFFERENT = 1, EXIT_FAILED = 2, EXIT_USAGE = 153 };

struct arguments {
	const char *template, *output, *suffix, *current;
	const char *list[MAX_FILES + 1]; /* NULL-ended: files, a name, or fields */
	unsigned nlist;
	const char *previous;
};

static int write_json(json_t *j, const char *path, struct error *err)
{
	int r = j ? 0 : -ENOMEM;

	if (r < 0)
		error_set(err, r, NULL, NULL, "out of memory");
	else if (!path && json_dumpf(j, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0)
		r = 0;
	else if (!path || json_dump_file(j, path, JSON_INDENT(2)) < 0)
		r = error_errno(err, "output", NULL, "%s cannot be written",
				path ? path : "the standard output");
	json_decref(j);
	return r;
}

/* What a guest has with the template that the arguments name, if any. */
static int dump(const struct arguments *a, struct cpu_template *template, struct cpu_template *ret,
		struct error *err)
{
	int r = a->template ? template_json_load(a->template, template, err) : 0;

	return r < 0 ? r : arch_cpu_dump(a->template ? template : NULL, ret, err);
}

static int template_dump(const struct arguments *a, struct error *err)
{
	static struct cpu_template template, got;
	int r = dump(a, &template, &got, err);

	return r < 0 ? r : write_json(template_json_write(&got), a->output, err);
}

static int template_show(const struct arguments *a, struct error *err)
{
	static struct cpu_template template;
	int r = template_json_load(a->list[0], &template, err);

	return r < 0 ? r : write_json(template_json_write(&template), a->output, err);
}

/* dir/name.json with the suffix _x is dir/name_x.json. */
static int write_stripped(const struct cpu_template *t, const char *path, const char *suffix,
			  struct error *err)
{
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
	size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - path) : strlen(path);
	char *to;
	int r;

	if (asprintf(&to, "%.*s%s%s", (int)stem, path, suffix, path + stem) < 0)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = write_json(template_json_write(t), to, err);
	free(to);
	return r;
}

static int template_strip(const struct arguments *a, struct error *err)
{
	struct cpu_template *t = calloc(a->nlist, sizeof(*t));
	int r = t ? 0 : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	for (unsigned i = 0; i < a->nlist && r == 0; i++)
		r = template_json_load(a->list[i], &t[i], err);
	if (r == 0 && compare_strip(t, a->nlist) < 0)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	for (unsigned i = 0; i < a->nlist && r == 0; i++)
		r = write_stripped(&t[i], a->list[i], a->suffix ? a->suffix : "_stripped", err);
	free(t);
	return r;
}

static int template_verify(const struct arguments *a, struct error *err)
{
	static struct cpu_template template, got;
	int r = dump(a, &template, &got, err);

	if (r < 0)
		return r;
	return compare_verify(&template, &got, stdout) ? EXIT_DIFFERENT : 0;
}

static int fingerprint_dump(const struct arguments *a, struct error *err)
{
	static struct cpu_template template, got;
	int r = dump(a, &template, &got, err);

	return r < 0 ? r : write_json(fingerprint_take(&got), a->output, err);
}

static int fingerprint_differs(const struct arguments *a, struct error *err)
{
	json_t *before = json_from_file(a->previous, err);
	json_t *now = before ? json_from_file(a->current, err) : NULL;
	int r = now ? fingerprint_compare(before, now, a->nlist ? a->list : NULL, stdout, err)
		    : -EBADMSG;

	json_decref(before);
	json_decref(now);
	return r > 0 ? EXIT_DIFFERENT : r;
}

static const struct command {
	const char *group, *name;
	const char *options; /* those it takes; capitals: those it needs; *: a list */
	const char *usage, *what;
	int (*run)(const struct arguments *a, struct error *err);
} commands[] = {
	{ "template", "dump", "to", "[-t TEMPLATE] [-o FILE]", "what a guest's processor has",
	  template_dump },
	{ "template", "show", "*o", "NAME [-o FILE]",
	  "a template that has a name (T2, T2S, T2CL, T2A, C3)", template_show },
	{ "template", "strip", "*ps", "-p FILE FILE... [-s SUFFIX]",
	  "what dumps have not in common, into FILE with the suffix", template_strip },
	{ "template", "verify", "T", "-t TEMPLATE", "whether a guest gets what a template says",
	  template_verify },
	{ "fingerprint", "dump", "to", "[-t TEMPLATE] [-o FILE]",
	  "the same as template dump, and what else it depends on", fingerprint_dump },
	{ "fingerprint", "compare", "*PCf", "-p FILE -c FILE [-f FIELD...]",
	  "what has changed since an earlier one", fingerprint_differs },
};

static int usage(FILE *out)
{
	fputs("Usage: wisp-cpu GROUP COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %s %s %s\n        %s\n", commands[i].group, commands[i].name,
			commands[i].usage, commands[i].what);
	fputs("\nTEMPLATE is a file, as for PUT /cpu-config, or the name of one.\n"
	      "Exit status: 0; 1 when something differs; 2 when something failed.\n",
	      out);
	return out == stdout ? 0 : EXIT_USAGE;
}

static int bad_usage(const char *what, const char *which)
{
	fprintf(stderr, "wisp-cpu: %s %s\n", what, which);
	return usage(stderr);
}

static bool add_to_list(struct arguments *a, const char *text)
{
	if (a->nlist == MAX_FILES)
		return false;
	a->list[a->nlist++] = text;
	return true;
}

/* True: the option is the command's, and kept. */
static bool take_option(const struct command *c, int option, const char *text, struct arguments *a)
{
	bool compare = strchr(c->options, 'P') != NULL;

	if (!strchr(c->options, option) && !strchr(c->options, option - 'a' + 'A'))
		return false;
	switch (option) {
	case 't':
		a->template = text;
		return true;
	case 'o':
		a->output = text;
		return true;
	case 's':
		a->suffix = text;
		return true;
	case 'c':
		a->current = text;
		return true;
	case 'p':
		if (!compare)
			return add_to_list(a, text);
		a->previous = text;
		return true;
	default:
		return add_to_list(a, text);
	}
}

static bool is_complete(const struct command *c, const struct arguments *a)
{
	bool listed = strchr(c->options, '*') && !strchr(c->options, 'f');

	return !(strchr(c->options, 'T') && !a->template) &&
	       !(strchr(c->options, 'P') && !a->previous) &&
	       !(strchr(c->options, 'C') && !a->current) && !(listed && a->nlist == 0);
}

static int run(const struct command *c, const struct arguments *a)
{
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint)];
	int r = c->run(a, &err);

	if (r >= 0)
		return r;
	fprintf(stderr, "wisp-cpu: %s\n", error_line(&err, line, sizeof(line)));
	return EXIT_FAILED;
}

static const struct command *find_command(const char *group, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].group, group) == 0 && strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "template", required_argument, NULL, 't' },
		{ "output", required_argument, NULL, 'o' },
		{ "paths", required_argument, NULL, 'p' },
		{ "prev", required_argument, NULL, 'p' },
		{ "suffix", required_argument, NULL, 's' },
		{ "curr", required_argument, NULL, 'c' },
		{ "filters", required_argument, NULL, 'f' },
		{ NULL, 0, NULL, 0 },
	};
	const struct command *c;
	struct arguments a = { 0 };
	int option;

	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return usage(stdout);
	if (argc < 3)
		return usage(stderr);
	c = find_command(argv[1], argv[2]);
	if (!c)
		return bad_usage("no such command:", argv[2]);
	while ((option = getopt_long(argc - 2, argv + 2, "t:o:p:s:c:f:", options, NULL)) != -1) {
		if (option == '?' || !take_option(c, option, optarg, &a))
			return bad_usage("not an option of", c->name);
	}
	for (int i = optind + 2; i < argc; i++) {
		if (!strchr(c->options, '*') || !add_to_list(&a, argv[i]))
			return bad_usage("unexpected:", argv[i]);
	}
	return is_complete(c, &a) ? run(c, &a) : bad_usage("something is missing:", c->usage);
}
