/* vhost_relay.h - queues between a driver and a back end that keeps no notes.
 *
 * The back end gets rings of our own instead of the driver's, so that it is known at any
 * moment which requests it has, and a back end that follows it can be given them again.
 * All with the device's lock held; requests are named by the head of their chain.
 */
#ifndef DEVICES_VIRTIO_VHOST_RELAY_H
#define DEVICES_VIRTIO_VHOST_RELAY_H

#include "devices/virtio/queue.h"
#include "devices/virtio/vhost_wire.h"

struct vhost_relay;

/* For this many queues. 0 and *ret, or a negative errno. */
int vhost_relay_create(unsigned queues, struct vhost_relay **ret);

/* Accepts NULL. */
void vhost_relay_destroy(struct vhost_relay *r);

/* The memory that the rings are in, for the back end's memory table. Its guest address
 * is beyond all RAM. *fd stays the relay's. */
void vhost_relay_region(const struct vhost_relay *r, struct vhost_region *ret, int *fd);

/* The rings of queue q, whose descriptors are the driver's. */
void vhost_relay_rings(const struct vhost_relay *r, unsigned q, struct virtq_rings *ret);

/* Eventfds, the relay's: what wakes the back end, and what it wakes us by. */
int vhost_relay_kick_fd(const struct vhost_relay *r, unsigned q);
int vhost_relay_call_fd(const struct vhost_relay *r, unsigned q);

/* A driver's queue of this size begins; no request is in flight. */
void vhost_relay_reset(struct vhost_relay *r, unsigned q, uint16_t size, bool event_idx);

/* A new back end begins, from index 0: what is in flight is offered again, oldest
 * first. */
void vhost_relay_restart(struct vhost_relay *r, unsigned q);

/* Offers a request to the back end. -EEXIST when it has it already. */
int vhost_relay_offer(struct vhost_relay *r, unsigned q, uint16_t head);

/* Wakes it if something was offered since. */
void vhost_relay_kick(struct vhost_relay *r, unsigned q);

/* Takes what it has finished. 1 and *e, 0 when there is no more and it will call, or
 * -EPROTO when it was never given such a request. */
int vhost_relay_finished(struct vhost_relay *r, unsigned q, struct vring_used_elem *e);

#endif
