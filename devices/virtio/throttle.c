/* throttle.c - a limiter with the timer that ends its refusals.
 *
 * System calls: timerfd_create, timerfd_settime, read.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/throttle.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { US_PER_S = 1000000, NS_PER_US = 1000 };

void throttle_init(struct throttle *t)
{
	*t = (struct throttle){ .timer_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };
}

static void set_waiting(struct throttle *t, bool waiting)
{
	__atomic_store_n(&t->waiting, waiting, __ATOMIC_RELAXED);
}

/* Should the timer not take it, the next kick asks again. */
static void arm(struct throttle *t, uint64_t wait_us)
{
	struct itimerspec when = {
		.it_value.tv_sec = (time_t)(wait_us / US_PER_S),
		.it_value.tv_nsec = (long)(wait_us % US_PER_S * NS_PER_US),
	};

	set_waiting(t, timerfd_settime(t->timer_fd, 0, &when, NULL) == 0);
}

void throttle_configure(struct throttle *t, const struct limiter_config *c)
{
	pthread_mutex_lock(&t->lock);
	limiter_configure(&t->limiter, c, clock_now_us());
	t->limited = limiter_limits(&t->limiter);
	if (t->waiting)
		arm(t, 1);
	pthread_mutex_unlock(&t->lock);
}

static bool on_timer(void *arg, uint32_t events)
{
	struct throttle *t = arg;
	uint64_t expirations;
	bool over;

	pthread_mutex_lock(&t->lock);
	over = events == 0 || read(t->timer_fd, &expirations, sizeof(expirations)) > 0;
	if (over)
		set_waiting(t, false);
	pthread_mutex_unlock(&t->lock);
	return over && t->fn(t->arg, events);
}

int throttle_attach(struct throttle *t, struct virtio_events *e, virtio_watch_fn fn, void *arg)
{
	t->fn = fn;
	t->arg = arg;
	t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->timer_fd < 0)
		return -errno;
	return virtio_watch_create(e, t->timer_fd, EPOLLIN, on_timer, t, &t->watch);
}

void throttle_detach(struct throttle *t)
{
	virtio_watch_destroy(t->watch);
	t->watch = NULL;
	t->timer_fd = fd_close(t->timer_fd);
}

bool throttle_admit(struct throttle *t, uint64_t bytes, uint64_t now_us)
{
	uint64_t wait_us;

	if (!t->limited)
		return true;
	pthread_mutex_lock(&t->lock);
	wait_us = limiter_take(&t->limiter, bytes, now_us);
	if (wait_us > 0)
		arm(t, wait_us);
	pthread_mutex_unlock(&t->lock);
	return wait_us == 0;
}

bool throttle_waits(const struct throttle *t)
{
	return __atomic_load_n(&t->waiting, __ATOMIC_RELAXED);
}
