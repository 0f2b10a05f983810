/* lanes.h - event loops side by side: the main thread's, and I/O threads with one each.
 *
 * The queues of a device that can serve several at once are spread over lanes, those of
 * the n-th vCPU on lane n. Lane 0 is the main thread and there always; another lane's
 * thread is started when something is on its loop, does nothing but run that loop, and
 * has a seccomp filter of its own kind.
 *
 * A loop belongs to its thread. Whoever puts sources on another lane's loop or takes them
 * off holds the lanes meanwhile: then every thread stands still, outside of its loop.
 * Every call is made on the main thread, without any device's lock.
 */
#ifndef DEVICES_VIRTIO_LANES_H
#define DEVICES_VIRTIO_LANES_H

#include "vmm/base/loop.h"
#include "vmm/base/thread_filter.h"

enum { LANES_MAX = 8 };

struct lanes;

/* Up to LANES_MAX of them; held once from the beginning. filters NULL: no thread is
 * confined. main and filters must outlive them. 0 or a negative errno. */
int lanes_create(struct loop *main, unsigned count, const struct thread_filters *filters,
		 struct lanes **ret);

/* Ends the threads. Nothing may be on their loops any more. Accepts NULL. */
void lanes_destroy(struct lanes *l);

unsigned lanes_count(const struct lanes *l);

/* The loop of lane i < lanes_count(), made if it is not there yet. 0 or a negative errno. */
int lanes_loop(struct lanes *l, unsigned i, struct loop **ret);

/* Starts the threads of all loops that were made, while held: they are confined when this
 * returns, and stand still until the release. 0 or a negative errno. */
int lanes_start(struct lanes *l);

/* As many releases as holds let the threads go on. Both accept NULL. */
void lanes_hold(struct lanes *l);
void lanes_release(struct lanes *l);

#endif
