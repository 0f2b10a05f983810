/* working_set.c - the pages of RAM that a guest needed when it went on from a snapshot.
 *
 * What was touched is read from /proc/self/pagemap: which pages of RAM this process has,
 * and which of these are not the file's any more. It asks for no right, takes nothing from
 * the machine that is looked at, and does not mind who else uses the file. mincore(2)
 * tells of the page cache, which all copies share and which readahead fills. A
 * userfaultfd would tell every single page, in order; but only of memory that it brings
 * itself, from a thread that each first touch then waits for, and by a right that many
 * hosts do not give. The price is that where one page is read the kernel maps those of its
 * 64 KiB that are in the page cache, and so the list is longer than it need be.
 *
 * The file, little-endian: the head below; its runs; the runs that are stored; zeros up to a
 * whole page and the bytes of these, when there are any. The CRC is of all before the zeros.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/page_map.h"
#include "vmm/snapshot/working_set.h"

enum { PAGE = WORKING_SET_PAGE, CHUNK_PAGES = 512, FIRST_ROOM = 64 };

struct head {
	char magic[8];
	uint16_t major, minor;
	uint32_t count, stored;
	struct snapshot_id id;
	uint64_t memory_bytes;
	uint32_t crc; /* of what is before it, then of the runs */
} __attribute__((packed));

static const char magic[8] = { "WISPWSET" };

void working_set_destroy(struct working_set *w)
{
	if (!w)
		return;
	free(w->stored_run);
	free(w->run);
	free(w);
}

/* --- recording --- */

struct recorder {
	const struct gmem *mem;
	struct working_set *w;
	int pagemap;
	uint32_t room; /* runs */
	uint64_t entry[CHUNK_PAGES];
};

/* 0: it was not touched. */
static uint32_t kind_of(uint64_t entry)
{
	if (!(entry & (PAGE_MAP_PRESENT | PAGE_MAP_SWAPPED)))
		return 0;
	return entry & PAGE_MAP_IS_FILE ? WORKING_SET_READ : WORKING_SET_WRITTEN;
}

static int make_room(struct recorder *rec)
{
	uint32_t room = rec->room ? rec->room * 2 : FIRST_ROOM;
	struct working_set_run *run;

	if (room > WORKING_SET_MAX_RUNS)
		return -EFBIG;
	run = realloc(rec->w->run, room * sizeof(*run));
	if (!run)
		return -ENOMEM;
	rec->w->run = run;
	rec->room = room;
	return 0;
}

static int add_page(struct recorder *rec, uint64_t page, uint32_t kind)
{
	struct working_set *w = rec->w;
	struct working_set_run *last = w->count ? &w->run[w->count - 1] : NULL;
	int r;

	if (last && last->kind == kind && last->first + last->pages == page) {
		last->pages++;
		return 0;
	}
	r = !w->run || w->count == rec->room ? make_room(rec) : 0;
	if (r == 0)
		w->run[w->count++] = (struct working_set_run){ page, 1, kind };
	return r;
}

static int record_region(struct recorder *rec, const struct gmem_region *region)
{
	uint64_t first = region->fd_offset / PAGE, pages = region->len / PAGE;
	int r = 0;

	for (uint64_t done = 0; done < pages && r == 0; done += CHUNK_PAGES) {
		size_t n = pages - done < CHUNK_PAGES ? (size_t)(pages - done) : CHUNK_PAGES;

		/* Blocks that were plugged since are no part of what is loaded again. */
		if (!gmem_shows_file(rec->mem, gpa(region->base.v + done * PAGE), n * PAGE))
			continue;
		r = page_map_read(rec->pagemap, (char *)region->host + done * PAGE, n, rec->entry);
		for (size_t i = 0; i < n && r == 0; i++) {
			uint32_t kind = kind_of(rec->entry[i]);

			if (kind)
				r = add_page(rec, first + done + i, kind);
		}
	}
	return r;
}

static int record_all(struct recorder *rec)
{
	struct gmem_region region = { 0 };
	int r = 0;

	while (r == 0 && gmem_next(rec->mem, &region))
		r = record_region(rec, &region);
	return r;
}

int working_set_record(const struct gmem *mem, const struct snapshot_id *id,
		       struct working_set **ret, struct error *err)
{
	struct recorder rec = {
		.mem = mem,
		.w = calloc(1, sizeof(*rec.w)),
		.pagemap = page_map_open(mem),
	};
	int r = rec.pagemap < 0 ? rec.pagemap : 0;

	if (r < 0) {
		error_set(err, r, NULL, "in a jail: wisp-jailer --own-proc",
			  "Which pages were touched cannot be known without /proc: %s",
			  strerror(-r));
	} else {
		r = rec.w ? record_all(&rec) : -ENOMEM;
		if (r < 0)
			error_set(err, r, NULL, NULL, "The pages cannot be listed: %s",
				  strerror(-r));
	}
	fd_close(rec.pagemap);
	if (r < 0) {
		working_set_destroy(rec.w);
		return r;
	}
	rec.w->id = *id;
	rec.w->memory_bytes = gmem_saved_bytes(mem);
	*ret = rec.w;
	return 0;
}

/* --- writing --- */

static size_t runs_bytes(uint32_t count)
{
	return count * sizeof(struct working_set_run);
}

static uint64_t lists_end(const struct working_set *w)
{
	return sizeof(struct head) + runs_bytes(w->count) + runs_bytes(w->stored);
}

uint64_t working_set_data(const struct working_set *w)
{
	return (lists_end(w) + PAGE - 1) / PAGE * PAGE;
}

static uint32_t checksum(const struct head *h, const struct working_set *w)
{
	uint32_t crc = crc32c(0, h, offsetof(struct head, crc));

	crc = crc32c(crc, w->run, runs_bytes(w->count));
	return crc32c(crc, w->stored_run, runs_bytes(w->stored));
}

int working_set_write(int fd, const struct working_set *w)
{
	struct head h = {
		.major = WORKING_SET_MAJOR,
		.minor = WORKING_SET_MINOR,
		.count = w->count,
		.stored = w->stored,
		.id = w->id,
		.memory_bytes = w->memory_bytes,
	};
	off_t at = sizeof(h);
	int r;

	memcpy(h.magic, magic, sizeof(magic));
	h.crc = checksum(&h, w);
	r = fd_pwrite_all(fd, &h, sizeof(h), 0);
	if (r == 0)
		r = fd_pwrite_all(fd, w->run, runs_bytes(w->count), at);
	at += (off_t)runs_bytes(w->count);
	return r < 0 ? r : fd_pwrite_all(fd, w->stored_run, runs_bytes(w->stored), at);
}

/* --- reading --- */

static int read_head(int fd, struct head *h, const char **why)
{
	int r = fd_pread_all(fd, h, sizeof(*h), 0);

	if (r < 0 && r != -ENODATA)
		return r;
	*why = NULL;
	if (r < 0 || memcmp(h->magic, magic, sizeof(magic)) != 0)
		*why = "it is none";
	else if (h->major != WORKING_SET_MAJOR || h->minor > WORKING_SET_MINOR)
		*why = "it has the format of another version of wisp";
	else if (h->count > WORKING_SET_MAX_RUNS || h->stored > WORKING_SET_MAX_STORED)
		*why = "it has more runs of pages than one can have";
	else if (h->memory_bytes % PAGE != 0)
		*why = "its memory is no number of pages";
	return *why ? -EBADMSG : 0;
}

/* Ascending, apart from each other, inside RAM. */
static bool are_good(const struct working_set_run *run, uint32_t count, uint64_t memory_pages,
		     bool stored)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < count; i++) {
		bool is_known = stored ? run[i].kind == WORKING_SET_STORED
				       : run[i].kind == WORKING_SET_READ ||
						 run[i].kind == WORKING_SET_WRITTEN;

		if (!is_known || run[i].pages == 0 || run[i].first < next ||
		    run[i].first >= memory_pages || run[i].pages > memory_pages - run[i].first)
			return false;
		next = run[i].first + run[i].pages;
	}
	return true;
}

static uint64_t file_bytes(const struct working_set *w)
{
	uint64_t pages = 0;

	for (uint32_t i = 0; i < w->stored; i++)
		pages += w->stored_run[i].pages;
	return w->stored ? working_set_data(w) + pages * PAGE : lists_end(w);
}

static int read_runs(int fd, const struct head *h, struct working_set *w, const char **why)
{
	uint64_t memory_pages = w->memory_bytes / PAGE;
	struct stat st;
	int r;

	w->run = calloc((size_t)w->count + 1, sizeof(w->run[0]));
	w->stored_run = calloc((size_t)w->stored + 1, sizeof(w->stored_run[0]));
	if (!w->run || !w->stored_run)
		return -ENOMEM;
	r = fd_pread_all(fd, w->run, runs_bytes(w->count), sizeof(*h));
	if (r == 0)
		r = fd_pread_all(fd, w->stored_run, runs_bytes(w->stored),
				 (off_t)(sizeof(*h) + runs_bytes(w->count)));
	if (r < 0 && r != -ENODATA)
		return r;
	*why = NULL;
	if (r < 0 || fstat(fd, &st) < 0 || h->crc != checksum(h, w))
		*why = "it was changed or cut";
	else if (!are_good(w->run, w->count, memory_pages, false) ||
		 !are_good(w->stored_run, w->stored, memory_pages, true))
		*why = "its pages are out of order, or not in memory";
	else if ((uint64_t)st.st_size != file_bytes(w))
		*why = "it is longer or shorter than it should be";
	return *why ? -EBADMSG : 0;
}

static int read_all(int fd, struct working_set *w, const char **why)
{
	struct head h;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*why = "it is no regular file";
		return -EBADMSG;
	}
	r = read_head(fd, &h, why);
	if (r < 0)
		return r;
	w->id = h.id;
	w->memory_bytes = h.memory_bytes;
	w->count = h.count;
	w->stored = h.stored;
	return read_runs(fd, &h, w, why);
}

int working_set_read(int fd, const char *field, struct working_set **ret, struct error *err)
{
	struct working_set *w = calloc(1, sizeof(*w));
	const char *why = NULL;
	int r = w ? read_all(fd, w, &why) : -ENOMEM;

	if (r == 0) {
		*ret = w;
		return 0;
	}
	working_set_destroy(w);
	return error_set(err, r, field, "record it again", "The working set cannot be used: %s",
			 why ? why : strerror(-r));
}

int working_set_check(const struct working_set *w, const struct snapshot_id *id,
		      uint64_t memory_bytes, const char *field, struct error *err)
{
	if (snapshot_id_equals(&w->id, id) && w->memory_bytes == memory_bytes)
		return 0;
	return error_set(err, -EBADMSG, field, "record it again, from a machine that was loaded",
			 "The working set belongs to another snapshot");
}

/* --- what is stored --- */

static int map_run(const struct working_set_run *run, int fd, uint64_t from, struct gmem *mem)
{
	uint64_t first = run->first * PAGE, end = first + (uint64_t)run->pages * PAGE;
	struct gmem_region piece;
	int r = 0;

	for (uint64_t at = first; r == 0 && memory_file_piece(mem, at, end, &piece);
	     at = piece.fd_offset + piece.len)
		r = gmem_map_file(mem, piece.base, fd, (off_t)(from + (piece.fd_offset - first)),
				  piece.len);
	return r;
}

int working_set_map(const struct working_set *w, int fd, struct gmem *mem)
{
	uint64_t from = working_set_data(w);
	int r = 0;

	for (uint32_t i = 0; i < w->stored && r == 0; i++) {
		r = map_run(&w->stored_run[i], fd, from, mem);
		from += (uint64_t)w->stored_run[i].pages * PAGE;
	}
	return r;
}
