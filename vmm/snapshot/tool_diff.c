/* tool_diff.c - wisp-snapshot diff: what differs between two snapshots.
 *
 * The manifests member by member, the sections field by field (tool_sections.c), and the
 * memory page by page, where nothing is read that is a hole in both files.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/tool.h"

enum { PAGE = 4096, CHUNK_PAGES = 256, CHUNK = PAGE * CHUNK_PAGES, PATH_TEXT = 512 };

/* --- the manifest --- */

/* Where in it, as "config.drives[1].path_on_host". Deep ones are cut. */
struct path {
	char text[PATH_TEXT];
};

static void diff_json(const struct path *at, const json_t *a, const json_t *b, bool *differ);

/* A key is anybody's text. */
static struct path member_of(const struct path *at, const char *key)
{
	struct path p;
	int n = snprintf(p.text, sizeof(p.text), "%.*s%s", PATH_TEXT - 80, at->text,
			 at->text[0] ? "." : "");

	for (; *key && n < PATH_TEXT - 1; key++)
		p.text[n++] = isprint((unsigned char)*key) ? *key : '?';
	p.text[n] = '\0';
	return p;
}

static struct path element_of(const struct path *at, size_t i)
{
	struct path p;

	snprintf(p.text, sizeof(p.text), "%.*s[%zu]", PATH_TEXT - 80, at->text, i);
	return p;
}

/* JSON's own spelling keeps control characters from the terminal. */
static void print_json(const json_t *j)
{
	char *text = j ? json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

	fputs(text ? text : "nothing", stdout);
	free(text);
}

static void diff_objects(const struct path *at, const json_t *a, const json_t *b, bool *differ)
{
	const char *key;
	json_t *value;
	struct path p;

	json_object_foreach((json_t *)a, key, value)
	{
		p = member_of(at, key);
		diff_json(&p, value, json_object_get(b, key), differ);
	}
	json_object_foreach((json_t *)b, key, value)
	{
		p = member_of(at, key);
		if (!json_object_get(a, key))
			diff_json(&p, NULL, value, differ);
	}
}

static void diff_arrays(const struct path *at, const json_t *a, const json_t *b, bool *differ)
{
	size_t n = json_array_size(a), m = json_array_size(b);

	for (size_t i = 0; i < n || i < m; i++) {
		struct path p = element_of(at, i);

		diff_json(&p, json_array_get(a, i), json_array_get(b, i), differ);
	}
}

/* a, b: NULL where there is none. As deep as the parser let it be. */
static void diff_json(const struct path *at, const json_t *a, const json_t *b, bool *differ)
{
	if (json_equal(a, b))
		return;
	if (json_is_object(a) && json_is_object(b)) {
		diff_objects(at, a, b, differ);
	} else if (json_is_array(a) && json_is_array(b)) {
		diff_arrays(at, a, b, differ);
	} else {
		*differ = true;
		printf("manifest: %s: ", at->text);
		print_json(a);
		printf(" -> ");
		print_json(b);
		putchar('\n');
	}
}

static int diff_manifests(struct state *a, struct state *b, bool *differ, struct error *err)
{
	static const struct path top = { "" };
	json_t *first = NULL, *second = NULL;
	int r = tool_manifest(a, &first, err);

	if (r == 0)
		r = tool_manifest(b, &second, err);
	if (r == 0)
		diff_json(&top, first, second, differ);
	json_decref(second);
	json_decref(first);
	return r;
}

/* --- memory --- */

struct page_run {
	uint64_t first, count; /* pages that differ, one behind the other */
	uint64_t total;
};

static void end_run(struct page_run *run)
{
	if (run->count == 1)
		printf("memory: page %#" PRIx64 "\n", run->first * PAGE);
	else if (run->count > 1)
		printf("memory: %" PRIu64 " pages from %#" PRIx64 " on\n", run->count,
		       run->first * PAGE);
	run->total += run->count;
	run->count = 0;
}

static void note_page(struct page_run *run, uint64_t page)
{
	if (run->count > 0 && page == run->first + run->count) {
		run->count++;
		return;
	}
	end_run(run);
	run->first = page;
	run->count = 1;
}

/* Where one of the files has data from `at` on, or `end`. */
static off_t next_data(int a, int b, off_t at, off_t end)
{
	off_t x = lseek(a, at, SEEK_DATA), y = lseek(b, at, SEEK_DATA);

	x = x < 0 ? end : x;
	y = y < 0 ? end : y;
	x = x < y ? x : y;
	return (x < end ? x : end) / PAGE * PAGE;
}

/* Both have the same size, which is a multiple of pages. */
static int diff_pages(int a, int b, off_t end, struct page_run *run)
{
	char *x = malloc(CHUNK), *y = malloc(CHUNK);
	int r = x && y ? 0 : -ENOMEM;

	for (off_t at = next_data(a, b, 0, end); r == 0 && at < end;
	     at = next_data(a, b, at, end)) {
		size_t len = end - at < CHUNK ? (size_t)(end - at) : CHUNK;

		r = fd_pread_all(a, x, len, at);
		if (r == 0)
			r = fd_pread_all(b, y, len, at);
		for (size_t i = 0; i < len && r == 0; i += PAGE) {
			if (memcmp(x + i, y + i, PAGE) != 0)
				note_page(run, ((uint64_t)at + i) / PAGE);
		}
		at += (off_t)len;
	}
	end_run(run);
	free(y);
	free(x);
	return r;
}

static int diff_memory(const int fd[2], const struct overview o[2], bool *differ, struct error *err)
{
	struct page_run run = { 0 };
	struct memory_label label;
	int r = 0;

	for (unsigned i = 0; i < 2 && r == 0; i++) {
		r = tool_check_memory(fd[i], &o[i], &label, err);
		if (r == 0 && label.is_difference)
			r = error_set(err, -EINVAL, "MEMORY", "lay it over its base: rebase",
				      "A memory file has only what changed since another snapshot");
	}
	if (r < 0)
		return r;
	if (o[0].memory_bytes != o[1].memory_bytes) {
		*differ = true;
		printf("memory: %" PRIu64 " -> %" PRIu64 " bytes\n", o[0].memory_bytes,
		       o[1].memory_bytes);
		return 0;
	}
	r = diff_pages(fd[0], fd[1], (off_t)o[0].memory_bytes, &run);
	if (r < 0)
		return error_set(err, r, "MEMORY", NULL, "The memory cannot be read: %s",
				 strerror(-r));
	if (run.total > 0)
		printf("memory: %" PRIu64 " of %" PRIu64 " pages differ\n", run.total,
		       o[0].memory_bytes / PAGE);
	*differ |= run.total > 0;
	return 0;
}

static int diff_memory_files(struct state *const s[2], char *const paths[2], bool *differ,
			     struct error *err)
{
	struct overview o[2] = { 0 };
	int fd[2] = { -1, -1 }, r = 0;

	for (unsigned i = 0; i < 2 && r == 0; i++) {
		r = tool_overview(s[i], &o[i], err);
		if (r == 0)
			r = tool_open(paths[i], "MEMORY", &fd[i], err);
	}
	if (r == 0)
		r = diff_memory(fd, o, differ, err);
	fd_close(fd[1]);
	fd_close(fd[0]);
	return r;
}

/* --- the command --- */

static int diff(struct state *const s[2], char *const memory[], bool *differ, struct error *err)
{
	int r = diff_manifests(s[0], s[1], differ, err);

	if (r == 0)
		r = tool_diff_sections(s[0], s[1], differ, err);
	if (r == 0 && memory[0])
		r = diff_memory_files(s, memory, differ, err);
	return r;
}

int tool_diff(char *const argv[], struct error *err)
{
	struct state *s[2] = { NULL, NULL };
	bool differ = false;
	int r;

	if (argv[2] && !argv[3])
		return error_set(err, -EINVAL, NULL, "give both or none",
				 "One memory file cannot be compared");
	r = snapshot_read_state(argv[0], "STATE", &s[0], err);
	if (r == 0)
		r = snapshot_read_state(argv[1], "STATE", &s[1], err);
	if (r == 0)
		r = diff(s, argv + 2, &differ, err);
	state_destroy(s[1]);
	state_destroy(s[0]);
	return r < 0 || !differ ? r : TOOL_DIFFERENT;
}
