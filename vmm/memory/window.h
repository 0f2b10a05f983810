/* window.h - memory that a device brings: guest-physical memory beside RAM.
 *
 * A window is one range of guest addresses and one mapping of the host. It is made by
 * its device, put at its place by the machine (window_place), and owned from then on
 * by the guest memory (gmem_attach), which answers for it as it does for RAM. Two kinds:
 *
 * - a file, shared with the host (virtio-pmem): there from the first to the last;
 * - blocks that come and go (virtio-mem): plugged ones are memory, others are nothing.
 *
 * Main thread, except window_view() and window_address(): any thread, at any time
 * after gmem_attach().
 */
#ifndef VMM_MEMORY_WINDOW_H
#define VMM_MEMORY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/memory/gpa.h"

enum {
	WINDOW_PAGE_BYTES = 2 * 1024 * 1024, /* what lengths and places are multiples of */
	WINDOW_FILE_RUN_BYTES = 256 * 1024,  /* of a file's, the least that can be given back */
};

struct window;

/* One piece of memory that the guest's processors see without leaving the guest. */
struct memslot {
	unsigned index;
	gpa_t base;
	size_t len; /* 0: the slot is empty from now on */
	void *host;
	bool read_only;
};

/* Whoever has the virtual machine. 0 or a negative errno. */
struct memslot_sink {
	int (*set)(void *ctx, const struct memslot *slot);
	void *ctx;
};

/* The first `bytes` of fd (not kept), and private memory up to the next multiple of
 * WINDOW_PAGE_BYTES. 0 and *ret, or a negative errno. */
int window_map_file(int fd, uint64_t bytes, bool read_only, struct window **ret);

/* Room for blocks. slot_bytes is a multiple of block_bytes and len of slot_bytes, all
 * of them of WINDOW_PAGE_BYTES. No memory is used. 0 and *ret, or a negative errno. */
struct window_blocks {
	uint64_t len, block_bytes, slot_bytes;
};
int window_reserve(const struct window_blocks *c, struct window **ret);

/* Accepts NULL. The guest's processors must not run. */
void window_destroy(struct window *w);

gpa_t window_base(const struct window *w);
size_t window_len(const struct window *w);
unsigned window_slots(const struct window *w); /* memslots that it may take */

/* What one block has; 0: the window is of a file. */
uint64_t window_block_bytes(const struct window *w);

/* Gives the window its place and its slots, from first_slot on, and shows the guest what
 * is there. Once. 0 or a negative errno. */
int window_place(struct window *w, gpa_t base, const struct memslot_sink *sink,
		 unsigned first_slot);

/* Blocks by their number; [first, first + count) must lie inside. window_plugged():
 * how many of them are plugged. */
uint64_t window_plugged(const struct window *w, uint64_t first, uint64_t count);

/* Makes blocks memory, which reads as zeros when it was not plugged before. All or
 * nothing: 0 or a negative errno. */
int window_plug(struct window *w, uint64_t first, uint64_t count);

/* Gives blocks back to the host. Nothing new is done in them from then on; a request
 * that already had a pointer may still store there (see window.c). */
void window_unplug(struct window *w, uint64_t first, uint64_t count);

/* While it is held no block comes or goes: whoever wants that asks first. Main thread. */
void window_hold(struct window *w, bool on);
bool window_is_held(const struct window *w);

/* --- blocks, and the files that they are saved in --- */

/* A part of the window. */
struct window_run {
	uint64_t off;
	size_t len;
	void *host;
};

/* In ascending order, from `from` on, each false when there is no more: plugged blocks;
 * blocks that were unplugged since they were saved, whatever they are now; the window. A
 * window of a file has none of these. */
bool window_next_plugged(const struct window *w, uint64_t from, struct window_run *ret);
bool window_next_renewed(const struct window *w, uint64_t from, struct window_run *ret);
bool window_next_whole(const struct window *w, uint64_t from, struct window_run *ret);

/* Maps len bytes of fd at off over plugged blocks, private and copy-on-write. -EFAULT when
 * they are not all plugged. Before the machine starts only. */
int window_map_blocks(struct window *w, gpa_t at, int fd, off_t off, size_t len);

/* Whether a file was mapped over any of [at, at + len), and its blocks not unplugged since. */
bool window_shows_file(const struct window *w, gpa_t at, size_t len);

/* What is plugged now is in the snapshot that later ones differ from. Main thread. */
void window_mark_saved(struct window *w);

/* Takes a placed window of a file away from the guest, for good: it is not found any
 * more, and the file is let go. Pointers into it may still be used, and find memory of
 * no file. */
void window_withdraw(struct window *w);

/* Host view of [at, at + len) when all of it is there, and writable if asked; or NULL.
 * The pointer may be used until window_destroy(). */
void *window_view(const struct window *w, gpa_t at, size_t len, bool writable);

/* The guest address of a byte of the window's mapping. False for any other pointer. */
bool window_address(const struct window *w, const void *host, gpa_t *ret);

/* As gmem_discard(): -EFAULT when it is not all there, or is a file; -EBUSY for less than
 * WINDOW_FILE_RUN_BYTES of blocks that a file was mapped over. */
int window_discard(const struct window *w, gpa_t at, size_t len);

#endif
