/* stream.h - a snapshot as one stream of bytes: what wisp-snapshot export compresses.
 *
 * stream.c has the format. Whoever reads one trusts nothing in it: lengths are bounded by
 * the state's, which is checked first, and what is read is only worth something when
 * stream_receive() has returned 0.
 */
#ifndef VMM_SNAPSHOT_STREAM_H
#define VMM_SNAPSHOT_STREAM_H

#include "vmm/snapshot/overview.h"

/* Writes to the descriptor, a pipe. The state's bytes and the memory file go together, as
 * was checked; label: the memory file's. 0 or a negative errno. */
struct stream_source {
	const void *state;
	size_t state_len;
	int memory;
	uint64_t memory_bytes;
	const struct memory_label *label;
};
int stream_send(int fd, const struct stream_source *s);

/* Reads all of a stream, and writes the state's bytes and the memory to the two files,
 * which are empty. 0, or a negative errno and *err. */
int stream_receive(int fd, int state_fd, int memory_fd, struct error *err);

#endif
