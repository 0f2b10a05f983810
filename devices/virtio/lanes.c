/* lanes.c - event loops side by side: the main thread's, and I/O threads with one each.
 *
 * Each thread's loop has an eventfd of its own, which stops the loop: the thread then
 * stands still if the lanes are held, or ends. It allocates and frees nothing, or its
 * filter would have to let it have memory: what was taken off its loop while it stood, the
 * main thread frees.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "devices/virtio/lanes.h"
#include "vmm/base/fd.h"

enum { STACK_BYTES = 256 * 1024 };

struct lane {
	struct lanes *lanes;
	struct loop *loop; /* NULL: nothing is on it */
	int wake_fd;	   /* -1: no loop */
	struct loop_source *wake;
	pthread_t thread;
	bool started;
};

struct lanes {
	struct loop *main;
	const struct thread_filters *filters;
	unsigned count, holds;
	struct lane lane[LANES_MAX]; /* the first is not used */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	bool held, ending;
	unsigned threads, standing;
	int refusal; /* of a filter */
};

/* --- on a lane's thread --- */

static void on_wake(void *arg, uint32_t events)
{
	struct lane *lane = arg;

	(void)events;
	fd_event_drain(lane->wake_fd);
	loop_stop(lane->loop, 0);
}

/* False: it is the end. With the lock held. */
static bool stand_still(struct lanes *l)
{
	l->standing++;
	pthread_cond_broadcast(&l->changed);
	while (l->held && !l->ending)
		pthread_cond_wait(&l->changed, &l->lock);
	l->standing--;
	return !l->ending;
}

static void *lane_main(void *arg)
{
	struct lane *lane = arg;
	struct lanes *l = lane->lanes;
	int r;

	pthread_setname_np(pthread_self(), "io");
	r = thread_filter_install(l->filters, THREAD_IO);
	pthread_mutex_lock(&l->lock);
	if (r < 0)
		l->refusal = r;
	while (stand_still(l)) {
		pthread_mutex_unlock(&l->lock);
		loop_run(lane->loop);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* --- on the main thread --- */

static int start_thread(struct lane *lane)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&lane->thread, &attr, lane_main, lane);
	pthread_attr_destroy(&attr);
	lane->started = r == 0;
	return -r;
}

static void wake_threads(struct lanes *l)
{
	for (unsigned i = 1; i < l->count; i++) {
		if (l->lane[i].started)
			fd_event_signal(l->lane[i].wake_fd);
	}
}

static void wait_until_all_stand(struct lanes *l)
{
	while (l->standing < l->threads)
		pthread_cond_wait(&l->changed, &l->lock);
}

int lanes_create(struct loop *main, unsigned count, const struct thread_filters *filters,
		 struct lanes **ret)
{
	struct lanes *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->main = main;
	l->filters = filters;
	l->count = count < LANES_MAX ? count : LANES_MAX;
	l->holds = 1;
	l->held = true;
	for (unsigned i = 0; i < LANES_MAX; i++)
		l->lane[i] = (struct lane){ .lanes = l, .wake_fd = -1 };
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	*ret = l;
	return 0;
}

static void clear_lane(struct lane *lane)
{
	if (lane->started)
		pthread_join(lane->thread, NULL);
	loop_source_remove(lane->wake);
	loop_destroy(lane->loop);
	fd_close(lane->wake_fd);
	lane->loop = NULL;
	lane->wake = NULL;
	lane->wake_fd = -1;
}

void lanes_destroy(struct lanes *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->ending = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	wake_threads(l);
	for (unsigned i = 1; i < l->count; i++)
		clear_lane(&l->lane[i]);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

unsigned lanes_count(const struct lanes *l)
{
	return l->count;
}

static int make_loop(struct lane *lane)
{
	int r = loop_create(&lane->loop);

	if (r == 0)
		r = lane->wake_fd = fd_event();
	if (r >= 0)
		r = loop_add(lane->loop, lane->wake_fd, EPOLLIN, on_wake, lane, &lane->wake);
	if (r < 0)
		clear_lane(lane);
	return r;
}

int lanes_loop(struct lanes *l, unsigned i, struct loop **ret)
{
	int r = i == 0 || l->lane[i].loop ? 0 : make_loop(&l->lane[i]);

	if (r == 0)
		*ret = i == 0 ? l->main : l->lane[i].loop;
	return r;
}

int lanes_start(struct lanes *l)
{
	unsigned threads = 0;
	int r = 0;

	for (unsigned i = 1; i < l->count && r == 0; i++) {
		if (l->lane[i].loop && !l->lane[i].started)
			r = start_thread(&l->lane[i]);
		threads += l->lane[i].started;
	}
	pthread_mutex_lock(&l->lock);
	l->threads = threads;
	wait_until_all_stand(l);
	if (r == 0)
		r = l->refusal;
	pthread_mutex_unlock(&l->lock);
	return r;
}

void lanes_hold(struct lanes *l)
{
	if (!l || l->holds++ > 0)
		return;
	pthread_mutex_lock(&l->lock);
	l->held = true;
	wake_threads(l);
	wait_until_all_stand(l);
	pthread_mutex_unlock(&l->lock);
}

void lanes_release(struct lanes *l)
{
	if (!l || --l->holds > 0)
		return;
	for (unsigned i = 1; i < l->count; i++) {
		if (l->lane[i].loop)
			loop_sweep(l->lane[i].loop);
	}
	pthread_mutex_lock(&l->lock);
	l->held = false;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}
