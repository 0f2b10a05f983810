/* acpi_pci.h - the part of the DSDT that a machine with PCI has: the host bridge, its
 * slots, and how the guest hears of devices that come and go.
 */
#ifndef VMM_ARCH_X86_64_ACPI_PCI_H
#define VMM_ARCH_X86_64_ACPI_PCI_H

#include "vmm/arch/x86_64/aml.h"

/* Appends to \_SB, which is open. */
void acpi_pci_describe(struct aml *a);

#endif
