/* gmem.c - guest RAM as one mapping per region, and the windows beside it.
 *
 * One region, or two when RAM is larger than the room below the MMIO gap. A
 * region is one mapping of the host with a guard page on either side, so that a
 * bug that slips past the checks faults instead of reaching the heap.
 * Addresses are aligned to 2 MiB in the host as in the guest, so that huge pages
 * can back both.
 *
 * What the guest does not need goes back to the host in the way that its backing
 * asks for. Private anonymous pages are dropped. Files in memory, which hold the
 * pages themselves, get a hole. Dropping pages of a file that was mapped over RAM
 * would bring the file's bytes back, which the guest has long overwritten: fresh
 * anonymous memory is put in their place.
 *
 * System calls once the machine runs: madvise, mmap.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/memory/gmem.h"
#include "vmm/memory/reservation.h"

enum { HUGE_PAGE = 2 * 1024 * 1024 };

/* Guest addresses [start, end) that show a file. */
struct file_range {
	uint64_t start, end;
};

struct gmem {
	enum gmem_backing backing;
	int fd;
	int page_map; /* not ours; -1: none */
	bool served;  /* by a userfaultfd's handler */
	bool held;    /* nothing is given back; written by the main thread, read by any */
	unsigned count;
	struct gmem_region region[GMEM_MAX_REGIONS];
	struct reservation reserved[GMEM_MAX_REGIONS];
	unsigned files;
	struct file_range file[GMEM_MAX_FILES];
	unsigned windows; /* written last: whoever sees it sees them */
	struct window *window[GMEM_MAX_WINDOWS];
};

static size_t backing_page(enum gmem_backing backing)
{
	return backing == GMEM_HUGE_2M ? HUGE_PAGE : (size_t)sysconf(_SC_PAGESIZE);
}

static int check_config(const struct gmem_config *c, struct error *err)
{
	size_t page = backing_page(c->backing);

	if (c->size_bytes == 0)
		return error_set(err, -EINVAL, "mem_size_mib", "give at least 1",
				 "guest memory of 0 bytes");
	if (c->size_bytes % page != 0)
		return error_set(err, -EINVAL, "mem_size_mib", "give a multiple of the page size",
				 "guest memory of %" PRIu64 " bytes is not a multiple of %zu",
				 c->size_bytes, page);
	return 0;
}

static int open_backing(struct gmem *m, const struct gmem_config *c, struct error *err)
{
	unsigned flags = MFD_CLOEXEC;

	if (c->backing == GMEM_ANON || c->backing == GMEM_TRANSPARENT)
		return 0;
	if (c->backing == GMEM_HUGE_2M)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	m->fd = memfd_create("wisp-guest-ram", flags);
	if (m->fd < 0)
		return error_errno(err, "huge_pages", "does this kernel have hugetlbfs?",
				   "cannot create the file behind guest memory");
	if (ftruncate(m->fd, (off_t)c->size_bytes) < 0)
		return error_errno(err, "mem_size_mib", "give less memory",
				   "cannot size guest memory to %" PRIu64 " bytes", c->size_bytes);
	return 0;
}

static int map_region(struct gmem *m, gpa_t base, size_t len, uint64_t offset, struct error *err)
{
	struct gmem_region *r = &m->region[m->count];
	int flags = MAP_FIXED | MAP_NORESERVE;
	void *host = reservation_make(len, &m->reserved[m->count]);

	if (!host)
		return error_errno(err, "mem_size_mib", "give less memory",
				   "cannot reserve %zu bytes of address space", len);
	/* From here gmem_destroy() knows the reservation. */
	m->count++;
	flags |= m->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	/* Huge pages are taken from a pool: reserve them now or fail now. */
	if (m->backing == GMEM_HUGE_2M)
		flags &= ~MAP_NORESERVE;
	if (mmap(host, len, PROT_READ | PROT_WRITE, flags, m->fd, (off_t)offset) == MAP_FAILED)
		return error_errno(err, m->backing == GMEM_HUGE_2M ? "huge_pages" : "mem_size_mib",
				   m->backing == GMEM_HUGE_2M
					   ? "raise /proc/sys/vm/nr_hugepages, or use None"
					   : "give less memory",
				   "cannot map %zu bytes of guest memory", len);
	if (m->backing == GMEM_TRANSPARENT || m->backing == GMEM_MEMFD_TRANSPARENT)
		madvise(host, len, MADV_HUGEPAGE);
	/* A core dump of the VMM must not carry the guest's secrets. */
	madvise(host, len, MADV_DONTDUMP);
	*r = (struct gmem_region){
		.base = base,
		.len = len,
		.host = host,
		.fd = m->fd,
		.fd_offset = offset,
	};
	return 0;
}

static int map_regions(struct gmem *m, const struct gmem_config *c, struct error *err)
{
	uint64_t low = c->size_bytes;
	int r;

	if (c->gap_end != 0 && low > c->gap_start)
		low = c->gap_start;
	r = map_region(m, gpa(0), low, 0, err);
	if (r < 0 || low == c->size_bytes)
		return r;
	return map_region(m, gpa(c->gap_end), c->size_bytes - low, low, err);
}

int gmem_create(const struct gmem_config *config, struct gmem **ret, struct error *err)
{
	int r = check_config(config, err);

	if (r < 0)
		return r;

	struct gmem *m = calloc(1, sizeof(*m));

	if (!m)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	m->backing = config->backing;
	m->fd = -1;
	m->page_map = -1;
	r = open_backing(m, config, err);
	if (r == 0)
		r = map_regions(m, config, err);
	if (r < 0) {
		gmem_destroy(m);
		return r;
	}
	*ret = m;
	return 0;
}

void gmem_destroy(struct gmem *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->count; i++)
		reservation_drop(&m->reserved[i]);
	for (unsigned i = 0; i < m->windows; i++)
		window_destroy(m->window[i]);
	fd_close(m->fd);
	free(m);
}

const struct gmem_region *gmem_regions(const struct gmem *m, unsigned *count)
{
	*count = m->count;
	return m->region;
}

size_t gmem_page_bytes(const struct gmem *m)
{
	return backing_page(m->backing);
}

void gmem_set_page_map(struct gmem *m, int fd)
{
	m->page_map = fd;
}

int gmem_page_map(const struct gmem *m)
{
	return m->page_map;
}

void gmem_set_served(struct gmem *m)
{
	m->served = true;
}

bool gmem_is_served(const struct gmem *m)
{
	return m->served;
}

void gmem_hold(struct gmem *m, bool on)
{
	__atomic_store_n(&m->held, on, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < m->windows; i++)
		window_hold(m->window[i], on);
}

bool gmem_is_private(const struct gmem *m)
{
	return m->fd < 0;
}

uint64_t gmem_size(const struct gmem *m)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < m->count; i++)
		total += m->region[i].len;
	return total;
}

int gmem_attach(struct gmem *m, struct window *w)
{
	if (m->windows == GMEM_MAX_WINDOWS)
		return -ENOSPC;
	m->window[m->windows] = w;
	__atomic_store_n(&m->windows, m->windows + 1, __ATOMIC_RELEASE);
	return 0;
}

static unsigned windows_seen(const struct gmem *m)
{
	return __atomic_load_n(&m->windows, __ATOMIC_ACQUIRE);
}

static bool overlap(uint64_t a, size_t a_len, uint64_t b, size_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

bool gmem_is_free(const struct gmem *m, gpa_t at, size_t len)
{
	bool is_free = true;

	for (unsigned i = 0; i < m->count && is_free; i++)
		is_free = !overlap(at.v, len, m->region[i].base.v, m->region[i].len);
	for (unsigned i = 0; i < m->windows && is_free; i++)
		is_free =
			!overlap(at.v, len, window_base(m->window[i]).v, window_len(m->window[i]));
	return is_free;
}

static void *ram_span(const struct gmem *m, gpa_t at, size_t len)
{
	if (len == 0)
		return NULL;
	for (unsigned i = 0; i < m->count; i++) {
		const struct gmem_region *r = &m->region[i];
		uint64_t off = at.v - r->base.v;

		if (at.v >= r->base.v && off < r->len && len <= r->len - off)
			return (char *)r->host + off;
	}
	return NULL;
}

static void *any_span(const struct gmem *m, gpa_t at, size_t len, bool writable)
{
	void *host = ram_span(m, at, len);

	for (unsigned i = 0, n = windows_seen(m); i < n && !host; i++)
		host = window_view(m->window[i], at, len, writable);
	return host;
}

void *gmem_span(const struct gmem *m, gpa_t at, size_t len)
{
	return any_span(m, at, len, true);
}

const void *gmem_view(const struct gmem *m, gpa_t at, size_t len)
{
	return any_span(m, at, len, false);
}

bool gmem_address(const struct gmem *m, const void *host, gpa_t *ret)
{
	for (unsigned i = 0; i < m->count; i++) {
		const struct gmem_region *r = &m->region[i];
		uintptr_t start = (uintptr_t)r->host, at = (uintptr_t)host;

		if (at >= start && at - start < r->len) {
			*ret = gpa(r->base.v + (at - start));
			return true;
		}
	}
	for (unsigned i = 0, n = windows_seen(m); i < n; i++) {
		if (window_address(m->window[i], host, ret))
			return true;
	}
	return false;
}

int gmem_read(const struct gmem *m, void *dst, gpa_t from, size_t len)
{
	const void *src = gmem_view(m, from, len);

	if (len == 0)
		return 0;
	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t to, const void *src, size_t len)
{
	void *dst = gmem_span(m, to, len);

	if (len == 0)
		return 0;
	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_zero(const struct gmem *m, gpa_t at, size_t len)
{
	void *dst = gmem_span(m, at, len);

	if (len == 0)
		return 0;
	if (!dst)
		return -EFAULT;
	memset(dst, 0, len);
	return 0;
}

/* The range that a file mapped at [start, end) belongs to: one that it touches, or
 * a new one; NULL when there is no room for that. */
static struct file_range *file_range(struct gmem *m, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < m->files; i++) {
		if (start <= m->file[i].end && end >= m->file[i].start)
			return &m->file[i];
	}
	if (m->files == GMEM_MAX_FILES)
		return NULL;
	m->file[m->files] = (struct file_range){ start, end };
	return &m->file[m->files++];
}

static int map_in_windows(const struct gmem *m, gpa_t at, int fd, off_t off, size_t len)
{
	int r = -EFAULT;

	for (unsigned i = 0; i < m->windows && r == -EFAULT; i++)
		r = window_map_blocks(m->window[i], at, fd, off, len);
	return r;
}

int gmem_map_file(struct gmem *m, gpa_t at, int fd, off_t off, size_t len)
{
	size_t mask = (size_t)sysconf(_SC_PAGESIZE) - 1;
	void *host = ram_span(m, at, len);
	struct file_range *range;

	if (m->backing != GMEM_ANON || ((at.v | (uint64_t)off | len) & mask) != 0)
		return -EINVAL;
	if (!host)
		return map_in_windows(m, at, fd, off, len);
	range = file_range(m, at.v, at.v + len);
	if (!range)
		return -EINVAL;
	if (mmap(host, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
		 off) == MAP_FAILED)
		return -errno;
	if (at.v < range->start)
		range->start = at.v;
	if (at.v + len > range->end)
		range->end = at.v + len;
	madvise(host, len, MADV_DONTDUMP);
	return 0;
}

static bool shows_file(const struct gmem *m, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < m->files; i++) {
		if (start < m->file[i].end && end > m->file[i].start)
			return true;
	}
	for (unsigned i = 0, n = windows_seen(m); i < n; i++) {
		if (window_shows_file(m->window[i], gpa(start), (size_t)(end - start)))
			return true;
	}
	return false;
}

bool gmem_shows_file(const struct gmem *m, gpa_t at, size_t len)
{
	return m->served || shows_file(m, at.v, at.v + len);
}

/* One step for the guest: a vCPU that touches the range meanwhile waits for it. */
static int replace_pages(void *host, size_t len)
{
	return len < GMEM_FILE_RUN_BYTES ? -EBUSY : reservation_renew(host, len);
}

static int discard_in_windows(const struct gmem *m, gpa_t at, size_t len)
{
	int r = -EFAULT;

	for (unsigned i = 0, n = windows_seen(m); i < n && r == -EFAULT; i++)
		r = window_discard(m->window[i], at, len);
	return r;
}

int gmem_discard(const struct gmem *m, gpa_t at, size_t len)
{
	void *host = ram_span(m, at, len);

	if (__atomic_load_n(&m->held, __ATOMIC_ACQUIRE))
		return -EBUSY;
	if (!host)
		return discard_in_windows(m, at, len);
	if (((at.v | len) & (backing_page(m->backing) - 1)) != 0)
		return -EINVAL;
	/* Not fallocate(), of which a handler would not hear. */
	if (m->fd >= 0)
		return madvise(host, len, MADV_REMOVE) < 0 ? -errno : 0;
	if (shows_file(m, at.v, at.v + len))
		return replace_pages(host, len);
	return madvise(host, len, MADV_DONTNEED) < 0 ? -errno : 0;
}

/* --- as a snapshot has it --- */

typedef bool (*next_fn)(const struct window *w, uint64_t from, struct window_run *ret);

static uint64_t saved_bytes(const struct window *w)
{
	struct window_run whole;

	return window_next_whole(w, 0, &whole) ? whole.len : 0;
}

uint64_t gmem_saved_bytes(const struct gmem *m)
{
	uint64_t total = gmem_size(m);

	for (unsigned i = 0, n = windows_seen(m); i < n; i++)
		total += saved_bytes(m->window[i]);
	return total;
}

static bool next_region(const struct gmem *m, uint64_t at, struct gmem_region *piece)
{
	for (unsigned i = 0; i < m->count; i++) {
		if (at < m->region[i].fd_offset + m->region[i].len) {
			*piece = m->region[i];
			return true;
		}
	}
	return false;
}

static bool next_in_windows(const struct gmem *m, uint64_t at, next_fn next,
			    struct gmem_region *piece)
{
	uint64_t below = gmem_size(m);
	struct window_run run;

	for (unsigned i = 0, n = windows_seen(m); i < n; i++) {
		const struct window *w = m->window[i];

		if (next(w, at > below ? at - below : 0, &run)) {
			*piece = (struct gmem_region){
				.base = gpa(window_base(w).v + run.off),
				.len = run.len,
				.host = run.host,
				.fd = -1,
				.fd_offset = below + run.off,
			};
			return true;
		}
		below += saved_bytes(w);
	}
	return false;
}

bool gmem_next(const struct gmem *m, struct gmem_region *piece)
{
	uint64_t at = piece->fd_offset + piece->len;

	return next_region(m, at, piece) || next_in_windows(m, at, window_next_plugged, piece);
}

bool gmem_next_renewed(const struct gmem *m, struct gmem_region *piece)
{
	return next_in_windows(m, piece->fd_offset + piece->len, window_next_renewed, piece);
}

bool gmem_next_room(const struct gmem *m, struct gmem_region *piece)
{
	uint64_t at = piece->fd_offset + piece->len;

	return next_region(m, at, piece) || next_in_windows(m, at, window_next_whole, piece);
}

void gmem_mark_saved(struct gmem *m)
{
	for (unsigned i = 0; i < m->windows; i++)
		window_mark_saved(m->window[i]);
}
