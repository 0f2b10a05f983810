/* net_mmds.c - the metadata service on a network interface: the detour of its frames.
 *
 * A frame's bytes are copied once each, its first ones to see whose it is, the rest when
 * it is the service's. A timer gives the receive queue its turn: at once when the service
 * has something to say, later when it may have to repeat itself. While the driver has no
 * buffers it is not set again for what waits; the driver's kick goes on then.
 *
 * System calls: getrandom, timerfd_create, timerfd_settime, read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/mmds/endpoint.h"
#include "devices/mmds/mmds.h"
#include "devices/virtio/net_mmds.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { US_PER_S = 1000000, NS_PER_US = 1000 };

struct net_mmds {
	struct endpoint *endpoint;
	struct mmds_counters *counters;
	int timer_fd;	   /* -1 until attached */
	uint64_t armed_us; /* when it goes off; UINT64_MAX: it is not set */
	struct virtio_watch *watch;
	virtio_watch_fn fn;
	void *arg;
	uint8_t in[ENDPOINT_IN_BYTES];
	uint8_t out[NET_HEADER_BYTES + ENDPOINT_OUT_BYTES];
};

int net_mmds_create(struct mmds *m, in_addr_t address, struct net_mmds **ret)
{
	struct net_mmds *n = calloc(1, sizeof(*n));
	uint32_t first_seq;
	int r = -ENOMEM;

	if (n && getrandom(&first_seq, sizeof(first_seq), 0) == (ssize_t)sizeof(first_seq))
		r = endpoint_create(m, address, first_seq, &n->endpoint);
	if (r < 0) {
		free(n);
		return r;
	}
	n->counters = mmds_counters(m);
	n->timer_fd = -1;
	n->armed_us = UINT64_MAX;
	*ret = n;
	return 0;
}

void net_mmds_destroy(struct net_mmds *n)
{
	if (!n)
		return;
	endpoint_destroy(n->endpoint);
	free(n);
}

/* Goes off at this time, if not before. */
static void arm(struct net_mmds *n, uint64_t at_us)
{
	const struct itimerspec when = {
		.it_value.tv_sec = (time_t)(at_us / US_PER_S),
		.it_value.tv_nsec = (long)(at_us % US_PER_S * NS_PER_US),
	};

	if (at_us >= n->armed_us)
		return;
	if (timerfd_settime(n->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		log_guest("metadata service: timer: %s", strerror(errno));
	else
		n->armed_us = at_us;
}

static bool on_timer(void *arg, uint32_t events)
{
	struct net_mmds *n = arg;
	uint64_t expirations;

	if (events != 0 && read(n->timer_fd, &expirations, sizeof(expirations)) < 0)
		return false;
	n->armed_us = UINT64_MAX;
	return n->fn(n->arg, 0);
}

int net_mmds_attach(struct net_mmds *n, struct virtio_events *e, virtio_watch_fn fn, void *arg)
{
	if (!n)
		return 0;
	n->fn = fn;
	n->arg = arg;
	n->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (n->timer_fd < 0)
		return -errno;
	return virtio_watch_create(e, n->timer_fd, EPOLLIN, on_timer, n, &n->watch);
}

void net_mmds_detach(struct net_mmds *n)
{
	if (!n)
		return;
	virtio_watch_destroy(n->watch);
	n->watch = NULL;
	n->timer_fd = fd_close(n->timer_fd);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

bool net_mmds_take(struct net_mmds *n, const struct net_head *head, const struct iov *frame)
{
	size_t len = frame->len - NET_HEADER_BYTES, seen = smaller(len, ENDPOINT_HEAD_BYTES);
	uint64_t now_us, due_us;

	if (!n)
		return false;
	memcpy(n->in, &head->ethernet, ETH_HLEN);
	iov_read(frame, sizeof(*head), n->in + ETH_HLEN, seen - ETH_HLEN);
	if (!endpoint_owns(n->endpoint, n->in, seen))
		return false;
	len = smaller(len, sizeof(n->in));
	iov_read(frame, NET_HEADER_BYTES + seen, n->in + seen, len - seen);
	now_us = clock_now_us();
	endpoint_input(n->endpoint, n->in, len, now_us);
	due_us = endpoint_due_us(n->endpoint);
	arm(n, due_us ? due_us : now_us);
	return true;
}

ssize_t net_mmds_give(struct net_mmds *n, const struct iov *into)
{
	size_t len;

	if (!n)
		return 0;
	len = endpoint_output(n->endpoint, n->out + NET_HEADER_BYTES, clock_now_us());
	if (len == 0) {
		arm(n, endpoint_due_us(n->endpoint));
		return 0;
	}
	len = smaller(NET_HEADER_BYTES + len, into->len);
	n->counters->tx_errors += len == into->len;
	iov_write(into, 0, n->out, len);
	return (ssize_t)len;
}

void net_mmds_forget(struct net_mmds *n)
{
	if (n)
		endpoint_forget(n->endpoint);
}
