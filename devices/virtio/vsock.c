/* vsock.c - stream sockets between host and guest (virtio 1.2, section 5.10).
 *
 * Every connection is one Unix socket and one entry in a table of bounded size, found by
 * its pair of ports. What happens to it (a packet of the guest, an event of the socket,
 * a deadline) changes its state and ends in vsock_table_settle(), the one place that
 * decides what the connection waits for: a place in the list of those that owe the guest
 * a packet, readability, writability. A connection with input that it cannot pass on
 * does not watch its socket for input, so nothing spins.
 *
 * The list is served round robin, one packet or 64 KiB of payload a turn, as far as the
 * driver's receive buffers and a budget reach, and the driver is interrupted once. An
 * eventfd asks for the next turn, since the connection that used up the budget may be
 * gone by then. It is also how a reset, which runs on a vCPU thread, has its connections
 * freed: that needs the main thread.
 *
 * Resets for packets that belong to no connection go through a short list. While it is
 * full no packet of the guest is taken; receive buffers empty it. So neither direction
 * allocates without bound, and neither waits for the other's.
 *
 * The host is trusted and the guest is not: a packet's header is copied once, then
 * checked; a payload beyond the room that the guest was given costs it the connection.
 *
 * System calls: timerfd_create, and those of the files that vsock_device.h names.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vsock.h"
#include "devices/virtio/vsock_device.h"
#include "vmm/base/fd.h"

enum { QUEUE_SIZE = 256 };

static struct virtio_vsock *to_vsock(struct virtio_dev *d)
{
	return container_of(d, struct virtio_vsock, dev);
}

/* Both directions, since room for resets is what packets of the guest may wait for. */
static void serve(struct virtio_vsock *v)
{
	bool more, full;

	if (v->stale)
		vsock_table_drop_all(v);
	if (!virtio_dev_live(&v->dev))
		return;
	more = vsock_rx_serve(v);
	more |= vsock_tx_serve(v);
	full = v->strays == VSOCK_MAX_RESETS;
	more |= vsock_rx_serve(v);
	if (more || (full && v->strays < VSOCK_MAX_RESETS))
		fd_event_signal(v->wake);
}

static bool vsock_kick(struct virtio_dev *d, unsigned index)
{
	if (index == VSOCK_QUEUE_EVENT)
		vsock_event_serve(to_vsock(d));
	serve(to_vsock(d));
	return false;
}

static bool on_wake(void *arg, uint32_t events)
{
	struct virtio_vsock *v = arg;

	(void)events;
	fd_event_drain(v->wake);
	serve(v);
	return false;
}

static void vsock_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	const struct virtio_vsock *v = container_of(d, const struct virtio_vsock, dev);
	const struct virtio_vsock_config config = { .guest_cid = htole64(v->guest_cid) };

	memcpy(dst, (const char *)&config + off, len);
}

static void vsock_detach(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	vsock_table_drop_all(v);
	virtio_watch_destroy(v->listen_watch);
	virtio_watch_destroy(v->timer_watch);
	virtio_watch_destroy(v->wake_watch);
	v->listen_watch = v->timer_watch = v->wake_watch = NULL;
}

static int vsock_attach(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);
	int r = virtio_watch_create(d->events, v->host.listener.fd, EPOLLIN, vsock_socket_on_listen,
				    v, &v->listen_watch);

	if (r == 0)
		r = virtio_watch_create(d->events, v->timer, EPOLLIN, vsock_deadline_on_timer, v,
					&v->timer_watch);
	if (r == 0)
		r = virtio_watch_create(d->events, v->wake, EPOLLIN, on_wake, v, &v->wake_watch);
	return r;
}

/* The guest has forgotten its connections. Watches can go on the main thread only. */
static void vsock_quiesce(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	v->stale = true;
	v->event_due = v->event_unread = false;
	fd_event_signal(v->wake);
}

/* Connections stay with the machine that was saved: the driver hears of that before it
 * does anything else, and looks at its CID, which may be another one now (virtio 1.2,
 * 5.10.6.7). */
static void vsock_state(struct virtio_dev *d, struct state *s)
{
	struct virtio_vsock *v = to_vsock(d);
	uint32_t cid = v->guest_cid;

	state_u32(s, &cid);
	state_u32(s, &v->next_port);
	if (!state_loading(s) || state_failed(s))
		return;
	v->event_due = virtio_dev_live(d);
	vsock_event_serve(v);
}

static void vsock_destroy(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	vsock_host_close(&v->host);
	fd_close(v->timer);
	fd_close(v->wake);
	free(v);
}

static const uint16_t vsock_queue_sizes[VSOCK_QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.nqueues = VSOCK_QUEUES,
	.queue_sizes = vsock_queue_sizes,
	.config_len = sizeof(struct virtio_vsock_config),
	.config_read = vsock_config_read,
	.attach = vsock_attach,
	.detach = vsock_detach,
	.kick = vsock_kick,
	.quiesce = vsock_quiesce,
	.section = STATE_VSOCK,
	.state = vsock_state,
	.destroy = vsock_destroy,
};

int virtio_vsock_create(uint32_t guest_cid, const char *uds_path, struct virtio_dev **ret,
			struct error *err)
{
	struct virtio_vsock *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return error_set(err, -ENOMEM, NULL, NULL, "no memory for the vsock device");
	v->dev.ops = &vsock_ops;
	v->guest_cid = guest_cid;
	TAILQ_INIT(&v->all);
	TAILQ_INIT(&v->ready);
	v->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	v->wake = fd_event();
	r = vsock_host_listen(&v->host, uds_path, err);
	if (r == 0 && (v->timer < 0 || v->wake < 0))
		r = error_set(err, -EMFILE, NULL, NULL, "no descriptors for the vsock device");
	if (r < 0) {
		vsock_destroy(&v->dev);
		return r;
	}
	*ret = &v->dev;
	return 0;
}

/* A driver that is not up has no connections to lose. */
void virtio_vsock_reset_transport(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	virtio_events_lock(d->events);
	vsock_table_drop_all(v);
	v->event_due = virtio_dev_live(d);
	vsock_event_serve(v);
	virtio_events_unlock(d->events);
}
