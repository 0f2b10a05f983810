/* console_history.c - the last bytes of a stream, for readers that come late. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/console_history.h"

int console_history_init(struct console_history *h, size_t size)
{
	*h = (struct console_history){ .bytes = malloc(size), .size = size };
	return h->bytes ? 0 : -ENOMEM;
}

void console_history_fini(struct console_history *h)
{
	free(h->bytes);
	h->bytes = NULL;
}

/* The ring from a position on: the bytes up to its end, and those from its start. */
static int split(const struct console_history *h, uint64_t from, size_t len, struct iovec ret[2])
{
	size_t at = (size_t)(from % h->size);
	size_t first = len < h->size - at ? len : h->size - at;

	ret[0] = (struct iovec){ h->bytes + at, first };
	ret[1] = (struct iovec){ h->bytes, len - first };
	return (ret[0].iov_len > 0) + (ret[1].iov_len > 0);
}

void console_history_add(struct console_history *h, const void *bytes, size_t len)
{
	size_t skipped = len > h->size ? len - h->size : 0;
	const char *from = (const char *)bytes + skipped;
	struct iovec to[2];

	h->end += skipped;
	split(h, h->end, len - skipped, to);
	memcpy(to[0].iov_base, from, to[0].iov_len);
	memcpy(to[1].iov_base, from + to[0].iov_len, to[1].iov_len);
	h->end += len - skipped;
}

uint64_t console_history_start(const struct console_history *h)
{
	return h->end > h->size ? h->end - h->size : 0;
}

int console_history_view(const struct console_history *h, uint64_t from, struct iovec ret[2])
{
	return split(h, from, (size_t)(h->end - from), ret);
}
