/* tables.h - what the ACPI tables and the MP table have to describe. */
#ifndef VMM_ARCH_X86_64_TABLES_H
#define VMM_ARCH_X86_64_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtio_window {
	uint64_t base; /* below 4 GiB */
	uint32_t len;
	uint32_t gsi;
};

struct machine_tables {
	unsigned vcpus; /* with APIC ids 0 to vcpus - 1 */
	const struct virtio_window *virtio;
	unsigned nvirtio;
	bool pci; /* a host bridge, and devices that come and go behind it */
};

/* The byte that makes len bytes add up to 0: the checksum of both kinds of table. */
static inline uint8_t tables_checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (len-- > 0)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

#endif
