/* vsock_tx.c - packets from the guest: each is copied once, checked, and acted on. */
#include <endian.h>
#include <errno.h>

#include "devices/virtio/vsock.h"
#include "devices/virtio/vsock_device.h"

struct packet {
	struct virtio_vsock_hdr h; /* the copy, as the guest wrote it */
	uint32_t host_port, guest_port, len;
	const struct iov *out;
};

static void owe_stray(struct virtio_vsock *v, const struct packet *p)
{
	v->stray[v->strays++] =
		(struct vsock_stray){ p->host_port, p->guest_port, le16toh(p->h.type) };
	v->dev.counters.errors++;
}

static void on_request(struct virtio_vsock *v, const struct packet *p)
{
	int fd = -ENOSPC;
	struct vsock_conn *c = NULL;

	if (v->count < VIRTIO_VSOCK_MAX_CONNS)
		fd = vsock_host_connect(&v->host, p->host_port);
	if (fd >= 0)
		c = vsock_socket_add(v, fd, VSOCK_OPEN);
	if (!c) {
		owe_stray(v, p);
		return;
	}
	vsock_table_name(v, c, p->host_port, p->guest_port);
	c->peer_alloc = le32toh(p->h.buf_alloc);
	c->peer_fwd = le32toh(p->h.fwd_cnt);
	c->due = VSOCK_DUE_RESPONSE;
	vsock_table_settle(v, c);
}

static int on_response(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	(void)v;
	(void)p;
	if (c->state != VSOCK_REQUESTED)
		return -EPROTO;
	c->state = VSOCK_OPEN;
	c->deadline_us = 0;
	return vsock_conn_accepted(c);
}

static int on_data(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	if (c->state != VSOCK_OPEN || (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return -EPROTO;
	v->dev.counters.write_bytes += p->len;
	return vsock_conn_take(c, p->out, sizeof(p->h), p->len);
}

static int on_shutdown(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	if (c->state != VSOCK_OPEN)
		return -EPROTO;
	c->guest_shut |= le32toh(p->h.flags) & VSOCK_SHUTDOWN_BOTH;
	if (c->guest_shut == VSOCK_SHUTDOWN_BOTH)
		vsock_deadline_set(v, c);
	return vsock_conn_flush(c);
}

static int on_credit_update(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	(void)v;
	(void)c;
	(void)p;
	return 0; /* every packet brings credit */
}

static int on_credit_request(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	(void)v;
	(void)p;
	if (c->state == VSOCK_OPEN)
		c->due |= VSOCK_DUE_UPDATE;
	return 0;
}

/* What a packet of a known connection does; a negative errno costs it the connection. */
typedef int (*packet_fn)(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p);

static const packet_fn packet_fns[] = {
	[VIRTIO_VSOCK_OP_RESPONSE] = on_response,
	[VIRTIO_VSOCK_OP_SHUTDOWN] = on_shutdown,
	[VIRTIO_VSOCK_OP_RW] = on_data,
	[VIRTIO_VSOCK_OP_CREDIT_UPDATE] = on_credit_update,
	[VIRTIO_VSOCK_OP_CREDIT_REQUEST] = on_credit_request,
};

static void on_conn_packet(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	uint16_t op = le16toh(p->h.op);
	packet_fn fn = op < sizeof(packet_fns) / sizeof(packet_fns[0]) ? packet_fns[op] : NULL;

	if (c->state == VSOCK_CLOSED) /* its reset is on the way */
		return;
	c->peer_alloc = le32toh(p->h.buf_alloc);
	c->peer_fwd = le32toh(p->h.fwd_cnt);
	if (!fn || fn(v, c, p) < 0) {
		v->dev.counters.errors++;
		vsock_table_reset(c);
	}
	vsock_table_settle(v, c);
}

static void on_packet(struct virtio_vsock *v, const struct packet *p)
{
	uint16_t op = le16toh(p->h.op);
	struct vsock_conn *c;

	if (le64toh(p->h.src_cid) != v->guest_cid || le64toh(p->h.dst_cid) != VSOCK_HOST_CID) {
		v->dev.counters.errors++;
		return;
	}
	if (le16toh(p->h.type) != VIRTIO_VSOCK_TYPE_STREAM) {
		if (op != VIRTIO_VSOCK_OP_RST)
			owe_stray(v, p);
		return;
	}
	c = vsock_table_find(v, p->host_port, p->guest_port);
	if (op == VIRTIO_VSOCK_OP_RST) {
		if (c)
			vsock_table_drop(v, c);
	} else if (c) {
		on_conn_packet(v, c, p);
	} else if (op == VIRTIO_VSOCK_OP_REQUEST) {
		on_request(v, p);
	} else {
		owe_stray(v, p);
	}
}

static int read_packet(const struct virtq_req *req, struct packet *p)
{
	if (req->in.len > 0 || iov_read(&req->out, 0, &p->h, sizeof(p->h)) < 0)
		return -EPROTO;
	p->out = &req->out;
	p->host_port = le32toh(p->h.dst_port);
	p->guest_port = le32toh(p->h.src_port);
	p->len = le32toh(p->h.len);
	return p->len > req->out.len - sizeof(p->h) ? -EPROTO : 0;
}

/* True when the budget ran out before the ring did. */
bool vsock_tx_serve(struct virtio_vsock *v)
{
	struct virtq *q = v->dev.vq[VSOCK_QUEUE_TX];
	struct virtq_req req;
	unsigned n = 0;

	if (!virtq_enabled(q))
		return false;
	while (n < VSOCK_BURST && v->strays < VSOCK_MAX_RESETS && virtq_pop(q, &req) > 0) {
		struct packet p;

		if (read_packet(&req, &p) < 0) {
			virtio_dev_fail(&v->dev, "packet that is not what its header says");
			break;
		}
		on_packet(v, &p);
		virtq_push(q, &req, 0);
		n++;
	}
	virtq_publish(q);
	return n == VSOCK_BURST;
}
