/* memory_map.c - the one source of both e820 and the PVH memory map.
 *
 * RAM below 1 MiB ends at the pages of devices/generation.h. From there to the ACPI
 * tables it is reserved, the MP table included, which Linux looks for in place. The area of the ACPI
 * tables has their own type: Linux maps it, keeps out of it, and hands it on to
 * a kernel that it starts by kexec. PCI's configuration space is reserved, too, or
 * Linux would not trust the table that says where it is.
 */
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/layout.h"

/* How the first region is divided; the last part reaches to its end, and what
 * lies behind the end of a smaller region is left out. */
/* clang-format off */
static const struct {
	uint64_t start, end;
	enum memory_type type;
} low_parts[] = {
	{ 0,                 LAYOUT_GENERATION, MEMORY_RAM },
	{ LAYOUT_GENERATION, LAYOUT_ACPI,       MEMORY_RESERVED },
	{ LAYOUT_ACPI,       LAYOUT_ACPI_END,   MEMORY_ACPI },
	{ LAYOUT_ACPI_END,   UINT64_MAX,        MEMORY_RAM },
};
/* clang-format on */

static void add_range(struct memory_map *map, uint64_t start, uint64_t end, enum memory_type type)
{
	map->range[map->count++] = (struct memory_range){
		.base = gpa(start),
		.len = end - start,
		.type = type,
	};
}

void memory_map_build(const struct gmem *m, bool pci, struct memory_map *ret)
{
	unsigned regions;
	const struct gmem_region *r = gmem_regions(m, &regions);
	uint64_t low_end = r[0].base.v + r[0].len;

	*ret = (struct memory_map){ 0 };
	for (unsigned i = 0; i < sizeof(low_parts) / sizeof(low_parts[0]); i++) {
		uint64_t end = low_parts[i].end < low_end ? low_parts[i].end : low_end;

		if (low_parts[i].start < end)
			add_range(ret, low_parts[i].start, end, low_parts[i].type);
	}
	if (pci)
		add_range(ret, LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM + LAYOUT_PCI_ECAM_LEN,
			  MEMORY_RESERVED);
	for (unsigned i = 1; i < regions; i++)
		add_range(ret, r[i].base.v, r[i].base.v + r[i].len, MEMORY_RAM);
}
