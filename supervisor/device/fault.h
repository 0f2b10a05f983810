/* fault.h - what the kernel's log tells of devices that guests have: reading one record.
 *
 * Of DMA that an IOMMU stopped Intel's driver (drivers/iommu/intel/dmar.c) and AMD's
 * (drivers/iommu/amd/iommu.c) tell in words only; so does VFIO (drivers/vfio/pci) of a device
 * that is unplugged or removed while a guest has it: the host waits then until the VMM lets
 * go. Any thread.
 */
#ifndef SUPERVISOR_DEVICE_FAULT_H
#define SUPERVISOR_DEVICE_FAULT_H

#include <stdbool.h>

#include "supervisor/device/inventory.h"

enum { FAULT_TEXT_BYTES = 160 };

struct fault {
	char address[PCI_ADDRESS_BYTES];
	bool leaving;		     /* it is being removed */
	char text[FAULT_TEXT_BYTES]; /* printable */
};

/* A record of /dev/kmsg, which the kernel itself wrote and which tells of such a thing. */
bool fault_parse(const char *record, struct fault *ret);

#endif
