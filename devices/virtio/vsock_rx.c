/* vsock_rx.c - packets to the guest: those that are owed, and what hosts have written.
 *
 * System calls: recv.
 */
#include <endian.h>
#include <errno.h>
#include <sys/socket.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vsock_device.h"
#include "vmm/base/fd.h"

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

/* Payload bytes for the guest, 0 when there are none now. */
static size_t read_payload(struct virtio_vsock *v, struct vsock_conn *c, size_t room)
{
	uint32_t credit = vsock_conn_credit(c);
	ssize_t n;

	if (!vsock_table_wants_input(c) || !c->readable || credit == 0)
		return 0;
	if (room > credit)
		room = credit;
	if (room > sizeof(v->bounce))
		room = sizeof(v->bounce);
	n = recv(c->fd, v->bounce, room, 0);
	if (n > 0) {
		c->sent += (uint32_t)n;
		v->dev.counters.read_bytes += (uint64_t)n;
		return (size_t)n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		c->readable = errno == EINTR;
	else if (n == 0)
		vsock_table_end_of_input(v, c);
	else
		vsock_table_reset(c);
	return 0;
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

/* One packet of c into in, which has room for a header and more. Its length; 0: c had
 * nothing to say after all. c may be gone afterwards. */
static size_t send_packet(struct virtio_vsock *v, struct vsock_conn *c, const struct iov *in)
{
	struct virtio_vsock_hdr h;
	uint16_t op = take_due(c);
	size_t len = 0;

	if (op == 0) {
		len = read_payload(v, c, in->len - sizeof(h));
		op = len > 0 ? VIRTIO_VSOCK_OP_RW : take_due(c);
	}
	if (op != 0) {
		fill_header(v, c, op, &h);
		h.len = htole32((uint32_t)len);
		if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
			h.flags = htole32(c->host_shut);
		/* Both fit: in was measured. */
		(void)iov_write(in, 0, &h, sizeof(h));
		(void)iov_write(in, sizeof(h), v->bounce, len);
	}
	if (op == VIRTIO_VSOCK_OP_RST)
		vsock_table_drop(v, c);
	else
		vsock_table_settle(v, c);
	return op == 0 ? 0 : sizeof(h) + len;
}

static size_t send_stray(struct virtio_vsock *v, const struct iov *in)
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

	(void)iov_write(in, 0, &h, sizeof(h));
	return sizeof(h);
}

static size_t send_next(struct virtio_vsock *v, const struct iov *in)
{
	struct vsock_conn *c = TAILQ_FIRST(&v->ready);

	if (v->strays > 0)
		return send_stray(v, in);
	TAILQ_REMOVE(&v->ready, c, ready);
	c->queued = false;
	return send_packet(v, c, in);
}

static bool owes_packets(const struct virtio_vsock *v)
{
	return v->strays > 0 || !TAILQ_EMPTY(&v->ready);
}

/* True when the budget ran out before the packets did. */
bool vsock_rx_serve(struct virtio_vsock *v)
{
	struct virtq *q = v->dev.vq[VSOCK_QUEUE_RX];
	struct virtq_req req;
	unsigned n = 0;

	if (!virtio_dev_live(&v->dev) || !virtq_enabled(q))
		return false;
	while (n < VSOCK_BURST && owes_packets(v) && virtq_pop(q, &req) > 0) {
		size_t len;

		if (req.out.len > 0 || req.in.len <= sizeof(struct virtio_vsock_hdr)) {
			virtio_dev_fail(&v->dev, "receive buffer without room for a packet");
			break;
		}
		len = send_next(v, &req.in);
		if (len == 0) {
			virtq_unpop(q);
			continue;
		}
		virtq_push(q, &req, (uint32_t)len);
		n++;
	}
	virtq_publish(q);
	return n == VSOCK_BURST && owes_packets(v);
}

void vsock_rx_turn(struct virtio_vsock *v)
{
	if (vsock_rx_serve(v))
		fd_event_signal(v->wake);
}
