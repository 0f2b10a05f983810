/* net_rx.c - a network interface's receive buffers: those that are in hand.
 *
 * The driver decides how it cuts its buffers, so the worst case is that each chain has
 * as many descriptors as a queue may. The array holds three such chains; no chain is
 * taken that might not fit, and the run of spans moves to the front when it has come to
 * the end. Buffers so small that a whole array of them does not hold a frame get none.
 */
#include <linux/virtio_net.h>
#include <string.h>

#include "devices/virtio/net_rx.h"

static void move_to_front(struct net_rx *rx)
{
	memmove(rx->spans, rx->spans + rx->first_span, rx->span_count * sizeof(rx->spans[0]));
	rx->first_span = 0;
}

/* Whether another chain fits, however long. */
static bool make_room(struct net_rx *rx)
{
	const unsigned limit = NET_RX_SPANS - VIRTQ_MAX_SIZE;

	if (rx->first_span + rx->span_count > limit)
		move_to_front(rx);
	return rx->span_count <= limit;
}

/* Whether there are as many buffers as a frame may need, or as there can be. */
static bool is_full(struct net_rx *rx, const struct virtq *q, bool merge)
{
	const unsigned limit = merge ? virtq_size(q) : 1;

	return rx->count == limit || (merge && rx->len >= NET_FRAME_MAX) || !make_room(rx);
}

static bool take_chain(struct net_rx *rx, struct virtq *q)
{
	struct iovec *spans = rx->spans + rx->first_span + rx->span_count;
	struct net_rx_head *h = &rx->heads[(rx->first + rx->count) % VIRTQ_MAX_SIZE];
	struct virtq_req req;

	if (virtq_pop_into(q, &req, spans) <= 0)
		return false;
	if (req.out.len > 0) {
		virtio_dev_fail(rx->dev, "network receive buffer that is readable");
		return false;
	}
	*h = (struct net_rx_head){ req.head, (uint16_t)req.in.count, req.in.len };
	rx->count++;
	rx->span_count += req.in.count;
	rx->len += req.in.len;
	return true;
}

bool net_rx_gather(struct net_rx *rx, struct virtq *q, bool merge, size_t least)
{
	bool full;

	while (!(full = is_full(rx, q, merge)) && take_chain(rx, q))
		continue;
	return full || (merge && rx->len >= least);
}

struct iov net_rx_spans(struct net_rx *rx)
{
	struct iovec *spans = rx->spans + rx->first_span;

	spans[rx->span_count] = (struct iovec){ &rx->spare, sizeof(rx->spare) };
	return (struct iov){ spans, rx->span_count + 1, rx->len + sizeof(rx->spare) };
}

/* How many chains the frame reaches into. */
static unsigned chains_used(const struct net_rx *rx)
{
	size_t left = rx->frame;
	unsigned n = 0;

	while (left > 0) {
		size_t len = rx->heads[(rx->first + n) % VIRTQ_MAX_SIZE].len;

		left -= left < len ? left : len;
		n++;
	}
	return n;
}

static void push_first(struct net_rx *rx, struct virtq *q, size_t written)
{
	const struct net_rx_head *h = &rx->heads[rx->first];
	const struct virtq_req req = { .head = h->head };

	virtq_push(q, &req, (uint32_t)written);
	rx->first = (rx->first + 1) % VIRTQ_MAX_SIZE;
	rx->count--;
	rx->first_span += h->spans;
	rx->span_count -= h->spans;
	rx->len -= h->len;
}

void net_rx_deliver(struct net_rx *rx, struct virtq *q)
{
	const size_t at = offsetof(struct virtio_net_hdr_v1, num_buffers);
	uint16_t buffers = (uint16_t)chains_used(rx);
	struct iov all = net_rx_spans(rx);

	iov_write(&all, at, &buffers, sizeof(buffers));
	for (uint16_t i = 0; i < buffers; i++) {
		size_t len = rx->heads[rx->first].len;
		size_t written = rx->frame < len ? rx->frame : len;

		push_first(rx, q, written);
		rx->frame -= written;
	}
}

void net_rx_give_back(struct net_rx *rx, struct virtq *q)
{
	for (; rx->count > 0; rx->count--)
		virtq_unpop(q);
	rx->first = rx->first_span = rx->span_count = 0;
	rx->len = rx->frame = 0;
}
