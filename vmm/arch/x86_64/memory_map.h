/* memory_map.h - which guest-physical addresses are RAM, for the guest to know. */
#ifndef VMM_ARCH_X86_64_MEMORY_MAP_H
#define VMM_ARCH_X86_64_MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/memory/gmem.h"

/* The address range types of ACPI 6.5, section 15, which e820 and PVH share. */
enum memory_type {
	MEMORY_RAM = 1,
	MEMORY_RESERVED = 2,
	MEMORY_ACPI = 3, /* tables; may be reused once they have been read */
};

struct memory_range {
	gpa_t base;
	uint64_t len; /* never 0 */
	enum memory_type type;
};

enum { MEMORY_MAP_MAX = 8 };

struct memory_map {
	unsigned count;
	struct memory_range range[MEMORY_MAP_MAX]; /* ascending, no overlap */
};

/* Describes all RAM of m by the places of layout.h, and PCI's configuration space
 * when there is one. Addresses outside RAM are not
 * in the map: the guest takes them for holes. Any thread. */
void memory_map_build(const struct gmem *m, bool pci, struct memory_map *ret);

#endif
