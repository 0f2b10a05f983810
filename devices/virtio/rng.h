/* rng.h - entropy for the guest (virtio 1.2, section 5.4). */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "devices/virtio/device.h"
#include "devices/virtio/limiter.h"

/* Gives entropy within these limits. 0 and *ret, for a transport to own; or -ENOMEM. */
int virtio_rng_create(const struct limiter_config *limits, struct virtio_dev **ret);

#endif
