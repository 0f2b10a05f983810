/* pci.h - the PCI transport, modern (virtio 1.2, section 4.1): one BAR, MSI-X.
 *
 * The VMM plugs the function into a bus (devices/pci/bus.h), binds each vector's
 * eventfd as an irqfd, and each kick eventfd as an ioeventfd of any width at
 * virtio_pci_notify() from the BAR's start; without the ioeventfd the register does
 * the same by way of the bus. There is a vector for each queue and one for the
 * configuration, and no interrupt line.
 *
 * Main thread, except the function's operations, which vCPU threads call.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "devices/pci/bus.h"
#include "devices/pci/msix.h"
#include "devices/virtio/transport.h"

struct virtio_pci_ops {
	struct msix_ops msix; /* with the device's lock held, any thread */

	/* The BAR has another place: as bar_moved in devices/pci/bus.h. */
	void (*moved)(void *ctx, uint64_t base);
};

/* 0 and *ret, which then owns dev; or a negative errno, and dev stays the caller's.
 * mem and ops must outlive it. */
int virtio_pci_create(struct virtio_dev *dev, const struct gmem *mem,
		      const struct virtio_pci_ops *ops, void *ctx, struct virtio_transport **ret);

struct pci_function *virtio_pci_function(struct virtio_transport *t);

unsigned virtio_pci_vectors(const struct virtio_transport *t);
int virtio_pci_vector_fd(const struct virtio_transport *t, unsigned vector);

/* Where in the BAR the driver notifies queue q. */
uint64_t virtio_pci_notify(unsigned q);

#endif
