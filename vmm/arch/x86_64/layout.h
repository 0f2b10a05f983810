/* layout.h - where things are in an x86 guest's physical address space.
 *
 * Everything that the loader, the tables and the device bus must agree on.
 * Values that guests can see follow Firecracker's layout where it has one. The
 * tests' guests include this file, too: no declarations, and _ULL() for what is an
 * address.
 */
#ifndef VMM_ARCH_X86_64_LAYOUT_H
#define VMM_ARCH_X86_64_LAYOUT_H

#include <linux/const.h>

#define LAYOUT_GDT	  _ULL(0x500)
#define LAYOUT_PVH_INFO	  _ULL(0x6000) /* hvm_start_info, module list, memory map */
#define LAYOUT_ZERO_PAGE  _ULL(0x7000) /* boot_params */
#define LAYOUT_BOOT_STACK _ULL(0x8ff0)
#define LAYOUT_PAGE_TABLE _ULL(0x9000) /* PML4, PDPT, 4 page directories: 6 pages */
#define LAYOUT_CMDLINE	  _ULL(0x20000)
#define LAYOUT_GENERATION _ULL(0x9d000) /* a page, and one behind it; end of low RAM */
#define LAYOUT_VMCLOCK	  _ULL(0x9e000)
#define LAYOUT_EBDA	  _ULL(0x9fc00) /* the MP table starts here */
#define LAYOUT_MPTABLE	  LAYOUT_EBDA
#define LAYOUT_ACPI	  _ULL(0xe0000) /* RSDP first, the other tables behind it */
#define LAYOUT_ACPI_END	  _ULL(0x100000)
#define LAYOUT_KERNEL	  _ULL(0x100000) /* nothing is loaded below */

/* No RAM here: devices, APICs, and what KVM needs on Intel. */
#define LAYOUT_GAP_START    _ULL(0xc0000000)
#define LAYOUT_GAP_END	    _ULL(0x100000000)
#define LAYOUT_BOOT_TIMER   _ULL(0xc0000000)
#define LAYOUT_VIRTIO_MMIO  _ULL(0xc0001000) /* device n at + n * LAYOUT_VIRTIO_LEN */
#define LAYOUT_VIRTIO_LEN   _ULL(0x1000)
#define LAYOUT_PCI_WINDOW   _ULL(0xd0000000) /* 16 MiB of BARs */
#define LAYOUT_PCI_ECAM	    _ULL(0xeec00000) /* 1 MiB: one bus */
#define LAYOUT_PCI_ECAM_LEN _ULL(0x100000)
#define LAYOUT_IOAPIC	    _ULL(0xfec00000)
#define LAYOUT_LAPIC	    _ULL(0xfee00000)
#define LAYOUT_IDENTITY	    _ULL(0xfffbc000)
#define LAYOUT_TSS	    _ULL(0xfffbd000)

/* Ports. */
#define LAYOUT_SERIAL	   0x3f8
#define LAYOUT_SERIAL_LEN  8
#define LAYOUT_I8042	   0x60
#define LAYOUT_I8042_LEN   5
#define LAYOUT_ACPI_SLEEP  0x600 /* sleep control, then sleep status */
#define LAYOUT_ACPI_RESET  0x602 /* reset register: write LAYOUT_RESET_VALUE */
#define LAYOUT_RESET_VALUE 1
#define LAYOUT_ACPI_GED	   0x603 /* event selector of the generic event device */
#define LAYOUT_PCI_HOTPLUG 0x610

/* Interrupt lines of the one IOAPIC, which has as many pins as the machine needs.
 * All are edge-triggered, active high. */
#define LAYOUT_MAX_PINS	    24
#define LAYOUT_GSI_KEYBOARD 1
#define LAYOUT_GSI_SERIAL   4
#define LAYOUT_GSI_GED	    5
#define LAYOUT_GSI_VIRTIO   6		      /* the first of LAYOUT_MAX_VIRTIO */
#define LAYOUT_GSI_HOTPLUG  LAYOUT_GSI_VIRTIO /* with PCI virtio has no pins */
#define LAYOUT_MAX_VIRTIO   (LAYOUT_MAX_PINS - LAYOUT_GSI_VIRTIO)
#define LAYOUT_PINS(virtio) (LAYOUT_GSI_VIRTIO + (virtio))
#define LAYOUT_GSI_MSI	    LAYOUT_MAX_PINS /* the first without a pin */

#endif
