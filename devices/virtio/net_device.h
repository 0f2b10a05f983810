/* net_device.h - a network interface from the inside, for the files that it is made of.
 *
 * net.c is the device and the theory of it; net_pair.c moves the frames of a pair of
 * queues. With the device's lock held, or, of a pair, with its lane's.
 */
#ifndef DEVICES_VIRTIO_NET_DEVICE_H
#define DEVICES_VIRTIO_NET_DEVICE_H

#include "devices/virtio/net_backend.h"
#include "devices/virtio/net_mmds.h"
#include "devices/virtio/net_retry.h"
#include "devices/virtio/net_rx.h"
#include "devices/virtio/throttle.h"

enum { NET_ID_LEN = 64 };

struct virtio_net;

struct net_pair {
	struct virtio_net *net;
	unsigned index;
	struct virtio_watch *watch; /* of the back end's descriptor; NULL: of none */
	unsigned lane;
	bool rx_waits; /* for a frame */
	bool tx_waits; /* for room */
	struct net_rx rx;
	struct iovec tx_spans[1 + VIRTQ_MAX_SIZE]; /* the copied headers, and the rest */
};

struct virtio_net {
	struct virtio_dev dev;
	struct virtio_ops ops; /* with queues of its own number */
	char id[NET_ID_LEN + 1];
	struct net_backend *backend;
	struct net_mmds *mmds;		 /* NULL: no service here */
	struct virtio_net_config config; /* what the guest reads */
	bool mac_is_made_up;
	bool gone;		/* the back end is; any lane, atomically */
	struct net_retry retry; /* attached when it may come back */
	struct throttle rx_throttle, tx_throttle;
	unsigned active; /* pairs that the driver uses */
	struct net_pair pair[NET_MAX_PAIRS];
};

static inline struct virtq *net_pair_rx(const struct net_pair *p)
{
	return p->net->dev.vq[(size_t)p->index * 2];
}

static inline struct virtq *net_pair_tx(const struct net_pair *p)
{
	return p->net->dev.vq[(size_t)p->index * 2 + 1];
}

static inline bool net_is_gone(const struct virtio_net *net)
{
	return __atomic_load_n(&net->gone, __ATOMIC_RELAXED);
}

/* A turn of one direction. True when the budget ran out before the frames did. */
bool net_pair_receive(struct net_pair *p);
bool net_pair_transmit(struct net_pair *p);

/* Waits from now on for what the pair needs of the back end. */
void net_pair_watch(struct net_pair *p);

#endif
