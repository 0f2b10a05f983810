/* tablebuf.c - bytes appended to a buffer that never overruns. */
#include <string.h>

#include "vmm/arch/x86_64/tablebuf.h"

/* Opens a gap of len bytes at `at`; NULL when it does not fit. */
static uint8_t *open_gap(struct tablebuf *b, size_t at, size_t len)
{
	if (b->full || len > b->cap - b->len) {
		b->full = true;
		return NULL;
	}
	memmove(b->bytes + at + len, b->bytes + at, b->len - at);
	b->len += len;
	return b->bytes + at;
}

void tablebuf_insert(struct tablebuf *b, size_t at, const void *src, size_t len)
{
	uint8_t *gap = open_gap(b, at, len);

	if (gap)
		memcpy(gap, src, len);
}

void tablebuf_put(struct tablebuf *b, const void *src, size_t len)
{
	tablebuf_insert(b, b->len, src, len);
}

void tablebuf_put8(struct tablebuf *b, uint8_t value)
{
	tablebuf_put(b, &value, 1);
}

void tablebuf_put_le(struct tablebuf *b, uint64_t value, size_t width)
{
	uint8_t *gap = open_gap(b, b->len, width);

	for (size_t i = 0; gap && i < width; i++)
		gap[i] = (uint8_t)(value >> 8 * i);
}

void tablebuf_align(struct tablebuf *b, size_t align)
{
	size_t pad = (align - b->len % align) % align;
	uint8_t *gap = open_gap(b, b->len, pad);

	if (gap)
		memset(gap, 0, pad);
}
