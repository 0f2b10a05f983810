/* watch.h - a device's own descriptors: a tap, a socket, a timer, an io_uring.
 *
 * A watch calls its device back on the thread of its lane with that lane's lock held,
 * as a kick does, and is subject to the same pause: what became ready meanwhile is
 * served after the resume. Descriptors are level-triggered: a device that cannot
 * take what is there (no buffers from the driver) mutes its watch until it can.
 */
#ifndef DEVICES_VIRTIO_WATCH_H
#define DEVICES_VIRTIO_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/lanes.h"

struct virtio_watch;

/* events: EPOLLIN | ..., or 0 for a turn that the device asked for by returning
 * true: work is left, call again after the others' turns. */
typedef bool (*virtio_watch_fn)(void *arg, uint32_t events);

/* A lane of a device: some of its queues, with a lock and a thread (lanes.h) of their own,
 * and a line of the cache between them and the next. */
struct virtio_lane {
	pthread_mutex_t lock;
	struct loop *loop; /* while attached */
	char apart[64];
};

/* What kicks and watches need of the transport, which owns it; a device finds it as
 * d->events from attach on. The device's lock is all of its lanes' locks: who holds it is
 * alone. A turn holds its lane's lock only, which for a device of one lane is the same. */
struct virtio_events {
	struct virtio_lane lane[LANES_MAX];
	unsigned lanes; /* in use: at least the first; constant while attached */
	bool paused;	/* the device's lock */
	struct virtio_watch *watches;
};

/* The device's lock. Any thread that has none of its lanes' locks. */
void virtio_events_lock(struct virtio_events *e);
void virtio_events_unlock(struct virtio_events *e);

/* In the device's attach op, or later on the main thread with the lock held. fd is
 * not owned. 0 and *ret, or a negative errno. On the first lane. */
int virtio_watch_create(struct virtio_events *e, int fd, uint32_t events, virtio_watch_fn fn,
			void *arg, struct virtio_watch **ret);

/* The same on a lane < e->lanes; of another than the first only in attach. */
int virtio_watch_create_on(struct virtio_events *e, unsigned lane, int fd, uint32_t events,
			   virtio_watch_fn fn, void *arg, struct virtio_watch **ret);

/* What to wait for from now on; 0 mutes. Any thread, with its lane's lock held. */
void virtio_watch_set(struct virtio_watch *w, uint32_t events);

/* Main thread, with the lock held or before the machine runs; of another lane than the
 * first, in detach. Accepts NULL; allowed inside the watch's own callback. */
void virtio_watch_destroy(struct virtio_watch *w);

/* For the transport, with the lock held. The lanes (a bit each) where a watch waits for a
 * turn that only a kick can give it: a loop is no other thread's to ask. */
void virtio_events_pause(struct virtio_events *e);
unsigned virtio_events_resume(struct virtio_events *e);

#endif
