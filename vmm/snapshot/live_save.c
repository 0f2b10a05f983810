/* live_save.c - memory written to a file as it was at one moment, while the guest goes on.
 *
 * Memory that files were mapped over (the kernel, or the memory file of a clone) cannot be
 * write-protected through a userfaultfd. It is dealt with in parts of PART_BYTES, to keep
 * the list of what is registered short: all of a part that touches such memory is written
 * while the machine still runs, and what is this process's own in it, and so may have
 * changed since, once more while it is paused. What still is the file's at that moment was
 * so before, and the same.
 *
 * To protect a GiB page by page takes some 20 ms on a slow machine. So that is done while the
 * guest still runs, who is let through where it stores, and the freeze has only those
 * blocks to protect again.
 *
 * Between the two lies the moment at which the thread must let nobody through any more: a
 * fault that it has read may be an old one, of a block that another vCPU had it open already,
 * and opened again after the freeze that block would be saved as it is later. So the freeze,
 * which finds all vCPUs paused, has the thread come to rest first, and goes on from there.
 *
 * The thread never stores into guest memory, so it never waits for itself. It takes no lock
 * that a waiting thread could hold: the stage is an atomic, and the two threads hand each
 * other the writer by it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/thread_filter.h"
#include "vmm/memory/userfault.h"
#include "vmm/snapshot/live_save.h"

enum {
	PART_BYTES = 2 * 1024 * 1024,
	BLOCK_BYTES = 64 * 1024,
	FAULTS_AT_ONCE = 16,
	STACK_BYTES = 128 * 1024,
};

/* linux/mman.h has it since 5.14; libc's headers need not. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

enum block_state {
	BLOCK_PROTECTED, /* when memory is */
	BLOCK_TOUCHED,	 /* stored into before the freeze, and so not protected until then */
	BLOCK_WRITTEN,	 /* and so not protected any more */
};

struct live_save {
	struct gmem *mem;
	struct memory_writer *writer;
	struct memory_label label;
	int memory_fd, state_fd;
	int faults;  /* the userfaultfd, which protects while it is open */
	int changed; /* eventfds: the stage, for the main thread; */
	int go;	     /* and one of these, for the other */
	bool freezing, frozen, finished, stopped;
	pthread_mutex_t lock; /* of rests alone */
	pthread_cond_t rested;
	bool rests; /* the thread opens no block any more */
	pthread_t thread;
	bool started;
	enum live_stage stage;
	int result;
	const char *failed_at;
	uint64_t fault_count;
	uint8_t *block; /* of memory: enum block_state; the thread's, or the paused machine's */
};

static void set_stage(struct live_save *s, enum live_stage stage)
{
	__atomic_store_n(&s->stage, stage, __ATOMIC_RELEASE);
	fd_event_signal(s->changed);
}

/* On the main thread: what the other one waits for. */
static void tell(struct live_save *s, bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
	fd_event_signal(s->go);
}

static bool is_stopped(const struct live_save *s)
{
	return __atomic_load_n(&s->stopped, __ATOMIC_ACQUIRE);
}

/* --- runs of memory of one sort, and parts of them --- */

typedef int (*piece_fn)(struct live_save *s, const struct gmem_region *r, size_t off, size_t len);

static bool is_of_file(const struct live_save *s, const struct gmem_region *r, size_t off)
{
	size_t left = r->len - off;

	return gmem_shows_file(s->mem, gpa(r->base.v + off), left < PART_BYTES ? left : PART_BYTES);
}

/* The end of the run that begins at off. */
static size_t run_end(const struct live_save *s, const struct gmem_region *r, size_t off)
{
	bool of_file = is_of_file(s, r, off);

	while (off < r->len && is_of_file(s, r, off) == of_file)
		off += PART_BYTES;
	return off < r->len ? off : r->len;
}

/* Each run of one sort as a whole, until one fails: one change of protections for all of
 * it is many times cheaper than one a part. */
static int for_runs(struct live_save *s, bool of_files, piece_fn fn)
{
	struct gmem_region r = { 0 };
	int error = 0;

	while (error == 0 && gmem_next(s->mem, &r)) {
		for (size_t off = 0, end; off < r.len && error == 0; off = end) {
			end = run_end(s, &r, off);
			if (is_of_file(s, &r, off) == of_files)
				error = fn(s, &r, off, end - off);
		}
	}
	return error;
}

/* The same in parts, between which the thread can be stopped. */
static int for_parts(struct live_save *s, bool of_files, piece_fn fn)
{
	struct gmem_region r = { 0 };
	int error = 0;

	while (error == 0 && gmem_next(s->mem, &r)) {
		for (size_t off = 0; off < r.len && error == 0; off += PART_BYTES) {
			size_t left = r.len - off, len = left < PART_BYTES ? left : PART_BYTES;

			if (is_stopped(s))
				return -ECANCELED;
			if (is_of_file(s, &r, off) == of_files)
				error = fn(s, &r, off, len);
		}
	}
	return error;
}

static void *piece_host(const struct gmem_region *r, size_t off)
{
	return (char *)r->host + off;
}

static int register_run(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	return userfault_register(s->faults, piece_host(r, off), len, UFFDIO_REGISTER_MODE_WP);
}

static int protect_run(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	return userfault_protect(s->faults, piece_host(r, off), len, true);
}

static uint8_t *block_at(const struct live_save *s, const struct gmem_region *r, size_t off)
{
	return &s->block[(r->fd_offset + off) / BLOCK_BYTES];
}

static bool is_touched(const struct live_save *s, const struct gmem_region *r, size_t off)
{
	return __atomic_load_n(block_at(s, r, off), __ATOMIC_ACQUIRE) == BLOCK_TOUCHED;
}

/* What was touched since it was protected. */
static int protect_again(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	int error = 0;

	for (size_t end = off + len; off < end && error == 0;) {
		size_t first = off;

		while (off < end && is_touched(s, r, off)) {
			*block_at(s, r, off) = BLOCK_PROTECTED;
			off += BLOCK_BYTES;
		}
		if (off > first)
			error = protect_run(s, r, first, (off < end ? off : end) - first);
		off += BLOCK_BYTES;
	}
	return error;
}

static int write_changes(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	return memory_writer_put(s->writer, r, off, len, true);
}

static int write_part(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	return memory_writer_put(s->writer, r, off, len, false);
}

/* A page that is not there cannot be protected: it is read, and so becomes the zero page. */
static int populate_part(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	(void)s;
	return madvise(piece_host(r, off), len, MADV_POPULATE_READ) < 0 ? -errno : 0;
}

/* --- the thread, while memory is protected --- */

typedef int (*block_fn)(struct live_save *s, const struct gmem_region *r, size_t off);

static size_t block_len(const struct gmem_region *r, size_t off)
{
	size_t left = r->len - off;

	return left < BLOCK_BYTES ? left : BLOCK_BYTES;
}

static int lift(struct live_save *s, const struct gmem_region *r, size_t off)
{
	return userfault_protect(s->faults, piece_host(r, off), block_len(r, off), false);
}

/* Before the freeze. Who waits runs on when the block is marked, so whoever has seen all
 * vCPUs pause sees the mark. */
static int let_touch(struct live_save *s, const struct gmem_region *r, size_t off)
{
	__atomic_store_n(block_at(s, r, off), BLOCK_TOUCHED, __ATOMIC_RELEASE);
	return lift(s, r, off);
}

/* After it. */
static int save_block(struct live_save *s, const struct gmem_region *r, size_t off)
{
	uint8_t *block = block_at(s, r, off);
	int error = 0;

	if (*block != BLOCK_WRITTEN)
		error = memory_writer_put(s->writer, r, off, block_len(r, off), false);
	if (error < 0)
		return error;
	*block = BLOCK_WRITTEN;
	return lift(s, r, off);
}

static int serve_fault(struct live_save *s, uint64_t address, block_fn fn)
{
	struct gmem_region r = { 0 };

	while (gmem_next_room(s->mem, &r)) {
		uint64_t off = address - (uintptr_t)r.host;

		if (off < r.len)
			return fn(s, &r, off / BLOCK_BYTES * BLOCK_BYTES);
	}
	return 0;
}

static int serve_faults(struct live_save *s, block_fn fn)
{
	struct uffd_msg event[FAULTS_AT_ONCE];
	ssize_t n;
	int error = 0;

	while (error == 0 && (n = read(s->faults, event, sizeof(event))) > 0) {
		size_t count = (size_t)n / sizeof(event[0]);

		for (size_t i = 0; i < count && error == 0; i++) {
			if (event[i].event == UFFD_EVENT_PAGEFAULT)
				error = serve_fault(s, event[i].arg.pagefault.address, fn);
		}
		s->fault_count += count;
	}
	return error;
}

/* Those who wait come first. */
static int save_part(struct live_save *s, const struct gmem_region *r, size_t off, size_t len)
{
	int error = 0;

	for (size_t end = off + len; off < end && error == 0; off += BLOCK_BYTES) {
		error = serve_faults(s, save_block);
		if (error == 0 && *block_at(s, r, off) != BLOCK_WRITTEN)
			error = save_block(s, r, off);
	}
	return error;
}

/* --- the thread --- */

static int prepare(struct live_save *s)
{
	int r;

	s->failed_at = "read";
	r = for_parts(s, false, populate_part);
	if (r < 0)
		return r;
	s->failed_at = "written";
	r = for_parts(s, true, write_part);
	if (r < 0)
		return r;
	s->failed_at = "protected";
	return for_runs(s, false, protect_run);
}

/* Until the main thread says so, which it tells the flag for. */
static void wait_for(struct live_save *s, const bool *flag)
{
	struct pollfd p = { .fd = s->go, .events = POLLIN };

	while (!is_stopped(s) && !__atomic_load_n(flag, __ATOMIC_ACQUIRE)) {
		if (poll(&p, 1, -1) > 0)
			fd_event_drain(s->go);
	}
}

static void rest(struct live_save *s)
{
	pthread_mutex_lock(&s->lock);
	s->rests = true;
	pthread_cond_signal(&s->rested);
	pthread_mutex_unlock(&s->lock);
}

/* Memory is protected when it need not be yet. */
static int wait_for_freeze(struct live_save *s)
{
	struct pollfd p[] = {
		{ .fd = s->go, .events = POLLIN },
		{ .fd = s->faults, .events = POLLIN },
	};
	int r = 0;

	while (r == 0 && !is_stopped(s) && !__atomic_load_n(&s->freezing, __ATOMIC_ACQUIRE)) {
		if (poll(p, sizeof(p) / sizeof(p[0]), -1) > 0) {
			fd_event_drain(s->go);
			r = serve_faults(s, let_touch);
		}
	}
	rest(s);
	s->failed_at = "written";
	if (r == 0)
		wait_for(s, &s->frozen);
	return r < 0 || !is_stopped(s) ? r : -ECANCELED;
}

static int wait_for_state(struct live_save *s)
{
	wait_for(s, &s->finished);
	return is_stopped(s) ? -ECANCELED : 0;
}

static int write_rest(struct live_save *s)
{
	int r = for_parts(s, false, save_part);

	/* Lets go of everything that is still waiting. */
	s->faults = fd_close(s->faults);
	if (r == 0)
		r = memory_writer_label(s->writer, &s->label);
	return r;
}

static int sync_files(struct live_save *s)
{
	s->failed_at = "kept on disk";
	return fsync(s->memory_fd) < 0 || fsync(s->state_fd) < 0 ? -errno : 0;
}

static void *save(void *arg)
{
	struct live_save *s = arg;
	int r;

	pthread_setname_np(pthread_self(), "live-save");
	r = thread_filter_follow(THREAD_WORKER);
	if (r == 0)
		r = prepare(s);
	if (r == 0) {
		set_stage(s, LIVE_PREPARED);
		r = wait_for_freeze(s);
	}
	if (r == 0)
		r = write_rest(s);
	if (r == 0)
		r = wait_for_state(s);
	if (r == 0)
		r = sync_files(s);
	s->faults = fd_close(s->faults);
	s->result = r;
	set_stage(s, r < 0 ? LIVE_FAILED : LIVE_WRITTEN);
	return NULL;
}

static int start_thread(struct live_save *s)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&s->thread, &attr, save, s);
	pthread_attr_destroy(&attr);
	s->started = r == 0;
	return -r;
}

/* --- the main thread --- */

static int open_all(struct live_save *s, struct error *err)
{
	int r = userfault_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP, &s->faults, err);

	if (r < 0)
		return r;
	s->block = calloc(gmem_saved_bytes(s->mem) / BLOCK_BYTES + 1, 1);
	s->changed = fd_event();
	s->go = fd_event();
	if (!s->block || s->changed < 0 || s->go < 0)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory or descriptors");
	r = memory_writer_begin(s->memory_fd, s->mem, &s->writer, err);
	if (r < 0)
		return r;
	r = for_runs(s, false, register_run);
	if (r == 0)
		r = start_thread(s);
	return r < 0 ? error_set(err, r, NULL, "does the host have userfaultfd write protection?",
				 "Memory cannot be protected: %s", strerror(-r))
		     : 0;
}

int live_save_create(struct gmem *mem, int memory_fd, int state_fd,
		     const struct memory_label *label, struct live_save **ret, struct error *err)
{
	struct live_save *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	*s = (struct live_save){
		.mem = mem,
		.label = *label,
		.memory_fd = memory_fd,
		.state_fd = state_fd,
		.faults = -1,
		.changed = -1,
		.go = -1,
	};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->rested, NULL);
	gmem_hold(mem, true);
	r = open_all(s, err);
	if (r < 0) {
		live_save_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

int live_save_fd(const struct live_save *s)
{
	return s->changed;
}

enum live_stage live_save_stage(struct live_save *s)
{
	fd_event_drain(s->changed);
	return __atomic_load_n(&s->stage, __ATOMIC_ACQUIRE);
}

static void bring_to_rest(struct live_save *s)
{
	tell(s, &s->freezing);
	pthread_mutex_lock(&s->lock);
	while (!s->rests)
		pthread_cond_wait(&s->rested, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

int live_save_freeze(struct live_save *s, struct error *err)
{
	int r;

	bring_to_rest(s);
	r = for_runs(s, true, write_changes);
	if (r < 0)
		return error_set(err, r, "mem_file_path", "is there room on its disk?",
				 "The memory file cannot be written: %s", strerror(-r));
	r = for_runs(s, false, protect_again);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "Memory cannot be protected: %s",
				 strerror(-r));
	__atomic_store_n(&s->stage, LIVE_WRITING, __ATOMIC_RELEASE);
	tell(s, &s->frozen);
	return 0;
}

void live_save_finish(struct live_save *s)
{
	tell(s, &s->finished);
}

struct live_figures live_save_figures(const struct live_save *s)
{
	return (struct live_figures){
		.bytes = memory_writer_bytes(s->writer),
		.faults = s->fault_count,
	};
}

int live_save_error(const struct live_save *s, struct error *err)
{
	return error_set(err, s->result, "mem_file_path", "is there room on its disk?",
			 "Memory cannot be %s: %s", s->failed_at ? s->failed_at : "written",
			 strerror(-s->result));
}

void live_save_destroy(struct live_save *s)
{
	if (!s)
		return;
	if (s->started) {
		tell(s, &s->stopped);
		pthread_join(s->thread, NULL);
	}
	fd_close(s->faults);
	memory_writer_end(s->writer);
	fd_close(s->changed);
	fd_close(s->go);
	pthread_cond_destroy(&s->rested);
	pthread_mutex_destroy(&s->lock);
	free(s->block);
	gmem_hold(s->mem, false);
	free(s);
}
