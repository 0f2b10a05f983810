/* life.h - the life of a virtio device, as its transport drives it.
 *
 * A transport (registers.h) owns a device, its lock and its interrupt, decodes
 * registers, and calls these. All need the lock, and none of them blocks on the guest:
 * register accesses come from vCPU threads, kicks from the main thread and the device's
 * other lanes (watch.h), and the lock makes each of them one step to the others. So a reset never happens in
 * the middle of a request.
 */
#ifndef DEVICES_VIRTIO_LIFE_H
#define DEVICES_VIRTIO_LIFE_H

#include "devices/virtio/device.h"

enum virtio_cause { VIRTIO_CAUSE_QUEUE, VIRTIO_CAUSE_CONFIG };

/* How a device reaches its driver. Called with the lock held; queue is 0 for
 * VIRTIO_CAUSE_CONFIG. */
struct virtio_sink {
	void (*interrupt)(const struct virtio_sink *s, enum virtio_cause cause, unsigned queue);

	/* For a direct device, which hands them on, and whoever wants a turn: the eventfd
	 * that is signalled when the driver notifies the queue, which nobody else then
	 * drains, and the one that interrupts the driver for it. Owned by the transport;
	 * the same from DRIVER_OK to reset. */
	int (*kick_fd)(const struct virtio_sink *s, unsigned queue);
	int (*call_fd)(const struct virtio_sink *s, unsigned queue);
};

/* Makes the queues of a device whose ops are set. mem and sink must outlive it.
 * 0, -EINVAL for ops out of bounds, or -ENOMEM; the device stays the caller's. */
int virtio_dev_bind(struct virtio_dev *d, const struct gmem *mem, const struct virtio_sink *sink);

/* Quiesces, frees the queues and, unless it is kept, the device; one that is kept is as
 * it was before it was bound, its counters apart. Accepts NULL and unbound devices. */
void virtio_dev_destroy(struct virtio_dev *d);

/* The features on offer, the core's included (2.2, chapter 6). */
uint64_t virtio_dev_features(const struct virtio_dev *d);

/* The driver accepts bits of 32-bit word `word`. False, and nothing happens, once
 * FEATURES_OK is set. */
bool virtio_dev_accept(struct virtio_dev *d, uint32_t word, uint32_t bits);

/* Takes every step that the driver asks for (2.1, 3.1.1), in order; a step out of
 * order or refused leaves its bit unset, and no bit is ever cleared. value is not
 * 0: that is a reset. */
void virtio_dev_set_status(struct virtio_dev *d, uint8_t value);

/* A consistent copy of a device's counters, between attach and detach. Any thread. */
void virtio_dev_counters(struct virtio_dev *d, struct virtio_counters *ret);

/* What there is to tell since the last call, between attach and detach. Any thread. */
void virtio_dev_take_notice(struct virtio_dev *d, struct virtio_notice *ret);

/* Back to how the device was bound, counters apart (2.4). */
void virtio_dev_reset(struct virtio_dev *d);

/* Takes a queue into use: q < nqueues. A layout that does not hold up, or the
 * wrong moment, fails the device. */
void virtio_dev_queue_enable(struct virtio_dev *d, unsigned q, const struct virtq_layout *l);

/* Takes it out of use, its requests dropped. */
void virtio_dev_queue_disable(struct virtio_dev *d, unsigned q);

/* DRIVER_OK, and neither side has given up. */
bool virtio_dev_live(const struct virtio_dev *d);

/* Queue q < nqueues is served by this lane: its counters are that lane's from now on. */
void virtio_dev_set_lane(struct virtio_dev *d, unsigned q, unsigned lane);

/* Whether queue q < nqueues needs the whole device for its turns. With its lane's lock. */
bool virtio_dev_needs_all(const struct virtio_dev *d, unsigned q);

/* One turn for queue q < nqueues. True: give it another after the others'. A kick
 * of a device that is not live, or of a queue that is off, does nothing. With its lane's
 * lock, or the whole device's. */
bool virtio_dev_kick(struct virtio_dev *d, unsigned q);

/* Before a pause: what the device has in hand is finished and published. */
void virtio_dev_drain(struct virtio_dev *d);

/* Configuration space, any offset and length: what lies outside reads as 0. The
 * write is false when any of it is not writable. */
void virtio_dev_config_read(const struct virtio_dev *d, uint64_t off, void *dst, size_t len);
bool virtio_dev_config_write(struct virtio_dev *d, uint64_t off, const void *src, size_t len);

/* For the queue: a used buffer notification for queue index q (2.3). */
void virtio_dev_interrupt(struct virtio_dev *d, unsigned q);

#endif
