/* pmem.h - a file as the guest's persistent memory (virtio 1.2, section 5.19).
 *
 * Main thread; the device is the transport's once it has been created.
 */
#ifndef DEVICES_VIRTIO_PMEM_H
#define DEVICES_VIRTIO_PMEM_H

#include "devices/virtio/device.h"
#include "devices/virtio/limiter.h"
#include "vmm/base/error.h"

struct virtio_pmem_options {
	const char *path;
	bool read_only;
	struct limiter_config limits; /* of flushes: each counts the file's length */
};

/* Opens, locks and maps the file, a regular one or a block device. 0 and *ret, or a
 * negative errno and *err with field "path_on_host". */
int virtio_pmem_create(const struct virtio_pmem_options *o, struct virtio_dev **ret,
		       struct error *err);

/* While the machine runs. Replaces the buckets that c has. */
void virtio_pmem_set_limiter(struct virtio_dev *d, const struct limiter_config *c);

#endif
