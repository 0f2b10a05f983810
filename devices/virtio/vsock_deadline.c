/* vsock_deadline.c - the time that clients and guests have to answer: one timer for all.
 *
 * System calls: timerfd_settime, read, shutdown.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/vsock_device.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

void vsock_deadline_arm(struct virtio_vsock *v, uint64_t at_us)
{
	const struct itimerspec t = {
		.it_value.tv_sec = (time_t)(at_us / 1000000),
		.it_value.tv_nsec = (long)(at_us % 1000000) * 1000,
	};

	if (timerfd_settime(v->timer, TFD_TIMER_ABSTIME, &t, NULL) < 0)
		log_guest("virtio-vsock: timer: %s", strerror(errno));
	v->timer_armed = true;
}

/* All timeouts are equal: an armed timer goes off before this deadline. */
void vsock_deadline_set(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (c->deadline_us != 0)
		return;
	c->deadline_us = clock_now_us() + VSOCK_TIMEOUT_US;
	if (!v->timer_armed)
		vsock_deadline_arm(v, c->deadline_us);
}

static void expire(struct virtio_vsock *v, struct vsock_conn *c, uint64_t now_us, uint64_t *next_us)
{
	if (c->deadline_us == 0)
		return;
	if (c->deadline_us > now_us) {
		if (c->deadline_us < *next_us)
			*next_us = c->deadline_us;
	} else if (c->state == VSOCK_GREETING) {
		(void)shutdown(c->fd, SHUT_RDWR); /* its watch drops it, after this walk */
	} else {
		vsock_table_reset(c);
		vsock_table_settle(v, c);
	}
}

bool vsock_deadline_on_timer(void *arg, uint32_t events)
{
	struct virtio_vsock *v = arg;
	uint64_t now_us = clock_now_us(), next_us = UINT64_MAX, count;
	struct vsock_conn *c;

	(void)events;
	if (read(v->timer, &count, sizeof(count)) < 0)
		return false;
	v->timer_armed = false;
	TAILQ_FOREACH(c, &v->all, all)
	expire(v, c, now_us, &next_us);
	if (next_us != UINT64_MAX)
		vsock_deadline_arm(v, next_us);
	vsock_table_admit(v);
	vsock_rx_turn(v);
	return false;
}
