/* vsock_rx.c - packets to the guest: those that are owed, and what hosts have written.
 *
 * What a host has written goes by one system call straight into as many receive buffers
 * as it fills, since a driver's buffers are small (4 KiB with Linux).
 *
 * System calls: ioctl (FIONREAD), recv, recvmsg.
 */
#include <endian.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vsock_device.h"
#include "vmm/base/fd.h"

enum { MAX_SPANS = 64 }; /* of guest memory that one system call fills */

/* Receive buffers in hand, and where a payload goes in them: behind each one's header. */
struct gather {
	struct virtq_req req[VSOCK_GATHER];
	size_t room[VSOCK_GATHER];
	unsigned count;
	struct iovec vec[MAX_SPANS];
	struct iov payload; /* over vec */
};

static void fill_header(const struct virtio_vsock *v, struct vsock_conn *c, uint16_t op,
			struct virtio_vsock_hdr *h)
{
	*h = (struct virtio_vsock_hdr){
		.src_cid = htole64(VSOCK_HOST_CID),
		.dst_cid = htole64(v->guest_cid),
		.src_port = htole32(c->host_port),
		.dst_port = htole32(c->guest_port),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(VSOCK_BUFFER_BYTES),
		.fwd_cnt = htole32(c->forwarded),
	};
	c->told = c->forwarded;
}

/* What it means that a read returned n, which is not more than 0. */
static void on_no_input(struct virtio_vsock *v, struct vsock_conn *c, ssize_t n)
{
	c->readable = n < 0 && errno == EINTR;
	if (n == 0)
		vsock_table_end_of_input(v, c);
	else if (errno != EINTR && errno != EAGAIN)
		vsock_table_reset(c);
}

/* No bytes are there to be read: is that the end? */
static void look_for_end(struct virtio_vsock *v, struct vsock_conn *c)
{
	char byte;
	ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);

	if (n <= 0)
		on_no_input(v, c, n);
}

/* Bytes that can go to the guest now. If they are all that there is, the watch will tell of
 * more; after a hang-up there is no watch. */
static size_t payload_waiting(struct virtio_vsock *v, struct vsock_conn *c)
{
	uint32_t credit = vsock_conn_credit(c);
	int bytes = 0;
	size_t most;

	if (!vsock_table_wants_input(c) || !c->readable || credit == 0)
		return 0;
	if (ioctl(c->fd, FIONREAD, &bytes) < 0 || bytes <= 0) {
		look_for_end(v, c);
		return 0;
	}
	most = credit < VSOCK_BUFFER_BYTES ? credit : VSOCK_BUFFER_BYTES;
	c->readable = c->hung_up || (size_t)bytes > most;
	return (size_t)bytes < most ? (size_t)bytes : most;
}

/* Takes the first of the packets that are due and returns its operation; 0: none. */
static uint16_t take_due(struct vsock_conn *c)
{
	static const struct {
		unsigned due;
		uint16_t op;
	} order[] = {
		{ VSOCK_DUE_RESET, VIRTIO_VSOCK_OP_RST },
		{ VSOCK_DUE_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ VSOCK_DUE_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ VSOCK_DUE_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ VSOCK_DUE_ASK, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
		{ VSOCK_DUE_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (c->due & order[i].due) {
			c->due &= ~order[i].due;
			return order[i].op;
		}
	}
	return 0;
}

/* Takes one more receive buffer. False when there is none, or none that is right. */
static bool gather_buffer(struct virtio_vsock *v, struct gather *g)
{
	struct virtq_req *req = &g->req[g->count];

	if (virtq_pop_into(v->dev.vq[VSOCK_QUEUE_RX], req, v->spans[g->count]) <= 0)
		return false;
	if (req->out.len > 0 || req->in.len <= sizeof(struct virtio_vsock_hdr)) {
		virtio_dev_fail(&v->dev, "receive buffer without room for a packet");
		return false;
	}
	g->count++;
	return true;
}

/* Adds the room of the buffer that was taken last, as far as there are spans for it. */
static void gather_room(struct gather *g)
{
	const struct iov *in = &g->req[g->count - 1].in;
	size_t skip = sizeof(struct virtio_vsock_hdr), before = g->payload.len;

	for (unsigned i = 0; i < in->count && g->payload.count < MAX_SPANS; i++) {
		struct iovec span = in->vec[i];

		if (span.iov_len <= skip) {
			skip -= span.iov_len;
			continue;
		}
		g->vec[g->payload.count++] = (struct iovec){
			.iov_base = (char *)span.iov_base + skip,
			.iov_len = span.iov_len - skip,
		};
		g->payload.len += span.iov_len - skip;
		skip = 0;
	}
	g->room[g->count - 1] = g->payload.len - before;
}

/* Room for so many bytes, or for what there are buffers for. */
static void gather_all(struct virtio_vsock *v, struct gather *g, size_t bytes)
{
	gather_room(g);
	while (g->payload.len < bytes && g->count < VSOCK_GATHER && g->payload.count < MAX_SPANS &&
	       gather_buffer(v, g))
		gather_room(g);
	iov_truncate(&g->payload, bytes);
}

/* Header and used entry of a packet whose payload is in its place. */
static void push(struct virtio_vsock *v, const struct virtq_req *req,
		 const struct virtio_vsock_hdr *h)
{
	/* It fits: the buffer was measured. */
	(void)iov_write(&req->in, 0, h, sizeof(*h));
	virtq_push(v->dev.vq[VSOCK_QUEUE_RX], req, (uint32_t)sizeof(*h) + le32toh(h->len));
}

/* Shares out len bytes that have been received. Returns the number of packets. */
static unsigned push_payload(struct virtio_vsock *v, struct vsock_conn *c, const struct gather *g,
			     size_t len)
{
	struct virtio_vsock_hdr h;
	unsigned n = 0;

	fill_header(v, c, VIRTIO_VSOCK_OP_RW, &h);
	for (; len > 0; n++) {
		size_t part = len < g->room[n] ? len : g->room[n];

		h.len = htole32((uint32_t)part);
		push(v, &g->req[n], &h);
		len -= part;
	}
	return n;
}

/* As much of the bytes that wait as there are buffers for. Returns the number of packets. */
static unsigned send_payload(struct virtio_vsock *v, struct vsock_conn *c, struct gather *g,
			     size_t waiting)
{
	struct msghdr msg = { .msg_iov = g->vec };
	ssize_t n;

	gather_all(v, g, waiting);
	msg.msg_iovlen = g->payload.count;
	n = recvmsg(c->fd, &msg, 0);
	if (n <= 0) {
		on_no_input(v, c, n);
		return 0;
	}
	if ((size_t)n < waiting)
		c->readable = true;
	c->sent += (uint32_t)n;
	v->dev.counters.read_bytes += (uint64_t)n;
	return push_payload(v, c, g, (size_t)n);
}

/* What c has to say, beginning with the buffer in hand; 0: nothing after all. c may be
 * gone afterwards. */
static unsigned send_packets(struct virtio_vsock *v, struct vsock_conn *c, struct gather *g)
{
	struct virtio_vsock_hdr h;
	uint16_t op = take_due(c);
	size_t waiting = op == 0 ? payload_waiting(v, c) : 0;
	unsigned n = 0;

	if (waiting > 0)
		n = send_payload(v, c, g, waiting);
	else if (op == 0)
		op = take_due(c);
	if (op != 0) {
		fill_header(v, c, op, &h);
		if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
			h.flags = htole32(c->host_shut);
		push(v, &g->req[n++], &h);
	}
	if (op == VIRTIO_VSOCK_OP_RST)
		vsock_table_drop(v, c);
	else
		vsock_table_settle(v, c);
	return n;
}

static unsigned send_stray(struct virtio_vsock *v, const struct gather *g)
{
	const struct vsock_stray *s = &v->stray[--v->strays];
	const struct virtio_vsock_hdr h = {
		.src_cid = htole64(VSOCK_HOST_CID),
		.dst_cid = htole64(v->guest_cid),
		.src_port = htole32(s->host_port),
		.dst_port = htole32(s->guest_port),
		.type = htole16(s->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	push(v, &g->req[0], &h);
	return 1;
}

/* Returns the number of packets; what of the buffers in hand they did not need goes back. */
static unsigned send_next(struct virtio_vsock *v, struct gather *g)
{
	struct vsock_conn *c = TAILQ_FIRST(&v->ready);
	unsigned n;

	if (v->strays > 0)
		return send_stray(v, g);
	TAILQ_REMOVE(&v->ready, c, ready);
	c->queued = false;
	n = send_packets(v, c, g);
	for (unsigned i = n; i < g->count; i++)
		virtq_unpop(v->dev.vq[VSOCK_QUEUE_RX]);
	return n;
}

static bool owes_packets(const struct virtio_vsock *v)
{
	return v->strays > 0 || !TAILQ_EMPTY(&v->ready);
}

bool vsock_rx_serve(struct virtio_vsock *v)
{
	struct virtq *q = v->dev.vq[VSOCK_QUEUE_RX];
	unsigned n = 0;

	if (!virtq_enabled(q) || vsock_event_is_unread(v))
		return false;
	while (n < VSOCK_BURST && virtio_dev_live(&v->dev) && owes_packets(v)) {
		struct gather g; /* large, and mostly not needed: not zeroed */

		g.count = 0;
		g.payload = (struct iov){ .vec = g.vec };
		if (!gather_buffer(v, &g))
			break;
		n += send_next(v, &g);
	}
	virtq_publish(q);
	return n >= VSOCK_BURST && owes_packets(v);
}

void vsock_rx_turn(struct virtio_vsock *v)
{
	if (vsock_rx_serve(v))
		fd_event_signal(v->wake);
}
