/* pmem_flush.c - a thread that makes a file's content durable.
 *
 * fdatasync(2) takes as long as the disk needs, which on the main thread would stop
 * every other device. It covers stores through a mapping: the kernel marks a page of
 * the file dirty when a processor, the guest's included, is first allowed to write it,
 * and takes that permission away again when it writes the page back.
 *
 * The thread is started by the first flush: the guest runs by then, so the thread that
 * starts it is confined already and it can take the filter of its own kind (worker_syscalls.h).
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices/virtio/pmem_flush.h"
#include "vmm/base/fd.h"
#include "vmm/base/thread_filter.h"

enum { STACK_BYTES = 64 * 1024 };

enum stage { IDLE, WANTED, OVER };

struct pmem_flush {
	int fd, event;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	enum stage stage;
	int result;
	bool ending;
};

static void *flush_main(void *arg)
{
	struct pmem_flush *f = arg;
	int refusal;

	pthread_setname_np(pthread_self(), "pmem-flush");
	refusal = thread_filter_follow(THREAD_WORKER);
	pthread_mutex_lock(&f->lock);
	while (!f->ending || f->stage == WANTED) {
		int r;

		if (f->stage != WANTED) {
			pthread_cond_wait(&f->changed, &f->lock);
			continue;
		}
		pthread_mutex_unlock(&f->lock);
		r = refusal < 0 || fdatasync(f->fd) == 0 ? refusal : -errno;
		pthread_mutex_lock(&f->lock);
		f->result = r;
		f->stage = OVER;
		pthread_cond_broadcast(&f->changed);
		fd_event_signal(f->event);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static int start_thread(struct pmem_flush *f)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&f->thread, &attr, flush_main, f);
	pthread_attr_destroy(&attr);
	f->started = r == 0;
	return -r;
}

int pmem_flush_create(int fd, struct pmem_flush **ret)
{
	struct pmem_flush *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->fd = fd;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	f->event = fd_event();
	if (f->event < 0) {
		int r = f->event;

		pmem_flush_destroy(f);
		return r;
	}
	*ret = f;
	return 0;
}

void pmem_flush_destroy(struct pmem_flush *f)
{
	if (!f)
		return;
	if (f->started) {
		pthread_mutex_lock(&f->lock);
		f->ending = true;
		pthread_cond_broadcast(&f->changed);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->thread, NULL);
	}
	fd_close(f->event);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void pmem_flush_begin(struct pmem_flush *f)
{
	int r = f->started ? 0 : start_thread(f);

	pthread_mutex_lock(&f->lock);
	f->stage = r < 0 ? OVER : WANTED;
	f->result = r;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	if (r < 0)
		fd_event_signal(f->event);
}

int pmem_flush_fd(const struct pmem_flush *f)
{
	return f->event;
}

int pmem_flush_end(struct pmem_flush *f)
{
	int r;

	pthread_mutex_lock(&f->lock);
	while (f->stage == WANTED)
		pthread_cond_wait(&f->changed, &f->lock);
	f->stage = IDLE;
	r = f->result;
	fd_event_drain(f->event);
	pthread_mutex_unlock(&f->lock);
	return r;
}
