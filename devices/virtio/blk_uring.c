/* blk_uring.c - a disk's operations by io_uring.
 *
 * One ring a disk, with the file registered, so that the kernel need not look it up
 * for every operation. An operation in flight has one entry in the submission or the
 * completion ring and never more, and both rings hold them all: no entry is ever
 * missing and no completion can overflow.
 *
 * The kernel completes through the thread that submitted. It wakes that thread from
 * whatever wait it is in, so another one may wait for a completion with the lock held
 * without a deadlock.
 *
 * What a ring does is not seen by the threads' filters, and every thread may hand it
 * work: so it is made to take no other operation than a disk's, on no other file than
 * the registered one, whoever asks. Linux 5.10.
 *
 * System calls: io_uring_setup, io_uring_register, io_uring_enter, mmap, munmap.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#include "devices/virtio/blk_uring.h"

struct blk_uring {
	struct io_uring ring;
	unsigned in_flight; /* queued and not yet taken back */
};

enum { FILE_INDEX = 0 };

/* For good, and before the ring takes anything. */
static int restrict_ring(struct io_uring *ring)
{
	struct io_uring_restriction rules[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_FILES_UPDATE },
	};
	int r = io_uring_register_restrictions(ring, rules, sizeof(rules) / sizeof(rules[0]));

	return r < 0 ? r : io_uring_enable_rings(ring);
}

int blk_uring_create(int fd, unsigned depth, struct blk_uring **ret)
{
	struct blk_uring *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	r = io_uring_queue_init(depth, &u->ring, IORING_SETUP_R_DISABLED);
	if (r < 0) {
		free(u);
		return r;
	}
	r = io_uring_register_files(&u->ring, &fd, 1);
	if (r == 0)
		r = restrict_ring(&u->ring);
	if (r < 0) {
		blk_uring_destroy(u);
		return r;
	}
	*ret = u;
	return 0;
}

void blk_uring_destroy(struct blk_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u);
}

int blk_uring_set_file(struct blk_uring *u, int fd)
{
	int r = io_uring_register_files_update(&u->ring, FILE_INDEX, &fd, 1);

	return r < 0 ? r : 0;
}

int blk_uring_fd(const struct blk_uring *u)
{
	return u->ring.ring_fd;
}

static void prepare(struct io_uring_sqe *sqe, const struct blk_op *op)
{
	switch (op->kind) {
	case BLK_OP_READ:
		io_uring_prep_readv2(sqe, FILE_INDEX, op->data.vec, op->data.count, op->off,
				     op->flags);
		break;
	case BLK_OP_WRITE:
		io_uring_prep_writev2(sqe, FILE_INDEX, op->data.vec, op->data.count, op->off,
				      op->flags);
		break;
	case BLK_OP_FLUSH:
		io_uring_prep_fsync(sqe, FILE_INDEX, IORING_FSYNC_DATASYNC);
		break;
	case BLK_OP_ALLOCATE:
		io_uring_prep_fallocate(sqe, FILE_INDEX, op->flags, (off_t)op->off, (off_t)op->len);
		break;
	case BLK_OP_DISCARD:
		io_uring_prep_nop(sqe);
		break;
	}
}

void blk_uring_queue(struct blk_uring *u, struct blk_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	prepare(sqe, op);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, op);
	u->in_flight++;
}

void blk_uring_submit(struct blk_uring *u)
{
	if (blk_uring_queued(u))
		io_uring_submit(&u->ring);
}

bool blk_uring_queued(const struct blk_uring *u)
{
	return io_uring_sq_ready(&u->ring) > 0;
}

struct blk_op *blk_uring_take(struct blk_uring *u, ssize_t *result)
{
	struct io_uring_cqe *cqe;
	struct blk_op *op;

	if (io_uring_peek_cqe(&u->ring, &cqe) < 0)
		return NULL;
	op = io_uring_cqe_get_data(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	u->in_flight--;
	return op;
}

/* What can fail for a moment (memory, a signal) is tried again: going on while the
 * kernel still moves data into guest memory is not an answer. */
struct blk_op *blk_uring_wait(struct blk_uring *u, ssize_t *result)
{
	struct blk_op *op = blk_uring_take(u, result);

	while (!op && u->in_flight > 0) {
		io_uring_submit_and_wait(&u->ring, 1);
		op = blk_uring_take(u, result);
	}
	return op;
}
