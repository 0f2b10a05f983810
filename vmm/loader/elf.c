/* elf.c - an ELF vmlinux: checked as a whole, then placed segment by segment.
 *
 * A vmlinux says with p_paddr where in physical memory each PT_LOAD segment
 * belongs; p_vaddr is the kernel's own business. How to start it is in a note:
 * owner "Xen", type 18 (PHYS32_ENTRY) holds the physical address of the 32-bit
 * PVH entry (Xen's PVH boot ABI). Without that note e_entry is used, which Linux
 * links as the physical address of its 64-bit entry.
 *
 * The file is untrusted. Every count has a cap, every sum is checked before it is
 * made, and nothing is written to guest RAM until all segments are known to be
 * inside it, inside the file, and apart from each other. bss needs no work: guest
 * RAM is zero, and a segment's last partial page is copied, never mapped, so that
 * the file's bytes behind the segment do not show.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/loader/elf.h"

enum {
	MAX_PHDRS = 64,
	MAX_NOTES = 64 * 1024, /* bytes of one PT_NOTE segment */
	NOTE_PHYS32_ENTRY = 18,
};

#define NOTE_OWNER "Xen"

#define HINT_BROKEN  "the file is damaged or incomplete: build or copy it again"
#define HINT_MACHINE "give a 64-bit x86 kernel (ELF vmlinux or bzImage)"

struct elf {
	struct image *img;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[MAX_PHDRS];
	unsigned count;
};

/* A note's value when found is set. */
struct pvh_note {
	bool found;
	uint64_t entry;
};

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_ARM:
		return "32-bit Arm";
	case EM_AARCH64:
		return "aarch64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "POWER";
	case EM_S390:
		return "S/390";
	default:
		return "an unknown machine";
	}
}

static int check_header(const struct elf *e, struct error *err)
{
	const Elf64_Ehdr *eh = &e->eh;

	if (eh->e_ident[EI_CLASS] == ELFCLASS32)
		return image_refuse(e->img, err, HINT_MACHINE, "is a 32-bit ELF file");
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return image_refuse(e->img, err, HINT_MACHINE, "is no little-endian 64-bit ELF");
	if (eh->e_machine != EM_X86_64)
		return image_refuse(e->img, err, HINT_MACHINE,
				    "is an ELF file for another machine: %s (%u)",
				    machine_name(eh->e_machine), eh->e_machine);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return image_refuse(e->img, err, "give the linked kernel, not an object or module",
				    "is an ELF file that cannot be run (type %u)", eh->e_type);
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has ELF program headers of %u bytes, not %zu", eh->e_phentsize,
				    sizeof(Elf64_Phdr));
	if (eh->e_phnum == 0 || eh->e_phnum > MAX_PHDRS)
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has %u ELF program headers, not 1 to %d", eh->e_phnum,
				    MAX_PHDRS);
	if (!image_has(e->img, eh->e_phoff, eh->e_phnum * sizeof(Elf64_Phdr)))
		return image_refuse(e->img, err, HINT_BROKEN,
				    "is truncated: its ELF program headers are behind its end");
	return 0;
}

static int read_headers(struct elf *e, struct error *err)
{
	if (e->img->size < sizeof(e->eh))
		return image_refuse(
			e->img, err, HINT_BROKEN,
			"is truncated: its ELF header needs %zu bytes, there are %" PRIu64,
			sizeof(e->eh), e->img->size);

	int r = image_read(e->img, 0, &e->eh, sizeof(e->eh), err);

	if (r < 0)
		return r;
	r = check_header(e, err);
	if (r < 0)
		return r;
	e->count = e->eh.e_phnum;
	return image_read(e->img, e->eh.e_phoff, e->ph, e->count * sizeof(e->ph[0]), err);
}

static bool is_loaded(const Elf64_Phdr *p)
{
	return p->p_type == PT_LOAD && (p->p_memsz | p->p_filesz) != 0;
}

static int check_segment(const struct elf *e, unsigned i, gpa_t lowest, uint64_t ram_end,
			 struct error *err)
{
	const Elf64_Phdr *p = &e->ph[i];

	if (p->p_filesz > p->p_memsz)
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has segment %u with more bytes in the file than in memory", i);
	if (p->p_paddr + p->p_memsz < p->p_paddr)
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has segment %u that wraps around the address space", i);
	if (!image_has(e->img, p->p_offset, p->p_filesz))
		return image_refuse(e->img, err, HINT_BROKEN,
				    "is truncated: segment %u ends behind the file's %" PRIu64
				    " bytes",
				    i, e->img->size);
	if (p->p_paddr < lowest.v)
		return image_refuse(e->img, err, "link it to load at or above that address",
				    "has segment %u at %#" PRIx64 ", below %#" PRIx64, i,
				    p->p_paddr, lowest.v);
	if (p->p_paddr + p->p_memsz > ram_end)
		return image_refuse(e->img, err, "raise mem_size_mib",
				    "has segment %u at %#" PRIx64 " to %#" PRIx64
				    ", outside guest RAM, which ends at %#" PRIx64,
				    i, p->p_paddr, p->p_paddr + p->p_memsz, ram_end);
	return 0;
}

static int check_apart(const struct elf *e, unsigned i, struct error *err)
{
	const Elf64_Phdr *a = &e->ph[i];

	for (unsigned j = 0; j < i; j++) {
		const Elf64_Phdr *b = &e->ph[j];

		if (is_loaded(b) && a->p_paddr < b->p_paddr + b->p_memsz &&
		    b->p_paddr < a->p_paddr + a->p_memsz)
			return image_refuse(e->img, err, HINT_BROKEN,
					    "has segments %u and %u that overlap", j, i);
	}
	return 0;
}

/* Checks every segment; *end is the first byte behind the last of them. */
static int check_segments(const struct elf *e, gpa_t lowest, uint64_t ram_end, uint64_t *end,
			  struct error *err)
{
	*end = 0;
	for (unsigned i = 0; i < e->count; i++) {
		const Elf64_Phdr *p = &e->ph[i];
		int r;

		if (!is_loaded(p))
			continue;
		r = check_segment(e, i, lowest, ram_end, err);
		if (r == 0)
			r = check_apart(e, i, err);
		if (r < 0)
			return r;
		if (p->p_paddr + p->p_memsz > *end)
			*end = p->p_paddr + p->p_memsz;
	}
	if (*end == 0)
		return image_refuse(e->img, err, HINT_BROKEN, "has no segment to load");
	return 0;
}

/* The value of a PHYS32_ENTRY note: 4 or 8 bytes, and a 32-bit address. */
static int parse_entry(const struct elf *e, const uint8_t *desc, uint32_t len,
		       struct pvh_note *note, struct error *err)
{
	uint64_t value = 0;

	if (len != 4 && len != 8)
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has a PVH note with an address of %u bytes", len);
	memcpy(&value, desc, len);
	*note = (struct pvh_note){ .found = true, .entry = value };
	return 0;
}

static uint64_t align_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* Walks the notes in buf; each is a header, an owner and a value, the latter two
 * padded to align. The sizes are 32 bits wide, so 64-bit sums cannot wrap. */
static int walk_notes(const struct elf *e, const uint8_t *buf, size_t len, uint64_t align,
		      struct pvh_note *note, struct error *err)
{
	uint64_t at = 0;

	while (at < len && len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;

		memcpy(&nh, buf + at, sizeof(nh));

		uint64_t owner = at + sizeof(nh);
		uint64_t desc = align_up(owner + nh.n_namesz, align);

		if (desc > len || nh.n_descsz > len - desc)
			return image_refuse(e->img, err, HINT_BROKEN,
					    "has an ELF note that leaves its segment");
		if (nh.n_type == NOTE_PHYS32_ENTRY && nh.n_namesz == sizeof(NOTE_OWNER) &&
		    memcmp(buf + owner, NOTE_OWNER, sizeof(NOTE_OWNER)) == 0)
			return parse_entry(e, buf + desc, nh.n_descsz, note, err);
		at = align_up(desc + nh.n_descsz, align);
	}
	return 0;
}

static int scan_segment(const struct elf *e, const Elf64_Phdr *p, struct pvh_note *note,
			struct error *err)
{
	if (p->p_filesz > MAX_NOTES)
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has %" PRIu64 " bytes of ELF notes, more than %d", p->p_filesz,
				    MAX_NOTES);
	if (!image_has(e->img, p->p_offset, p->p_filesz))
		return image_refuse(e->img, err, HINT_BROKEN,
				    "is truncated: its ELF notes are behind its end");
	if (p->p_align > 4 && p->p_align != 8)
		return image_refuse(e->img, err, HINT_BROKEN,
				    "has ELF notes aligned to %" PRIu64 ", not 4 or 8", p->p_align);
	if (p->p_filesz == 0)
		return 0;

	uint8_t *buf = malloc(p->p_filesz);

	if (!buf)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	int r = image_read(e->img, p->p_offset, buf, p->p_filesz, err);

	if (r == 0)
		r = walk_notes(e, buf, p->p_filesz, p->p_align == 8 ? 8 : 4, note, err);
	free(buf);
	return r;
}

static int find_note(const struct elf *e, struct pvh_note *note, struct error *err)
{
	*note = (struct pvh_note){ 0 };
	for (unsigned i = 0; i < e->count && !note->found; i++) {
		int r = 0;

		if (e->ph[i].p_type == PT_NOTE)
			r = scan_segment(e, &e->ph[i], note, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Only bytes from the file count: an entry in bss would run zeros. */
static bool in_segment(const struct elf *e, uint64_t entry)
{
	for (unsigned i = 0; i < e->count; i++) {
		const Elf64_Phdr *p = &e->ph[i];

		if (is_loaded(p) && entry >= p->p_paddr && entry - p->p_paddr < p->p_filesz)
			return true;
	}
	return false;
}

static int find_entry(const struct elf *e, struct kernel_image *ret, struct error *err)
{
	struct pvh_note note;
	int r = find_note(e, &note, err);

	if (r < 0)
		return r;

	uint64_t entry = note.found ? note.entry : e->eh.e_entry;

	if (!in_segment(e, entry))
		return image_refuse(
			e->img, err,
			note.found ? HINT_BROKEN
				   : "e_entry must be a physical address, as Linux links it",
			"has its %s entry %#" PRIx64 " outside its segments",
			note.found ? "PVH" : "64-bit", entry);
	ret->protocol = note.found ? BOOT_PVH : BOOT_LINUX64;
	ret->entry = gpa(entry);
	return 0;
}

static int place_segments(const struct elf *e, struct gmem *m, struct error *err)
{
	for (unsigned i = 0; i < e->count; i++) {
		const Elf64_Phdr *p = &e->ph[i];
		int r = 0;

		if (is_loaded(p))
			r = image_place(e->img, m, gpa(p->p_paddr), p->p_offset, p->p_filesz, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int elf_load(struct image *img, struct gmem *m, gpa_t lowest, struct kernel_image *ret,
	     struct error *err)
{
	struct elf e = { .img = img };
	struct kernel_image kernel = { 0 };
	uint64_t end = 0;
	int r = read_headers(&e, err);

	if (r == 0)
		r = check_segments(&e, lowest, image_ram_end(m), &end, err);
	if (r == 0)
		r = find_entry(&e, &kernel, err);
	if (r == 0)
		r = place_segments(&e, m, err);
	if (r < 0)
		return r;
	kernel.end = gpa(end);
	*ret = kernel;
	return 0;
}
