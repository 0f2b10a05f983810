/* mmio.h - the MMIO transport, version 2 (virtio 1.2, section 4.2).
 *
 * One window of VIRTIO_MMIO_LEN bytes, one edge-triggered interrupt, one eventfd
 * a queue for kicks. The VMM puts virtio_mmio_bus_ops on its MMIO bus, binds the
 * interrupt eventfd as an irqfd and each kick eventfd as an ioeventfd at
 * VIRTIO_MMIO_QUEUE_NOTIFY (4 bytes, datamatch the queue's index); without the
 * ioeventfd the register does the same by way of the bus.
 *
 * Main thread, except the bus operations, which vCPU threads call.
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "devices/bus.h"
#include "devices/virtio/device.h"
#include "vmm/base/loop.h"

enum { VIRTIO_MMIO_LEN = 0x1000 };

struct virtio_mmio;

/* The device argument on the bus is the struct virtio_mmio. */
extern const struct bus_ops virtio_mmio_bus_ops;

/* 0 and *ret, which then owns dev; or a negative errno, and dev stays the
 * caller's. mem must outlive it. */
int virtio_mmio_create(struct virtio_dev *dev, const struct gmem *mem, struct virtio_mmio **ret);

/* Detaches, and frees the device too. The bus and KVM must have let go. Accepts
 * NULL. */
void virtio_mmio_destroy(struct virtio_mmio *t);

unsigned virtio_mmio_nqueues(const struct virtio_mmio *t);
const char *virtio_mmio_name(const struct virtio_mmio *t);

/* Eventfds, owned by the transport. irq: the device adds to it for each edge.
 * kick: q < virtio_mmio_nqueues(). */
int virtio_mmio_irq_fd(const struct virtio_mmio *t);
int virtio_mmio_kick_fd(const struct virtio_mmio *t, unsigned q);

/* Serves kicks on this loop until detached. 0 or a negative errno. A kick from
 * before is not lost. */
int virtio_mmio_attach(struct virtio_mmio *t, struct loop *l);
void virtio_mmio_detach(struct virtio_mmio *t);

/* Waits for the requests that the device has in hand. While paused it touches no
 * guest memory; a kick is kept and served after the resume. Registers still answer. Idempotent. */
void virtio_mmio_pause(struct virtio_mmio *t);
void virtio_mmio_resume(struct virtio_mmio *t);

/* A consistent copy for the report. Any thread. */
void virtio_mmio_counters(struct virtio_mmio *t, struct virtio_counters *ret);

#endif
