/* blk.h - a raw file or block device as the guest's disk (virtio 1.2, section 5.2). */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio/device.h"
#include "devices/virtio/limiter.h"
#include "vmm/base/error.h"

struct virtio_blk_drive {
	const char *path;
	const char *serial; /* what GET_ID answers: its first 20 bytes */
	bool read_only;
	bool writeback; /* offer FLUSH; else the guest is told that writes are safe */
	bool async;	/* by io_uring where the host has it, else as without */
	bool direct;	/* past the host's page cache */
	struct limiter_config limiter;
};

/* Opens and locks the file: shared for a read-only drive, exclusive for a
 * writable one, for as long as the device lives. 0 and *ret, for a transport to
 * own; or a negative errno and *err, with field "path_on_host". Nothing of *drive
 * is kept. Main thread. */
int virtio_blk_create(const struct virtio_blk_drive *drive, struct virtio_dev **ret,
		      struct error *err);

/* For a machine of this many vCPUs: a queue for each, up to VIRTIO_MAX_QUEUES. Before
 * a transport has the device. */
void virtio_blk_set_vcpus(struct virtio_dev *d, unsigned vcpus);

/* Both of a running machine's disk, on the main thread; they take the device's lock.
 *
 * path: another file, or the same one again after it grew; the driver is told. What is
 * in flight ends on the old one. On failure nothing has changed. */
int virtio_blk_set_path(struct virtio_dev *d, const char *path, struct error *err);

/* Replaces the buckets that the configuration has. */
void virtio_blk_set_limiter(struct virtio_dev *d, const struct limiter_config *c);

#endif
