/* workers.c - a few threads, two queues, one eventfd.
 *
 * The mutex guards both queues and the flag; the eventfd wakes the loop, which takes the
 * whole queue of finished work at once. Threads block all signals: those are the loop's.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <systemd/sd-event.h>

#include "supervisor/life/workers.h"
#include "vmm/base/fd.h"

struct queue {
	struct work *first, **last;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct queue waiting, finished; /* under lock */
	bool ending;			/* under lock */
	int event_fd;
	sd_event_source *source;
	unsigned count;
	pthread_t threads[];
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct work *work)
{
	work->next = NULL;
	*q->last = work;
	q->last = &work->next;
}

static struct work *queue_take(struct queue *q)
{
	struct work *work = q->first;

	if (!work)
		return NULL;
	q->first = work->next;
	if (!q->first)
		q->last = &q->first;
	return work;
}

static void *work_on(void *arg)
{
	struct workers *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->ending) {
		struct work *work = queue_take(&w->waiting);

		if (!work) {
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		work->run(work);
		pthread_mutex_lock(&w->lock);
		queue_add(&w->finished, work);
		fd_event_signal(w->event_fd);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void finish(struct workers *w)
{
	struct work *work, *next;

	pthread_mutex_lock(&w->lock);
	work = w->finished.first;
	queue_init(&w->finished);
	pthread_mutex_unlock(&w->lock);
	for (; work; work = next) {
		next = work->next;
		work->done(work);
	}
}

static int on_finished(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)events;
	fd_event_drain(fd);
	finish(arg);
	return 0;
}

static int start_threads(struct workers *w, unsigned threads)
{
	sigset_t all, before;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; w->count < threads && r == 0; w->count += r == 0)
		r = pthread_create(&w->threads[w->count], NULL, work_on, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int workers_create(struct sd_event *loop, unsigned threads, struct workers **ret)
{
	struct workers *w = calloc(1, sizeof(*w) + threads * sizeof(w->threads[0]));
	int r;

	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	queue_init(&w->waiting);
	queue_init(&w->finished);
	w->event_fd = fd_event();
	r = w->event_fd < 0
		    ? w->event_fd
		    : sd_event_add_io(loop, &w->source, w->event_fd, EPOLLIN, on_finished, w);
	if (r >= 0)
		r = start_threads(w, threads);
	if (r < 0) {
		workers_destroy(w);
		return r;
	}
	*ret = w;
	return 0;
}

void workers_destroy(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->ending = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->count; i++)
		pthread_join(w->threads[i], NULL);
	for (struct work *work; (work = queue_take(&w->waiting)) != NULL;)
		queue_add(&w->finished, work);
	finish(w);
	sd_event_source_unref(w->source);
	fd_close(w->event_fd);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void workers_add(struct workers *w, struct work *work)
{
	pthread_mutex_lock(&w->lock);
	queue_add(&w->waiting, work);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}
