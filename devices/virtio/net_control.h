/* net_control.h - a network interface's control queue (virtio 1.2, section 5.1.6.5).
 *
 * One command is on offer: how many pairs of queues to use. With the device's lock held.
 */
#ifndef DEVICES_VIRTIO_NET_CONTROL_H
#define DEVICES_VIRTIO_NET_CONTROL_H

#include "devices/virtio/device.h"

struct net_control {
	unsigned pairs; /* that the interface has */
	/* The first n of them, 1 to pairs, are used from now on. 0 or a negative errno. */
	int (*use_pairs)(struct virtio_dev *d, unsigned n);
};

/* Whether this is the control queue: its place depends on what was negotiated (5.1.2). */
bool net_control_is_at(const struct virtio_dev *d, unsigned pairs, unsigned queue);

/* Serves a turn of it. True when the budget ran out before the commands did. */
bool net_control_turn(struct virtio_dev *d, struct virtq *q, const struct net_control *c);

#endif
