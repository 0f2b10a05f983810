/* zero_page.c - struct boot_params, by Documentation/arch/x86/boot.rst and
 * zero-page.rst of the kernel.
 *
 * The page is all zeros, the sentinel included, but for the setup header and the
 * few fields that a loader without firmware has an answer for. A bzImage brings
 * its header; for a vmlinux one is made up that holds what the kernel reads.
 */
#include <string.h>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/zero_page.h"

enum {
	BOOT_FLAG = 0xaa55,
	HEADER_MAGIC = 0x53726448, /* "HdrS" */
	PROTOCOL_VERSION = 0x20c,  /* the newest whose fields are filled here */
	LOADER_UNREGISTERED = 0xff,
	KERNEL_ALIGNMENT = 0x1000000, /* where Linux is linked by default */
};

_Static_assert(sizeof(struct boot_params) == 4096, "one page, as its name says");
_Static_assert(LAYOUT_ZERO_PAGE + sizeof(struct boot_params) < LAYOUT_BOOT_STACK,
	       "must not overlap");
_Static_assert(MEMORY_MAP_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "the map must fit");

static struct setup_header vmlinux_header(const struct boot_info *info)
{
	return (struct setup_header){
		.boot_flag = BOOT_FLAG,
		.header = HEADER_MAGIC,
		.version = PROTOCOL_VERSION,
		.loadflags = LOADED_HIGH,
		.kernel_alignment = KERNEL_ALIGNMENT,
		.cmdline_size = (uint32_t)info->cmdline_len,
	};
}

/* Addresses and sizes of 64 bits are split over a header field and one behind. */
static void fill_pointers(struct boot_params *p, const struct boot_info *info)
{
	p->hdr.cmd_line_ptr = (uint32_t)info->cmdline.v;
	p->ext_cmd_line_ptr = (uint32_t)(info->cmdline.v >> 32);
	p->acpi_rsdp_addr = info->rsdp.v;
	p->hdr.ramdisk_image = (uint32_t)info->initrd.v;
	p->ext_ramdisk_image = (uint32_t)(info->initrd.v >> 32);
	p->hdr.ramdisk_size = (uint32_t)info->initrd_len;
	p->ext_ramdisk_size = (uint32_t)(info->initrd_len >> 32);
}

static void fill_e820(struct boot_params *p, const struct gmem *m, bool pci)
{
	struct memory_map map;

	memory_map_build(m, pci, &map);
	for (unsigned i = 0; i < map.count; i++)
		p->e820_table[i] = (struct boot_e820_entry){
			.addr = map.range[i].base.v,
			.size = map.range[i].len,
			.type = map.range[i].type,
		};
	p->e820_entries = (uint8_t)map.count;
}

int zero_page_write(const struct gmem *m, const struct setup_header *header,
		    const struct boot_info *info)
{
	struct boot_params p;

	memset(&p, 0, sizeof(p));
	p.hdr = header ? *header : vmlinux_header(info);
	p.hdr.type_of_loader = LOADER_UNREGISTERED;
	fill_pointers(&p, info);
	fill_e820(&p, m, info->pci);
	return gmem_write(m, gpa(LAYOUT_ZERO_PAGE), &p, sizeof(p));
}
