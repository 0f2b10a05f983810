/* layout.h - where things are in an x86 guest's physical address space.
 *
 * Everything that the loader, the tables and the device bus must agree on.
 * Values that guests can see follow Firecracker's layout where it has one.
 */
#ifndef VMM_ARCH_X86_64_LAYOUT_H
#define VMM_ARCH_X86_64_LAYOUT_H

#define LAYOUT_GDT	  0x500ull
#define LAYOUT_PVH_INFO	  0x6000ull /* hvm_start_info, module list, memory map */
#define LAYOUT_ZERO_PAGE  0x7000ull /* boot_params */
#define LAYOUT_BOOT_STACK 0x8ff0ull
#define LAYOUT_PAGE_TABLE 0x9000ull /* PML4, PDPT, 4 page directories: 6 pages */
#define LAYOUT_CMDLINE	  0x20000ull
#define LAYOUT_EBDA	  0x9fc00ull /* end of low RAM; the MP table starts here */
#define LAYOUT_MPTABLE	  LAYOUT_EBDA
#define LAYOUT_ACPI	  0xe0000ull /* RSDP first, the other tables behind it */
#define LAYOUT_ACPI_END	  0x100000ull
#define LAYOUT_KERNEL	  0x100000ull /* nothing is loaded below */

/* No RAM here: devices, APICs, and what KVM needs on Intel. */
#define LAYOUT_GAP_START   0xc0000000ull
#define LAYOUT_GAP_END	   0x100000000ull
#define LAYOUT_BOOT_TIMER  0xc0000000ull
#define LAYOUT_VIRTIO_MMIO 0xc0001000ull /* device n at + n * LAYOUT_VIRTIO_LEN */
#define LAYOUT_VIRTIO_LEN  0x1000ull
#define LAYOUT_IOAPIC	   0xfec00000ull
#define LAYOUT_LAPIC	   0xfee00000ull
#define LAYOUT_IDENTITY	   0xfffbc000ull
#define LAYOUT_TSS	   0xfffbd000ull

/* Ports. */
#define LAYOUT_SERIAL	   0x3f8
#define LAYOUT_SERIAL_LEN  8
#define LAYOUT_I8042	   0x60
#define LAYOUT_I8042_LEN   5
#define LAYOUT_ACPI_SLEEP  0x600 /* sleep control, then sleep status */
#define LAYOUT_ACPI_RESET  0x602 /* reset register: write LAYOUT_RESET_VALUE */
#define LAYOUT_RESET_VALUE 1
#define LAYOUT_ACPI_GED	   0x603 /* event selector of the generic event device */

/* Interrupt lines of the one IOAPIC. All are edge-triggered, active high. */
#define LAYOUT_IOAPIC_PINS  24
#define LAYOUT_GSI_KEYBOARD 1
#define LAYOUT_GSI_SERIAL   4
#define LAYOUT_GSI_GED	    5
#define LAYOUT_GSI_VIRTIO   6 /* the first of LAYOUT_MAX_VIRTIO */
#define LAYOUT_MAX_VIRTIO   (LAYOUT_IOAPIC_PINS - LAYOUT_GSI_VIRTIO)

#endif
