/* gmem.c - Eva on guest memory: any address, any length.
 *
 * RAM is in two regions around a hole, so small that Eva can take its addresses one by one,
 * and then all beyond it; the length may be anything. Whatever is given back must lie in RAM
 * from its first byte to its last: it is read or written here, and Eva says where that
 * could be outside. So are the copies that gmem makes itself.
 *
 * Windows beside RAM are devices' own (window.h); here there is none.
 */
#include "tests/eva/any.h"

#include "vmm/memory/gmem.c"

enum { LOW_BYTES = 12, HIGH_BASE = 16, HIGH_BYTES = 8, COPY_BYTES = 32 };

static char low[LOW_BYTES], high[HIGH_BYTES];

static void guest_writes(void)
{
	Frama_C_make_unknown(low, sizeof(low));
	Frama_C_make_unknown(high, sizeof(high));
}

void *window_view(const struct window *w, gpa_t at, size_t len, bool writable)
{
	(void)w;
	(void)at;
	(void)len;
	(void)writable;
	return NULL;
}

bool window_address(const struct window *w, const void *host, gpa_t *ret)
{
	(void)w;
	(void)host;
	(void)ret;
	return false;
}

int window_discard(const struct window *w, gpa_t at, size_t len)
{
	(void)w;
	(void)at;
	(void)len;
	return -EFAULT;
}

static void use(struct gmem *m, uint64_t at)
{
	uint64_t len = any_u64();
	char copy[COPY_BYTES] = { 0 };
	const char *view;
	char *span;

	guest_writes();
	span = gmem_span(m, gpa(at), len);
	if (span) {
		span[0] = 1;
		span[len - 1] = 1;
	}
	view = gmem_view(m, gpa(at), len);
	if (view)
		copy[0] = (char)(view[0] ^ view[len - 1]);
	(void)gmem_zero(m, gpa(at), len);
	len = Frama_C_unsigned_long_interval(0, COPY_BYTES);
	(void)gmem_read(m, copy, gpa(at), len);
	(void)gmem_write(m, gpa(at), copy, len);
	(void)gmem_shows_file(m, gpa(at), any_u64());
}

int main(void)
{
	struct gmem m = {
		.fd = -1,
		.count = 2,
		.region = { { .base = { 0 }, .len = LOW_BYTES, .host = low },
			    { .base = { HIGH_BASE }, .len = HIGH_BYTES, .host = high } },
		.files = 1,
		.file = { { .start = any_u64(), .end = any_u64() } },
	};

	for (uint64_t at = 0; at <= HIGH_BASE + HIGH_BYTES; at++)
		use(&m, at);
	use(&m, Frama_C_unsigned_long_interval(HIGH_BASE + HIGH_BYTES, UINT64_MAX));
	return 0;
}
