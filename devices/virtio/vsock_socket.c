/* vsock_socket.c - events of the host's sockets: clients that come, and what they do.
 *
 * System calls: those of vsock_host.c and vsock_conn.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vsock.h"
#include "devices/virtio/vsock_device.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { ACCEPT_BURST = 16 };

static void start_request(struct virtio_vsock *v, struct vsock_conn *c, uint32_t guest_port)
{
	vsock_table_name(v, c, vsock_table_free_port(v, guest_port), guest_port);
	c->state = VSOCK_REQUESTED;
	c->due = VSOCK_DUE_REQUEST;
	c->deadline_us = 0; /* that was the client's; this is the guest's */
	vsock_deadline_set(v, c);
}

static void on_greeting(struct virtio_vsock *v, struct vsock_conn *c)
{
	uint32_t port;
	int r = vsock_conn_greeting(c, &port);

	if (r < 0 || (r > 0 && !virtio_dev_live(&v->dev))) {
		vsock_table_drop(v, c);
		return;
	}
	if (r > 0)
		start_request(v, c, port);
	vsock_table_settle(v, c);
}

/* A hang-up is reported whatever one waits for: with it the watch has done its part. */
static void on_hangup(struct virtio_vsock *v, struct vsock_conn *c)
{
	virtio_watch_destroy(c->watch);
	c->watch = NULL;
	c->hung_up = true;
	c->readable = true;
	if (c->state == VSOCK_OPEN && !vsock_table_wants_input(c))
		vsock_table_end_of_input(v, c);
}

static bool on_socket(void *arg, uint32_t events)
{
	struct vsock_conn *c = arg;
	struct virtio_vsock *v = c->owner;

	if (v->stale) /* on_wake() frees it */
		return false;
	if (c->state == VSOCK_GREETING) {
		if (events & (EPOLLHUP | EPOLLERR))
			vsock_table_drop(v, c);
		else
			on_greeting(v, c);
	} else {
		if (events & EPOLLIN) {
			c->listening = !c->readable;
			c->readable = true;
		}
		if ((events & EPOLLOUT) && vsock_conn_flush(c) < 0)
			vsock_table_reset(c);
		else if (events & (EPOLLHUP | EPOLLERR))
			on_hangup(v, c);
		vsock_table_settle(v, c);
	}
	vsock_rx_turn(v);
	return false;
}

struct vsock_conn *vsock_socket_add(struct virtio_vsock *v, int fd, enum vsock_state state)
{
	struct vsock_conn *c = NULL;

	if (v->count < VIRTIO_VSOCK_MAX_CONNS)
		c = vsock_conn_create(fd, state);
	if (!c) {
		fd_close(fd);
		return NULL;
	}
	c->owner = v;
	if (virtio_watch_create(v->dev.events, fd, state == VSOCK_GREETING ? EPOLLIN : 0, on_socket,
				c, &c->watch) < 0) {
		vsock_conn_destroy(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&v->all, c, all);
	v->count++;
	return c;
}

static void add_client(struct virtio_vsock *v, int fd)
{
	struct vsock_conn *c = vsock_socket_add(v, fd, VSOCK_GREETING);

	if (c)
		vsock_deadline_set(v, c);
	else
		log_guest("virtio-vsock: a host client is refused: no room");
}

bool vsock_socket_on_listen(void *arg, uint32_t events)
{
	struct virtio_vsock *v = arg;
	int fd = 0;

	(void)events;
	if (v->stale)
		vsock_table_drop_all(v);
	for (unsigned i = 0; i < ACCEPT_BURST && fd >= 0; i++) {
		fd = vsock_host_accept(&v->host);
		if (fd >= 0)
			add_client(v, fd);
	}
	/* Out of descriptors, say: whoever waits is let in after a connection ended. */
	if (fd < 0 && fd != -EAGAIN && fd != -ECONNABORTED && fd != -EINTR) {
		log_guest("virtio-vsock: accepting a host client failed: %s", strerror(-fd));
		v->listen_muted = true;
		virtio_watch_set(v->listen_watch, 0);
		if (!v->timer_armed)
			vsock_deadline_arm(v, clock_now_us() + VSOCK_TIMEOUT_US);
	}
	return false;
}
