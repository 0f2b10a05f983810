/* vsock_table.c - the connections of a vsock device, and what each of them waits for.
 *
 * vsock_table_settle() is the one place that decides whether a connection is among
 * those that owe the guest a packet, and which events of its socket it watches.
 */
#include <sys/epoll.h>

#include "devices/virtio/vsock_device.h"

#define FIRST_HOST_PORT (UINT32_C(1) << 30)

static struct vsock_bucket *bucket_of(struct virtio_vsock *v, uint32_t host_port,
				      uint32_t guest_port)
{
	return &v->bucket[(host_port ^ guest_port) % VSOCK_BUCKETS];
}

struct vsock_conn *vsock_table_find(struct virtio_vsock *v, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c = LIST_FIRST(bucket_of(v, host_port, guest_port));

	while (c && (c->host_port != host_port || c->guest_port != guest_port))
		c = LIST_NEXT(c, hash);
	return c;
}

void vsock_table_name(struct virtio_vsock *v, struct vsock_conn *c, uint32_t host_port,
		      uint32_t guest_port)
{
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->hashed = true;
	LIST_INSERT_HEAD(bucket_of(v, host_port, guest_port), c, hash);
}

/* From 2^30 to 2^31; at most VIRTIO_VSOCK_MAX_CONNS of them are taken. */
uint32_t vsock_table_free_port(struct virtio_vsock *v, uint32_t guest_port)
{
	uint32_t port;

	do {
		port = FIRST_HOST_PORT + v->next_port;
		v->next_port = (v->next_port + 1) % FIRST_HOST_PORT;
	} while (vsock_table_find(v, port, guest_port));
	return port;
}

/* Ends the socket's part in it. */
static void unplug(struct vsock_conn *c)
{
	virtio_watch_destroy(c->watch);
	c->watch = NULL;
	vsock_conn_close(c);
}

void vsock_table_admit(struct virtio_vsock *v)
{
	if (!v->listen_muted || !v->listen_watch)
		return;
	v->listen_muted = false;
	virtio_watch_set(v->listen_watch, EPOLLIN);
}

void vsock_table_drop(struct virtio_vsock *v, struct vsock_conn *c)
{
	unplug(c);
	if (c->queued)
		TAILQ_REMOVE(&v->ready, c, ready);
	if (c->hashed)
		LIST_REMOVE(c, hash);
	TAILQ_REMOVE(&v->all, c, all);
	v->count--;
	vsock_conn_destroy(c);
	vsock_table_admit(v);
}

void vsock_table_drop_all(struct virtio_vsock *v)
{
	while (!TAILQ_EMPTY(&v->all))
		vsock_table_drop(v, TAILQ_FIRST(&v->all));
	v->strays = 0;
	v->stale = false;
}

void vsock_table_reset(struct vsock_conn *c)
{
	unplug(c);
	c->state = VSOCK_CLOSED;
	c->deadline_us = 0;
	c->due = VSOCK_DUE_RESET;
}

bool vsock_table_wants_input(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	       !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND);
}

/* Input that is known of needs no watch, but to mute one for each message and to unmute it
 * after would cost two system calls: on_socket() mutes it when it told nothing new. */
static void settle_watch(struct vsock_conn *c, bool input)
{
	uint32_t events = 0;

	if (!c->watch)
		return;
	c->listening = c->state == VSOCK_GREETING || (input && (!c->readable || c->listening));
	if (c->listening)
		events |= EPOLLIN;
	if (c->held > 0)
		events |= EPOLLOUT;
	virtio_watch_set(c->watch, events);
}

void vsock_table_settle(struct virtio_vsock *v, struct vsock_conn *c)
{
	bool input, credit;

	if (c->state == VSOCK_OPEN && vsock_conn_finished(c))
		vsock_table_reset(c);
	input = vsock_table_wants_input(c);
	credit = vsock_conn_credit(c) > 0;
	if (c->state == VSOCK_OPEN && vsock_conn_must_tell(c))
		c->due |= VSOCK_DUE_UPDATE;
	if (input && c->readable && !credit && !c->asked)
		c->due |= VSOCK_DUE_ASK;
	c->asked = !credit && (c->asked || (c->due & VSOCK_DUE_ASK));
	if (!c->queued && (c->due || (input && c->readable && credit))) {
		c->queued = true;
		TAILQ_INSERT_TAIL(&v->ready, c, ready);
	}
	settle_watch(c, input);
}

void vsock_table_end_of_input(struct virtio_vsock *v, struct vsock_conn *c)
{
	c->readable = false;
	c->host_shut |= c->hung_up ? VSOCK_SHUTDOWN_BOTH : VIRTIO_VSOCK_SHUTDOWN_SEND;
	c->due |= VSOCK_DUE_SHUTDOWN;
	if (c->hung_up)
		vsock_deadline_set(v, c);
}
