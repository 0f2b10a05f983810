/* blk.c - a raw file or block device as the guest's disk (virtio 1.2, section 5.2).
 *
 * A request (blk_request.h) becomes an operation on the file (blk_file.h), in a slot
 * that holds all of it: its spans, our copy of the header, how far it got. Data moves
 * between the file and guest memory on the very spans of the request, no copy between.
 * There is a queue for each vCPU, so that the guest need not lock; one thread serves
 * them all.
 *
 * Without io_uring there is one slot, and the operation is over when it has been
 * begun. With it (blk_uring.h), requests are queued, and the whole turn goes to the
 * kernel in one system call, after the driver was told of what is done already; what
 * the page cache has is over when that call returns. A read that is alone in its turn
 * is tried by a plain system call first, which costs less than the ring when the page
 * cache has it. Completions come in any order, as the driver expects.
 *
 * What a guest can do:
 * - Ask for anything: what a request may reach is blk_request.c's to judge.
 * - Ask for much at once. A turn ends after BURST requests or BURST_BYTES, and at
 *   once after anything that waited for the disk. No more than SLOTS are in flight.
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
 * A rate limiter (throttle.h) is asked before a request is begun; one that has to wait
 * goes back to its queue, and all queues get a turn when it may go on.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/blk_request.h"
#include "devices/virtio/blk_uring.h"
#include "devices/virtio/life.h"
#include "devices/virtio/throttle.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	BLK_BURST = 64,
	BLK_BURST_BYTES = 4 * 1024 * 1024,
	BLK_SLOTS = 128, /* requests in flight */
	BLK_ERASE_ALIGN = 4096 / BLK_SECTOR,
};

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_ops ops; /* with queues of its own number */
	struct blk_file file;
	struct blk_rules rules; /* kept in step with the file and the driver's features */
	struct blk_file_mode mode;
	bool async;
	struct virtio_blk_config config; /* what the guest reads */

	struct blk_request *slots, *free;
	unsigned slot_count, used_slots; /* those behind were never taken */
	bool starved;			 /* requests were left in a queue: no slot, or no budget */

	struct blk_uring *uring; /* NULL: operations are run on the spot */
	struct virtio_watch *uring_watch;
	struct blk_request *lone; /* a read, so far the only operation of its turn */

	struct throttle throttle; /* while it waits, no request is begun */
};

static struct virtio_blk *to_blk(const struct virtio_dev *d)
{
	return container_of(d, struct virtio_blk, dev);
}

/* --- slots --- */

/* NULL when all are in flight. The last one given back comes first: its memory is
 * warm, and what was never needed is never touched. */
static struct blk_request *slot_take(struct virtio_blk *blk)
{
	struct blk_request *r = blk->free;

	if (r)
		blk->free = r->next_free;
	else if (blk->used_slots < blk->slot_count)
		r = &blk->slots[blk->used_slots++];
	return r;
}

static void slot_give(struct virtio_blk *blk, struct blk_request *r)
{
	r->next_free = blk->free;
	blk->free = r;
}

static void slot_answer(struct virtio_blk *blk, struct blk_request *r, int status)
{
	struct virtio_counters *c = &blk->dev.counters;

	c->errors += status != VIRTIO_BLK_S_OK;
	if (r->header.type == VIRTIO_BLK_T_IN)
		c->read_bytes += r->op.done;
	if (r->header.type == VIRTIO_BLK_T_OUT)
		c->write_bytes += r->op.done;
	virtq_push(r->q, &r->req, blk_request_answer(r, status));
	slot_give(blk, r);
}

static void slot_queue(struct virtio_blk *blk, struct blk_request *r)
{
	if (r->op.kind == BLK_OP_READ && !blk->lone && !blk_uring_queued(blk->uring)) {
		blk->lone = r;
		return;
	}
	if (blk->lone)
		blk_uring_queue(blk->uring, &blk->lone->op);
	blk->lone = NULL;
	blk_uring_queue(blk->uring, &r->op);
}

/* The turn is over, and no other operation came. */
static void lone_run(struct virtio_blk *blk)
{
	struct blk_request *r = blk->lone;

	if (!r)
		return;
	blk->lone = NULL;
	if (!virtio_dev_live(&blk->dev))
		slot_give(blk, r);
	else if (blk_file_try(&blk->file, &r->op))
		slot_answer(blk, r, blk_request_result(r));
	else
		blk_uring_queue(blk->uring, &r->op);
}

/* Runs or queues the operation. */
static void slot_run(struct virtio_blk *blk, struct blk_request *r)
{
	if (blk->uring && r->op.kind != BLK_OP_DISCARD) {
		r->waits = false;
		slot_queue(blk, r);
		return;
	}
	blk_file_run(&blk->file, &r->op);
	slot_answer(blk, r, blk_request_result(r));
}

static void slot_begin(struct virtio_blk *blk, struct blk_request *r)
{
	int status = blk_request_plan(r, &blk->rules);

	if (status == BLK_RUN)
		slot_run(blk, r);
	else
		slot_answer(blk, r, status);
}

/* --- turns --- */

/* Whether the request may begin; otherwise it is back in its queue. */
static bool blk_admit(struct virtio_blk *blk, struct blk_request *r, uint64_t now_us)
{
	if (throttle_admit(&blk->throttle, blk_request_bytes(r), now_us))
		return true;
	virtq_unpop(r->q);
	return false;
}

/* Fills a slot from the queue. False when there is no request that may begin. */
static bool slot_fill(struct virtio_blk *blk, struct blk_request *r, struct virtq *q,
		      uint64_t now_us)
{
	if (virtq_pop_into(q, &r->req, r->spans) <= 0)
		return false;
	r->q = q;
	if (!blk_request_parse(r)) {
		virtio_dev_fail(&blk->dev, "block request without room for header and status");
		return false;
	}
	return blk_admit(blk, r, now_us);
}

/* A request from the queue, or NULL. */
static struct blk_request *slot_next(struct virtio_blk *blk, struct virtq *q, uint64_t now_us)
{
	struct blk_request *r = slot_take(blk);

	if (!r)
		blk->starved = true;
	if (r && !slot_fill(blk, r, q, now_us)) {
		slot_give(blk, r);
		r = NULL;
	}
	return r;
}

/* Begins requests of one queue. True when the budget ran out before they did. */
static bool blk_begin(struct virtio_blk *blk, struct virtq *q)
{
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	bool left = false;

	for (int served = 1; !left && !blk->throttle.waiting; served++) {
		struct blk_request *r = slot_next(blk, q, now_us);

		if (!r)
			break;
		bytes += blk_request_bytes(r);
		slot_begin(blk, r);
		left = served == BLK_BURST || bytes >= BLK_BURST_BYTES || r->waits;
	}
	loop_moved(blk->dev.events->loop, bytes, now_us);
	return left;
}

static void blk_publish(struct virtio_blk *blk)
{
	for (unsigned i = 0; i < blk->ops.nqueues; i++)
		virtq_publish(blk->dev.vq[i]);
}

static struct blk_request *op_slot(struct blk_op *op)
{
	return container_of(op, struct blk_request, op);
}

/* Of a device that has failed nothing is answered, and nothing begun. */
static void blk_completed(struct virtio_blk *blk, struct blk_op *op, ssize_t result)
{
	bool over = blk_op_advance(op, result);

	if (!virtio_dev_live(&blk->dev))
		slot_give(blk, op_slot(op));
	else if (over)
		slot_answer(blk, op_slot(op), blk_request_result(op_slot(op)));
	else
		blk_uring_queue(blk->uring, op);
}

/* The driver is told of what is done before new work is handed over, and of what was
 * done while that happened. True when some is left to hand over.
 *
 * While a queue waits for slots, what was done stays in the ring: it is by its event that
 * on_uring() is called, and gives the slots to all queues. Taken here, the last of it
 * would leave nothing in flight, and nobody to begin the rest. */
static bool blk_exchange(struct virtio_blk *blk)
{
	struct blk_op *op;
	ssize_t result;

	lone_run(blk);
	blk_publish(blk);
	if (!blk->uring)
		return false;
	blk_uring_submit(blk->uring);
	while (!blk->starved && (op = blk_uring_take(blk->uring, &result)) != NULL)
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
	bool starved = blk->starved, left;

	(void)events;
	blk->starved = false;
	left = blk_exchange(blk);
	if (!starved || !blk_kick_all(blk))
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

	if (blk->rules.read_only)
		f |= 1u << VIRTIO_BLK_F_RO;
	else
		f |= 1u << VIRTIO_BLK_F_DISCARD | 1u << VIRTIO_BLK_F_WRITE_ZEROES;
	if (blk->rules.flush)
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

	blk->rules.sync_writes = blk->rules.flush && !virtio_dev_has(d, VIRTIO_BLK_F_FLUSH);
	blk->rules.discard = virtio_dev_has(d, VIRTIO_BLK_F_DISCARD);
	blk->rules.write_zeroes = virtio_dev_has(d, VIRTIO_BLK_F_WRITE_ZEROES);
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
	int r;

	/* Of an earlier machine, with nothing in flight. */
	blk_uring_destroy(blk->uring);
	blk->uring = NULL;
	r = blk_uring_create(blk->file.fd, BLK_SLOTS, &blk->uring);
	if (r < 0) {
		log_warn("drive '%.20s': no io_uring on this host (%s); io_engine Sync is used",
			 blk->rules.serial, strerror(-r));
		return 0;
	}
	return virtio_watch_create(blk->dev.events, blk_uring_fd(blk->uring), EPOLLIN, on_uring,
				   blk, &blk->uring_watch);
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

/* The file is not in the state: it must be as large as the guest knows it. */
static void blk_state(struct virtio_dev *d, struct state *s)
{
	struct virtio_blk *blk = to_blk(d);
	uint64_t sectors = blk->file.sectors;
	bool read_only = blk->rules.read_only;

	state_u64(s, &sectors);
	state_bool(s, &read_only);
	if (sectors != blk->file.sectors)
		state_fail(s, "the drive's file has another size than when the state was saved");
	if (read_only != blk->rules.read_only)
		state_fail(s, "a drive that is read-only here and was not, or the reverse");
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
	.section = STATE_BLK,
	.state = blk_state,
	.destroy = blk_destroy,
};

/* What the rest of us knows about the file. */
static void file_changed(struct virtio_blk *blk)
{
	blk->rules.sectors = blk->config.capacity = blk->file.sectors;
	blk->rules.is_device = blk->file.is_device;
}

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
	blk->rules.read_only = c->read_only;
	blk->rules.flush = c->writeback;
	blk->async = c->async;
	blk->mode = (struct blk_file_mode){ .read_only = c->read_only, .direct = c->direct };
	memcpy(blk->rules.serial, c->serial, strnlen(c->serial, sizeof(blk->rules.serial)));
	throttle_configure(&blk->throttle, &c->limiter);
	blk->slot_count = c->async ? BLK_SLOTS : 1;
	blk->slots = calloc(blk->slot_count, sizeof(*blk->slots));
	r = blk->slots ? blk_file_open(c->path, blk->mode, &blk->file, err)
		       : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r < 0) {
		blk_destroy(&blk->dev);
		return r;
	}
	blk->config = (struct virtio_blk_config){
		.size_max = BLK_SIZE_MAX,
		.seg_max = BLK_SEG_MAX,
		.blk_size = blk->file.block,
		.num_queues = 1,
		.max_discard_sectors = BLK_ERASE_SECTORS,
		.max_discard_seg = 1,
		.discard_sector_alignment = BLK_ERASE_ALIGN,
		.max_write_zeroes_sectors = BLK_ERASE_SECTORS,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};
	file_changed(blk);
	*ret = &blk->dev;
	return 0;
}

void virtio_blk_set_vcpus(struct virtio_dev *d, unsigned vcpus)
{
	struct virtio_blk *blk = to_blk(d);

	blk->ops.nqueues = vcpus < VIRTIO_MAX_QUEUES ? vcpus : VIRTIO_MAX_QUEUES;
	blk->config.num_queues = (uint16_t)blk->ops.nqueues;
}

static int set_path(struct virtio_blk *blk, const char *path, struct error *err)
{
	int r;

	blk_drain(&blk->dev);
	r = blk_file_replace(&blk->file, path, blk->mode, err);
	if (r < 0)
		return r;
	if (blk->uring && blk_uring_set_file(blk->uring, blk->file.fd) < 0)
		virtio_dev_fail(&blk->dev, "the ring refused the new file");
	file_changed(blk);
	virtio_dev_config_changed(&blk->dev);
	return 0;
}

int virtio_blk_set_path(struct virtio_dev *d, const char *path, struct error *err)
{
	int r;

	pthread_mutex_lock(d->events->lock);
	r = set_path(to_blk(d), path, err);
	pthread_mutex_unlock(d->events->lock);
	return r;
}

void virtio_blk_set_limiter(struct virtio_dev *d, const struct limiter_config *c)
{
	struct virtio_blk *blk = to_blk(d);

	pthread_mutex_lock(d->events->lock);
	throttle_configure(&blk->throttle, c);
	pthread_mutex_unlock(d->events->lock);
}
