/* net_backend.h - what carries the frames of a network interface.
 *
 * The device (net.c) knows virtio; a back end moves one frame at a time between spans
 * of memory and the host's network: a tap (net_tap.h), or passt (net_passt.h). It has
 * a descriptor for each pair of queues, which the device watches for it. In both
 * directions a frame is a struct virtio_net_hdr_v1 and the Ethernet frame behind it;
 * the number of buffers in the header is the device's business.
 *
 * Every call is made with the device's lock held, or before the machine runs.
 */
#ifndef DEVICES_VIRTIO_NET_BACKEND_H
#define DEVICES_VIRTIO_NET_BACKEND_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices/virtio/device.h"
#include "devices/virtio/iov.h"

enum {
	NET_MAX_PAIRS = (VIRTIO_MAX_QUEUES - 1) / 2, /* and a control queue */
	NET_HEADER_BYTES = sizeof(struct virtio_net_hdr_v1),
	/* The longest frame: a full IP packet that is segmented later (5.1.6.3.1). */
	NET_FRAME_MAX = NET_HEADER_BYTES + ETH_HLEN + 65536,
};

/* Feature bits of virtio 1.3 that Debian 12's headers do not have. */
enum {
	NET_F_GUEST_USO4 = 54,
	NET_F_GUEST_USO6 = 55,
	NET_F_HOST_USO = 56,
	NET_HDR_GSO_UDP_L4 = 5,
};

struct net_backend;

struct net_backend_ops {
	/* Prepares up to this many pairs, 2 to NET_MAX_PAIRS; b->pairs says how many there
	 * are then. Before the first start. NULL: there is never more than one. */
	void (*open_pairs)(struct net_backend *b, unsigned wanted);

	/* A driver that accepted these features is up, and uses the first pair: it gets
	 * nothing that it could not take. 0 or a negative errno. stop: it is gone;
	 * idempotent. NULL: what comes suits every driver. */
	int (*start)(struct net_backend *b, uint64_t accepted);
	void (*stop)(struct net_backend *b);

	/* The first n pairs, 1 to b->pairs, carry frames from now on. 0 or a negative
	 * errno. NULL: with one pair there is nothing to do. */
	int (*use_pairs)(struct net_backend *b, unsigned n);

	/* One frame into the spans: its length, header included. A longer frame is cut and
	 * fills them. -EAGAIN: there is none now; any other error: the host's side is
	 * gone. */
	ssize_t (*receive)(struct net_backend *b, unsigned pair, const struct iov *into);

	/* Takes one frame whose first span holds at least the header. 0; -EAGAIN: not now;
	 * any other error: it was dropped. With no spans: goes on with what is left over
	 * from before. */
	int (*send)(struct net_backend *b, unsigned pair, const struct iov *frame);

	/* The host's side is gone: looks for it again, after which nobody watches the first
	 * pair's descriptor, which is closed and replaced. 0; or a negative errno, and all
	 * is as it was. NULL: it is gone for good. */
	int (*reconnect)(struct net_backend *b);

	void (*destroy)(struct net_backend *b);
};

struct net_backend {
	const struct net_backend_ops *ops;
	uint64_t offloads; /* VIRTIO_NET_F_* that it can carry */
	unsigned pairs;	   /* at least 1 */
	int fd[NET_MAX_PAIRS];
	bool left_over; /* of a frame that was taken, until the first pair can be written to */
};

/* Accepts NULL. */
static inline void net_backend_destroy(struct net_backend *b)
{
	if (b)
		b->ops->destroy(b);
}

#endif
