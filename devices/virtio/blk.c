/* blk.c - a raw file or block device as the guest's disk (virtio 1.2, section 5.2).
 *
 * A request is a header in the readable bytes, data, and a status byte at the very
 * end of the writable ones; how these are cut into descriptors is the driver's
 * business (2.7.4), so all three are found by offset, never by descriptor. The
 * header is copied out once. Data moves between the file (blk_file.h) and guest
 * memory on the very spans of the request, no copy between. There is a queue for each
 * vCPU, so that the guest need not lock; one thread serves them all.
 *
 * A request becomes an operation on the file, in a slot that holds all of it: its
 * spans, our copy of the header, how far it got. Without io_uring there is one slot,
 * and the operation is over when it has been begun. With it (blk_uring.h), a read of
 * what the page cache has is over at once too, and everything else is queued; the
 * whole turn goes to the kernel in one system call, after the driver was told of what
 * is done already. Completions come by eventfd, in any order, as the driver expects.
 *
 * What a guest can do:
 * - Reach sectors 0 to capacity - 1 and nothing else. A read-only drive is opened
 *   read-only and refuses writes whatever was negotiated (5.2.6.2).
 * - Ask for much at once. A request carries at most SEG_MAX segments of SIZE_MAX
 *   bytes, which a driver that heeds the two features cannot exceed; more is an
 *   error. A turn ends after BURST requests or BURST_BYTES, and at once after
 *   anything that waited for the disk. No more than SLOTS are in flight.
 * - Send a request without room for header or status. There is nowhere to put an
 *   answer, so the device fails. Every other mistake is answered in the status.
 * - Reset with requests in flight. The kernel still moves their data, so the reset
 *   waits for it. Of a device that has failed nothing is answered any more.
 *
 * Durability (5.2.6.2). With writeback, FLUSH is offered and is fdatasync(2); a
 * driver that does not accept it must find every completed write on disk, so its
 * writes carry RWF_DSYNC. Without writeback nothing is promised: "Unsafe". A flush
 * covers the writes that were answered before it (5.2.6.2), so it needs no order
 * among those in flight.
 *
 * Discards and zeroes, on a writable drive, one range a request: fallocate(2) makes
 * holes and zeroes in files and in block devices; what it cannot do there is answered
 * UNSUPP, and drivers then go on without. A discard of a block device promises
 * nothing about its content, so that is BLKDISCARD, which more devices have.
 *
 * A rate limiter (throttle.h) is asked before a request is begun; one that has to wait
 * goes back to its queue, and all queues get a turn when it may go on.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/blk_file.h"
#include "devices/virtio/blk_uring.h"
#include "devices/virtio/throttle.h"
#include "devices/virtio/transport.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	BLK_QUEUE_SIZE = 256,
	BLK_SEG_MAX = BLK_QUEUE_SIZE - 2, /* header and status take one each */
	BLK_SIZE_MAX = 128 * 1024,
	BLK_BURST = 64,
	BLK_BURST_BYTES = 4 * 1024 * 1024,
	BLK_SLOTS = 128,			      /* requests in flight */
	BLK_ERASE_SECTORS = (256 << 20) / BLK_SECTOR, /* of one discard or write of zeroes */
	BLK_ERASE_ALIGN = 4096 / BLK_SECTOR,
};

#define BLK_MAX_BYTES ((size_t)BLK_SEG_MAX * BLK_SIZE_MAX)

/* Instead of a status: the request's operation has yet to be run. */
enum { BLK_RUN = -1 };

/* A request in hand. */
struct blk_slot {
	struct blk_op op; /* what it asks of the file */
	struct virtq *q;
	struct virtq_req req;
	struct virtio_blk_outhdr header; /* our copy */
	struct iov out, in;		 /* the data alone */
	size_t in_len;			 /* of in, before it was consumed */
	uint8_t *status;
	bool waits; /* for the disk: the turn is over */
	struct blk_slot *next_free;
	struct iovec spans[VIRTQ_MAX_SIZE];
};

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_ops ops; /* with queues of its own number */
	struct blk_file file;
	bool read_only, writeback, async;
	bool sync_writes;		 /* the driver relies on it; fixed at activation */
	struct virtio_blk_config config; /* what the guest reads */
	char serial[VIRTIO_BLK_ID_BYTES];

	struct blk_slot *slots, *free;
	unsigned slot_count, used_slots; /* those behind were never taken */
	bool starved;			 /* requests were left in a queue: no slot, or no budget */

	struct blk_uring *uring; /* NULL: operations are run on the spot */
	struct virtio_watch *uring_watch;

	struct throttle throttle; /* while it waits, no request is begun */
};

static struct virtio_blk *to_blk(const struct virtio_dev *d)
{
	return container_of(d, struct virtio_blk, dev);
}

/* --- slots --- */

/* NULL when all are in flight. The last one given back comes first: its memory is
 * warm, and what was never needed is never touched. */
static struct blk_slot *slot_take(struct virtio_blk *blk)
{
	struct blk_slot *s = blk->free;

	if (s)
		blk->free = s->next_free;
	else if (blk->used_slots < blk->slot_count)
		s = &blk->slots[blk->used_slots++];
	return s;
}

static void slot_give(struct virtio_blk *blk, struct blk_slot *s)
{
	s->next_free = blk->free;
	blk->free = s;
}

/* --- one request --- */

/* False when the request has no room for header or status. */
static bool slot_parse(struct blk_slot *s)
{
	if (iov_read(&s->req.out, 0, &s->header, sizeof(s->header)) < 0 || s->req.in.len == 0)
		return false;

	const struct iovec *last = &s->req.in.vec[s->req.in.count - 1];

	s->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	s->out = s->req.out;
	s->in = s->req.in;
	iov_skip(&s->out, sizeof(s->header));
	iov_truncate(&s->in, s->in.len - 1);
	s->in_len = s->in.len;
	s->op = (struct blk_op){ .kind = BLK_OP_READ };
	s->waits = false;
	return true;
}

/* What the limiter counts. */
static size_t slot_bytes(const struct blk_slot *s)
{
	switch (s->header.type) {
	case VIRTIO_BLK_T_IN:
		return s->in.len;
	case VIRTIO_BLK_T_OUT:
		return s->out.len;
	default:
		return 0;
	}
}

static bool blk_in_range(const struct virtio_blk *blk, uint64_t sector, uint64_t count)
{
	return sector <= blk->file.sectors && count <= blk->file.sectors - sector;
}

/* The plans: what a request asks of the file goes to s->op, and BLK_RUN; or the
 * status that it gets without. */

static int plan_read_write(struct virtio_blk *blk, struct blk_slot *s, bool write)
{
	const struct iov *data = write ? &s->out : &s->in;

	if ((write && blk->read_only) || data->len % BLK_SECTOR != 0 || data->len > BLK_MAX_BYTES ||
	    !blk_in_range(blk, s->header.sector, data->len / BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	if (data->len == 0)
		return VIRTIO_BLK_S_OK;
	s->op = (struct blk_op){
		.kind = write ? BLK_OP_WRITE : BLK_OP_READ,
		.flags = write && blk->sync_writes ? RWF_DSYNC : 0,
		.data = *data,
		.off = s->header.sector * BLK_SECTOR,
	};
	s->waits = s->op.flags != 0;
	return BLK_RUN;
}

static int plan_flush(const struct virtio_blk *blk, struct blk_slot *s)
{
	if (!blk->writeback)
		return VIRTIO_BLK_S_UNSUPP;
	s->op.kind = BLK_OP_FLUSH;
	s->waits = true;
	return BLK_RUN;
}

static int plan_get_id(const struct virtio_blk *blk, struct blk_slot *s)
{
	if (iov_write(&s->in, 0, blk->serial, sizeof(blk->serial)) < 0)
		return VIRTIO_BLK_S_IOERR;
	s->op.done = sizeof(blk->serial);
	return VIRTIO_BLK_S_OK;
}

/* 5.2.6.1: how the file takes a range, by the request's type and its one flag. */
static void plan_range(const struct virtio_blk *blk, struct blk_slot *s, bool unmap)
{
	bool zeroes = s->header.type == VIRTIO_BLK_T_WRITE_ZEROES;

	s->op.kind = !zeroes && blk->file.is_device ? BLK_OP_DISCARD : BLK_OP_ALLOCATE;
	s->op.flags = FALLOC_FL_KEEP_SIZE |
		      (zeroes && !unmap ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
	s->waits = true;
}

static int plan_erase(const struct virtio_blk *blk, struct blk_slot *s, unsigned feature)
{
	struct virtio_blk_discard_write_zeroes range;
	bool unmap;

	if (!virtio_dev_has(&blk->dev, feature))
		return VIRTIO_BLK_S_UNSUPP;
	if (s->out.len != sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	iov_read(&s->out, 0, &range, sizeof(range));
	unmap = range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	if ((range.flags & ~(uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0 ||
	    (unmap && feature == VIRTIO_BLK_F_DISCARD))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors == 0 || range.num_sectors > BLK_ERASE_SECTORS ||
	    !blk_in_range(blk, range.sector, range.num_sectors))
		return VIRTIO_BLK_S_IOERR;
	plan_range(blk, s, unmap);
	s->op.off = range.sector * BLK_SECTOR;
	s->op.len = (uint64_t)range.num_sectors * BLK_SECTOR;
	return BLK_RUN;
}

static int slot_plan(struct virtio_blk *blk, struct blk_slot *s)
{
	switch (s->header.type) {
	case VIRTIO_BLK_T_IN:
		return plan_read_write(blk, s, false);
	case VIRTIO_BLK_T_OUT:
		return plan_read_write(blk, s, true);
	case VIRTIO_BLK_T_FLUSH:
		return plan_flush(blk, s);
	case VIRTIO_BLK_T_GET_ID:
		return plan_get_id(blk, s);
	case VIRTIO_BLK_T_DISCARD:
		return plan_erase(blk, s, VIRTIO_BLK_F_DISCARD);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return plan_erase(blk, s, VIRTIO_BLK_F_WRITE_ZEROES);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Bytes known to be written from the start of the writable part: the status byte
 * counts only when all before it does (2.7.8.2). */
static uint32_t slot_written(const struct blk_slot *s)
{
	size_t data = s->header.type == VIRTIO_BLK_T_OUT ? 0 : s->op.done;

	return (uint32_t)(data == s->in_len ? data + 1 : data);
}

static void slot_answer(struct virtio_blk *blk, struct blk_slot *s, int status)
{
	struct virtio_counters *c = &blk->dev.counters;

	*s->status = (uint8_t)status;
	c->errors += status != VIRTIO_BLK_S_OK;
	if (s->header.type == VIRTIO_BLK_T_IN)
		c->read_bytes += s->op.done;
	if (s->header.type == VIRTIO_BLK_T_OUT)
		c->write_bytes += s->op.done;
	virtq_push(s->q, &s->req, slot_written(s));
	slot_give(blk, s);
}

static int op_status(const struct blk_op *op)
{
	bool erase = op->kind == BLK_OP_ALLOCATE || op->kind == BLK_OP_DISCARD;

	if (op->error == 0)
		return VIRTIO_BLK_S_OK;
	return erase && op->error == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* Runs or queues the operation. */
static void slot_run(struct virtio_blk *blk, struct blk_slot *s)
{
	struct blk_op *op = &s->op;

	if (!blk->uring || op->kind == BLK_OP_DISCARD) {
		blk_file_run(&blk->file, op);
	} else {
		s->waits = false;
		if (op->kind != BLK_OP_READ || !blk_file_try(&blk->file, op)) {
			blk_uring_queue(blk->uring, op);
			return;
		}
	}
	slot_answer(blk, s, op_status(op));
}

static void slot_begin(struct virtio_blk *blk, struct blk_slot *s)
{
	int status = slot_plan(blk, s);

	if (status == BLK_RUN)
		slot_run(blk, s);
	else
		slot_answer(blk, s, status);
}

/* --- turns --- */

/* Whether the request may begin; otherwise it is back in its queue. */
static bool blk_admit(struct virtio_blk *blk, struct blk_slot *s, uint64_t now_us)
{
	if (throttle_admit(&blk->throttle, slot_bytes(s), now_us))
		return true;
	virtq_unpop(s->q);
	return false;
}

/* Fills a slot from the queue. False when there is no request that may begin. */
static bool slot_fill(struct virtio_blk *blk, struct blk_slot *s, struct virtq *q, uint64_t now_us)
{
	if (virtq_pop_into(q, &s->req, s->spans) <= 0)
		return false;
	s->q = q;
	if (!slot_parse(s)) {
		virtio_dev_fail(&blk->dev, "block request without room for header and status");
		return false;
	}
	return blk_admit(blk, s, now_us);
}

/* A request from the queue, or NULL. */
static struct blk_slot *slot_next(struct virtio_blk *blk, struct virtq *q, uint64_t now_us)
{
	struct blk_slot *s = slot_take(blk);

	if (!s)
		blk->starved = true;
	if (s && !slot_fill(blk, s, q, now_us)) {
		slot_give(blk, s);
		s = NULL;
	}
	return s;
}

/* Begins requests of one queue. True when the budget ran out before they did. */
static bool blk_begin(struct virtio_blk *blk, struct virtq *q)
{
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	bool left = false;

	for (int served = 1; !left && !blk->throttle.waiting; served++) {
		struct blk_slot *s = slot_next(blk, q, now_us);

		if (!s)
			break;
		bytes += slot_bytes(s);
		slot_begin(blk, s);
		left = served == BLK_BURST || bytes >= BLK_BURST_BYTES || s->waits;
	}
	return left;
}

static void blk_publish(struct virtio_blk *blk)
{
	for (unsigned i = 0; i < blk->ops.nqueues; i++)
		virtq_publish(blk->dev.vq[i]);
}

static struct blk_slot *op_slot(struct blk_op *op)
{
	return container_of(op, struct blk_slot, op);
}

/* Of a device that has failed nothing is answered, and nothing begun. */
static void blk_completed(struct virtio_blk *blk, struct blk_op *op, ssize_t result)
{
	bool over = blk_op_advance(op, result);

	if (!virtio_dev_live(&blk->dev))
		slot_give(blk, op_slot(op));
	else if (over)
		slot_answer(blk, op_slot(op), op_status(op));
	else
		blk_uring_queue(blk->uring, op);
}

/* The driver is told of what is done before new work is handed over, and of what was
 * done while that happened. True when some is left to hand over. */
static bool blk_exchange(struct virtio_blk *blk)
{
	struct blk_op *op;
	ssize_t result;

	blk_publish(blk);
	if (!blk->uring)
		return false;
	blk_uring_submit(blk->uring);
	while ((op = blk_uring_take(blk->uring, &result)) != NULL)
		blk_completed(blk, op, result);
	blk_publish(blk);
	return blk_uring_queued(blk->uring);
}

static bool blk_kick(struct virtio_dev *d, unsigned index)
{
	struct virtio_blk *blk = to_blk(d);
	bool left = blk_begin(blk, d->vq[index]);

	return blk_exchange(blk) || left;
}

/* All queues: something that they were waiting for has come. */
static bool blk_kick_all(struct virtio_blk *blk)
{
	bool left = false;

	for (unsigned i = 0; i < blk->ops.nqueues; i++)
		left = virtio_dev_kick(&blk->dev, i) || left;
	return left;
}

static bool on_uring(void *arg, uint32_t events)
{
	struct virtio_blk *blk = arg;
	bool left;

	if (events != 0)
		fd_event_drain(blk_uring_event_fd(blk->uring));
	left = blk_exchange(blk);
	if (!blk->starved)
		return left;
	blk->starved = false;
	if (!blk_kick_all(blk))
		return left;
	blk->starved = true; /* the next turn goes on with the queues */
	return true;
}

static bool on_admission(void *arg, uint32_t events)
{
	(void)events;
	return blk_kick_all(arg);
}

/* --- the device --- */

static uint64_t blk_features(const struct virtio_dev *d)
{
	const struct virtio_blk *blk = to_blk(d);
	uint64_t f = 1u << VIRTIO_BLK_F_SIZE_MAX | 1u << VIRTIO_BLK_F_SEG_MAX |
		     1u << VIRTIO_BLK_F_BLK_SIZE;

	if (blk->read_only)
		f |= 1u << VIRTIO_BLK_F_RO;
	else
		f |= 1u << VIRTIO_BLK_F_DISCARD | 1u << VIRTIO_BLK_F_WRITE_ZEROES;
	if (blk->writeback)
		f |= 1u << VIRTIO_BLK_F_FLUSH;
	if (blk->ops.nqueues > 1)
		f |= 1u << VIRTIO_BLK_F_MQ;
	return f;
}

static void blk_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	memcpy(dst, (const char *)&to_blk(d)->config + off, len);
}

static int blk_activate(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);

	blk->sync_writes = blk->writeback && !virtio_dev_has(d, VIRTIO_BLK_F_FLUSH);
	return 0;
}

static void blk_detach(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);

	virtio_watch_destroy(blk->uring_watch);
	throttle_detach(&blk->throttle);
	blk->uring_watch = NULL;
}

static int attach_uring(struct virtio_blk *blk)
{
	int r = blk_uring_create(blk->file.fd, BLK_SLOTS, &blk->uring);

	if (r < 0) {
		log_warn("drive '%.20s': no io_uring on this host (%s); io_engine Sync is used",
			 blk->serial, strerror(-r));
		return 0;
	}
	return virtio_watch_create(blk->dev.events, blk_uring_event_fd(blk->uring), EPOLLIN,
				   on_uring, blk, &blk->uring_watch);
}

static int blk_attach(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);
	int r = throttle_attach(&blk->throttle, d->events, on_admission, blk);

	return r < 0 || !blk->async ? r : attach_uring(blk);
}

/* Also before a reset: an answer too many in rings that are about to go hurts nobody. */
static void blk_drain(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);
	struct blk_op *op;
	ssize_t result;

	while (blk->uring && (op = blk_uring_wait(blk->uring, &result)) != NULL)
		blk_completed(blk, op, result);
	blk_publish(blk);
}

static void blk_destroy(struct virtio_dev *d)
{
	struct virtio_blk *blk;

	if (!d)
		return;
	blk = to_blk(d);
	blk_uring_destroy(blk->uring);
	blk_file_close(&blk->file);
	free(blk->slots);
	free(blk);
}

static const uint16_t blk_queue_sizes[VIRTIO_MAX_QUEUES] = {
	[0 ... VIRTIO_MAX_QUEUES - 1] = BLK_QUEUE_SIZE,
};

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.nqueues = 1,
	.queue_sizes = blk_queue_sizes,
	.config_len = sizeof(struct virtio_blk_config),
	.features = blk_features,
	.config_read = blk_config_read,
	.attach = blk_attach,
	.detach = blk_detach,
	.activate = blk_activate,
	.kick = blk_kick,
	.drain = blk_drain,
	.quiesce = blk_drain,
	.destroy = blk_destroy,
};

int virtio_blk_create(const struct virtio_blk_drive *c, struct virtio_dev **ret, struct error *err)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));
	int r;

	if (!blk)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	blk->ops = blk_ops;
	blk->dev.ops = &blk->ops;
	blk->file.fd = -1;
	throttle_init(&blk->throttle);
	blk->read_only = c->read_only;
	blk->writeback = c->writeback;
	blk->async = c->async;
	memcpy(blk->serial, c->serial, strnlen(c->serial, sizeof(blk->serial)));
	throttle_configure(&blk->throttle, &c->limiter);
	blk->slot_count = c->async ? BLK_SLOTS : 1;
	blk->slots = calloc(blk->slot_count, sizeof(*blk->slots));
	r = blk->slots ? blk_file_open(c->path, c->read_only, &blk->file, err)
		       : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r < 0) {
		blk_destroy(&blk->dev);
		return r;
	}
	blk->config = (struct virtio_blk_config){
		.capacity = blk->file.sectors,
		.size_max = BLK_SIZE_MAX,
		.seg_max = BLK_SEG_MAX,
		.blk_size = BLK_SECTOR,
		.num_queues = 1,
		.max_discard_sectors = BLK_ERASE_SECTORS,
		.max_discard_seg = 1,
		.discard_sector_alignment = BLK_ERASE_ALIGN,
		.max_write_zeroes_sectors = BLK_ERASE_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	*ret = &blk->dev;
	return 0;
}

void virtio_blk_set_vcpus(struct virtio_dev *d, unsigned vcpus)
{
	struct virtio_blk *blk = to_blk(d);

	blk->ops.nqueues = vcpus < VIRTIO_MAX_QUEUES ? vcpus : VIRTIO_MAX_QUEUES;
	blk->config.num_queues = (uint16_t)blk->ops.nqueues;
}

int virtio_blk_set_path(struct virtio_dev *d, const char *path, struct error *err)
{
	struct virtio_blk *blk = to_blk(d);
	int r;

	virtio_dev_drain(d);
	r = blk_file_replace(&blk->file, path, blk->read_only, err);
	if (r < 0)
		return r;
	if (blk->uring && blk_uring_set_file(blk->uring, blk->file.fd) < 0)
		virtio_dev_fail(d, "the ring refused the new file");
	blk->config.capacity = blk->file.sectors;
	virtio_dev_config_changed(d);
	return 0;
}

void virtio_blk_set_limiter(struct virtio_dev *d, const struct limiter_config *c)
{
	struct virtio_blk *blk = to_blk(d);

	throttle_configure(&blk->throttle, c);
}
