/* net.h - a network interface (virtio 1.2, section 5.1). */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include <netinet/in.h>

#include "devices/virtio/limiter.h"
#include "devices/virtio/net_backend.h"

struct mmds;

struct virtio_net_options {
	const char *id;	       /* in logs; copied */
	uint8_t mac[ETH_ALEN]; /* of the guest: the only one that it may send from */
	bool mac_is_made_up;   /* nobody asked for it: a saved state's takes its place */
	uint16_t mtu;	       /* 0: the guest is told none */
	struct limiter_config rx, tx;
};

/* 0 and *ret, for a transport to own, with the back end in it; or a negative errno, and
 * the back end stays the caller's. Main thread. */
int virtio_net_create(const struct virtio_net_options *o, struct net_backend *b,
		      struct virtio_dev **ret);

/* How many vCPUs share it: a pair of queues for each, as far as the back end has them.
 * Before the device is handed to a transport. */
void virtio_net_set_vcpus(struct virtio_dev *d, unsigned vcpus);

/* Puts the metadata service on it, at this address in network order. Once, before the
 * device is on a loop; the service must outlive it. 0 or a negative errno. Main thread. */
int virtio_net_set_mmds(struct virtio_dev *d, struct mmds *m, in_addr_t address);

/* Replaces the buckets that the configurations have. Of a device on a loop; main thread,
 * without the device's lock, which it takes. */
void virtio_net_set_limiters(struct virtio_dev *d, const struct limiter_config *rx,
			     const struct limiter_config *tx);

#endif
