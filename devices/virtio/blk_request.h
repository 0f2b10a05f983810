/* blk_request.h - one request to a disk: taken apart, judged, answered (5.2.6).
 *
 * A request is popped off its queue into a struct blk_request, parsed, and planned:
 * the plan is either an operation on the file (blk_file.h) or the status that the
 * driver gets without one. Pure but for the spans of the request: no system call, no
 * queue, no lock of its own.
 */
#ifndef DEVICES_VIRTIO_BLK_REQUEST_H
#define DEVICES_VIRTIO_BLK_REQUEST_H

#include <linux/virtio_blk.h>

#include "devices/virtio/blk_file.h"
#include "devices/virtio/queue.h"

enum {
	BLK_QUEUE_SIZE = 256,
	BLK_SEG_MAX = BLK_QUEUE_SIZE - 2, /* header and status take one each */
	BLK_SIZE_MAX = 128 * 1024,
	BLK_ERASE_SECTORS = (256 << 20) / BLK_SECTOR, /* of one discard or write of zeroes */
};

/* What a disk lets its driver do. */
struct blk_rules {
	uint64_t sectors;
	bool is_device;	  /* the file is a block device */
	bool read_only;	  /* whatever was negotiated */
	bool flush;	  /* answered; else nothing is promised */
	bool sync_writes; /* the driver relies on finding them on the disk */
	bool discard, write_zeroes;
	char serial[VIRTIO_BLK_ID_BYTES];
};

struct blk_request {
	struct blk_op op; /* what it asks of the file, after blk_request_plan() */
	bool waits;	  /* the operation waits for the disk */

	struct virtq *q; /* where the request came from */
	struct virtq_req req;
	struct virtio_blk_outhdr header; /* our copy */
	struct iov out, in;		 /* the data alone */
	size_t in_len;			 /* of in, before it was consumed */
	uint8_t *status;
	struct blk_request *next_free;
	struct iovec spans[VIRTQ_MAX_SIZE];
};

/* Of a request whose req was popped: finds header, data and status. False: it has no
 * room for header or status. */
bool blk_request_parse(struct blk_request *r);

/* Bytes of data that a parsed request moves: what a limiter counts. */
size_t blk_request_bytes(const struct blk_request *r);

enum { BLK_RUN = -1 };

/* BLK_RUN when r->op is to be run, or the status (VIRTIO_BLK_S_*) of a request that
 * is over without. */
int blk_request_plan(struct blk_request *r, const struct blk_rules *rules);

/* The status of a request whose operation is over. */
int blk_request_result(const struct blk_request *r);

/* Writes the status. Returns the bytes known to be written from the start of the
 * writable part: the status byte counts only when all before it does (2.7.8.2). */
uint32_t blk_request_answer(const struct blk_request *r, int status);

#endif
