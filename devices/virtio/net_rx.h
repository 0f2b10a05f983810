/* net_rx.h - a network interface's receive buffers: those that are in hand.
 *
 * How long a frame will be is known once it has been read, so buffers are taken off the
 * ring until they hold the longest one, and what a frame does not need stays in hand for
 * the next. They go back to the driver in the order in which they came. With the
 * device's lock held.
 */
#ifndef DEVICES_VIRTIO_NET_RX_H
#define DEVICES_VIRTIO_NET_RX_H

#include "devices/virtio/net_backend.h"

enum { NET_RX_SPANS = 3 * VIRTQ_MAX_SIZE };

/* A chain of buffers in hand. */
struct net_rx_head {
	uint16_t head;
	uint16_t spans;
	size_t len;
};

struct net_rx {
	struct virtio_dev *dev; /* whose they are */

	/* In the order of the ring; a queue has no more of them. */
	struct net_rx_head heads[VIRTQ_MAX_SIZE];
	unsigned first, count;
	/* Their spans, one run, and a place behind the last. */
	struct iovec spans[NET_RX_SPANS + 1];
	unsigned first_span, span_count;
	size_t len;   /* bytes in all spans */
	size_t frame; /* bytes of the frame that they hold already; 0: none */
	char spare;   /* where the first byte goes that does not fit */
};

/* Takes buffers as far as needed: with merge for a frame over many of them, of which
 * `least` bytes is a length that must fit; otherwise one chain, whatever its length. True
 * when a frame may be read. False: the ring is empty and the queue will be kicked, or
 * the driver broke the rules and the device has failed. */
bool net_rx_gather(struct net_rx *rx, struct virtq *q, bool merge, size_t least);

/* Where a frame goes: all the spans, and one byte behind them. More than rx->len bytes
 * there mean that the frame was too long. */
struct iov net_rx_spans(struct net_rx *rx);

/* Gives the driver the frame of rx->frame bytes, and forgets it. */
void net_rx_deliver(struct net_rx *rx, struct virtq *q);

/* Puts everything back on the ring, the frame dropped. */
void net_rx_give_back(struct net_rx *rx, struct virtq *q);

#endif
