/* iov.h - a run of bytes scattered over host spans, and bounded access to it.
 *
 * A view, not an owner: it borrows the array it points at. iov_skip() and
 * iov_truncate() change that array in place, so one array has one view at a
 * time. Any thread.
 */
#ifndef DEVICES_VIRTIO_IOV_H
#define DEVICES_VIRTIO_IOV_H

#include <stddef.h>
#include <sys/uio.h>

struct iov {
	struct iovec *vec;
	unsigned count; /* spans, none of them empty */
	size_t len;	/* bytes in all spans */
};

/* Copies len bytes at off out of, or into, the spans. 0, or -EINVAL when they do
 * not hold that many: nothing was copied then. */
int iov_read(const struct iov *v, size_t off, void *dst, size_t len);
int iov_write(const struct iov *v, size_t off, const void *src, size_t len);

/* Drops the first len bytes; all of them when there are not so many. */
void iov_skip(struct iov *v, size_t len);

/* Keeps the first len bytes; no effect when there are not so many. */
void iov_truncate(struct iov *v, size_t len);

#endif
