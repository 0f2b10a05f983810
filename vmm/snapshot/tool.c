/* tool.c - wisp-snapshot: looks at snapshots of any origin, compares and edits them, packs
 * them up, puts differences together, and working sets with their pages.
 *
 * Reads by the functions that a load uses, so what it finds good a load finds good, as
 * far as the files go: whether this host can run the guest, only a load tells.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/tool.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, MIB = 1024 * 1024 };

static const char usage[] =
	"usage: wisp-snapshot info STATE            what a state consists of, as JSON\n"
	"       wisp-snapshot verify STATE [MEMORY [WORKING-SET]]\n"
	"                                           whether the files are whole, and one snapshot's\n"
	"       wisp-snapshot diff STATE STATE [MEMORY MEMORY]\n"
	"                                           what differs between two snapshots\n"
	"       wisp-snapshot edit STATE NEW-STATE SETTING=VALUE...\n"
	"                                           what the host gives: files, taps, sockets\n"
	"       wisp-snapshot rebase BASE DIFF      lay a Diff's memory file over the one before\n"
	"       wisp-snapshot optimise MEMORY WORKING-SET NEW-WORKING-SET\n"
	"                                           lay the pages of a working set out together\n"
	"       wisp-snapshot export STATE MEMORY FILE\n"
	"                                           pack both files up in one; -: standard output\n"
	"       wisp-snapshot import FILE STATE MEMORY\n"
	"                                           unpack them; -: standard input\n"
	"       wisp-snapshot --help | --version\n";

int tool_overview(struct state *s, struct overview *o, struct error *err)
{
	overview_state(o, s);
	return state_error(s, err);
}

/* --- info --- */

static json_t *list_sections(const struct state *s)
{
	json_t *list = json_array();
	struct state_section_info n;

	for (unsigned i = 0; state_section_at(s, i, &n); i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:i, s:i, s:i}", "section", n.kind->name,
						"instance", (int)n.instance, "version",
						(int)n.version, "bytes", (int)n.len));
	return list;
}

int tool_manifest(struct state *s, json_t **ret, struct error *err)
{
	json_error_t where;
	const char *text;
	size_t len;
	int r;

	state_begin(s, STATE_MANIFEST, 0);
	text = state_rest(s, &len);
	state_end(s);
	r = state_error(s, err);
	if (r < 0)
		return r;
	*ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (json_is_object(*ret))
		return 0;
	r = error_set(err, -EBADMSG, NULL, NULL, "The manifest is no JSON object: %s",
		      *ret ? "but a value of another kind" : where.text);
	json_decref(*ret);
	*ret = NULL;
	return r;
}

static int print_info(struct state *s, struct error *err)
{
	struct overview o = { 0 };
	json_t *manifest = NULL, *info;
	int r = tool_manifest(s, &manifest, err);

	if (r == 0)
		r = tool_overview(s, &o, err);
	if (r < 0) {
		json_decref(manifest);
		return r;
	}
	info = json_pack("{s:I, s:I, s:b, s:o, s:o}", "memory_mib", (json_int_t)(o.ram_bytes / MIB),
			 "pluggable_mib", (json_int_t)((o.memory_bytes - o.ram_bytes) / MIB), "pci",
			 o.pci, "manifest", manifest, "sections", list_sections(s));
	r = info && json_dumpf(info, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0 ? 0 : -EIO;
	json_decref(info);
	return r < 0 ? error_set(err, r, NULL, NULL, "The answer cannot be written") : 0;
}

static int run_info(char *const argv[], struct error *err)
{
	struct state *s = NULL;
	int r = snapshot_read_state(argv[0], "STATE", &s, err);

	if (r == 0)
		r = print_info(s, err);
	state_destroy(s);
	return r;
}

/* --- verify --- */

int tool_open(const char *path, const char *field, int *ret, struct error *err)
{
	*ret = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return *ret < 0 ? error_errno(err, field, "give a readable file", "%.128s cannot be opened",
				      path)
			: 0;
}

int tool_check_memory(int fd, const struct overview *o, struct memory_label *ret, struct error *err)
{
	int r = memory_file_label(fd, o->memory_bytes, ret, err);

	if (r == 0 && !snapshot_id_equals(&ret->id, &o->id))
		r = error_set(err, -EBADMSG, "MEMORY", NULL,
			      "The memory file belongs to another snapshot than the state");
	return r;
}

/* set: the path of its working set, or NULL. */
static int verify_memory(const char *path, const char *set, const struct overview *o,
			 struct error *err)
{
	struct memory_label label = { 0 };
	int fd, r = tool_open(path, "MEMORY", &fd, err);

	if (r == 0)
		r = tool_check_memory(fd, o, &label, err);
	if (r == 0 && set)
		r = tool_check_working_set(set, fd, err);
	fd_close(fd);
	if (r == 0 && label.is_difference)
		puts("a difference: to be laid over the memory file of the snapshot before");
	return r;
}

static int run_verify(char *const argv[], struct error *err)
{
	struct overview o = { 0 };
	struct state *s = NULL;
	json_t *manifest = NULL;
	int r = snapshot_read_state(argv[0], "STATE", &s, err);

	if (r == 0)
		r = tool_manifest(s, &manifest, err);
	if (r == 0)
		r = tool_overview(s, &o, err);
	if (r == 0 && argv[1])
		r = verify_memory(argv[1], argv[2], &o, err);
	if (r == 0)
		puts("good");
	json_decref(manifest);
	state_destroy(s);
	return r;
}

/* --- rebase --- */

/* The labels of both; *memory_bytes: as the difference's length says. */
static int read_labels(int base, int difference, struct memory_label *ret, uint64_t *memory_bytes,
		       struct error *err)
{
	struct memory_label below = { 0 };
	struct stat st;
	int r;

	if (fstat(difference, &st) < 0 || st.st_size <= MEMORY_LABEL_BYTES)
		return error_set(err, -EBADMSG, "DIFF", NULL, "The difference has no memory in it");
	*memory_bytes = (uint64_t)st.st_size - MEMORY_LABEL_BYTES;
	r = memory_file_label(difference, *memory_bytes, ret, err);
	if (r == 0)
		r = memory_file_label(base, *memory_bytes, &below, err);
	if (r < 0)
		return r;
	if (!ret->is_difference)
		return error_set(err, -EINVAL, "DIFF", NULL, "It is a whole memory file by itself");
	if (below.is_difference || !snapshot_id_equals(&below.id, &ret->base))
		return error_set(err, -EINVAL, "BASE",
				 "give the whole memory file of the snapshot "
				 "before",
				 "The difference does not go over this file");
	return 0;
}

static int merge(const char *base, int difference, uint64_t memory_bytes,
		 const struct memory_label *label, struct error *err)
{
	struct staged_file f;
	bool copied = false;
	int r = staged_file_open(&f, base, "BASE", err);

	if (r == 0)
		r = staged_file_start_from_old(&f, memory_bytes + MEMORY_LABEL_BYTES, &copied, err);
	if (r == 0 && !copied)
		r = error_set(err, -EBUSY, "BASE", NULL, "The file changes while it is read");
	if (r == 0)
		r = memory_file_merge(f.fd, difference, memory_bytes, label, err);
	if (r == 0)
		r = staged_file_sync(&f, err);
	if (r == 0)
		r = staged_file_publish(&f, err);
	staged_file_drop(&f);
	return r;
}

static int run_rebase(char *const argv[], struct error *err)
{
	struct memory_label label = { 0 };
	uint64_t memory_bytes = 0;
	int base = -1, difference = -1, r = tool_open(argv[0], "BASE", &base, err);

	if (r == 0)
		r = tool_open(argv[1], "DIFF", &difference, err);
	if (r == 0)
		r = read_labels(base, difference, &label, &memory_bytes, err);
	if (r == 0)
		r = merge(argv[0], difference, memory_bytes, &label, err);
	fd_close(difference);
	fd_close(base);
	return r;
}

/* --- the command line --- */

enum { ANY_NUMBER = 1000 };

static const struct command {
	const char *name;
	int min, max; /* arguments */
	int (*run)(char *const argv[], struct error *err);
} commands[] = {
	{ "info", 1, 1, run_info },	 { "verify", 1, 3, run_verify },
	{ "diff", 2, 4, tool_diff },	 { "edit", 3, ANY_NUMBER, tool_edit },
	{ "rebase", 2, 2, run_rebase },	 { "export", 3, 3, tool_export },
	{ "import", 3, 3, tool_import }, { "optimise", 3, 3, tool_optimise },
};

static int run(const struct command *c, char *const argv[])
{
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint) + 8];
	int r = c->run(argv, &err);

	if (r >= 0 && fflush(stdout) == 0)
		return r;
	if (r >= 0)
		error_errno(&err, NULL, NULL, "The answer cannot be written");
	fprintf(stderr, "wisp-snapshot: %s\n", error_line(&err, line, sizeof(line)));
	return EXIT_FAILED;
}

int main(int argc, char *argv[])
{
	/* A reader that is gone is an error of write(). */
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "--version") == 0)
		return printf("wisp-snapshot v%s\n", WISP_VERSION) > 0 ? EXIT_OK : EXIT_FAILED;
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) >= 0 ? EXIT_OK : EXIT_FAILED;
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *c = &commands[i];

		if (strcmp(argv[1], c->name) == 0 && argc - 2 >= c->min && argc - 2 <= c->max)
			return run(c, argv + 2);
	}
	fputs(usage, stderr);
	return EXIT_USAGE;
}
