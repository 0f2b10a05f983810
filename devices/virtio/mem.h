/* mem.h - memory that a running guest is given and gives back (virtio 1.2, 5.15).
 *
 * Main thread; the device is the transport's once it has been created.
 */
#ifndef DEVICES_VIRTIO_MEM_H
#define DEVICES_VIRTIO_MEM_H

#include "devices/virtio/device.h"

/* In MiB. The driver gives and takes blocks; a slot is what the host can take away from
 * the guest's processors. slot is a multiple of block, total of slot. */
struct virtio_mem_options {
	uint64_t total_mib, block_mib, slot_mib;
};

struct virtio_mem_status {
	uint64_t plugged_mib, requested_mib;
};

/* Reserves address space, no memory. 0 and *ret, or a negative errno. */
int virtio_mem_create(const struct virtio_mem_options *o, struct virtio_dev **ret);

/* While the machine runs. Asks the driver to plug or unplug blocks until it has this
 * much: it may take its time, and may not be able to. 0; -ENODEV: no driver is up;
 * -EINVAL: not a number of blocks, or more than there are. */
int virtio_mem_request(struct virtio_dev *d, uint64_t mib);

void virtio_mem_status(struct virtio_dev *d, struct virtio_mem_status *ret);

#endif
