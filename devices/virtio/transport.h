/* transport.h - a virtio device behind the transport that carries it to the guest,
 * as the VMM sees it: one eventfd a queue for kicks, an event loop, pauses.
 *
 * mmio.h and pci.h make transports, and say what else has to be bound to KVM. Main
 * thread, unless it says otherwise.
 */
#ifndef DEVICES_VIRTIO_TRANSPORT_H
#define DEVICES_VIRTIO_TRANSPORT_H

#include "devices/virtio/life.h"
#include "vmm/base/loop.h"
#include "vmm/snapshot/state.h"

struct virtio_transport;

/* Detaches, and frees the device too. The bus and KVM must have let go. Accepts
 * NULL. */
void virtio_transport_destroy(struct virtio_transport *t);

unsigned virtio_transport_nqueues(const struct virtio_transport *t);
const char *virtio_transport_name(const struct virtio_transport *t);

/* An eventfd, owned by the transport, that a notification of queue
 * q < virtio_transport_nqueues() signals. */
int virtio_transport_kick_fd(const struct virtio_transport *t, unsigned q);

/* Serves kicks on this loop until detached. 0 or a negative errno. A kick from
 * before is not lost. */
int virtio_transport_attach(struct virtio_transport *t, struct loop *l);
void virtio_transport_detach(struct virtio_transport *t);

/* The same on these lanes' loops, as far as the device can be spread over them; whoever
 * calls starts what is new (lanes_start). They must outlive it. */
int virtio_transport_attach_lanes(struct virtio_transport *t, struct lanes *lanes);

/* Waits for the requests that the device has in hand. While paused it touches no
 * guest memory; a kick is kept and served after the resume. Registers still answer.
 * Idempotent. */
void virtio_transport_pause(struct virtio_transport *t);
void virtio_transport_resume(struct virtio_transport *t);

/* Saves or loads the device's life: what its driver has set up, and where in its queues
 * it is. Between state_begin() and state_end(), paused or before the machine runs. A
 * driver that was up finds its device activated. */
void virtio_transport_state(struct virtio_transport *t, struct state *s);

/* What the device adds in its own section. False: it has none, and cannot be saved. */
bool virtio_transport_device_state(struct virtio_transport *t, struct state *s, unsigned instance);

/* After a load, with all interrupts in place: a notification or an interrupt may have been
 * on its way when the state was saved, so both sides look at every queue once. */
void virtio_transport_wake(struct virtio_transport *t);

#endif
