/* window.c - memory that a device brings.
 *
 * The host's mapping stays where it is for the window's whole life, and what could once
 * be written can be written until the end. That is what makes it safe for a device to
 * look an address up and to use the pointer later, on another thread or inside the
 * kernel: whatever the guest unplugs meanwhile, the pointer stays good, and all that a
 * late store can do is to bring a page back that nobody looks at. Such pages stay with
 * the process until their block is unplugged again; a window never holds more than its
 * length.
 *
 * A block is plugged when its bit is set. Devices ask the bits (window_view) without a
 * lock: the bits are cleared before anything is taken away, and set after everything is
 * in place.
 *
 * The guest's processors see whole slots. A slot is there while any of its blocks is
 * plugged; a guest that touches an unplugged block of such a slot gets zeros, and costs
 * the host memory within that slot. Elsewhere it finds no memory at all. What was never
 * plugged cannot be accessed by this process either.
 *
 * A machine that goes on from a snapshot has the bytes of its blocks from a file, mapped over
 * them. Unplugged, such a block gets fresh memory in the file's place. Which blocks the last
 * snapshot has, and which of them were unplugged since, is noted: a difference must say that
 * these are zero now, or other memory.
 *
 * A file that is made shorter under its mapping, or a hole in it that the file system
 * has no room for, faults as in every process that has it mapped.
 *
 * System calls once the machine runs: mprotect, madvise, mmap, and those of the sink.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/memory/reservation.h"
#include "vmm/memory/window.h"

_Static_assert((int)RESERVATION_ALIGN % (int)WINDOW_PAGE_BYTES == 0, "windows start aligned");

enum { WORD_BITS = 64 };

/* What a block is besides plugged or not. Main thread; shows_file also others, which see it
 * change only where nothing is saved. */
struct block {
	bool shows_file : 1; /* that was mapped over it */
	bool is_saved : 1;   /* the last snapshot has it */
	bool is_renewed : 1; /* and it was unplugged since */
};

/* Main thread. */
struct slot {
	uint64_t plugged; /* blocks */
	bool opened;	  /* had some once, and can be accessed ever since */
};

struct window {
	gpa_t base;
	size_t len;
	char *host;
	struct reservation reserved;
	bool read_only;
	bool withdrawn; /* set by the main thread, read by all */
	bool held;	/* no block comes or goes */

	/* Blocks; block_bytes 0: a file. */
	uint64_t block_bytes, slot_bytes;
	uint64_t *plugged; /* a bit a block; written by the main thread, read by all */
	struct block *block;
	struct slot *slot;

	struct memslot_sink sink;
	unsigned first_slot;
};

/* --- making --- */

static int reserve(struct window *w, uint64_t len)
{
	if (len == 0 || len > SIZE_MAX / 2)
		return -EINVAL;
	w->host = reservation_make((size_t)len, &w->reserved);
	if (!w->host)
		return -errno;
	w->len = (size_t)len;
	return 0;
}

/* The file, and behind its last page what is needed to fill the window. */
static int map_file(const struct window *w, int fd, uint64_t bytes)
{
	int protection = w->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	int flags = MAP_FIXED | MAP_NORESERVE;

	if (mmap(w->host, w->len, protection, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		    MAP_FAILED ||
	    mmap(w->host, (size_t)bytes, protection, flags | MAP_SHARED, fd, 0) == MAP_FAILED)
		return -errno;
	/* A core dump of the VMM must not carry the guest's secrets. */
	madvise(w->host, w->len, MADV_DONTDUMP);
	return 0;
}

int window_map_file(int fd, uint64_t bytes, bool read_only, struct window **ret)
{
	uint64_t beyond = bytes % WINDOW_PAGE_BYTES;
	struct window *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->read_only = read_only;
	r = reserve(w, beyond ? bytes - beyond + WINDOW_PAGE_BYTES : bytes);
	if (r == 0)
		r = map_file(w, fd, bytes);
	if (r < 0) {
		window_destroy(w);
		return r;
	}
	*ret = w;
	return 0;
}

static bool blocks_valid(const struct window_blocks *c)
{
	return c->block_bytes > 0 && c->block_bytes % WINDOW_PAGE_BYTES == 0 && c->slot_bytes > 0 &&
	       c->slot_bytes % c->block_bytes == 0 && c->len % c->slot_bytes == 0 &&
	       c->len / c->slot_bytes <= UINT32_MAX;
}

int window_reserve(const struct window_blocks *c, struct window **ret)
{
	struct window *w;
	int r;

	if (!blocks_valid(c))
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->block_bytes = c->block_bytes;
	w->slot_bytes = c->slot_bytes;
	r = reserve(w, c->len);
	if (r == 0) {
		w->plugged = calloc(w->len / w->block_bytes / WORD_BITS + 1, sizeof(*w->plugged));
		w->block = calloc(w->len / w->block_bytes, sizeof(*w->block));
		w->slot = calloc(window_slots(w), sizeof(*w->slot));
		r = w->plugged && w->block && w->slot ? 0 : -ENOMEM;
	}
	if (r < 0) {
		window_destroy(w);
		return r;
	}
	madvise(w->host, w->len, MADV_DONTDUMP);
	*ret = w;
	return 0;
}

void window_destroy(struct window *w)
{
	if (!w)
		return;
	reservation_drop(&w->reserved);
	free(w->slot);
	free(w->block);
	free(w->plugged);
	free(w);
}

gpa_t window_base(const struct window *w)
{
	return w->base;
}

size_t window_len(const struct window *w)
{
	return w->len;
}

uint64_t window_block_bytes(const struct window *w)
{
	return w->block_bytes;
}

unsigned window_slots(const struct window *w)
{
	return w->block_bytes ? (unsigned)(w->len / w->slot_bytes) : 1;
}

int window_place(struct window *w, gpa_t base, const struct memslot_sink *sink, unsigned first_slot)
{
	const struct memslot whole = {
		.index = first_slot,
		.base = base,
		.len = w->len,
		.host = w->host,
		.read_only = w->read_only,
	};

	w->base = base;
	w->sink = *sink;
	w->first_slot = first_slot;
	return w->block_bytes ? 0 : sink->set(sink->ctx, &whole);
}

/* Fresh memory takes the file's place in one step. Should the host refuse that, the file
 * stays mapped, and out of the guest's reach. */
void window_withdraw(struct window *w)
{
	const struct memslot none = { .index = w->first_slot, .base = w->base, .host = w->host };
	int r;

	__atomic_store_n(&w->withdrawn, true, __ATOMIC_SEQ_CST);
	w->sink.set(w->sink.ctx, &none);
	r = reservation_renew(w->host, w->len);
	if (r < 0)
		log_warn("memory: what was unplugged stays mapped: %s", strerror(-r));
}

/* --- blocks --- */

static bool block_plugged(const struct window *w, uint64_t block)
{
	uint64_t word = __atomic_load_n(&w->plugged[block / WORD_BITS], __ATOMIC_ACQUIRE);

	return word >> block % WORD_BITS & 1;
}

static void block_set(struct window *w, uint64_t block, bool plugged)
{
	uint64_t *word = &w->plugged[block / WORD_BITS];
	uint64_t bit = UINT64_C(1) << block % WORD_BITS;
	struct slot *slot = &w->slot[block * w->block_bytes / w->slot_bytes];

	if (block_plugged(w, block) == plugged)
		return;
	__atomic_fetch_xor(word, bit, __ATOMIC_ACQ_REL);
	slot->plugged += plugged ? 1 : UINT64_C(-1);
}

uint64_t window_plugged(const struct window *w, uint64_t first, uint64_t count)
{
	uint64_t n = 0;

	for (uint64_t i = first; i < first + count; i++)
		n += block_plugged(w, i);
	return n;
}

static uint64_t slot_blocks(const struct window *w)
{
	return w->slot_bytes / w->block_bytes;
}

static int slot_show(const struct window *w, uint64_t slot, bool there)
{
	const struct memslot s = {
		.index = w->first_slot + (unsigned)slot,
		.base = gpa(w->base.v + slot * w->slot_bytes),
		.len = there ? (size_t)w->slot_bytes : 0,
		.host = w->host + slot * w->slot_bytes,
	};

	return w->sink.set(w->sink.ctx, &s);
}

static int slot_open(struct window *w, uint64_t slot)
{
	if (w->slot[slot].opened)
		return 0;
	if (mprotect(w->host + slot * w->slot_bytes, w->slot_bytes, PROT_READ | PROT_WRITE) < 0)
		return -errno;
	w->slot[slot].opened = true;
	return 0;
}

/* Blocks of one slot. */
static int plug_in_slot(struct window *w, uint64_t slot, uint64_t first, uint64_t count)
{
	int r = slot_open(w, slot);

	if (r == 0 && w->slot[slot].plugged == 0)
		r = slot_show(w, slot, true);
	for (uint64_t i = first; i < first + count && r == 0; i++)
		block_set(w, i, true);
	return r;
}

/* What is given back of a file's bytes must not come again when the block does. */
static void renew_block(struct window *w, uint64_t block)
{
	int r = reservation_renew(w->host + block * w->block_bytes, w->block_bytes);

	if (r < 0)
		log_warn("memory: what was unplugged stays a file's: %s", strerror(-r));
	else
		w->block[block].shows_file = false;
}

static void block_leave(struct window *w, uint64_t block)
{
	struct block *b = &w->block[block];

	if (!block_plugged(w, block))
		return;
	block_set(w, block, false);
	b->is_renewed |= b->is_saved;
}

/* A slot that cannot be taken from the guest stays with it, empty; then its blocks are
 * as those of a slot that still has others. */
static void unplug_in_slot(struct window *w, uint64_t slot, uint64_t first, uint64_t count)
{
	if (w->slot[slot].plugged == 0)
		return;
	for (uint64_t i = first; i < first + count; i++)
		block_leave(w, i);
	if (w->slot[slot].plugged == 0)
		slot_show(w, slot, false);
	for (uint64_t i = first; i < first + count; i++) {
		if (w->block[i].shows_file)
			renew_block(w, i);
	}
	madvise(w->host + first * w->block_bytes, count * w->block_bytes, MADV_DONTNEED);
}

/* How many of the blocks from first on, at most count, are in first's slot. */
static uint64_t run_in_slot(const struct window *w, uint64_t first, uint64_t count)
{
	uint64_t room = slot_blocks(w) - first % slot_blocks(w);

	return count < room ? count : room;
}

int window_plug(struct window *w, uint64_t first, uint64_t count)
{
	uint64_t done = 0;

	while (done < count) {
		uint64_t at = first + done;
		uint64_t run = run_in_slot(w, at, count - done);
		int r = plug_in_slot(w, at / slot_blocks(w), at, run);

		if (r < 0) {
			window_unplug(w, first, done);
			return r;
		}
		done += run;
	}
	return 0;
}

void window_unplug(struct window *w, uint64_t first, uint64_t count)
{
	while (count > 0) {
		uint64_t run = run_in_slot(w, first, count);

		unplug_in_slot(w, first / slot_blocks(w), first, run);
		first += run;
		count -= run;
	}
}

void window_hold(struct window *w, bool on)
{
	w->held = on;
}

bool window_is_held(const struct window *w)
{
	return w->held;
}

/* --- files that blocks are saved in --- */

static bool is_renewed(const struct window *w, uint64_t block)
{
	return w->block[block].is_renewed;
}

/* Neighbouring blocks of one sort. */
static bool next_run(const struct window *w, uint64_t from,
		     bool (*is)(const struct window *w, uint64_t block), struct window_run *ret)
{
	uint64_t blocks = w->block_bytes ? w->len / w->block_bytes : 0, first, end;

	if (blocks == 0 || __atomic_load_n(&w->withdrawn, __ATOMIC_ACQUIRE))
		return false;
	first = from / w->block_bytes;
	while (first < blocks && !is(w, first))
		first++;
	end = first;
	while (end < blocks && is(w, end))
		end++;
	if (end <= first)
		return false;
	*ret = (struct window_run){
		.off = first * w->block_bytes,
		.len = (size_t)((end - first) * w->block_bytes),
		.host = w->host + first * w->block_bytes,
	};
	return true;
}

bool window_next_plugged(const struct window *w, uint64_t from, struct window_run *ret)
{
	return next_run(w, from, block_plugged, ret);
}

bool window_next_renewed(const struct window *w, uint64_t from, struct window_run *ret)
{
	return next_run(w, from, is_renewed, ret);
}

bool window_next_whole(const struct window *w, uint64_t from, struct window_run *ret)
{
	*ret = (struct window_run){ .len = w->len, .host = w->host };
	return from == 0 && w->block_bytes && !__atomic_load_n(&w->withdrawn, __ATOMIC_ACQUIRE);
}

int window_map_blocks(struct window *w, gpa_t at, int fd, off_t off, size_t len)
{
	char *host = w->block_bytes ? window_view(w, at, len, true) : NULL;
	uint64_t start = at.v - w->base.v;

	if (!host)
		return -EFAULT;
	if (mmap(host, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
		 off) == MAP_FAILED)
		return -errno;
	madvise(host, len, MADV_DONTDUMP);
	for (uint64_t i = start / w->block_bytes; i * w->block_bytes < start + len; i++)
		w->block[i].shows_file = true;
	return 0;
}

bool window_shows_file(const struct window *w, gpa_t at, size_t len)
{
	uint64_t off = at.v - w->base.v, end = off + len;

	if (!w->block_bytes || len == 0 || at.v < w->base.v || off >= w->len || len > w->len - off)
		return false;
	for (uint64_t i = off / w->block_bytes; i * w->block_bytes < end; i++) {
		if (w->block[i].shows_file)
			return true;
	}
	return false;
}

void window_mark_saved(struct window *w)
{
	for (uint64_t i = 0; w->block_bytes && i < w->len / w->block_bytes; i++) {
		w->block[i].is_saved = block_plugged(w, i);
		w->block[i].is_renewed = false;
	}
}

/* --- looking up --- */

static bool all_there(const struct window *w, uint64_t off, size_t len)
{
	uint64_t first, last;

	if (w->block_bytes == 0)
		return true;
	first = off / w->block_bytes;
	last = (off + len - 1) / w->block_bytes;
	return window_plugged(w, first, last - first + 1) == last - first + 1;
}

void *window_view(const struct window *w, gpa_t at, size_t len, bool writable)
{
	uint64_t off = at.v - w->base.v;

	if (len == 0 || at.v < w->base.v || off >= w->len || len > w->len - off)
		return NULL;
	if ((writable && w->read_only) || !all_there(w, off, len) ||
	    __atomic_load_n(&w->withdrawn, __ATOMIC_ACQUIRE))
		return NULL;
	return w->host + off;
}

bool window_address(const struct window *w, const void *host, gpa_t *ret)
{
	uintptr_t start = (uintptr_t)w->host, at = (uintptr_t)host;

	if (at < start || at - start >= w->len)
		return false;
	*ret = gpa(w->base.v + (at - start));
	return true;
}

int window_discard(const struct window *w, gpa_t at, size_t len)
{
	size_t mask = (size_t)sysconf(_SC_PAGESIZE) - 1;
	void *host = window_view(w, at, len, true);

	if (!host || w->block_bytes == 0)
		return -EFAULT;
	if (((at.v | len) & mask) != 0)
		return -EINVAL;
	if (window_shows_file(w, at, len))
		return len < WINDOW_FILE_RUN_BYTES ? -EBUSY : reservation_renew(host, len);
	return madvise(host, len, MADV_DONTNEED) < 0 ? -errno : 0;
}
