/* ring.c - what an attacker would ask of the io_uring that a drive has. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio/blk_uring.h"
#include "tests/escape/ring.h"

/* The ring of a disk, as the VMM makes it: its memory is the attacker's. */
static struct blk_uring *disk;

int ring_make(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	return fd < 0 ? -errno : blk_uring_create(fd, 8, &disk);
}

/* Its first member is liburing's. */
static int ring_does(void (*prepare)(struct io_uring_sqe *sqe))
{
	struct io_uring *ring = (struct io_uring *)disk;
	struct io_uring_cqe *cqe;
	int r;

	prepare(io_uring_get_sqe(ring));
	r = io_uring_submit_and_wait(ring, 1);
	if (r >= 0)
		r = io_uring_peek_cqe(ring, &cqe);
	return r < 0 ? r : cqe->res;
}

static void prepare_open(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/wisp-escape", O_RDONLY, 0);
}

int ring_opens(void)
{
	return ring_does(prepare_open);
}

static void prepare_read(struct io_uring_sqe *sqe)
{
	static char byte;
	static const struct iovec one = { &byte, 1 };

	io_uring_prep_readv(sqe, STDIN_FILENO, &one, 1, 0);
}

int ring_reads(void)
{
	return ring_does(prepare_read);
}
