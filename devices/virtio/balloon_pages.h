/* balloon_pages.h - guest memory that goes back to the host: pages that are listed, or the
 * buffers themselves (virtio 1.2, sections 5.5.6 and 5.5.6.7).
 *
 * Bytes given back are counted as written, what is no RAM as errors. With the device's
 * lock held.
 */
#ifndef DEVICES_VIRTIO_BALLOON_PAGES_H
#define DEVICES_VIRTIO_BALLOON_PAGES_H

#include "devices/virtio/device.h"

enum {
	BALLOON_PFNS_MAX = 1024,		    /* of one list that are looked at */
	BALLOON_GIVE_MAX_BYTES = 256 * 1024 * 1024, /* of one request's buffers */
};

/* One list, little-endian page numbers of 32 bits, copied into pfn, which has room for
 * BALLOON_PFNS_MAX. Returns in how many runs it went. */
unsigned balloon_give_listed(struct virtio_dev *d, const struct iov *list, uint32_t *pfn);

/* Each span is a run of free pages. Returns the bytes that were looked at. */
size_t balloon_give_spans(struct virtio_dev *d, struct iov *in);

#endif
