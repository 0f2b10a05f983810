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
#include "devices/virtio/transport.h"

enum { VIRTIO_MMIO_LEN = 0x1000 };

/* The device argument on the bus is the struct virtio_transport. */
extern const struct bus_ops virtio_mmio_bus_ops;

/* 0 and *ret, which then owns dev; or a negative errno, and dev stays the
 * caller's. mem must outlive it. */
int virtio_mmio_create(struct virtio_dev *dev, const struct gmem *mem,
		       struct virtio_transport **ret);

/* An eventfd, owned by the transport: the device adds to it for each edge. */
int virtio_mmio_irq_fd(const struct virtio_transport *t);

#endif
