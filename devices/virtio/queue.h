/* queue.h - a split virtqueue, seen from the device (virtio 1.2, section 2.7).
 *
 * The device's half pops requests, pushes results and publishes them; the
 * transport's half turns a queue on and off. Every call is made with the
 * lock of the queue's lane held (watch.h), on whatever thread holds it.
 */
#ifndef DEVICES_VIRTIO_QUEUE_H
#define DEVICES_VIRTIO_QUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/iov.h"
#include "vmm/memory/gmem.h"
#include "vmm/snapshot/state.h"

enum { VIRTQ_MAX_SIZE = 256 }; /* entries; no device may offer a larger queue */

struct virtio_counters;
struct virtio_dev;
struct virtq;

/* One request: every descriptor was read once, the chain is bounded, every span
 * lies in guest RAM. The bytes behind the spans stay the guest's to change. Valid as
 * long as its spans are; the device may consume the views. */
struct virtq_req {
	struct iov out; /* device-readable */
	struct iov in;	/* device-writable */
	uint16_t head;
};

/* Takes the next request off the available ring. 1 and *req; 0 when the ring is
 * empty; -EPROTO when the driver broke the rules: the device has then been
 * failed (virtio_dev_fail) and *req means nothing. Before it says 0 the queue has
 * asked to be kicked again and looked once more, so no wake-up is lost. The spans
 * are the queue's, until the next virtq_pop(). */
int virtq_pop(struct virtq *q, struct virtq_req *req);

/* The same into spans of the caller's, virtq_max_size() of them: the request is
 * valid until the queue is disabled, for a device that finishes it after the kick. */
int virtq_pop_into(struct virtq *q, struct virtq_req *req, struct iovec *spans);

/* Puts the request that was popped last, and not pushed, back where it came from: the
 * next pop takes it again. As often as there are such requests, if all that were popped
 * before them have been pushed, and in that order. */
void virtq_unpop(struct virtq *q);

/* Writes a used ring entry: written bytes of req->in, counted from its start,
 * hold an answer (2.7.8.2). The driver sees nothing before virtq_publish(). */
void virtq_push(struct virtq *q, const struct virtq_req *req, uint32_t written);

/* Shows the driver everything pushed so far, with one interrupt if it wants one
 * (2.7.7.2). Once a burst is enough; nothing happens when nothing was pushed. */
void virtq_publish(struct virtq *q);

/* Where a driver says that its rings are: straight from the transport's registers. */
struct virtq_layout {
	uint32_t size; /* entries */
	gpa_t desc, avail, used;
};

/* For the core. max_size is a power of two, at most VIRTQ_MAX_SIZE. 0 and *ret,
 * or -ENOMEM. The queue starts disabled. */
int virtq_create(struct virtio_dev *dev, unsigned index, uint16_t max_size, struct virtq **ret);

/* Accepts NULL. */
void virtq_destroy(struct virtq *q);

/* Checks the layout as a whole and starts from index 0 with these negotiated
 * features. NULL, or what is wrong with the layout: the queue then stays
 * disabled. mem must outlive the queue's use. */
const char *virtq_enable(struct virtq *q, const struct virtq_layout *l, const struct gmem *mem,
			 uint64_t features);

/* Forgets the rings; no guest memory is touched any more. Idempotent. */
void virtq_disable(struct virtq *q);

/* Where an enabled queue's rings are in this process, for whoever tells another process.
 * Valid until the queue is disabled. */
struct virtq_rings {
	uint16_t size;
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};
void virtq_rings(const struct virtq *q, struct virtq_rings *ret);

/* Saves or loads how far the rings were worked off, all of which has been published.
 * Loading: of a queue that was just enabled. */
void virtq_state(struct virtq *q, struct state *s);

/* Where what happens on the queue is counted: with its lane's lock. */
struct virtio_counters *virtq_counters(const struct virtq *q);
void virtq_set_counters(struct virtq *q, struct virtio_counters *c);

bool virtq_enabled(const struct virtq *q);
uint16_t virtq_max_size(const struct virtq *q);
uint16_t virtq_size(const struct virtq *q); /* while enabled: as the driver set it up */

#endif
