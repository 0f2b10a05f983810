/* bzimage.c - a bzImage: real-mode setup in front, which is skipped, and the
 * protected-mode kernel behind it.
 *
 * The setup header at 0x1f1 says how long both are and where the kernel wants to
 * be: at pref_address, where it has no need to move itself before it unpacks. It
 * is put there, or, when that is below what the machine uses for itself and the
 * kernel is relocatable, at the first suitably aligned place above. From there it
 * needs init_size bytes of RAM, more than the file holds, to unpack itself in.
 * The 64-bit entry is 0x200 behind the start. The kernel decides about its final
 * place itself (KASLR), within the memory map.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "vmm/loader/bzimage.h"

enum {
	SECTOR = 512,
	HEADER_AT = 0x1f1,
	HEADER_MAGIC_AT = 0x202, /* where the jump is counted from */
	DEFAULT_SETUP_SECTS = 4, /* what a 0 in the header means */
	SYSSIZE_UNIT = 16,
	MIN_VERSION = 0x20c,
	ENTRY64 = 0x200,
};

#define HINT_BROKEN "the file is damaged or incomplete: build or copy it again"

/* What goes where. */
struct plan {
	uint64_t off, len; /* of the protected-mode kernel in the file */
	uint64_t at, need; /* in guest RAM; need includes the room to unpack */
};

/* The header ends where the jump over it lands; behind that is code. */
static size_t header_len(const struct setup_header *h)
{
	return HEADER_MAGIC_AT + (h->jump >> 8) - HEADER_AT;
}

/* The caller has seen the magic, so the file reaches beyond the jump. */
static int read_header(const struct image *img, struct setup_header *h, struct error *err)
{
	size_t want = sizeof(*h);

	memset(h, 0, want);
	if (img->size - HEADER_AT < want)
		want = (size_t)(img->size - HEADER_AT);

	int r = image_read(img, HEADER_AT, h, want, err);

	if (r < 0)
		return r;

	size_t len = header_len(h);

	if (len < want)
		memset((char *)h + len, 0, want - len);
	return 0;
}

static int check_header(const struct image *img, const struct setup_header *h, struct error *err)
{
	uint32_t align = h->kernel_alignment;

	if (h->version < MIN_VERSION)
		return image_refuse(img, err, "give a kernel of Linux 3.8 or later",
				    "has boot protocol %u.%02u, older than 2.12", h->version >> 8,
				    h->version & 0xff);
	if (header_len(h) < offsetof(struct setup_header, handover_offset))
		return image_refuse(img, err, HINT_BROKEN, "has a setup header of %zu bytes",
				    header_len(h));
	if (!(h->loadflags & LOADED_HIGH))
		return image_refuse(img, err, "build a bzImage", "is a zImage");
	if (!(h->xloadflags & XLF_KERNEL_64))
		return image_refuse(img, err, "give a kernel built with CONFIG_64BIT",
				    "is a 32-bit kernel");
	if (h->relocatable_kernel && (align == 0 || (align & (align - 1)) != 0))
		return image_refuse(img, err, HINT_BROKEN,
				    "has an alignment of %u, not a power of two", align);
	return 0;
}

/* Where in the file the protected-mode kernel is. */
static int find_payload(const struct image *img, const struct setup_header *h, struct plan *p,
			struct error *err)
{
	unsigned sectors = h->setup_sects ? h->setup_sects : DEFAULT_SETUP_SECTS;

	p->off = (uint64_t)(sectors + 1) * SECTOR;
	p->len = (uint64_t)h->syssize * SYSSIZE_UNIT;
	p->need = h->init_size > p->len ? h->init_size : p->len;
	if (p->len <= ENTRY64)
		return image_refuse(img, err, HINT_BROKEN,
				    "has only %" PRIu64 " bytes of kernel behind its setup",
				    p->len);
	if (!image_has(img, p->off, p->len))
		return image_refuse(img, err, HINT_BROKEN,
				    "is truncated: it has %" PRIu64 " bytes and needs %" PRIu64,
				    img->size, p->off + p->len);
	return 0;
}

static int choose_address(const struct image *img, const struct setup_header *h, gpa_t lowest,
			  uint64_t ram_end, struct plan *p, struct error *err)
{
	uint64_t mask = h->relocatable_kernel ? h->kernel_alignment - UINT64_C(1) : 0;
	uint64_t at = h->pref_address;

	if (at < lowest.v && !h->relocatable_kernel)
		return image_refuse(img, err, "give a kernel built with CONFIG_RELOCATABLE",
				    "must be at %#" PRIx64 ", below %#" PRIx64, at, lowest.v);
	if (at < lowest.v)
		at = lowest.v;
	/* RAM ends below 4 GiB, so this sum cannot wrap. */
	if (at < ram_end)
		at = (at + mask) & ~mask;
	if (at >= ram_end || p->need > ram_end - at)
		return image_refuse(img, err, "raise mem_size_mib",
				    "needs %" PRIu64 " bytes at %#" PRIx64
				    ", guest RAM ends at %#" PRIx64,
				    p->need, at, ram_end);
	p->at = at;
	return 0;
}

int bzimage_load(struct image *img, struct gmem *m, gpa_t lowest, struct kernel_image *ret,
		 struct error *err)
{
	struct setup_header h;
	struct plan p = { 0 };
	int r = read_header(img, &h, err);

	if (r == 0)
		r = check_header(img, &h, err);
	if (r == 0)
		r = find_payload(img, &h, &p, err);
	if (r == 0)
		r = choose_address(img, &h, lowest, image_ram_end(m), &p, err);
	if (r == 0)
		r = image_place(img, m, gpa(p.at), p.off, p.len, err);
	if (r < 0)
		return r;
	h.code32_start = (uint32_t)p.at;
	ret->protocol = BOOT_LINUX64;
	ret->entry = gpa(p.at + ENTRY64);
	ret->end = gpa(p.at + p.need);
	ret->has_header = true;
	ret->header = h;
	return 0;
}
