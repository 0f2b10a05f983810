/* gmem.h - guest memory: the only place where a guest address becomes a host pointer.
 *
 * The bytes behind a guest address are shared with the guest, which may change
 * them at any moment: copy first, then check the copy. No pointer from here may
 * outlive the request that it was taken for.
 *
 * That is RAM, whose regions never change once the machine runs, and beside it the
 * windows of devices that bring memory of their own (window.h). Every function that
 * only looks an address up may be called on any thread.
 */
#ifndef VMM_MEMORY_GMEM_H
#define VMM_MEMORY_GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/error.h"
#include "vmm/memory/gpa.h"
#include "vmm/memory/window.h"

enum gmem_backing {
	GMEM_ANON,		/* private anonymous pages */
	GMEM_TRANSPARENT,	/* the same, with transparent huge pages asked for */
	GMEM_MEMFD,		/* a file in memory, which another process may map */
	GMEM_MEMFD_TRANSPARENT, /* the same, with transparent huge pages asked for */
	GMEM_HUGE_2M,		/* 2 MiB pages from hugetlbfs, a file as well */
};

struct gmem_config {
	uint64_t size_bytes; /* a multiple of the page size of the backing */
	enum gmem_backing backing;
	/* A hole in the guest's physical addresses, kept for MMIO: RAM that would
	 * reach into it goes on behind it. gap_end 0: no hole. */
	uint64_t gap_start, gap_end;
};

struct gmem_region {
	gpa_t base;
	size_t len;
	void *host;
	int fd;		    /* memfd behind it, or -1; owned by the gmem */
	uint64_t fd_offset; /* in it, and in memory files: what is below it of memory */
};

enum { GMEM_MAX_REGIONS = 2, GMEM_MAX_WINDOWS = 256 /* withdrawn ones count */ };

struct gmem;

/* Reserves guest RAM; no page is touched. 0 and *ret, or a negative errno and
 * *err (field "mem_size_mib" or "huge_pages"). Main thread. */
int gmem_create(const struct gmem_config *config, struct gmem **ret, struct error *err);

/* Unmaps everything. Accepts NULL. */
void gmem_destroy(struct gmem *m);

/* Takes over a window that was placed beside everything else: from here on its memory
 * is the guest's, for good. 0, or -ENOSPC, and the window stays the caller's. Main
 * thread; the machine may run. */
int gmem_attach(struct gmem *m, struct window *w);

/* Whether RAM and windows, withdrawn ones included, leave [at, at + len) alone, which must
 * not wrap. Main thread. */
bool gmem_is_free(const struct gmem *m, gpa_t at, size_t len);

/* The regions of RAM, in ascending order; their number in *count (1 or 2). */
const struct gmem_region *gmem_regions(const struct gmem *m, unsigned *count);

/* Bytes of RAM in all. */
uint64_t gmem_size(const struct gmem *m);

/* Host view of [at, at + len), or NULL unless all of it lies in one region or window
 * and may be written. len 0 gives NULL. gmem_view() is for reading, also of windows
 * that must not be written. */
void *gmem_span(const struct gmem *m, gpa_t at, size_t len);
const void *gmem_view(const struct gmem *m, gpa_t at, size_t len);

/* The way back: the guest address of a byte that one of these gave. False for any
 * other pointer. */
bool gmem_address(const struct gmem *m, const void *host, gpa_t *ret);

/* Copies in or out. 0, or -EFAULT when the range is not guest memory. */
int gmem_read(const struct gmem *m, void *dst, gpa_t from, size_t len);
int gmem_write(const struct gmem *m, gpa_t to, const void *src, size_t len);

/* Fills with zeros. 0 or -EFAULT. */
int gmem_zero(const struct gmem *m, gpa_t at, size_t len);

/* Maps len bytes of fd at off over guest RAM, private and copy-on-write, instead
 * of copying them. at, off and len must be multiples of the host page size and
 * the memory must be GMEM_ANON, and at most GMEM_MAX_FILES ranges apart from each
 * other can be mapped; else -EINVAL and nothing changed (the caller copies).
 * The same over plugged blocks of a window. -EFAULT outside of both. Before the machine
 * starts only. */
int gmem_map_file(struct gmem *m, gpa_t at, int fd, off_t off, size_t len);

/* What a page of RAM is: 4 KiB, or 2 MiB with GMEM_HUGE_2M. */
size_t gmem_page_bytes(const struct gmem *m);

/* Whether RAM is this process's alone, and not a file in memory. */
bool gmem_is_private(const struct gmem *m);

/* From now on what is not there of RAM is not zero: a userfaultfd's handler has it. Before
 * the machine starts only. */
void gmem_set_served(struct gmem *m);
bool gmem_is_served(const struct gmem *m);

/* Whether a file was mapped over any of [at, at + len): what was not written there shows
 * the file's bytes. Of memory that is served: always. */
bool gmem_shows_file(const struct gmem *m, gpa_t at, size_t len);

enum { GMEM_MAX_FILES = 16, GMEM_FILE_RUN_BYTES = WINDOW_FILE_RUN_BYTES };

/* --- memory as a snapshot has it: RAM, and behind it the windows of blocks --- */

/* Bytes of all of that, blocks that are not plugged included. */
uint64_t gmem_saved_bytes(const struct gmem *m);

/* The first that reaches beyond the end of *piece, in that order, which is by fd_offset;
 * *piece is all zeros for the first of all. Memory that is there: a region of RAM, or
 * neighbouring blocks. Blocks that were unplugged since they were saved. All of a region or
 * window, plugged or not. False: there is no more. */
bool gmem_next(const struct gmem *m, struct gmem_region *piece);
bool gmem_next_renewed(const struct gmem *m, struct gmem_region *piece);
bool gmem_next_room(const struct gmem *m, struct gmem_region *piece);

/* Where the kernel tells of this process's pages (snapshot/page_map.h): an open
 * /proc/self/pagemap, which stays the caller's; -1, as at first: it is opened when it is
 * needed. Before the machine starts only. */
void gmem_set_page_map(struct gmem *m, int fd);
int gmem_page_map(const struct gmem *m);

/* A snapshot of it has been kept. Main thread. */
void gmem_mark_saved(struct gmem *m);

/* While it is held nothing is given back (gmem_discard), and no block comes or goes: every
 * page has to be read. Main thread. */
void gmem_hold(struct gmem *m, bool on);

/* Gives the memory behind [at, at + len) back to the host; the guest reads zeros
 * there and may go on using it. All or nothing: -EFAULT outside RAM; -EINVAL when
 * at or len is no multiple of the backing's page size; -EBUSY for less than
 * GMEM_FILE_RUN_BYTES of memory that a file was mapped over (each such piece costs
 * the VMM a mapping, and the guest must not run it out of them), or while memory is
 * held; or what the host said. Safe while the guest runs. Any thread. */
int gmem_discard(const struct gmem *m, gpa_t at, size_t len);

#endif
