/* test_boot_info.c - the memory map, the PVH start info and the zero page.
 *
 * The PVH structures are read here by the offsets of the ABI document, not by the
 * structs that wrote them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/pvh.h"
#include "vmm/arch/x86_64/zero_page.h"

#define MIB 0x100000ull
#define GIB 0x40000000ull

static struct gmem *new_ram(uint64_t size)
{
	struct gmem_config config = {
		.size_bytes = size,
		.gap_start = LAYOUT_GAP_START,
		.gap_end = LAYOUT_GAP_END,
	};
	struct gmem *m = NULL;

	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	return m;
}

struct map_case {
	uint64_t ram;
	unsigned count;
	struct {
		uint64_t start, end;
		enum memory_type type;
	} want[MEMORY_MAP_MAX];
};

/* clang-format off */
#define LOW_PARTS                              \
	{ 0, 0x9d000, MEMORY_RAM },            \
	{ 0x9d000, 0xe0000, MEMORY_RESERVED }, \
	{ 0xe0000, MIB, MEMORY_ACPI }
/* clang-format on */

static const struct map_case map_cases[] = {
	{ 64 << 10, 1, { { 0, 64 << 10, MEMORY_RAM } } },
	{ 0xd0000, 2, { { 0, 0x9d000, MEMORY_RAM }, { 0x9d000, 0xd0000, MEMORY_RESERVED } } },
	{ MIB, 3, { LOW_PARTS } },
	{ 2 * MIB, 4, { LOW_PARTS, { MIB, 2 * MIB, MEMORY_RAM } } },
	{ 3 * GIB - 4096, 4, { LOW_PARTS, { MIB, 3 * GIB - 4096, MEMORY_RAM } } },
	{ 3 * GIB, 4, { LOW_PARTS, { MIB, 3 * GIB, MEMORY_RAM } } },
	{ 3 * GIB + 4096,
	  5,
	  { LOW_PARTS, { MIB, 3 * GIB, MEMORY_RAM }, { 4 * GIB, 4 * GIB + 4096, MEMORY_RAM } } },
	{ 5 * GIB,
	  5,
	  { LOW_PARTS, { MIB, 3 * GIB, MEMORY_RAM }, { 4 * GIB, 6 * GIB, MEMORY_RAM } } },
};

static void test_memory_map(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(map_cases) / sizeof(map_cases[0]); i++) {
		const struct map_case *c = &map_cases[i];
		struct gmem *m = new_ram(c->ram);
		struct memory_map map;

		memory_map_build(m, false, &map);
		assert_int_equal(map.count, c->count);
		for (unsigned j = 0; j < map.count; j++) {
			assert_int_equal(map.range[j].base.v, c->want[j].start);
			assert_int_equal(map.range[j].len, c->want[j].end - c->want[j].start);
			assert_int_equal(map.range[j].type, c->want[j].type);
		}
		gmem_destroy(m);
	}
}

/* Above the RAM below it, and below the RAM above it. */
static void test_pci_is_reserved(void **state)
{
	struct gmem *m = new_ram(5 * GIB);
	struct memory_map map;

	(void)state;
	memory_map_build(m, true, &map);
	assert_int_equal(map.count, 6);
	assert_int_equal(map.range[4].base.v, LAYOUT_PCI_ECAM);
	assert_int_equal(map.range[4].len, LAYOUT_PCI_ECAM_LEN);
	assert_int_equal(map.range[4].type, MEMORY_RESERVED);
	assert_int_equal(map.range[5].base.v, 4 * GIB);
	gmem_destroy(m);
}

static uint64_t read_le(struct gmem *m, uint64_t at, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(gmem_read(m, &v, gpa(at), len), 0);
	return v;
}

static const struct boot_info info = {
	.cmdline = { 0x20000 },
	.cmdline_len = 17,
	.initrd = { 0x112345000 },
	.initrd_len = 0x123456789,
	.rsdp = { 0xe0000 },
};

static void test_pvh(void **state)
{
	struct gmem *m = new_ram(5 * GIB);
	uint64_t at = LAYOUT_PVH_INFO, list, map;

	(void)state;
	assert_int_equal(pvh_write(m, &info), 0);
	assert_int_equal(read_le(m, at, 4), 0x336ec578);
	assert_int_equal(read_le(m, at + 4, 4), 1);
	assert_int_equal(read_le(m, at + 8, 4), 0);
	assert_int_equal(read_le(m, at + 12, 4), 1);
	assert_int_equal(read_le(m, at + 24, 8), 0x20000);
	assert_int_equal(read_le(m, at + 32, 8), 0xe0000);
	assert_int_equal(read_le(m, at + 48, 4), 5);
	assert_int_equal(read_le(m, at + 52, 4), 0);

	list = read_le(m, at + 16, 8);
	assert_true(list >= at + 56 && list % 8 == 0);
	assert_int_equal(read_le(m, list, 8), 0x112345000);
	assert_int_equal(read_le(m, list + 8, 8), 0x123456789);
	assert_int_equal(read_le(m, list + 16, 8), 0);
	assert_int_equal(read_le(m, list + 24, 8), 0);

	map = read_le(m, at + 40, 8) + 4 * 24;
	assert_true(map % 8 == 0);
	assert_int_equal(read_le(m, map, 8), 4 * GIB);
	assert_int_equal(read_le(m, map + 8, 8), 2 * GIB);
	assert_int_equal(read_le(m, map + 16, 4), 1);
	assert_int_equal(read_le(m, map + 20, 4), 0);
	gmem_destroy(m);
}

static void test_pvh_without_initrd(void **state)
{
	const struct boot_info plain = { .cmdline = { 0x20000 } };
	struct gmem *m = new_ram(2 * MIB);

	(void)state;
	assert_int_equal(pvh_write(m, &plain), 0);
	assert_int_equal(read_le(m, LAYOUT_PVH_INFO + 12, 4), 0);
	assert_int_equal(read_le(m, LAYOUT_PVH_INFO + 16, 8), 0);
	assert_int_equal(read_le(m, LAYOUT_PVH_INFO + 32, 8), 0);
	assert_int_equal(read_le(m, LAYOUT_PVH_INFO + 48, 4), 4);
	gmem_destroy(m);
}

static void check_zero_page(const struct boot_params *p)
{
	assert_int_equal(p->sentinel, 0);
	assert_int_equal(p->hdr.boot_flag, 0xaa55);
	assert_memory_equal((const char *)p + 0x202, "HdrS", 4);
	assert_int_equal(p->hdr.type_of_loader, 0xff);
	assert_true(p->hdr.loadflags & LOADED_HIGH);
	assert_int_equal(p->hdr.cmd_line_ptr, 0x20000);
	assert_int_equal(p->ext_cmd_line_ptr, 0);
	assert_int_equal(p->hdr.ramdisk_image, 0x12345000);
	assert_int_equal(p->ext_ramdisk_image, 1);
	assert_int_equal(p->hdr.ramdisk_size, 0x23456789);
	assert_int_equal(p->ext_ramdisk_size, 1);
	assert_int_equal(p->acpi_rsdp_addr, 0xe0000);
	assert_int_equal(p->e820_entries, 5);
	assert_int_equal(p->e820_table[0].size, 0x9d000);
	assert_int_equal(p->e820_table[2].addr, 0xe0000);
	assert_int_equal(p->e820_table[2].type, 3);
	assert_int_equal(p->e820_table[4].addr, 4 * GIB);
	assert_int_equal(p->e820_table[4].size, 2 * GIB);
}

static void test_zero_page(void **state)
{
	const struct setup_header header = {
		.boot_flag = 0xaa55,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH | KASLR_FLAG,
		.cmdline_size = 2047,
		.kernel_alignment = 0x200000,
	};
	struct gmem *m = new_ram(5 * GIB);
	struct boot_params p;

	(void)state;
	assert_int_equal(zero_page_write(m, NULL, &info), 0);
	assert_int_equal(gmem_read(m, &p, gpa(LAYOUT_ZERO_PAGE), sizeof(p)), 0);
	check_zero_page(&p);
	assert_int_equal(p.hdr.version, 0x20c);
	assert_int_equal(p.hdr.cmdline_size, 17);
	assert_int_equal(p.hdr.kernel_alignment, 0x1000000);

	assert_int_equal(zero_page_write(m, &header, &info), 0);
	assert_int_equal(gmem_read(m, &p, gpa(LAYOUT_ZERO_PAGE), sizeof(p)), 0);
	check_zero_page(&p);
	assert_int_equal(p.hdr.version, 0x20f);
	assert_int_equal(p.hdr.loadflags, LOADED_HIGH | KASLR_FLAG);
	assert_int_equal(p.hdr.cmdline_size, 2047);
	assert_int_equal(p.hdr.kernel_alignment, 0x200000);
	gmem_destroy(m);
}

static void test_no_room(void **state)
{
	struct gmem *m = new_ram(4096);

	(void)state;
	assert_int_equal(pvh_write(m, &info), -EFAULT);
	assert_int_equal(zero_page_write(m, NULL, &info), -EFAULT);
	gmem_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_map), cmocka_unit_test(test_pci_is_reserved),
		cmocka_unit_test(test_pvh),	   cmocka_unit_test(test_pvh_without_initrd),
		cmocka_unit_test(test_zero_page),  cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
