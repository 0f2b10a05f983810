/* stream.c - a snapshot as one stream of bytes, little-endian:
 *
 *   a header   8 bytes "WISPSNAP", u32 version (1), u32 length of the state
 *   the state  as its file has it
 *   pieces     of the memory file, in ascending order: u64 where, u32 how many bytes, and
 *              they; what lies between them are holes. A piece of no bytes ends them
 *   the end    u32 CRC-32C of all that
 *
 * A whole memory file has holes wherever it is zero; in a difference zeros that were
 * written are data, and stay it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/stream.h"

enum { VERSION = 1, PAGE = 4096, PIECE_MAX = 256 * PAGE };

static const char magic[8] = "WISPSNAP";

struct header {
	char magic[8];
	uint32_t version, state_len;
} __attribute__((packed));

struct piece {
	uint64_t at;
	uint32_t len;
} __attribute__((packed));

/* One end of the stream. */
struct stream {
	int fd;
	uint32_t crc;
	char *chunk; /* PIECE_MAX bytes */
};

/* --- sending --- */

static int put(struct stream *s, const void *bytes, size_t len)
{
	s->crc = crc32c(s->crc, bytes, len);
	while (len > 0) {
		ssize_t n = write(s->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes = (const char *)bytes + n;
		len -= (size_t)n;
	}
	return 0;
}

static int put_piece(struct stream *s, uint64_t at, const char *bytes, size_t len)
{
	const struct piece p = { .at = at, .len = (uint32_t)len };
	int r = put(s, &p, sizeof(p));

	return r < 0 ? r : put(s, bytes, len);
}

static bool is_zero(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* The chunk, without pages that are zero. */
static int put_pages(struct stream *s, uint64_t at, size_t len)
{
	size_t i = 0;
	int r = 0;

	while (i < len && r == 0) {
		size_t first = i;

		while (i < len && !is_zero(s->chunk + i))
			i += PAGE;
		if (i > first)
			r = put_piece(s, at + first, s->chunk + first, i - first);
		i += PAGE;
	}
	return r;
}

static int put_data(struct stream *s, const struct stream_source *src, off_t at, off_t end)
{
	int r = 0;

	while (at < end && r == 0) {
		size_t len = end - at < PIECE_MAX ? (size_t)(end - at) : PIECE_MAX;

		r = fd_pread_all(src->memory, s->chunk, len, at);
		if (r == 0 && src->label->is_difference)
			r = put_piece(s, (uint64_t)at, s->chunk, len);
		else if (r == 0)
			r = put_pages(s, (uint64_t)at, len);
		at += (off_t)len;
	}
	return r;
}

/* Whole pages, whatever the file system's blocks are. */
static int put_memory(struct stream *s, const struct stream_source *src)
{
	const off_t end = (off_t)(src->memory_bytes + MEMORY_LABEL_BYTES);
	off_t data = lseek(src->memory, 0, SEEK_DATA), done = 0;
	int r = 0;

	while (r == 0 && data >= 0 && data < end) {
		off_t hole = lseek(src->memory, data, SEEK_HOLE);

		if (hole < 0)
			return -errno;
		data = data / PAGE * PAGE;
		hole = (hole + PAGE - 1) / PAGE * PAGE;
		hole = hole < end ? hole : end;
		r = put_data(s, src, data > done ? data : done, hole);
		done = hole;
		data = lseek(src->memory, hole, SEEK_DATA);
	}
	return r < 0 || data >= 0 || errno == ENXIO ? r : -errno;
}

static int put_all(struct stream *s, const struct stream_source *src)
{
	struct header h = { .version = VERSION, .state_len = (uint32_t)src->state_len };
	const struct piece end = { 0 };
	uint32_t crc;
	int r;

	memcpy(h.magic, magic, sizeof(magic));
	r = put(s, &h, sizeof(h));
	if (r == 0)
		r = put(s, src->state, src->state_len);
	if (r == 0)
		r = put_memory(s, src);
	if (r == 0)
		r = put(s, &end, sizeof(end));
	crc = s->crc;
	return r < 0 ? r : put(s, &crc, sizeof(crc));
}

int stream_send(int fd, const struct stream_source *src)
{
	struct stream s = { .fd = fd, .chunk = malloc(PIECE_MAX) };
	int r = s.chunk ? put_all(&s, src) : -ENOMEM;

	free(s.chunk);
	return r;
}

/* --- receiving --- */

/* -ENODATA: it ends too early. */
static int get(struct stream *s, void *bytes, size_t len)
{
	char *at = bytes;

	for (size_t left = len; left > 0;) {
		ssize_t n = read(s->fd, at, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		at += n;
		left -= (size_t)n;
	}
	s->crc = crc32c(s->crc, bytes, len);
	return 0;
}

static int broken(int r, struct error *err)
{
	if (r == -ENODATA)
		return error_set(err, -EBADMSG, NULL, "copy the file again",
				 "The snapshot ends in the middle");
	return error_set(err, r, NULL, NULL, "The snapshot cannot be read: %s", strerror(-r));
}

static int failed_write(int r, struct error *err)
{
	return error_set(err, r, NULL, "is there room on the disk?",
			 "The snapshot cannot be written: %s", strerror(-r));
}

static int check_state(const void *bytes, size_t len, uint64_t *memory_bytes, struct error *err)
{
	struct overview o = { 0 };
	struct state *state;
	int r = state_parse(bytes, len, &state, err);

	if (r < 0)
		return r;
	overview_state(&o, state);
	r = state_error(state, err);
	state_destroy(state);
	if (r == 0 &&
	    (o.memory_bytes == 0 || o.memory_bytes % PAGE != 0 || o.memory_bytes > INT64_MAX / 2))
		r = error_set(err, -EBADMSG, NULL, NULL, "The state's memory has a wrong size");
	*memory_bytes = o.memory_bytes;
	return r;
}

static int get_header(struct stream *s, struct header *h, struct error *err)
{
	int r = get(s, h, sizeof(*h));

	if (r == -ENODATA || (r == 0 && memcmp(h->magic, magic, sizeof(magic)) != 0))
		return error_set(err, -EBADMSG, NULL, "give what wisp-snapshot export made",
				 "This is no exported snapshot");
	if (r < 0)
		return broken(r, err);
	if (h->version != VERSION)
		return error_set(err, -ENOTSUP, NULL, "use a later wisp-snapshot",
				 "The snapshot was exported in version %u, and this reads %d",
				 h->version, VERSION);
	if (h->state_len > STATE_MAX_BYTES)
		return error_set(err, -EFBIG, NULL, NULL, "The state has more than %d bytes",
				 STATE_MAX_BYTES);
	return 0;
}

static int get_state(struct stream *s, int state_fd, uint64_t *memory_bytes, struct error *err)
{
	struct header h;
	char *bytes;
	int r = get_header(s, &h, err);

	if (r < 0)
		return r;
	bytes = malloc(h.state_len + 1);
	if (!bytes)
		return error_set(err, -ENOMEM, NULL, NULL, "No memory for the state");
	r = get(s, bytes, h.state_len);
	if (r < 0) {
		broken(r, err);
		goto out;
	}
	r = check_state(bytes, h.state_len, memory_bytes, err);
	if (r < 0)
		goto out;
	r = fd_pwrite_all(state_fd, bytes, h.state_len, 0);
	if (r < 0)
		failed_write(r, err);
out:
	free(bytes);
	return r;
}

/* Pieces stand behind each other, inside the file. */
static bool is_in_place(const struct piece *p, uint64_t from, uint64_t file_bytes)
{
	return p->at >= from && p->at % PAGE == 0 && p->len % PAGE == 0 && p->len <= PIECE_MAX &&
	       p->at <= file_bytes && p->len <= file_bytes - p->at;
}

static int get_pieces(struct stream *s, int memory_fd, uint64_t file_bytes, struct error *err)
{
	uint64_t from = 0;

	for (;;) {
		struct piece p;
		int r = get(s, &p, sizeof(p));

		if (r < 0)
			return broken(r, err);
		if (p.len == 0)
			return 0;
		if (!is_in_place(&p, from, file_bytes))
			return error_set(err, -EBADMSG, NULL, "copy the file again",
					 "The snapshot has a piece of memory in a wrong place");
		r = get(s, s->chunk, p.len);
		if (r < 0)
			return broken(r, err);
		r = fd_pwrite_all(memory_fd, s->chunk, p.len, (off_t)p.at);
		if (r < 0)
			return failed_write(r, err);
		from = p.at + p.len;
	}
}

static int get_end(struct stream *s, struct error *err)
{
	uint32_t expected = s->crc, crc;
	char more;
	int r = get(s, &crc, sizeof(crc));

	if (r < 0)
		return broken(r, err);
	if (crc != expected || get(s, &more, 1) != -ENODATA)
		return error_set(err, -EBADMSG, NULL, "copy the file again",
				 "The snapshot is damaged");
	return 0;
}

static int get_all(struct stream *s, int state_fd, int memory_fd, struct error *err)
{
	uint64_t memory_bytes = 0;
	int r = get_state(s, state_fd, &memory_bytes, err);

	if (r < 0)
		return r;
	if (ftruncate(memory_fd, (off_t)(memory_bytes + MEMORY_LABEL_BYTES)) < 0)
		return failed_write(-errno, err);
	r = get_pieces(s, memory_fd, memory_bytes + MEMORY_LABEL_BYTES, err);
	return r < 0 ? r : get_end(s, err);
}

int stream_receive(int fd, int state_fd, int memory_fd, struct error *err)
{
	struct stream s = { .fd = fd, .chunk = malloc(PIECE_MAX) };
	int r = s.chunk ? get_all(&s, state_fd, memory_fd, err)
			: error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	free(s.chunk);
	return r;
}
