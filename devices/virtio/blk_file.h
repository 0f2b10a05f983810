/* blk_file.h - the file behind a disk, and what a disk asks of it.
 *
 * An operation (struct blk_op) says what to do; blk_file_run() does it on the spot,
 * blk_uring.h does the same later. Short transfers are normal to both:
 * blk_op_advance() says how far an operation has got. Several threads may run operations
 * on a file at once; everything else needs its owner's lock.
 */
#ifndef DEVICES_VIRTIO_BLK_FILE_H
#define DEVICES_VIRTIO_BLK_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "devices/virtio/iov.h"
#include "vmm/base/error.h"

enum { BLK_SECTOR = 512 };

struct blk_file {
	int fd;		  /* -1: closed */
	bool is_device;	  /* a block device, not a regular file */
	bool cannot_peek; /* blk_file_try() was found to be no use; atomically */
	uint64_t sectors; /* whole ones, when it was opened; whole blocks when direct */
	uint32_t block;	  /* bytes: what transfers must be multiples of */
};

struct blk_file_mode {
	bool read_only;
	bool direct; /* O_DIRECT: past the page cache, in whole blocks */
};

enum blk_op_kind {
	BLK_OP_READ,
	BLK_OP_WRITE,
	BLK_OP_FLUSH,
	BLK_OP_ALLOCATE, /* fallocate(2): holes and zeroes */
	BLK_OP_DISCARD,	 /* of a block device: contents undefined afterwards */
};

struct blk_op {
	enum blk_op_kind kind;
	int flags;	 /* READ, WRITE: RWF_*; ALLOCATE: FALLOC_FL_* */
	struct iov data; /* READ, WRITE: consumed as it moves */
	uint64_t off;	 /* bytes */
	uint64_t len;	 /* ALLOCATE, DISCARD */
	size_t done;	 /* bytes moved */
	int error;	 /* once over: 0 or a negative errno */
};

/* Opens and locks: shared when read_only, exclusive otherwise, for as long as it is
 * open. 0 and *ret, or a negative errno and *err with field "path_on_host", or "io_engine"
 * where direct is what cannot be had. */
int blk_file_open(const char *path, struct blk_file_mode mode, struct blk_file *ret,
		  struct error *err);

/* Puts another file in the place of *f, which may be the same file, grown. On
 * failure *f is as it was, lock included. */
int blk_file_replace(struct blk_file *f, const char *path, struct blk_file_mode mode,
		     struct error *err);

/* Accepts a closed one. */
void blk_file_close(struct blk_file *f);

/* Takes the result of one system call for op: bytes moved, or a negative errno.
 * True when the operation is over. */
bool blk_op_advance(struct blk_op *op, ssize_t result);

/* Waits until the operation is over. */
void blk_file_run(const struct blk_file *f, struct blk_op *op);

/* Moves what can be read without waiting. True when that was all of it. */
bool blk_file_try(struct blk_file *f, struct blk_op *op);

#endif
