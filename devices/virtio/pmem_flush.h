/* pmem_flush.h - a thread that makes a file's content durable.
 *
 * One flush at a time. All calls on the thread that has the device's lock.
 */
#ifndef DEVICES_VIRTIO_PMEM_FLUSH_H
#define DEVICES_VIRTIO_PMEM_FLUSH_H

struct pmem_flush;

/* The thread starts with the first flush. fd is not owned. 0 and *ret, or a negative errno. */
int pmem_flush_create(int fd, struct pmem_flush **ret);

/* Waits for the flush under way, ends the thread. Accepts NULL. */
void pmem_flush_destroy(struct pmem_flush *f);

/* Begins a flush of all that was stored before. None may be under way. */
void pmem_flush_begin(struct pmem_flush *f);

/* An eventfd, the flush's own, that becomes readable when the flush is over. */
int pmem_flush_fd(const struct pmem_flush *f);

/* Waits until the flush that was begun is over. 0 or a negative errno. */
int pmem_flush_end(struct pmem_flush *f);

#endif
