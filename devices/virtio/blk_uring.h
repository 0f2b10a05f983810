/* blk_uring.h - a disk's operations by io_uring, many at once.
 *
 * Operations are queued, handed to the kernel together, and taken back in any order;
 * a descriptor says when there is something to take. One thread at a time (the
 * device's lock), but it need not be the same one.
 */
#ifndef DEVICES_VIRTIO_BLK_URING_H
#define DEVICES_VIRTIO_BLK_URING_H

#include "devices/virtio/blk_file.h"

struct blk_uring;

/* For up to depth operations in flight on fd, which stays the caller's. 0 and *ret,
 * or a negative errno: -ENOSYS and -EPERM where the host has no io_uring for us. The ring
 * refuses all but reading, writing, flushing and allocating in fd, whoever asks it. */
int blk_uring_create(int fd, unsigned depth, struct blk_uring **ret);

/* Nothing may be in flight. Accepts NULL. */
void blk_uring_destroy(struct blk_uring *u);

/* Operations go to fd from now on; nothing may be in flight. 0 or a negative errno. */
int blk_uring_set_file(struct blk_uring *u, int fd);

/* Readable while there is something to take. */
int blk_uring_fd(const struct blk_uring *u);

/* Not for BLK_OP_DISCARD, which io_uring does not have everywhere. op and the spans
 * behind it must stay where they are until it is taken back. */
void blk_uring_queue(struct blk_uring *u, struct blk_op *op);

/* Hands over what is queued: one system call, or none. What the kernel cannot take
 * now stays queued. */
void blk_uring_submit(struct blk_uring *u);
bool blk_uring_queued(const struct blk_uring *u);

/* An operation that the kernel is done with and its result, for blk_op_advance();
 * NULL when there is none. take does not wait; wait does, and hands over first what
 * is queued: NULL means that nothing is in flight any more. */
struct blk_op *blk_uring_take(struct blk_uring *u, ssize_t *result);
struct blk_op *blk_uring_wait(struct blk_uring *u, ssize_t *result);

#endif
