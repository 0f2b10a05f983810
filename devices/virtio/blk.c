/* blk.c - a raw file or block device as the guest's disk (virtio 1.2, section 5.2).
 *
 * A request (blk_request.h) becomes an operation on the file (blk_file.h), in a slot
 * that holds all of it: its spans, our copy of the header, how far it got. Data moves
 * between the file and guest memory on the very spans of the request, no copy between.
 * There is a queue for each vCPU, so that the guest need not lock, and each may have a
 * thread of its own (lanes.h). A lane (struct blk_lane) has all that its turns need: slots
 * and a ring. What lanes share is the rate limiter, which has a lock, and the file and the
 * rules, which only change while all of them stand still.
 *
 * Without io_uring a lane has one slot, and the operation is over when it has been
 * begun. With it (blk_uring.h), requests are queued, and the whole turn goes to the
 * kernel in one system call, after the driver was told of what is done already; what
 * the page cache has is over when that call returns. A read that is alone in its turn
 * is tried by a plain system call first, which costs less than the ring when the page
 * cache has it. Completions come in any order, as the driver expects.
 *
 * What a guest can do:
 * - Ask for anything: what a request may reach is blk_request.c's to judge.
 * - Ask for much at once. A turn ends after BURST requests or BURST_BYTES, and at
 *   once after anything that waited for the disk. A lane has no more than SLOTS in flight.
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
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/blk.h"
#include "devices/virtio/blk_lane.h"

enum { BLK_ERASE_ALIGN = 4096 / BLK_SECTOR };

static struct virtio_blk *to_blk(const struct virtio_dev *d)
{
	return container_of(d, struct virtio_blk, dev);
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

static bool blk_kick(struct virtio_dev *d, unsigned queue)
{
	struct virtio_blk *blk = to_blk(d);

	return blk_lane_kick(&blk->lane[queue % blk->lanes], d->vq[queue]);
}

/* All queues may go on, on whichever thread they are. */
static bool on_admission(void *arg, uint32_t events)
{
	struct virtio_blk *blk = arg;

	(void)events;
	for (unsigned i = 0; i < blk->ops.nqueues; i++)
		virtio_dev_poke(&blk->dev, i);
	return false;
}

static void blk_detach(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);

	for (unsigned i = 0; i < blk->lanes; i++)
		blk_lane_detach(&blk->lane[i]);
	throttle_detach(&blk->throttle);
}

static int blk_attach(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);
	int r = throttle_attach(&blk->throttle, d->events, on_admission, blk);

	blk->lanes = d->events->lanes;
	for (unsigned i = 0; i < blk->lanes && r == 0; i++) {
		blk->lane[i].blk = blk;
		blk->lane[i].index = i;
		r = blk_lane_attach(&blk->lane[i]);
	}
	return r;
}

/* Also before a reset: an answer too many in rings that are about to go hurts nobody. */
static void blk_drain(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);

	for (unsigned i = 0; i < blk->lanes; i++)
		blk_lane_drain(&blk->lane[i]);
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
	for (unsigned i = 0; i < blk->lanes; i++)
		blk_lane_clear(&blk->lane[i]);
	blk_file_close(&blk->file);
	free(blk);
}

static const uint16_t blk_queue_sizes[VIRTIO_MAX_QUEUES] = {
	[0 ... VIRTIO_MAX_QUEUES - 1] = BLK_QUEUE_SIZE,
};

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.nqueues = 1,
	.lane_queues = 1,
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
	r = blk_file_open(c->path, blk->mode, &blk->file, err);
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

/* The rings' file is the disk's from now on. */
static void hand_file_over(struct virtio_blk *blk)
{
	for (unsigned i = 0; i < blk->lanes; i++) {
		struct blk_uring *uring = blk->lane[i].uring;

		if (uring && blk_uring_set_file(uring, blk->file.fd) < 0)
			virtio_dev_fail(&blk->dev, "the ring refused the new file");
	}
}

static int set_path(struct virtio_blk *blk, const char *path, struct error *err)
{
	int r;

	blk_drain(&blk->dev);
	r = blk_file_replace(&blk->file, path, blk->mode, err);
	if (r < 0)
		return r;
	hand_file_over(blk);
	file_changed(blk);
	virtio_dev_config_changed(&blk->dev);
	return 0;
}

int virtio_blk_set_path(struct virtio_dev *d, const char *path, struct error *err)
{
	int r;

	virtio_events_lock(d->events);
	r = set_path(to_blk(d), path, err);
	virtio_events_unlock(d->events);
	return r;
}

void virtio_blk_set_limiter(struct virtio_dev *d, const struct limiter_config *c)
{
	struct virtio_blk *blk = to_blk(d);

	virtio_events_lock(d->events);
	throttle_configure(&blk->throttle, c);
	virtio_events_unlock(d->events);
}
