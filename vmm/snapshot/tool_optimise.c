/* tool_optimise.c - wisp-snapshot optimise: a working set that has its pages' bytes, too.
 *
 * The pages of a working set lie all over the memory file. Copied out into the working
 * set's own file, one behind the other, a disk has them in one go. Each run of them is a
 * mapping more for a load, so runs that are near each other become one, with what is
 * between them, until there are few. The memory file stays as it is, and complete: without
 * the working set a snapshot loads as before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/tool.h"
#include "vmm/snapshot/working_set.h"

enum { PAGE = WORKING_SET_PAGE, CHUNK = 256 * 1024 };

struct stored {
	uint32_t count;
	struct working_set_run run[WORKING_SET_MAX_STORED];
};

/* False: there are too many where only those are joined that have so few pages between. */
static bool join(const struct working_set *w, uint64_t gap, struct stored *s)
{
	s->count = 0;
	for (uint32_t i = 0; i < w->count; i++) {
		struct working_set_run *last = s->count ? &s->run[s->count - 1] : NULL;
		const struct working_set_run *r = &w->run[i];

		if (last && r->first - (last->first + last->pages) <= gap)
			last->pages = (uint32_t)(r->first + r->pages - last->first);
		else if (s->count < WORKING_SET_MAX_STORED)
			s->run[s->count++] =
				(struct working_set_run){ r->first, r->pages, WORKING_SET_STORED };
		else
			return false;
	}
	return true;
}

static void join_near(const struct working_set *w, struct stored *s)
{
	for (uint64_t gap = 0; !join(w, gap, s); gap = gap * 2 + 1)
		;
}

static bool is_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Zeros stay holes. */
static int copy_chunk(int memory, uint64_t from, int to, uint64_t at, size_t len)
{
	static char bytes[CHUNK];
	int r = fd_pread_all(memory, bytes, len, (off_t)from);

	if (r == 0 && is_zero(bytes, len))
		return ftruncate(to, (off_t)(at + len)) < 0 ? -errno : 0;
	return r < 0 ? r : fd_pwrite_all(to, bytes, len, (off_t)at);
}

static int copy_run(int memory, const struct working_set_run *run, int to, uint64_t at)
{
	uint64_t from = run->first * PAGE, left = (uint64_t)run->pages * PAGE;
	int r = 0;

	while (left > 0 && r == 0) {
		size_t len = left < CHUNK ? (size_t)left : CHUNK;

		r = copy_chunk(memory, from, to, at, len);
		from += len;
		at += len;
		left -= len;
	}
	return r;
}

static int write_stored(int fd, const struct working_set *w, int memory)
{
	uint64_t at = working_set_data(w);
	int r = working_set_write(fd, w);

	for (uint32_t i = 0; i < w->stored && r == 0; i++) {
		r = copy_run(memory, &w->stored_run[i], fd, at);
		at += (uint64_t)w->stored_run[i].pages * PAGE;
	}
	return r;
}

static int write_new(const char *path, const struct working_set *w, int memory, struct error *err)
{
	struct staged_file f;
	int r = staged_file_open(&f, path, "NEW-WORKING-SET", err);

	if (r == 0) {
		r = write_stored(f.fd, w, memory);
		if (r < 0)
			error_set(err, r, "NEW-WORKING-SET", "is there room on its disk?",
				  "The pages cannot be copied: %s", strerror(-r));
	}
	if (r == 0)
		r = staged_file_sync(&f, err);
	if (r == 0)
		r = staged_file_publish(&f, err);
	staged_file_drop(&f);
	return r;
}

/* The memory file is whole, and the one that the set is of. */
static int check_memory(int memory, const struct working_set *w, struct error *err)
{
	struct memory_label label;
	int r = memory_file_label(memory, w->memory_bytes, &label, err);

	if (r == 0)
		r = working_set_check(w, &label.id, w->memory_bytes, "WORKING-SET", err);
	if (r == 0 && label.is_difference)
		r = error_set(err, -EBADMSG, "MEMORY",
			      "lay it over the snapshot's before: wisp-snapshot rebase",
			      "The memory file has only what changed since another snapshot");
	return r;
}

static int optimise(const char *path, struct working_set *w, int memory, struct error *err)
{
	struct stored stored;
	struct working_set with = *w;
	int r = check_memory(memory, w, err);

	if (r < 0)
		return r;
	join_near(w, &stored);
	with.stored = stored.count;
	with.stored_run = stored.run;
	return write_new(path, &with, memory, err);
}

int tool_optimise(char *const argv[], struct error *err)
{
	struct working_set *w = NULL;
	int memory = -1, set = -1, r = tool_open(argv[0], "MEMORY", &memory, err);

	if (r == 0)
		r = tool_open(argv[1], "WORKING-SET", &set, err);
	if (r == 0)
		r = working_set_read(set, "WORKING-SET", &w, err);
	if (r == 0)
		r = optimise(argv[2], w, memory, err);
	working_set_destroy(w);
	fd_close(set);
	fd_close(memory);
	return r;
}

/* --- verify --- */

static int compare_run(int memory, const struct working_set_run *run, int set, uint64_t at)
{
	uint64_t from = run->first * PAGE;
	char ours[PAGE], theirs[PAGE];
	int r = 0;

	for (uint32_t i = 0; i < run->pages && r == 0; i++) {
		r = fd_pread_all(memory, ours, PAGE, (off_t)(from + (uint64_t)i * PAGE));
		if (r == 0)
			r = fd_pread_all(set, theirs, PAGE, (off_t)(at + (uint64_t)i * PAGE));
		if (r == 0 && memcmp(ours, theirs, PAGE) != 0)
			r = -EBADMSG;
	}
	return r;
}

static int compare_stored(int memory, const struct working_set *w, int set, struct error *err)
{
	uint64_t at = working_set_data(w);
	int r = 0;

	for (uint32_t i = 0; i < w->stored && r == 0; i++) {
		r = compare_run(memory, &w->stored_run[i], set, at);
		at += (uint64_t)w->stored_run[i].pages * PAGE;
	}
	return r == 0 ? 0
		      : error_set(err, r, "WORKING-SET", "make it again: wisp-snapshot optimise",
				  "The pages that it has are not the memory file's");
}

int tool_check_working_set(const char *path, int memory, struct error *err)
{
	struct working_set *w = NULL;
	int set, r = tool_open(path, "WORKING-SET", &set, err);

	if (r == 0)
		r = working_set_read(set, "WORKING-SET", &w, err);
	if (r == 0)
		r = check_memory(memory, w, err);
	if (r == 0)
		r = compare_stored(memory, w, set, err);
	working_set_destroy(w);
	fd_close(set);
	return r;
}
