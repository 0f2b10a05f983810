/* pvh.c - the start info of Xen's PVH boot ABI ("x86/HVM direct boot ABI").
 *
 * All structures are little-endian, 8-byte aligned and name each other by guest
 * physical address, where 0 means absent. They lie in one page, in the order in
 * which struct pvh_page has them.
 */
#include <stddef.h>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/pvh.h"

enum { PVH_MAGIC = 0x336ec578, PVH_VERSION = 1 };

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags; /* for Xen's first domain only: 0 */
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	/* since version 1 */
	uint64_t memory_map;
	uint32_t memory_map_count;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t start;
	uint64_t len;
	uint64_t cmdline;
	uint64_t reserved;
};

struct pvh_memory_range {
	uint64_t base;
	uint64_t len;
	uint32_t type;
	uint32_t reserved;
};

struct pvh_page {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memory_range map[MEMORY_MAP_MAX];
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "as the ABI lays it out");
_Static_assert(sizeof(struct pvh_module) == 32, "as the ABI lays it out");
_Static_assert(sizeof(struct pvh_memory_range) == 24, "as the ABI lays it out");
_Static_assert(LAYOUT_PVH_INFO + sizeof(struct pvh_page) <= LAYOUT_ZERO_PAGE, "must not overlap");

static void fill_map(struct pvh_page *page, const struct gmem *m, bool pci)
{
	struct memory_map map;

	memory_map_build(m, pci, &map);
	for (unsigned i = 0; i < map.count; i++)
		page->map[i] = (struct pvh_memory_range){
			.base = map.range[i].base.v,
			.len = map.range[i].len,
			.type = map.range[i].type,
		};
	page->info.memory_map = LAYOUT_PVH_INFO + offsetof(struct pvh_page, map);
	page->info.memory_map_count = map.count;
}

static void fill_initrd(struct pvh_page *page, const struct boot_info *info)
{
	if (info->initrd_len == 0)
		return;
	page->initrd.start = info->initrd.v;
	page->initrd.len = info->initrd_len;
	page->info.modules = LAYOUT_PVH_INFO + offsetof(struct pvh_page, initrd);
	page->info.module_count = 1;
}

int pvh_write(const struct gmem *m, const struct boot_info *info)
{
	struct pvh_page page = {
		.info = {
			.magic = PVH_MAGIC,
			.version = PVH_VERSION,
			.cmdline = info->cmdline.v,
			.rsdp = info->rsdp.v,
		},
	};

	fill_initrd(&page, info);
	fill_map(&page, m, info->pci);
	return gmem_write(m, gpa(LAYOUT_PVH_INFO), &page, sizeof(page));
}
