/* test_kernel.c - kernel files, good and broken, and what guest RAM holds then. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/memfile.h"
#include "vmm/base/fd.h"
#include "vmm/loader/kernel.h"

enum {
	RAM = 4 << 20,
	LOWEST = 1 << 20,
	FILE_MAX = 64 << 10,
	NOTES_AT = 0x9000,
	XEN_NOTE_AT = NOTES_AT + 24, /* behind a GNU note with 5 bytes of value */
	PVH_ENTRY = 0x200010,
};

struct file {
	uint8_t data[FILE_MAX];
	size_t len;
};

/* One change to a good file, and the error that it must give. cut: new length. */
struct broken {
	size_t at, len;
	uint64_t value;
	size_t cut;
	const char *text;
};

#define PATCH(base, type, field, v) \
	.at = (base) + offsetof(type, field), .len = sizeof(((type *)0)->field), .value = (v)
#define EHDR(field, v)	  PATCH(0, Elf64_Ehdr, field, v)
#define PHDR(i, field, v) PATCH(sizeof(Elf64_Ehdr) + (i) * sizeof(Elf64_Phdr), Elf64_Phdr, field, v)
#define IDENT(i, v)	  .at = (i), .len = 1, .value = (v)
#define NOTE(field, v)	  PATCH(XEN_NOTE_AT, Elf64_Nhdr, field, v)
#define SETUP(field, v)	  PATCH(0x1f1, struct setup_header, field, v)

static struct gmem *new_ram(enum gmem_backing backing)
{
	struct gmem_config config = { .size_bytes = RAM, .backing = backing };
	struct gmem *m = NULL;

	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	return m;
}

static void fill(struct file *f, size_t len)
{
	f->len = len;
	for (size_t i = 0; i < len; i++)
		f->data[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + 1);
}

static void patch(struct file *f, size_t at, const void *src, size_t len)
{
	assert_true(at + len <= sizeof(f->data));
	memcpy(f->data + at, src, len);
}

/* Segment 0 is aligned, 1 starts and ends inside pages and has bss, 2 is at odds
 * with its file offset, 3 has the notes. */
static const Elf64_Phdr segments[] = {
	{ .p_type = PT_LOAD,
	  .p_offset = 0x1000,
	  .p_paddr = 0x200000,
	  .p_filesz = 0x2345,
	  .p_memsz = 0x2345 },
	{ .p_type = PT_LOAD,
	  .p_offset = 0x4010,
	  .p_paddr = 0x203010,
	  .p_filesz = 0x2113,
	  .p_memsz = 0x5113 },
	{ .p_type = PT_LOAD,
	  .p_offset = 0x7008,
	  .p_paddr = 0x20a000,
	  .p_filesz = 0x1800,
	  .p_memsz = 0x1800 },
	{ .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = 44, .p_align = 4 },
};

enum { SEGMENTS = sizeof(segments) / sizeof(segments[0]), NOTE_SEGMENT = 3 };

static void good_elf(struct file *f)
{
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_entry = 0x200100,
		.e_phoff = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = SEGMENTS,
	};
	Elf64_Nhdr gnu = { .n_namesz = 4, .n_descsz = 5, .n_type = 18 };
	Elf64_Nhdr xen = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
	uint32_t entry = PVH_ENTRY;

	fill(f, 0xa000);
	patch(f, 0, &eh, sizeof(eh));
	patch(f, sizeof(eh), segments, sizeof(segments));
	patch(f, NOTES_AT, &gnu, sizeof(gnu));
	patch(f, NOTES_AT + 12, "GNU", 4);
	patch(f, XEN_NOTE_AT, &xen, sizeof(xen));
	patch(f, XEN_NOTE_AT + 12, "Xen", 4);
	patch(f, XEN_NOTE_AT + 16, &entry, sizeof(entry));
}

/* setup_sects 7 puts the payload at 4096, congruent with the page it goes to. */
static void good_bzimage(struct file *f)
{
	struct setup_header h = {
		.setup_sects = 7,
		.syssize = 0x5010 / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x10000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.pref_address = 0x200000,
		.init_size = 0x20000,
	};

	fill(f, 0x1000 + 0x5010 + 100);
	patch(f, 0x1f1, &h, sizeof(h));
}

static int load(const struct file *f, struct gmem *m, enum kernel_load_policy policy,
		struct kernel_image *ret, struct error *err)
{
	int fd = memfile(f->data, f->len);
	int r;

	assert_true(fd >= 0);
	r = kernel_load(m, fd, "/boot/kernel", gpa(LOWEST), policy, ret, err);
	fd_close(fd);
	return r;
}

static void check_refused(const struct file *f, const char *text)
{
	struct gmem *m = new_ram(GMEM_ANON);
	struct kernel_image image = { .entry = gpa(77) };
	struct error err = { 0 };
	int r = load(f, m, KERNEL_MAP, &image, &err);

	if (r == 0 || strncmp(err.text, text, strlen(text)) != 0)
		fail_msg("got %d, \"%s\", not \"%s...\"", r, err.text, text);
	assert_int_equal(r, err.code);
	assert_string_equal(err.field, "kernel_image_path");
	assert_string_not_equal(err.hint, "");
	assert_int_equal(image.entry.v, 77);
	gmem_destroy(m);
}

static void check_broken(void (*good)(struct file *), const struct broken *b, size_t count)
{
	struct file f;

	for (size_t i = 0; i < count; i++) {
		good(&f);
		patch(&f, b[i].at, &b[i].value, b[i].len);
		if (b[i].cut)
			f.len = b[i].cut;
		check_refused(&f, b[i].text);
	}
}

/* What guest RAM must hold, built the plain way. */
static uint8_t *expected_ram(const struct file *f)
{
	uint8_t *ram = calloc(1, RAM);

	assert_non_null(ram);
	for (unsigned i = 0; i < NOTE_SEGMENT; i++)
		memcpy(ram + segments[i].p_paddr, f->data + segments[i].p_offset,
		       segments[i].p_filesz);
	return ram;
}

static void test_elf_in_ram(void **state)
{
	static const struct {
		enum gmem_backing backing;
		enum kernel_load_policy policy;
		uint64_t mapped;
	} ways[] = {
		/* 2 whole pages of segment 0, 1 of segment 1, none of segment 2 */
		{ GMEM_ANON, KERNEL_MAP, 3 * 4096 },
		{ GMEM_ANON, KERNEL_COPY, 0 },
		{ GMEM_MEMFD, KERNEL_MAP, 0 },
	};
	struct file f;
	uint8_t *want;

	(void)state;
	good_elf(&f);
	want = expected_ram(&f);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct gmem *m = new_ram(ways[i].backing);
		struct kernel_image image;

		assert_int_equal(load(&f, m, ways[i].policy, &image, NULL), 0);
		assert_int_equal(image.protocol, BOOT_PVH);
		assert_int_equal(image.entry.v, PVH_ENTRY);
		assert_int_equal(image.end.v, 0x20b800);
		assert_false(image.has_header);
		assert_int_equal(image.mapped_bytes, ways[i].mapped);
		assert_int_equal(image.mapped_bytes + image.copied_bytes, 0x2345 + 0x2113 + 0x1800);
		assert_memory_equal(gmem_span(m, gpa(0), RAM), want, RAM);
		gmem_destroy(m);
	}
	free(want);
}

static void test_elf_writes_stay_private(void **state)
{
	struct gmem *m = new_ram(GMEM_ANON);
	struct kernel_image image;
	struct file f;
	uint8_t byte;
	int fd;

	(void)state;
	good_elf(&f);
	fd = memfile(f.data, f.len);
	assert_int_equal(kernel_load(m, fd, "k", gpa(LOWEST), KERNEL_MAP, &image, NULL), 0);
	assert_int_equal(gmem_write(m, gpa(0x200000), "X", 1), 0);
	assert_int_equal(fd_pread_all(fd, &byte, 1, 0x1000), 0);
	assert_int_equal(byte, f.data[0x1000]);
	fd_close(fd);
	gmem_destroy(m);
}

static void test_elf_entries(void **state)
{
	static const struct {
		struct broken change;
		enum boot_protocol protocol;
		uint64_t entry;
	} rows[] = {
		{ { NOTE(n_type, 17) }, BOOT_LINUX64, 0x200100 },
		{ { NOTE(n_namesz, 3) }, BOOT_LINUX64, 0x200100 },
		{ { PHDR(3, p_type, PT_NULL) }, BOOT_LINUX64, 0x200100 },
		{ { PHDR(3, p_filesz, 0) }, BOOT_LINUX64, 0x200100 },
		{ { PHDR(3, p_align, 0) }, BOOT_PVH, PVH_ENTRY },
		{ { EHDR(e_type, ET_DYN) }, BOOT_PVH, PVH_ENTRY },
		/* segment 1 touches segment 2, then segment 0 */
		{ { PHDR(1, p_memsz, 0x6ff0) }, BOOT_PVH, PVH_ENTRY },
		{ { PHDR(1, p_paddr, 0x200000 - 0x5113) }, BOOT_PVH, PVH_ENTRY },
		/* the last byte of segment 2 */
		{ { .at = XEN_NOTE_AT + 16, .len = 4, .value = 0x20b7ff }, BOOT_PVH, 0x20b7ff },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct broken *c = &rows[i].change;
		struct gmem *m = new_ram(GMEM_ANON);
		struct kernel_image image;
		struct file f;

		good_elf(&f);
		patch(&f, c->at, &c->value, c->len);
		assert_int_equal(load(&f, m, KERNEL_MAP, &image, NULL), 0);
		assert_int_equal(image.protocol, rows[i].protocol);
		assert_int_equal(image.entry.v, rows[i].entry);
		gmem_destroy(m);
	}
}

/* A value of 8 bytes in a segment whose notes are padded to 8: the GNU note ends
 * at 20, the next one starts at 24. */
static void test_elf_wide_note(void **state)
{
	const uint64_t align = 8, size = 2 * 24, entry = PVH_ENTRY;
	const Elf64_Nhdr gnu = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
	const Elf64_Nhdr xen = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 };
	const size_t notes = sizeof(Elf64_Ehdr) + NOTE_SEGMENT * sizeof(Elf64_Phdr);
	struct gmem *m = new_ram(GMEM_ANON);
	struct kernel_image image;
	struct file f;

	(void)state;
	good_elf(&f);
	patch(&f, notes + offsetof(Elf64_Phdr, p_align), &align, 8);
	patch(&f, notes + offsetof(Elf64_Phdr, p_filesz), &size, 8);
	patch(&f, NOTES_AT, &gnu, sizeof(gnu));
	patch(&f, XEN_NOTE_AT, &xen, sizeof(xen));
	patch(&f, XEN_NOTE_AT + 16, &entry, 8);
	assert_int_equal(load(&f, m, KERNEL_MAP, &image, NULL), 0);
	assert_int_equal(image.protocol, BOOT_PVH);
	assert_int_equal(image.entry.v, PVH_ENTRY);
	gmem_destroy(m);
}

static void test_elf_broken(void **state)
{
	static const struct broken rows[] = {
		{ .cut = 5, .text = "kernel image is truncated: its ELF header" },
		{ .cut = 63, .text = "kernel image is truncated: its ELF header" },
		{ .cut = 100, .text = "kernel image is truncated: its ELF program headers" },
		{ IDENT(EI_CLASS, ELFCLASS32), .text = "kernel image is a 32-bit ELF" },
		{ IDENT(EI_CLASS, 9), .text = "kernel image is no little-endian 64-bit" },
		{ IDENT(EI_DATA, ELFDATA2MSB), .text = "kernel image is no little-endian" },
		{ EHDR(e_machine, EM_AARCH64),
		  .text = "kernel image is an ELF file for another machine: aarch64" },
		{ EHDR(e_machine, 0xfff0),
		  .text = "kernel image is an ELF file for another machine: an unknown" },
		{ EHDR(e_type, ET_REL), .text = "kernel image is an ELF file that cannot be run" },
		{ EHDR(e_phentsize, 32), .text = "kernel image has ELF program headers of 32" },
		{ EHDR(e_phnum, 0), .text = "kernel image has 0 ELF program headers" },
		{ EHDR(e_phnum, 65), .text = "kernel image has 65 ELF program headers" },
		{ EHDR(e_phnum, PN_XNUM), .text = "kernel image has 65535 ELF program" },
		{ EHDR(e_phoff, 0xa000), .text = "kernel image is truncated: its ELF program" },
		{ EHDR(e_phoff, UINT64_MAX - 7), .text = "kernel image is truncated: its ELF" },
		{ PHDR(0, p_filesz, 0x2346), .text = "kernel image has segment 0 with more bytes" },
		{ PHDR(1, p_memsz, 0), .text = "kernel image has segment 1 with more bytes" },
		{ PHDR(0, p_paddr, UINT64_MAX - 0xfff), .text = "kernel image has segment 0 that "
								"wraps" },
		{ PHDR(1, p_memsz, UINT64_MAX), .text = "kernel image has segment 1 that wraps" },
		{ PHDR(0, p_offset, 0x8000), .text = "kernel image is truncated: segment 0" },
		{ PHDR(0, p_offset, UINT64_MAX), .text = "kernel image is truncated: segment 0" },
		{ .cut = 0x8807, .text = "kernel image is truncated: segment 2 ends" },
		{ PHDR(0, p_paddr, LOWEST - 1), .text = "kernel image has segment 0 at 0xfffff, "
							"below 0x100000" },
		{ PHDR(2, p_paddr, RAM - 0x1000), .text = "kernel image has segment 2 at 0x3ff000 "
							  "to 0x400800, outside guest RAM" },
		{ PHDR(1, p_memsz, RAM), .text = "kernel image has segment 1 at 0x203010 to "
						 "0x603010, outside" },
		{ PHDR(1, p_paddr, 0x202344), .text = "kernel image has segments 0 and 1 that "
						      "overlap" },
		{ PHDR(1, p_paddr, 0x200001 - 0x5113),
		  .text = "kernel image has segments 0 and 1 that overlap" },
		{ PHDR(2, p_paddr, 0x200010), .text = "kernel image has segments 0 and 2 that "
						      "overlap" },
		{ PHDR(1, p_memsz, 0x6ff1), .text = "kernel image has segments 1 and 2 that "
						    "overlap" },
		{ EHDR(e_phoff, 0x9800), .text = "kernel image has no segment to load" },
		{ PHDR(3, p_filesz, 0x10001), .text = "kernel image has 65537 bytes of ELF notes" },
		{ PHDR(3, p_filesz, UINT64_MAX), .text = "kernel image has 18446744073709551615" },
		{ PHDR(3, p_offset, 0x9fd5), .text = "kernel image is truncated: its ELF notes" },
		{ PHDR(3, p_align, 16), .text = "kernel image has ELF notes aligned to 16" },
		{ NOTE(n_namesz, UINT32_MAX), .text = "kernel image has an ELF note that leaves" },
		{ NOTE(n_descsz, UINT32_MAX), .text = "kernel image has an ELF note that leaves" },
		{ NOTE(n_descsz, 5), .text = "kernel image has an ELF note that leaves" },
		{ NOTE(n_descsz, 3), .text = "kernel image has a PVH note with an address of 3" },
		{ NOTE(n_descsz, 0), .text = "kernel image has a PVH note with an address of 0" },
		/* at the end of a file part, in bss, and nowhere */
		{ .at = XEN_NOTE_AT + 16,
		  .len = 4,
		  .value = 0x202345,
		  .text = "kernel image has its PVH entry 0x202345 outside" },
		{ .at = XEN_NOTE_AT + 16,
		  .len = 4,
		  .value = 0x206000,
		  .text = "kernel image has its PVH entry 0x206000 outside" },
		{ .at = XEN_NOTE_AT + 16,
		  .len = 4,
		  .value = 0,
		  .text = "kernel image has its PVH entry 0 outside" },
	};

	(void)state;
	check_broken(good_elf, rows, sizeof(rows) / sizeof(rows[0]));
}

/* Without a note, an entry that is a virtual address is refused. */
static void test_elf_virtual_entry(void **state)
{
	const uint64_t entry = 0xffffffff81000000;
	struct file f;

	(void)state;
	good_elf(&f);
	f.data[XEN_NOTE_AT + 12] = 'Y';
	patch(&f, offsetof(Elf64_Ehdr, e_entry), &entry, sizeof(entry));
	check_refused(&f, "kernel image has its 64-bit entry 0xffffffff81000000 outside");
}

/* The protected-mode part of f, alone in RAM at one address, the header given. */
static void check_bzimage(const struct file *f, size_t setup, uint64_t at, uint64_t mapped,
			  enum kernel_load_policy policy)
{
	struct gmem *m = new_ram(GMEM_ANON);
	struct kernel_image image;
	uint8_t *want = calloc(1, RAM);

	assert_non_null(want);
	memcpy(want + at, f->data + setup, 0x5010);
	assert_int_equal(load(f, m, policy, &image, NULL), 0);
	assert_int_equal(image.protocol, BOOT_LINUX64);
	assert_int_equal(image.entry.v, at + 0x200);
	assert_int_equal(image.end.v, at + 0x20000);
	assert_true(image.has_header);
	assert_int_equal(image.header.code32_start, at);
	assert_int_equal(image.header.initrd_addr_max, 0x7fffffff);
	assert_int_equal(image.mapped_bytes, mapped);
	assert_int_equal(image.mapped_bytes + image.copied_bytes, 0x5010);
	assert_memory_equal(gmem_span(m, gpa(0), RAM), want, RAM);
	gmem_destroy(m);
	free(want);
}

static void test_bzimage_in_ram(void **state)
{
	const uint64_t low = 0x8000;
	struct file f;

	(void)state;
	good_bzimage(&f);
	check_bzimage(&f, 0x1000, 0x200000, 0x5000, KERNEL_MAP);
	check_bzimage(&f, 0x1000, 0x200000, 0, KERNEL_COPY);

	/* 0 means 4, and 5 sectors are no whole page */
	f.data[0x1f1] = 0;
	check_bzimage(&f, 5 * 512, 0x200000, 0, KERNEL_MAP);

	/* too low a wish of a relocatable kernel: the next aligned place above */
	good_bzimage(&f);
	patch(&f, 0x1f1 + offsetof(struct setup_header, pref_address), &low, sizeof(low));
	check_bzimage(&f, 0x1000, LOWEST, 0x5000, KERNEL_MAP);
}

/* Bytes of the setup code behind a short header are not part of it. */
static void test_bzimage_short_header(void **state)
{
	struct gmem *m = new_ram(GMEM_ANON);
	struct kernel_image image;
	struct file f;

	(void)state;
	good_bzimage(&f);
	f.data[0x201] = 0x264 - 0x202;
	memset(f.data + 0x264, 0xcc, 64);
	assert_int_equal(load(&f, m, KERNEL_MAP, &image, NULL), 0);
	assert_int_equal(image.header.init_size, 0x20000);
	assert_int_equal(image.header.handover_offset, 0);
	gmem_destroy(m);
}

static void test_bzimage_broken(void **state)
{
	static const struct broken rows[] = {
		{ SETUP(version, 0x20b), .text = "kernel image has boot protocol 2.11, older" },
		{ .cut = 0x206, .text = "kernel image has boot protocol 0.00, older" },
		{ SETUP(jump, 0x61eb), .text = "kernel image has a setup header of 114 bytes" },
		{ SETUP(loadflags, 0), .text = "kernel image is a zImage" },
		{ SETUP(xloadflags, 0), .text = "kernel image is a 32-bit kernel" },
		{ SETUP(kernel_alignment, 0), .text = "kernel image has an alignment of 0" },
		{ SETUP(kernel_alignment, 0x3000), .text = "kernel image has an alignment of" },
		{ SETUP(syssize, 0), .text = "kernel image has only 0 bytes of kernel" },
		{ SETUP(syssize, 0x20), .text = "kernel image has only 512 bytes of kernel" },
		{ SETUP(syssize, UINT32_MAX), .text = "kernel image is truncated: it has 24692" },
		{ SETUP(setup_sects, 255), .text = "kernel image is truncated" },
		{ .cut = 0x600f,
		  .text = "kernel image is truncated: it has 24591 bytes and needs "
			  "24592" },
		{ SETUP(init_size, RAM), .text = "kernel image needs 4194304 bytes at 0x200000" },
		{ SETUP(init_size, UINT32_MAX), .text = "kernel image needs 4294967295 bytes" },
		{ SETUP(pref_address, RAM), .text = "kernel image needs 131072 bytes at 0x400000" },
		{ SETUP(pref_address, UINT64_MAX), .text = "kernel image needs 131072 bytes at" },
		{ SETUP(pref_address, RAM - 1), .text = "kernel image needs 131072 bytes at" },
		{ SETUP(kernel_alignment, 0x80000000), .text = "kernel image needs 131072 bytes" },
	};
	const uint64_t low = LOWEST - 1;
	struct file f;

	(void)state;
	check_broken(good_bzimage, rows, sizeof(rows) / sizeof(rows[0]));

	good_bzimage(&f);
	f.data[0x1f1 + offsetof(struct setup_header, relocatable_kernel)] = 0;
	patch(&f, 0x1f1 + offsetof(struct setup_header, pref_address), &low, sizeof(low));
	check_refused(&f, "kernel image must be at 0xfffff, below 0x100000");
}

static void test_other_files(void **state)
{
	static const struct {
		size_t at, len;
		const char *bytes;
		const char *text;
	} rows[] = {
		{ 0, 2, "\x1f\x8b", "kernel image is a gzip file: /boot/kernel" },
		{ 0, 6, "\3757zXZ\0", "kernel image is an xz file" },
		{ 0, 4, "\x28\xb5\x2f\xfd", "kernel image is a zstd file" },
		{ 0, 6, "070701", "kernel image is a cpio archive, an initrd" },
		{ 56, 4, "ARM\x64", "kernel image is an aarch64 Image" },
		{ 510, 2, "\x55\xaa", "kernel image is a boot sector or a disk" },
		{ 0, 2, "MZ", "kernel image is an EFI program" },
		{ 0, 10, "#!/bin/sh\n", "kernel image is a script" },
		{ 0, 1, "\x01", "kernel image has no known format" },
	};
	struct file f;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fill(&f, 2048);
		patch(&f, rows[i].at, rows[i].bytes, rows[i].len);
		check_refused(&f, rows[i].text);
	}
	f.len = 1;
	f.data[0] = 'x';
	check_refused(&f, "kernel image is a text file");
	f.len = 0;
	check_refused(&f, "kernel image is empty");
}

static void check_fd_refused(int fd, const char *text)
{
	struct gmem *m = new_ram(GMEM_ANON);
	struct kernel_image image;
	struct error err = { 0 };

	assert_true(kernel_load(m, fd, "x", gpa(LOWEST), KERNEL_MAP, &image, &err) < 0);
	assert_string_equal(err.text, text);
	gmem_destroy(m);
	fd_close(fd);
}

static void test_not_files(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	check_fd_refused(pipes[0], "kernel image is a FIFO: x");
	fd_close(pipes[1]);
	check_fd_refused(open("/", O_RDONLY | O_CLOEXEC), "kernel image is a directory: x");
	check_fd_refused(open("/dev/zero", O_RDONLY | O_CLOEXEC), "kernel image is a device: x");
	check_fd_refused(-1, "cannot read kernel image: Bad file descriptor: x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf_in_ram),
		cmocka_unit_test(test_elf_writes_stay_private),
		cmocka_unit_test(test_elf_entries),
		cmocka_unit_test(test_elf_wide_note),
		cmocka_unit_test(test_elf_broken),
		cmocka_unit_test(test_elf_virtual_entry),
		cmocka_unit_test(test_bzimage_in_ram),
		cmocka_unit_test(test_bzimage_short_header),
		cmocka_unit_test(test_bzimage_broken),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_not_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
