/* kernel.c - which loader a kernel file needs, or what it is instead.
 *
 * Users hand over all sorts of files: the compressed image of a distribution, the
 * initrd, a disk, a kernel of another architecture. What can be named is named,
 * with the remedy, from the first page of the file and nothing else.
 */
#include <string.h>

#include "vmm/loader/bzimage.h"
#include "vmm/loader/elf.h"
#include "vmm/loader/image.h"
#include "vmm/loader/kernel.h"

/* A file that is no kernel for this machine, by the bytes at a fixed place. */
struct foreign {
	size_t off, len;
	const char *magic;
	const char *what;
	const char *hint;
};

#define MAGIC(bytes) sizeof(bytes) - 1, bytes

#define HINT_KERNEL "give an uncompressed ELF vmlinux or a bzImage, both for x86_64"
#define HINT_UNPACK "unpack it first: the file inside must be an ELF vmlinux or a bzImage"
#define HINT_INITRD "give it as initrd_path, and the kernel here"

/* First match wins. */
/* clang-format off */
static const struct foreign foreign_files[] = {
	{ 56,  MAGIC("ARM\x64"),          "is an aarch64 Image",          HINT_KERNEL },
	{ 56,  MAGIC("RSC\x05"),          "is a RISC-V Image",            HINT_KERNEL },
	{ 0,   MAGIC("\037\213"),         "is a gzip file",               HINT_UNPACK },
	{ 0,   MAGIC("\3757zXZ\0"),       "is an xz file",                HINT_UNPACK },
	{ 0,   MAGIC("\050\265\057\375"), "is a zstd file",               HINT_UNPACK },
	{ 0,   MAGIC("\004\042\115\030"), "is an lz4 file",               HINT_UNPACK },
	{ 0,   MAGIC("\002\041\114\030"), "is an lz4 file",               HINT_UNPACK },
	{ 0,   MAGIC("BZh"),              "is a bzip2 file",              HINT_UNPACK },
	{ 0,   MAGIC("!<arch>\n"),        "is an archive or package",     HINT_UNPACK },
	{ 0,   MAGIC("\047\005\031\126"), "is a U-Boot image",            HINT_UNPACK },
	{ 0,   MAGIC("07070"),            "is a cpio archive, an initrd", HINT_INITRD },
	{ 0,   MAGIC("QFI\373"),          "is a qcow2 disk",              HINT_KERNEL },
	{ 510, MAGIC("\125\252"),         "is a boot sector or a disk",   HINT_KERNEL },
	{ 0,   MAGIC("MZ"),               "is an EFI program",            HINT_KERNEL },
	{ 0,   MAGIC("#!"),               "is a script",                  HINT_KERNEL },
};
/* clang-format on */

static bool head_has(const struct image *img, size_t off, const void *magic, size_t len)
{
	return off + len <= img->head_len && memcmp(img->head + off, magic, len) == 0;
}

static bool is_text(const struct image *img)
{
	for (size_t i = 0; i < img->head_len; i++) {
		uint8_t c = img->head[i];

		if ((c < ' ' || c > '~') && c != '\n' && c != '\t' && c != '\r')
			return false;
	}
	return true;
}

static int refuse_foreign(const struct image *img, struct error *err)
{
	for (size_t i = 0; i < sizeof(foreign_files) / sizeof(foreign_files[0]); i++) {
		const struct foreign *f = &foreign_files[i];

		if (head_has(img, f->off, f->magic, f->len))
			return image_refuse(img, err, f->hint, "%s", f->what);
	}
	if (is_text(img))
		return image_refuse(img, err, HINT_KERNEL, "is a text file");
	return image_refuse(img, err, HINT_KERNEL, "has no known format");
}

int kernel_load(struct gmem *m, int fd, const char *path, gpa_t lowest,
		enum kernel_load_policy policy, struct kernel_image *ret, struct error *err)
{
	struct image img = {
		.fd = fd,
		.path = path,
		.noun = "kernel",
		.field = "kernel_image_path",
		.policy = policy,
	};
	struct kernel_image kernel = { 0 };
	int r = image_open(&img, err);

	if (r == 0)
		r = image_read_head(&img, err);
	if (r < 0)
		return r;
	if (head_has(&img, 0, "\177ELF", 4))
		r = elf_load(&img, m, lowest, &kernel, err);
	else if (head_has(&img, 0x202, "HdrS", 4) && head_has(&img, 0x1fe, "\x55\xaa", 2))
		r = bzimage_load(&img, m, lowest, &kernel, err);
	else
		r = refuse_foreign(&img, err);
	if (r < 0)
		return r;
	kernel.mapped_bytes = img.mapped_bytes;
	kernel.copied_bytes = img.copied_bytes;
	*ret = kernel;
	return 0;
}
