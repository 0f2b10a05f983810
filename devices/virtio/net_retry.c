/* net_retry.c - when to look again for a back end that is gone.
 *
 * System calls: timerfd_create, timerfd_settime, close.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "devices/virtio/net_retry.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { FIRST_MS = 10, LONGEST_MS = 1000, US_PER_MS = 1000, NS_PER_MS = 1000000 };

void net_retry_init(struct net_retry *r)
{
	*r = (struct net_retry){ .timer_fd = -1, .wait_ms = FIRST_MS };
}

int net_retry_attach(struct net_retry *r, struct virtio_events *e, virtio_watch_fn fn, void *arg)
{
	r->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->timer_fd < 0)
		return -errno;
	return virtio_watch_create(e, r->timer_fd, EPOLLIN, fn, arg, &r->watch);
}

void net_retry_detach(struct net_retry *r)
{
	virtio_watch_destroy(r->watch);
	r->watch = NULL;
	r->timer_fd = fd_close(r->timer_fd);
}

/* Setting a timer of ours to a time that exists does not fail. */
void net_retry_later(struct net_retry *r)
{
	struct itimerspec when = { 0 };

	if (r->there_us && clock_now_us() - r->there_us >= (uint64_t)LONGEST_MS * US_PER_MS)
		r->wait_ms = FIRST_MS;
	r->there_us = 0;
	when.it_value.tv_sec = (time_t)(r->wait_ms / 1000);
	when.it_value.tv_nsec = (long)(r->wait_ms % 1000 * NS_PER_MS);
	timerfd_settime(r->timer_fd, 0, &when, NULL);
	r->wait_ms = r->wait_ms * 2 < LONGEST_MS ? r->wait_ms * 2 : LONGEST_MS;
}

/* A timer that went off is set to nothing, so that its descriptor is not ready any more. */
void net_retry_found(struct net_retry *r)
{
	const struct itimerspec never = { 0 };

	r->there_us = clock_now_us();
	timerfd_settime(r->timer_fd, 0, &never, NULL);
}
