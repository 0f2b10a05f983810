/* machine_tables.h - the machine, as the tables of firmware describe it.
 *
 * What acpi_write() and mptable_write() are given; the rest of the machine is
 * constant and stands in layout.h.
 */
#ifndef VMM_ARCH_X86_64_MACHINE_TABLES_H
#define VMM_ARCH_X86_64_MACHINE_TABLES_H

#include <stdint.h>

struct virtio_window {
	uint64_t base; /* guest address of the registers, below 4 GiB */
	uint32_t len;  /* bytes */
	uint32_t gsi;  /* pin of the IOAPIC, edge-triggered, active high */
};

struct machine_tables {
	unsigned vcpus;
	const uint32_t *apic_ids; /* of each vCPU, the boot vCPU first; NULL: 0, 1, 2... */
	const struct virtio_window *virtio;
	unsigned nvirtio;
};

static inline uint32_t machine_apic_id(const struct machine_tables *t, unsigned vcpu)
{
	return t->apic_ids ? t->apic_ids[vcpu] : vcpu;
}

#endif
