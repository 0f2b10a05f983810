/* prefetch.c - a loaded machine's working set, brought in while the machine starts.
 *
 * The kernel reads ahead for a whole run by one madvise(2), and does not wait for the disk;
 * so the disk has all of it to do before the first page is waited for. Page tables are
 * filled in short steps, since each holds the lock of the address space, which the main
 * thread needs to map what is left to map, and since somebody may want it to stop.
 *
 * Before Linux 5.14 there is no MADV_POPULATE: then the disk alone is ahead of the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/snapshot/prefetch.h"
#include "vmm/snapshot/working_set.h"

/* linux/mman.h has them since 5.14; libc's headers need not. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define FIELD "working_set_path"

enum { STEP_BYTES = 1024 * 1024, STACK_BYTES = 64 * 1024 };

struct prefetch {
	struct working_set *set;
	struct gmem *mem;
	const struct thread_filters *filters;
	pthread_t thread;
	bool started, stopped;
	uint64_t pages;
};

static bool is_stopped(const struct prefetch *p)
{
	return __atomic_load_n(&p->stopped, __ATOMIC_ACQUIRE);
}

/* One run, in steps. */
static void advise(struct prefetch *p, const struct working_set_run *run, int advice)
{
	uint64_t at = run->first * WORKING_SET_PAGE;
	uint64_t end = at + (uint64_t)run->pages * WORKING_SET_PAGE;
	struct gmem_region piece;

	while (!is_stopped(p) && memory_file_piece(p->mem, at, end, &piece)) {
		size_t len = piece.len < STEP_BYTES ? piece.len : STEP_BYTES;

		if (madvise(piece.host, len, advice) < 0)
			return;
		at = piece.fd_offset + len;
	}
}

static void populate(struct prefetch *p, const struct working_set_run *run)
{
	advise(p, run, run->kind == WORKING_SET_WRITTEN ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	p->pages += run->pages;
}

static void *bring(void *arg)
{
	struct prefetch *p = arg;
	uint64_t start_us = clock_now_us();

	pthread_setname_np(pthread_self(), "prefetch");
	if (thread_filter_install(p->filters, THREAD_WORKER) < 0) {
		log_warn("snapshot: nothing is prefetched: the thread cannot be confined");
		return NULL;
	}
	for (uint32_t i = 0; i < p->set->stored; i++)
		advise(p, &p->set->stored_run[i], MADV_WILLNEED);
	for (uint32_t i = 0; i < p->set->count; i++)
		advise(p, &p->set->run[i], MADV_WILLNEED);
	for (uint32_t i = 0; i < p->set->count && !is_stopped(p); i++)
		populate(p, &p->set->run[i]);
	log_info("snapshot: %" PRIu64 " pages prefetched in %" PRIu64 " us", p->pages,
		 clock_now_us() - start_us);
	return NULL;
}

static int start_thread(struct prefetch *p)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&p->thread, &attr, bring, p);
	pthread_attr_destroy(&attr);
	p->started = r == 0;
	return -r;
}

static int prepare(struct prefetch *p, int fd, const struct snapshot_id *id, struct error *err)
{
	int r = working_set_read(fd, FIELD, &p->set, err);

	if (r == 0)
		r = working_set_check(p->set, id, gmem_saved_bytes(p->mem), FIELD, err);
	if (r < 0)
		return r;
	r = working_set_map(p->set, fd, p->mem);
	if (r == 0)
		r = start_thread(p);
	return r < 0 ? error_set(err, r, FIELD, NULL, "The working set cannot be brought: %s",
				 strerror(-r))
		     : 0;
}

int prefetch_start(const char *path, const struct snapshot_id *id, struct gmem *mem,
		   const struct thread_filters *filters, struct prefetch **ret, struct error *err)
{
	struct prefetch *p = calloc(1, sizeof(*p));
	/* O_NONBLOCK: a FIFO must not hang us before it is refused. */
	int fd = fd_open(path, O_RDONLY | O_NONBLOCK, 0), r;

	if (fd < 0) {
		r = error_errno(err, FIELD, "give the path of a file that wisp may read",
				"The working set %.128s cannot be opened", path);
	} else if (!p) {
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	} else {
		p->mem = mem;
		p->filters = filters;
		r = prepare(p, fd, id, err);
	}
	fd_close(fd);
	if (r < 0) {
		prefetch_destroy(p);
		return r;
	}
	*ret = p;
	return 0;
}

void prefetch_destroy(struct prefetch *p)
{
	if (!p)
		return;
	if (p->started) {
		__atomic_store_n(&p->stopped, true, __ATOMIC_RELEASE);
		pthread_join(p->thread, NULL);
	}
	working_set_destroy(p->set);
	free(p);
}
