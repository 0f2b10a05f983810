/* console_history.h - the last bytes of a stream, for readers that come late.
 *
 * A ring of fixed size. Readers are positions in the stream, counted from its first
 * byte: one that attaches starts at the oldest byte kept, and one that falls further
 * behind than the ring reaches has lost what lies between. So the ring is history and
 * send buffer in one, and no reader costs memory or makes the writer wait.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_HISTORY_H
#define DEVICES_VIRTIO_CONSOLE_HISTORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct console_history {
	char *bytes;
	size_t size;
	uint64_t end; /* bytes ever written */
};

/* size is not 0. 0 or -ENOMEM. */
int console_history_init(struct console_history *h, size_t size);
void console_history_fini(struct console_history *h); /* of a zeroed one, too */

/* Of more than the ring holds, the end stays. */
void console_history_add(struct console_history *h, const void *bytes, size_t len);

/* The oldest position that is kept. */
uint64_t console_history_start(const struct console_history *h);

/* What lies from a position on, which is between start and end, as up to two spans.
 * Returns how many; they are valid until the next add. */
int console_history_view(const struct console_history *h, uint64_t from, struct iovec ret[2]);

#endif
