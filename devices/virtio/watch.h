/* watch.h - a device's own descriptors: a tap, a socket, a timer, an io_uring.
 *
 * A watch calls its device back on the main thread with the device's lock held,
 * as a kick does, and is subject to the same pause: what became ready meanwhile is
 * served after the resume. Descriptors are level-triggered: a device that cannot
 * take what is there (no buffers from the driver) mutes its watch until it can.
 */
#ifndef DEVICES_VIRTIO_WATCH_H
#define DEVICES_VIRTIO_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/loop.h"

struct virtio_watch;

/* events: EPOLLIN | ..., or 0 for a turn that the device asked for by returning
 * true: work is left, call again after the others' turns. */
typedef bool (*virtio_watch_fn)(void *arg, uint32_t events);

/* What watches need of the transport, which owns it; a device finds it as
 * d->events from attach on. */
struct virtio_events {
	struct loop *loop;
	pthread_mutex_t *lock; /* the device's */
	bool paused;	       /* lock */
	struct virtio_watch *watches;
};

/* In the device's attach op, or later on the main thread with the lock held. fd is
 * not owned. 0 and *ret, or a negative errno. */
int virtio_watch_create(struct virtio_events *e, int fd, uint32_t events, virtio_watch_fn fn,
			void *arg, struct virtio_watch **ret);

/* What to wait for from now on; 0 mutes. Any thread, with the lock held. */
void virtio_watch_set(struct virtio_watch *w, uint32_t events);

/* Main thread, with the lock held or before the machine runs. Accepts NULL; allowed
 * inside the watch's own callback. */
void virtio_watch_destroy(struct virtio_watch *w);

/* For the transport, with the lock held. */
void virtio_events_pause(struct virtio_events *e);
void virtio_events_resume(struct virtio_events *e);

#endif
