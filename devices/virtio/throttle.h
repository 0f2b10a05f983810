/* throttle.h - a limiter with the timer that ends its refusals.
 *
 * A device asks before it moves something; once refused, it need not ask again: the
 * timer calls it back when the time has come. Every call is made with the device's
 * lock held, or before the machine runs; but lanes may ask, and look whether to, at the
 * same time, each with its own lock.
 */
#ifndef DEVICES_VIRTIO_THROTTLE_H
#define DEVICES_VIRTIO_THROTTLE_H

#include "devices/virtio/limiter.h"
#include "devices/virtio/watch.h"

struct throttle {
	bool limited;	      /* the limiter has a bucket */
	pthread_mutex_t lock; /* of what lanes share: the limiter, waiting and its timer */
	struct limiter limiter;
	bool waiting; /* refused, and the timer is set; read atomically without the lock */
	int timer_fd; /* -1 until attached */
	struct virtio_watch *watch;
	virtio_watch_fn fn;
	void *arg;
};

/* No limits until configured. */
void throttle_init(struct throttle *t);

/* Replaces the buckets that the configuration has; whoever was refused by the old ones
 * is called back to ask the new ones. */
void throttle_configure(struct throttle *t, const struct limiter_config *c);

/* In the device's attach op: fn(arg, events) is called when a refusal is over, on the first
 * lane. 0 or a negative errno. detach: in its detach op; idempotent. */
int throttle_attach(struct throttle *t, struct virtio_events *e, virtio_watch_fn fn, void *arg);
void throttle_detach(struct throttle *t);

/* Asks for one operation of this many bytes at this time. False: it may not be done
 * now, and fn will be called. */
bool throttle_admit(struct throttle *t, uint64_t bytes, uint64_t now_us);

/* Somebody was refused, and the time has not come. */
bool throttle_waits(const struct throttle *t);

#endif
