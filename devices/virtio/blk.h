/* blk.h - a raw file or block device as the guest's disk (virtio 1.2, section 5.2). */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/virtio/device.h"
#include "vmm/base/error.h"

struct virtio_blk_drive {
	const char *path;
	const char *serial; /* what GET_ID answers: its first 20 bytes */
	bool read_only;
	bool writeback; /* offer FLUSH; else the guest is told that writes are safe */
};

/* Opens and locks the file: shared for a read-only drive, exclusive for a
 * writable one, for as long as the device lives. 0 and *ret, for a transport to
 * own; or a negative errno and *err, with field "path_on_host". Nothing of *drive
 * is kept. Main thread. */
int virtio_blk_create(const struct virtio_blk_drive *drive, struct virtio_dev **ret,
		      struct error *err);

#endif
