/* plugged.c - the section of a state that says which blocks of memory were plugged: where the
 * window is, how it is cut, and a bit a block.
 *
 * A window is the configuration's, and the state must be of one like it. The bits are
 * nothing but a list of requests: each goes the way of a driver's, so that no state can plug
 * what a guest could not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/snapshot/plugged.h"

enum { BITS = 8, PAGE = 4096 };

#define MAX_BYTES (UINT64_C(1) << 52) /* of guest addresses that a processor can have */

struct blocks {
	uint64_t base, bytes, block_bytes;
	const uint8_t *map; /* the state's own */
};

static uint64_t count(const struct blocks *b)
{
	return b->bytes / b->block_bytes;
}

static size_t map_bytes(const struct blocks *b)
{
	return (size_t)((count(b) + BITS - 1) / BITS);
}

static bool is_plugged(const struct blocks *b, uint64_t n)
{
	return b->map[n / BITS] & 1 << n % BITS;
}

/* --- saving --- */

static void save_map(const struct window *w, const struct blocks *b, struct state *s)
{
	uint8_t *map = calloc(map_bytes(b), 1);

	if (!map) {
		state_fail(s, "out of memory");
		return;
	}
	for (uint64_t i = 0; i < count(b); i++)
		map[i / BITS] |= (uint8_t)(window_plugged(w, i, 1) << i % BITS);
	state_bytes(s, map, map_bytes(b));
	free(map);
}

void plugged_save(const struct window *w, struct state *s, unsigned place)
{
	struct blocks b = {
		.base = window_base(w).v,
		.bytes = window_len(w),
		.block_bytes = window_block_bytes(w),
	};

	if (b.block_bytes == 0)
		return;
	state_begin(s, STATE_PLUGGED, place);
	state_u64(s, &b.base);
	state_u64(s, &b.bytes);
	state_u64(s, &b.block_bytes);
	save_map(w, &b, s);
	state_end(s);
}

/* --- loading --- */

static const char *find_fault(const struct blocks *b, size_t len)
{
	if (b->bytes == 0 || b->bytes > MAX_BYTES || b->block_bytes == 0 ||
	    b->block_bytes % PAGE != 0 || b->bytes % b->block_bytes != 0)
		return "memory is cut into blocks that it cannot have";
	if (len != map_bytes(b))
		return "it has more blocks or fewer than there are";
	for (uint64_t i = count(b); i < (uint64_t)len * BITS; i++) {
		if (is_plugged(b, i))
			return "a block is plugged that is not there";
	}
	return NULL;
}

static void read_blocks(struct state *s, unsigned place, struct blocks *ret)
{
	const char *why;
	size_t len;

	state_begin(s, STATE_PLUGGED, place);
	state_u64(s, &ret->base);
	state_u64(s, &ret->bytes);
	state_u64(s, &ret->block_bytes);
	ret->map = state_rest(s, &len);
	why = state_failed(s) ? NULL : find_fault(ret, len);
	if (why)
		state_fail(s, why);
	state_end(s);
}

static void check_window(const struct blocks *b, const struct window *w, struct state *s)
{
	if (!state_failed(s) &&
	    (b->bytes != window_len(w) || b->block_bytes != window_block_bytes(w)))
		state_fail(s, "memory was cut in another way than the manifest says");
}

static int plug(struct window *w, const struct blocks *b)
{
	int r = 0;

	for (uint64_t first = 0, end; first < count(b) && r == 0; first = end + 1) {
		end = first;
		while (end < count(b) && is_plugged(b, end))
			end++;
		r = window_plug(w, first, end - first);
	}
	return r;
}

int plugged_base(struct state *s, unsigned place, gpa_t *ret, struct error *err)
{
	struct blocks b = { 0 };

	read_blocks(s, place, &b);
	*ret = gpa(b.base);
	return state_error(s, err);
}

int plugged_load(struct window *w, struct state *s, unsigned place, struct error *err)
{
	struct blocks b = { 0 };
	int r;

	if (window_block_bytes(w) == 0)
		return 0;
	read_blocks(s, place, &b);
	check_window(&b, w, s);
	r = state_error(s, err);
	if (r < 0)
		return r;
	r = plug(w, &b);
	if (r < 0)
		return error_set(err, r, NULL, "is the host out of memory?",
				 "Memory cannot be plugged again: %s", strerror(-r));
	window_mark_saved(w);
	return 0;
}

uint64_t plugged_room(struct state *s)
{
	const struct state_kind *kind = state_kind(STATE_PLUGGED);
	uint64_t total = 0;

	for (unsigned i = 0; i < kind->instances && !state_failed(s); i++) {
		struct blocks b = { 0 };

		if (!state_has(s, STATE_PLUGGED, i))
			continue;
		read_blocks(s, i, &b);
		total += b.bytes;
	}
	return state_failed(s) ? 0 : total;
}
