/* tool.c - wisp-seccomp: makes a filter file of filters in JSON.
 *
 *   wisp-seccomp compile IN.json OUT
 *
 * The file is what `wisp --seccomp-filter` reads (vmm/base/filter_file.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/filter_file.h"
#include "vmm/seccomp/filter_json.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

enum { INPUT_MAX_BYTES = 4 << 20 };

static const char usage[] =
	"usage: wisp-seccomp compile IN.json OUT\n"
	"       wisp-seccomp --help | --version\n"
	"\n"
	"Makes a file for wisp --seccomp-filter of filters that are written in\n"
	"JSON as Firecracker's seccompiler takes them: wisp-seccomp(1).\n";

/* The caller's, for free(). */
static int read_text(const char *path, char **ret, size_t *bytes, struct error *err)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(INPUT_MAX_BYTES + 1) : NULL;
	int r = 0;

	if (!f)
		return error_errno(err, "IN", "give a readable file", "%s cannot be read", path);
	*bytes = text ? fread(text, 1, INPUT_MAX_BYTES + 1, f) : 0;
	if (!text)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	else if (ferror(f))
		r = error_errno(err, "IN", NULL, "%s cannot be read", path);
	else if (*bytes > INPUT_MAX_BYTES)
		r = error_set(err, -EFBIG, "IN", NULL, "%s is larger than 4 MiB", path);
	fclose(f);
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}

static int parse(const char *path, json_t **ret, struct error *err)
{
	json_error_t where;
	char *text = NULL;
	size_t bytes = 0;
	int r = read_text(path, &text, &bytes, err);

	if (r < 0)
		return r;
	*ret = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
	free(text);
	return *ret ? 0
		    : error_set(err, -EINVAL, "IN", NULL, "%s is not JSON: line %d, column %d: %s",
				path, where.line, where.column, where.text);
}

static int write_program(FILE *out, enum filter_thread thread, const struct program *p)
{
	struct filter_file_program head = { .len = (uint32_t)p->count };

	memcpy(head.name, filter_thread_name(thread), strlen(filter_thread_name(thread)));
	return fwrite(&head, sizeof(head), 1, out) == 1 &&
			       fwrite(p->code, sizeof(p->code[0]), p->count, out) == p->count
		       ? 0
		       : -EIO;
}

static int write_file(const char *path, const struct program *programs, struct error *err)
{
	FILE *out = fopen(path, "we");
	int r = 0;

	if (!out)
		return error_errno(err, "OUT", "give a writable file", "%s cannot be written",
				   path);
	if (fwrite(FILTER_FILE_MAGIC, FILTER_FILE_MAGIC_BYTES, 1, out) != 1)
		r = -EIO;
	for (int i = 0; r == 0 && i < FILTER_THREADS; i++)
		r = write_program(out, (enum filter_thread)i, &programs[i]);
	if (fclose(out) != 0 || r < 0)
		return error_set(err, -EIO, "OUT", "is the disk full?", "%s cannot be written",
				 path);
	return 0;
}

static int compile(const char *in, const char *out, struct error *err)
{
	struct program *programs = calloc(FILTER_THREADS, sizeof(*programs));
	json_t *root = NULL;
	int r;

	if (!programs)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = parse(in, &root, err);
	if (r == 0)
		r = filter_json_compile(root, programs, err);
	if (r == 0)
		r = write_file(out, programs, err);
	json_decref(root);
	free(programs);
	return r;
}

int main(int argc, char *argv[])
{
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint) + 8];

	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("wisp-seccomp v%s\n", WISP_VERSION) > 0 ? EXIT_OK : EXIT_FAILED;
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) >= 0 ? EXIT_OK : EXIT_FAILED;
	if (argc != 4 || strcmp(argv[1], "compile") != 0) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	if (compile(argv[2], argv[3], &err) == 0)
		return EXIT_OK;
	fprintf(stderr, "wisp-seccomp: %s\n", error_line(&err, line, sizeof(line)));
	return EXIT_FAILED;
}
