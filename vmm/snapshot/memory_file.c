/* memory_file.c - a machine's memory in a file.
 *
 * What of it has to be looked at, the kernel knows: /proc/self/pagemap tells for each
 * page whether this process has one, and whether that still is a file's. Memory that no
 * file was mapped over and that has no page is zero; it becomes a hole unseen. Of memory
 * that a file was mapped over, pages that are not the file's any more were written since.
 * Without pagemap everything is looked at.
 *
 * A block that was unplugged is not there to be looked at, and one that was plugged again may
 * have no pages, while the file of the snapshot before has its old bytes. A difference has
 * zeros for both first: data, since its holes mean that nothing changed. Laid over the file
 * before, they become holes.
 *
 * The label, little-endian: 8 bytes "WISPMEM" and a NUL, u32 kind (1 full, 2 difference), the
 * snapshot's id, the base's id, u32 CRC-32C of all that; zeros fill up the page.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/page_map.h"

enum { PAGE = 4096, CHUNK_PAGES = 512 };

#define CHUNK ((size_t)CHUNK_PAGES * PAGE)

enum label_kind { LABEL_FULL = 1, LABEL_DIFFERENCE = 2 };

struct label_bytes {
	char magic[8];
	uint32_t kind;
	struct snapshot_id id, base;
	uint32_t crc;
} __attribute__((packed));

static const char magic[8] = "WISPMEM";

int snapshot_id_make(struct snapshot_id *ret)
{
	ssize_t n;

	do
		n = getrandom(ret->bytes, sizeof(ret->bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(ret->bytes) ? 0 : -EIO;
}

bool snapshot_id_equals(const struct snapshot_id *a, const struct snapshot_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* --- writing --- */

struct memory_writer {
	const struct gmem *mem;
	int fd, pagemap;
	bool changes; /* only what was written since, in the range in hand */
	uint64_t bytes;
	uint64_t entry[CHUNK_PAGES]; /* of the chunk in hand */
};

static bool is_zero(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Without an answer from the kernel, every page may be anything. */
static void look_up(struct memory_writer *w, const char *host, size_t pages)
{
	if (w->pagemap < 0 || page_map_read(w->pagemap, host, pages, w->entry) < 0)
		memset(w->entry, 0xff, pages * sizeof(w->entry[0]));
}

static bool must_write(const struct memory_writer *w, size_t i, const char *page, bool shows_file)
{
	uint64_t e = w->entry[i];
	bool has_page = e & (PAGE_MAP_PRESENT | PAGE_MAP_SWAPPED);
	bool known = w->pagemap >= 0 && e != UINT64_MAX;

	if (w->changes)
		return !known || (has_page && !(e & PAGE_MAP_IS_FILE));
	if (known && !has_page && !shows_file)
		return false;
	return !is_zero(page);
}

/* At most CHUNK_PAGES pages, which go to offset `at`. */
static int write_chunk(struct memory_writer *w, const char *host, size_t pages, uint64_t at,
		       bool shows_file)
{
	size_t i = 0;
	int r = 0;

	look_up(w, host, pages);
	while (i < pages && r == 0) {
		size_t first = i;

		while (i < pages && must_write(w, i, host + i * PAGE, shows_file))
			i++;
		if (i > first)
			r = fd_pwrite_all(w->fd, host + first * PAGE, (i - first) * PAGE,
					  (off_t)(at + first * PAGE));
		w->bytes += (i - first) * PAGE;
		i++;
	}
	return r;
}

/* Only private pages can be told apart from a file's. */
static bool is_anonymous(const struct gmem *mem, const struct gmem_region *r, size_t off,
			 size_t len)
{
	return r->fd < 0 && !gmem_shows_file(mem, gpa(r->base.v + off), len);
}

static int write_label(int fd, uint64_t at, const struct memory_label *label)
{
	char page[MEMORY_LABEL_BYTES] = { 0 };
	struct label_bytes l = {
		.kind = label->is_difference ? LABEL_DIFFERENCE : LABEL_FULL,
		.id = label->id,
		.base = label->base,
	};

	memcpy(l.magic, magic, sizeof(magic));
	l.crc = crc32c(0, &l, offsetof(struct label_bytes, crc));
	memcpy(page, &l, sizeof(l));
	return fd_pwrite_all(fd, page, sizeof(page), (off_t)at);
}

static int cannot_write(int r, struct error *err)
{
	return error_set(err, r, "mem_file_path", "is there room on its disk?",
			 "The memory file cannot be written: %s", strerror(-r));
}

int memory_writer_begin(int fd, const struct gmem *mem, struct memory_writer **ret,
			struct error *err)
{
	struct memory_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	w->mem = mem;
	w->fd = fd;
	w->pagemap = page_map_open(mem);
	if (ftruncate(fd, (off_t)(gmem_saved_bytes(mem) + MEMORY_LABEL_BYTES)) < 0) {
		int r = cannot_write(-errno, err);

		memory_writer_end(w);
		return r;
	}
	*ret = w;
	return 0;
}

int memory_writer_put(struct memory_writer *w, const struct gmem_region *r, size_t off, size_t len,
		      bool changes)
{
	const char *host = r->host;
	int error = 0;

	w->changes = changes;
	for (size_t end = off + len; off < end && error == 0; off += CHUNK) {
		size_t n = end - off < CHUNK ? end - off : CHUNK;

		error = write_chunk(w, host + off, n / PAGE, r->fd_offset + off,
				    !is_anonymous(w->mem, r, off, n));
	}
	return error;
}

int memory_writer_label(struct memory_writer *w, const struct memory_label *label)
{
	return write_label(w->fd, gmem_saved_bytes(w->mem), label);
}

uint64_t memory_writer_bytes(const struct memory_writer *w)
{
	return w->bytes;
}

void memory_writer_end(struct memory_writer *w)
{
	if (!w)
		return;
	fd_close(w->pagemap);
	free(w);
}

static bool punch_hole(int fd, uint64_t at, uint64_t len)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) ==
	       0;
}

static int write_zeros(int fd, uint64_t at, uint64_t len)
{
	static const char zeros[4 * PAGE];
	int r = 0;

	for (uint64_t end = at + len; at < end && r == 0; at += sizeof(zeros))
		r = fd_pwrite_all(fd, zeros, sizeof(zeros), (off_t)at);
	return r;
}

/* is_whole: the file is no mere difference, and its holes are zeros. */
static int write_renewed(struct memory_writer *w, bool is_whole)
{
	struct gmem_region r = { 0 };
	int error = 0;

	while (error == 0 && gmem_next_renewed(w->mem, &r)) {
		if (is_whole && punch_hole(w->fd, r.fd_offset, r.len))
			continue;
		error = write_zeros(w->fd, r.fd_offset, r.len);
		w->bytes += r.len;
	}
	return error;
}

static int write_all(struct memory_writer *w, const struct memory_label *label, bool changes)
{
	struct gmem_region r = { 0 };
	int error = changes ? write_renewed(w, !label->is_difference) : 0;

	while (error == 0 && gmem_next(w->mem, &r))
		error = memory_writer_put(w, &r, 0, r.len, changes);
	return error < 0 ? error : memory_writer_label(w, label);
}

static int write_file(int fd, const struct gmem *mem, const struct memory_label *label,
		      bool changes, uint64_t *ret_bytes, struct error *err)
{
	struct memory_writer *w = NULL;
	int r = memory_writer_begin(fd, mem, &w, err);

	if (r < 0 || !w)
		return r;
	r = write_all(w, label, changes);
	*ret_bytes = w->bytes;
	memory_writer_end(w);
	return r < 0 ? cannot_write(r, err) : 0;
}

int memory_file_write(int fd, const struct gmem *mem, const struct memory_label *label,
		      struct error *err)
{
	uint64_t bytes;

	return write_file(fd, mem, label, false, &bytes, err);
}

/* Pages of a file in memory look alike, written or not. */
static bool can_tell_changes(const struct gmem *mem)
{
	unsigned count;

	return gmem_regions(mem, &count)->fd < 0;
}

int memory_file_write_changes(int fd, const struct gmem *mem, const struct memory_label *label,
			      uint64_t *ret_bytes, struct error *err)
{
	if (!can_tell_changes(mem))
		return error_set(err, -EOPNOTSUPP, "snapshot_type", "make a Full one",
				 "With pages of 2 MiB there are no Diff snapshots");
	return write_file(fd, mem, label, true, ret_bytes, err);
}

/* --- reading --- */

static int check_size(int fd, uint64_t memory_bytes, struct error *err)
{
	uint64_t wanted = memory_bytes + MEMORY_LABEL_BYTES;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, "mem_file_path", NULL,
				   "The memory file cannot be looked at");
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EBADMSG, "mem_file_path", "give the file that was made",
				 "The memory file is no regular file");
	if ((uint64_t)st.st_size != wanted)
		return error_set(err, -EBADMSG, "mem_file_path",
				 "give the file that was made with this state",
				 "The memory file has %llu bytes and should have %llu",
				 (unsigned long long)st.st_size, (unsigned long long)wanted);
	return 0;
}

int memory_file_label(int fd, uint64_t memory_bytes, struct memory_label *ret, struct error *err)
{
	struct label_bytes l;
	int r = check_size(fd, memory_bytes, err);

	if (r < 0)
		return r;
	r = fd_pread_all(fd, &l, sizeof(l), (off_t)memory_bytes);
	if (r < 0)
		return error_set(err, r, "mem_file_path", NULL,
				 "The memory file cannot be read: %s", strerror(-r));
	if (memcmp(l.magic, magic, sizeof(magic)) != 0 ||
	    l.crc != crc32c(0, &l, offsetof(struct label_bytes, crc)) ||
	    (l.kind != LABEL_FULL && l.kind != LABEL_DIFFERENCE))
		return error_set(err, -EBADMSG, "mem_file_path", "give a file that wisp made",
				 "The memory file has no label of wisp's");
	*ret = (struct memory_label){
		.id = l.id,
		.is_difference = l.kind == LABEL_DIFFERENCE,
		.base = l.base,
	};
	return 0;
}

static bool is_all_zero(const char *bytes, size_t len)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Zeros become a hole where the file system has holes. */
static int put_data(int to, const char *bytes, size_t len, off_t at)
{
	if (is_all_zero(bytes, len) && punch_hole(to, (uint64_t)at, len))
		return 0;
	return fd_pwrite_all(to, bytes, len, at);
}

/* What a difference has: its holes are what did not change. */
static int merge_data(int to, int from, off_t end)
{
	char *chunk = calloc(1, CHUNK);
	off_t at = lseek(from, 0, SEEK_DATA);
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0 && at >= 0 && at < end) {
		off_t hole = lseek(from, at, SEEK_HOLE), stop = hole < end ? hole : end;
		size_t len = (size_t)(stop - at) < CHUNK ? (size_t)(stop - at) : CHUNK;

		r = hole < 0 ? -errno : fd_pread_all(from, chunk, len, at);
		if (r == 0)
			r = put_data(to, chunk, len, at);
		at = lseek(from, at + (off_t)len, SEEK_DATA);
	}
	if (r == 0 && at < 0 && errno != ENXIO)
		r = -errno;
	free(chunk);
	return r;
}

int memory_file_merge(int to, int difference, uint64_t memory_bytes,
		      const struct memory_label *label, struct error *err)
{
	const struct memory_label whole = { .id = label->id };
	int r = merge_data(to, difference, (off_t)memory_bytes);

	if (r == 0)
		r = write_label(to, memory_bytes, &whole);
	return r < 0 ? error_set(err, r, "difference", "is there room on the base's disk?",
				 "The difference cannot be laid over its base: %s", strerror(-r))
		     : 0;
}

/* Holes are zero, as the memory is. */
static int copy_region(int fd, const struct gmem_region *r)
{
	uint64_t at = r->fd_offset;
	off_t end = (off_t)(at + r->len), data = lseek(fd, (off_t)at, SEEK_DATA);

	while (data >= 0 && data < end) {
		off_t hole = lseek(fd, data, SEEK_HOLE);
		size_t len;
		int error;

		if (hole < 0)
			return -errno;
		len = (size_t)((hole < end ? hole : end) - data);
		error = fd_pread_all(fd, (char *)r->host + ((uint64_t)data - at), len, data);
		if (error < 0)
			return error;
		data = lseek(fd, hole, SEEK_DATA);
	}
	return data >= 0 || errno == ENXIO ? 0 : -errno;
}

static int load_region(int fd, struct gmem *mem, const struct gmem_region *r)
{
	int error = gmem_map_file(mem, r->base, fd, (off_t)r->fd_offset, r->len);

	return error == -EINVAL ? copy_region(fd, r) : error;
}

bool memory_file_piece(const struct gmem *mem, uint64_t at, uint64_t end, struct gmem_region *ret)
{
	struct gmem_region r = { .fd_offset = at };
	uint64_t before;

	if (at >= end || !gmem_next(mem, &r) || r.fd_offset >= end)
		return false;
	before = at > r.fd_offset ? at - r.fd_offset : 0;
	r.base = gpa(r.base.v + before);
	r.host = (char *)r.host + before;
	r.fd_offset += before;
	r.len -= (size_t)before;
	if (r.len > end - r.fd_offset)
		r.len = (size_t)(end - r.fd_offset);
	*ret = r;
	return true;
}

/* From `at` on in the file. */
static int load_from(int fd, struct gmem *mem, uint64_t at, uint64_t end, struct error *err)
{
	struct gmem_region r = { .fd_offset = at };
	int error = 0;

	while (error == 0 && gmem_next(mem, &r) && r.fd_offset < end)
		error = load_region(fd, mem, &r);
	return error < 0 ? error_set(err, error, "mem_file_path", NULL,
				     "The memory file cannot be loaded: %s", strerror(-error))
			 : 0;
}

int memory_file_load(int fd, struct gmem *mem, struct error *err)
{
	return load_from(fd, mem, 0, gmem_size(mem), err);
}

int memory_file_load_blocks(int fd, struct gmem *mem, struct error *err)
{
	return load_from(fd, mem, gmem_size(mem), UINT64_MAX, err);
}
