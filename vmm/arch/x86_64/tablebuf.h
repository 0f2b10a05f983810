/* tablebuf.h - bytes appended to a buffer that never overruns.
 *
 * What does not fit turns the buffer full, and from then on nothing changes it:
 * a table is written in one go and the one check comes at its end.
 */
#ifndef VMM_ARCH_X86_64_TABLEBUF_H
#define VMM_ARCH_X86_64_TABLEBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tablebuf {
	uint8_t *bytes; /* the caller's, cap of them */
	size_t cap, len;
	bool full;
};

void tablebuf_put(struct tablebuf *b, const void *src, size_t len);
void tablebuf_put8(struct tablebuf *b, uint8_t value);

/* Little-endian, the low `width` bytes of value (1 to 8). */
void tablebuf_put_le(struct tablebuf *b, uint64_t value, size_t width);

/* Makes room at offset `at`, at most b->len, and fills it; what stood there moves up. */
void tablebuf_insert(struct tablebuf *b, size_t at, const void *src, size_t len);

/* Appends zeros up to a multiple of align. */
void tablebuf_align(struct tablebuf *b, size_t align);

#endif
