/* pci_caps.h - what the configuration space of a virtio device says about it: its ids,
 * and capabilities that lead to the regions of its one BAR (virtio 1.2, 4.1.4).
 */
#ifndef DEVICES_VIRTIO_PCI_CAPS_H
#define DEVICES_VIRTIO_PCI_CAPS_H

#include "devices/pci/config.h"
#include "devices/virtio/device.h"

/* The regions of the BAR, a page each. */
enum {
	VIRTIO_PCI_BAR_COMMON = 0x0000, /* registers, each of its own width */
	VIRTIO_PCI_BAR_ISR = 0x1000,
	VIRTIO_PCI_BAR_DEVICE = 0x2000,	 /* the device's configuration space */
	VIRTIO_PCI_BAR_NOTIFY = 0x3000,	 /* VIRTIO_PCI_NOTIFY_STRIDE bytes a queue */
	VIRTIO_PCI_BAR_TABLE = 0x4000,	 /* MSI-X */
	VIRTIO_PCI_BAR_PENDING = 0x5000, /* MSI-X */
	VIRTIO_PCI_BAR_LEN = 0x8000,
	VIRTIO_PCI_NOTIFY_STRIDE = 4,
};

/* Where in configuration space the two capabilities are that a guest writes to. */
struct virtio_pci_caps {
	uint8_t window; /* 4.1.4.9 */
	uint8_t msix;
};

void virtio_pci_describe(const struct virtio_ops *ops, unsigned vectors, struct pci_config *c,
			 struct virtio_pci_caps *ret);

#endif
