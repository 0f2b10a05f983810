/* blk_lane.h - a disk from the inside, and its lanes: requests on their way between queues
 * and the file.
 *
 * A lane is a thread's (lanes.h) and has some of the queues, slots for the requests that it
 * has in hand, and a ring of its own. With its lane's lock, except where it says otherwise.
 */
#ifndef DEVICES_VIRTIO_BLK_LANE_H
#define DEVICES_VIRTIO_BLK_LANE_H

#include "devices/virtio/blk_request.h"
#include "devices/virtio/blk_uring.h"
#include "devices/virtio/device.h"
#include "devices/virtio/throttle.h"

struct virtio_blk;

/* What the turns of one lane's queues use: with that lane's lock. */
struct blk_lane {
	struct virtio_blk *blk;
	unsigned index;
	struct blk_request *slots, *free;
	unsigned slot_count, used_slots; /* those behind were never taken */
	bool starved;			 /* requests were left in a queue: no slot, or no budget */

	struct blk_uring *uring; /* NULL: operations are run on the spot */
	struct virtio_watch *uring_watch;
	struct blk_request *lone; /* a read, so far the only operation of its turn */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct virtio_ops ops; /* with queues of its own number */
	struct blk_file file;
	struct blk_rules rules; /* kept in step with the file and the driver's features */
	struct blk_file_mode mode;
	bool async;
	struct virtio_blk_config config; /* what the guest reads */
	struct blk_lane lane[LANES_MAX];
	unsigned lanes;		  /* since it was attached; 0: never yet */
	struct throttle throttle; /* while it waits, no request is begun */
};

/* A turn of one of its queues. True when some work is left. */
bool blk_lane_kick(struct blk_lane *l, struct virtq *q);

/* Waits for what is in flight and answers it. With the device's lock, any thread. */
void blk_lane_drain(struct blk_lane *l);

/* In the device's attach op, with blk and index set: 0 or a negative errno; detach in its
 * own. What is attached again has nothing in flight. */
int blk_lane_attach(struct blk_lane *l);
void blk_lane_detach(struct blk_lane *l);

/* Frees what it has, which is nothing before it was attached. */
void blk_lane_clear(struct blk_lane *l);

#endif
