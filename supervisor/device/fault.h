/* fault.h - what the kernel's log tells of DMA that an IOMMU stopped: reading one record.
 *
 * Intel's driver (drivers/iommu/intel/dmar.c) and AMD's (drivers/iommu/amd/iommu.c) say it in
 * words only. Any thread.
 */
#ifndef SUPERVISOR_DEVICE_FAULT_H
#define SUPERVISOR_DEVICE_FAULT_H

#include <stdbool.h>

#include "supervisor/device/inventory.h"

enum { FAULT_TEXT_BYTES = 160 };

struct fault {
	char address[PCI_ADDRESS_BYTES];
	char text[FAULT_TEXT_BYTES]; /* printable */
};

/* A record of /dev/kmsg, which the kernel itself wrote and which tells of such a fault. */
bool fault_parse(const char *record, struct fault *ret);

#endif
