/* blk_lane.c - requests on their way between a lane's queues and the file.
 *
 * blk.c has the theory. Several lanes are at it at the same time, each with its own lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/blk_lane.h"
#include "devices/virtio/life.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

enum {
	BLK_BURST = 64,
	BLK_BURST_BYTES = 4 * 1024 * 1024,
	BLK_SLOTS = 128, /* requests in flight */
};

/* --- slots --- */

/* NULL when all are in flight. The last one given back comes first: its memory is
 * warm, and what was never needed is never touched. */
static struct blk_request *slot_take(struct blk_lane *l)
{
	struct blk_request *r = l->free;

	if (r)
		l->free = r->next_free;
	else if (l->used_slots < l->slot_count)
		r = &l->slots[l->used_slots++];
	return r;
}

static void slot_give(struct blk_lane *l, struct blk_request *r)
{
	r->next_free = l->free;
	l->free = r;
}

static void slot_answer(struct blk_lane *l, struct blk_request *r, int status)
{
	struct virtio_counters *c = virtq_counters(r->q);

	c->errors += status != VIRTIO_BLK_S_OK;
	if (r->header.type == VIRTIO_BLK_T_IN)
		c->read_bytes += r->op.done;
	if (r->header.type == VIRTIO_BLK_T_OUT)
		c->write_bytes += r->op.done;
	virtq_push(r->q, &r->req, blk_request_answer(r, status));
	slot_give(l, r);
}

static void slot_queue(struct blk_lane *l, struct blk_request *r)
{
	if (r->op.kind == BLK_OP_READ && !l->lone && !blk_uring_queued(l->uring)) {
		l->lone = r;
		return;
	}
	if (l->lone)
		blk_uring_queue(l->uring, &l->lone->op);
	l->lone = NULL;
	blk_uring_queue(l->uring, &r->op);
}

/* The turn is over, and no other operation came. */
static void lone_run(struct blk_lane *l)
{
	struct blk_request *r = l->lone;

	if (!r)
		return;
	l->lone = NULL;
	if (!virtio_dev_live(&l->blk->dev))
		slot_give(l, r);
	else if (blk_file_try(&l->blk->file, &r->op))
		slot_answer(l, r, blk_request_result(r));
	else
		blk_uring_queue(l->uring, &r->op);
}

/* Runs or queues the operation. */
static void slot_run(struct blk_lane *l, struct blk_request *r)
{
	if (l->uring && r->op.kind != BLK_OP_DISCARD) {
		r->waits = false;
		slot_queue(l, r);
		return;
	}
	blk_file_run(&l->blk->file, &r->op);
	slot_answer(l, r, blk_request_result(r));
}

static void slot_begin(struct blk_lane *l, struct blk_request *r)
{
	int status = blk_request_plan(r, &l->blk->rules);

	if (status == BLK_RUN)
		slot_run(l, r);
	else
		slot_answer(l, r, status);
}

/* --- turns --- */

/* Whether the request may begin; otherwise it is back in its queue. */
static bool blk_admit(struct blk_lane *l, struct blk_request *r, uint64_t now_us)
{
	if (throttle_admit(&l->blk->throttle, blk_request_bytes(r), now_us))
		return true;
	virtq_unpop(r->q);
	return false;
}

/* Fills a slot from the queue. False when there is no request that may begin. */
static bool slot_fill(struct blk_lane *l, struct blk_request *r, struct virtq *q, uint64_t now_us)
{
	if (virtq_pop_into(q, &r->req, r->spans) <= 0)
		return false;
	r->q = q;
	if (!blk_request_parse(r)) {
		virtio_dev_fail(&l->blk->dev, "block request without room for header and status");
		return false;
	}
	return blk_admit(l, r, now_us);
}

/* A request from the queue, or NULL. */
static struct blk_request *slot_next(struct blk_lane *l, struct virtq *q, uint64_t now_us)
{
	struct blk_request *r = slot_take(l);

	if (!r)
		l->starved = true;
	if (r && !slot_fill(l, r, q, now_us)) {
		slot_give(l, r);
		r = NULL;
	}
	return r;
}

/* Begins requests of one queue. True when the budget ran out before they did. */
static bool blk_begin(struct blk_lane *l, struct virtq *q)
{
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	bool left = false;

	for (int served = 1; !left && !throttle_waits(&l->blk->throttle); served++) {
		struct blk_request *r = slot_next(l, q, now_us);

		if (!r)
			break;
		bytes += blk_request_bytes(r);
		slot_begin(l, r);
		left = served == BLK_BURST || bytes >= BLK_BURST_BYTES || r->waits;
	}
	loop_moved(l->blk->dev.events->lane[l->index].loop, bytes, now_us);
	return left;
}

static void blk_publish(struct blk_lane *l)
{
	for (unsigned i = l->index; i < l->blk->ops.nqueues; i += l->blk->lanes)
		virtq_publish(l->blk->dev.vq[i]);
}

static struct blk_request *op_slot(struct blk_op *op)
{
	return container_of(op, struct blk_request, op);
}

/* Of a device that has failed nothing is answered, and nothing begun. */
static void blk_completed(struct blk_lane *l, struct blk_op *op, ssize_t result)
{
	bool over = blk_op_advance(op, result);

	if (!virtio_dev_live(&l->blk->dev))
		slot_give(l, op_slot(op));
	else if (over)
		slot_answer(l, op_slot(op), blk_request_result(op_slot(op)));
	else
		blk_uring_queue(l->uring, op);
}

/* The driver is told of what is done before new work is handed over, and of what was
 * done while that happened. True when some is left to hand over.
 *
 * While a queue waits for slots, what was done stays in the ring: it is by its event that
 * on_uring() is called, and gives the slots to all queues. Taken here, the last of it
 * would leave nothing in flight, and nobody to begin the rest. */
static bool blk_exchange(struct blk_lane *l)
{
	struct blk_op *op;
	ssize_t result;

	lone_run(l);
	blk_publish(l);
	if (!l->uring)
		return false;
	blk_uring_submit(l->uring);
	while (!l->starved && (op = blk_uring_take(l->uring, &result)) != NULL)
		blk_completed(l, op, result);
	blk_publish(l);
	return blk_uring_queued(l->uring);
}

bool blk_lane_kick(struct blk_lane *l, struct virtq *q)
{
	bool left = blk_begin(l, q);

	return blk_exchange(l) || left;
}

/* All its queues: something that they were waiting for has come. */
static bool blk_kick_all(struct blk_lane *l)
{
	bool left = false;

	for (unsigned i = l->index; i < l->blk->ops.nqueues; i += l->blk->lanes)
		left = virtio_dev_kick(&l->blk->dev, i) || left;
	return left;
}

static bool on_uring(void *arg, uint32_t events)
{
	struct blk_lane *l = arg;
	bool starved = l->starved, left;

	(void)events;
	l->starved = false;
	left = blk_exchange(l);
	if (!starved || !blk_kick_all(l))
		return left;
	l->starved = true; /* the next turn goes on with the queues */
	return true;
}

void blk_lane_drain(struct blk_lane *l)
{
	struct blk_op *op;
	ssize_t result;

	while (l->uring && (op = blk_uring_wait(l->uring, &result)) != NULL)
		blk_completed(l, op, result);
	blk_publish(l);
}

/* --- life --- */

static int attach_uring(struct blk_lane *l)
{
	struct virtio_blk *blk = l->blk;
	int r;

	/* Of an earlier machine, with nothing in flight. */
	blk_uring_destroy(l->uring);
	l->uring = NULL;
	r = blk_uring_create(blk->file.fd, BLK_SLOTS, &l->uring);
	if (r < 0) {
		log_warn("drive '%.20s': no io_uring on this host (%s); io_engine Sync is used",
			 blk->rules.serial, strerror(-r));
		return 0;
	}
	return virtio_watch_create_on(blk->dev.events, l->index, blk_uring_fd(l->uring), EPOLLIN,
				      on_uring, l, &l->uring_watch);
}

int blk_lane_attach(struct blk_lane *l)
{
	unsigned slots = l->blk->async ? BLK_SLOTS : 1;

	if (!l->slots)
		l->slots = calloc(slots, sizeof(*l->slots));
	if (!l->slots)
		return -ENOMEM;
	l->slot_count = slots;
	return l->blk->async ? attach_uring(l) : 0;
}

void blk_lane_detach(struct blk_lane *l)
{
	virtio_watch_destroy(l->uring_watch);
	l->uring_watch = NULL;
}

void blk_lane_clear(struct blk_lane *l)
{
	blk_uring_destroy(l->uring);
	free(l->slots);
}
