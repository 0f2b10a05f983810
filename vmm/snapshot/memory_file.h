/* memory_file.h - a machine's memory in a file.
 *
 * The file has the bytes of RAM, region by region without the gap between them, and behind
 * them room for the blocks of memory that devices bring (gmem_next_room()), with holes for
 * what is zero or not plugged; and one page more, the label, by which it is known to belong
 * to one saved state and no other. Whoever only knows raw memory files finds one.
 *
 * A full file can be mapped as it is. A difference has data only for what may have changed
 * since the snapshot that its label names, zeros for blocks that were unplugged since, and
 * must be laid over that one's file first.
 *
 * Main thread; the machine is paused.
 */
#ifndef VMM_SNAPSHOT_MEMORY_FILE_H
#define VMM_SNAPSHOT_MEMORY_FILE_H

#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"

enum { MEMORY_LABEL_BYTES = 4096, SNAPSHOT_ID_BYTES = 16 };

/* What tells one snapshot from all others: random. */
struct snapshot_id {
	uint8_t bytes[SNAPSHOT_ID_BYTES];
};

int snapshot_id_make(struct snapshot_id *ret); /* 0 or a negative errno */
bool snapshot_id_equals(const struct snapshot_id *a, const struct snapshot_id *b);

struct memory_label {
	struct snapshot_id id;
	bool is_difference;
	struct snapshot_id base; /* of a difference: what it goes over */
};

/* All of memory into the empty file fd. 0 or a negative errno and *err. */
int memory_file_write(int fd, const struct gmem *mem, const struct memory_label *label,
		      struct error *err);

/* The same piece by piece, each of whole pages at off of a region; a piece may be written
 * again. changes: only what this process has written there itself, not what a file that
 * was mapped there still shows. Any thread, one at a time. */
struct memory_writer;
int memory_writer_begin(int fd, const struct gmem *mem, struct memory_writer **ret,
			struct error *err);
int memory_writer_put(struct memory_writer *w, const struct gmem_region *r, size_t off, size_t len,
		      bool changes);
int memory_writer_label(struct memory_writer *w, const struct memory_label *label);
uint64_t memory_writer_bytes(const struct memory_writer *w);
void memory_writer_end(struct memory_writer *w); /* accepts NULL */

/* What may have been written since memory was mapped from a file, or since the machine was
 * made, into fd: an empty file or the base's. *ret_bytes of data. */
int memory_file_write_changes(int fd, const struct gmem *mem, const struct memory_label *label,
			      uint64_t *ret_bytes, struct error *err);

/* The label of a file that has memory of this size. -EBADMSG and *err for a file that is
 * shorter, longer, no regular file, or has none. */
int memory_file_label(int fd, uint64_t memory_bytes, struct memory_label *ret, struct error *err);

/* Lays a difference over `to`, a copy of its base's file, which is a full file then: the
 * difference's snapshot. 0 or a negative errno and *err. */
int memory_file_merge(int to, int difference, uint64_t memory_bytes,
		      const struct memory_label *label, struct error *err);

/* The first piece of memory that [at, end) of the file has: that and no more in *ret. False:
 * it has none. Any thread. */
bool memory_file_piece(const struct gmem *mem, uint64_t at, uint64_t end, struct gmem_region *ret);

/* Makes the file the contents of RAM, or those of plugged blocks: mapped, private and
 * copy-on-write, where RAM's backing can do that; otherwise copied. Before the machine runs. 0
 * or a negative errno and *err. */
int memory_file_load(int fd, struct gmem *mem, struct error *err);
int memory_file_load_blocks(int fd, struct gmem *mem, struct error *err);

#endif
