/* image.c - reads a boot file with care, and maps or copies parts of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/loader/image.h"

int image_refuse(const struct image *img, struct error *err, const char *hint, const char *fmt, ...)
{
	char reason[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	/* The path comes last: it may be long, and the text is cut at its end. */
	return error_set(err, -EINVAL, img->field, hint, "%s image %s: %s", img->noun, reason,
			 img->path);
}

static int read_failed(const struct image *img, int code, struct error *err)
{
	return error_set(err, code, img->field, "is the file complete, and the disk sound?",
			 "cannot read %s image: %s: %s", img->noun,
			 code == -ENODATA ? "it became shorter" : strerror(-code), img->path);
}

static const char *file_kind(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a FIFO";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

int image_open(struct image *img, struct error *err)
{
	struct stat st;

	if (fstat(img->fd, &st) < 0)
		return read_failed(img, -errno, err);
	if (!S_ISREG(st.st_mode))
		return image_refuse(img, err, "give the path of a regular file", "is %s",
				    file_kind(st.st_mode));
	if (st.st_size == 0)
		return image_refuse(img, err, "was it copied completely?", "is empty");
	img->size = (uint64_t)st.st_size;
	return 0;
}

int image_read_head(struct image *img, struct error *err)
{
	img->head_len = img->size < IMAGE_HEAD ? (size_t)img->size : IMAGE_HEAD;

	int r = fd_pread_all(img->fd, img->head, img->head_len, 0);

	return r < 0 ? read_failed(img, r, err) : 0;
}

bool image_has(const struct image *img, uint64_t off, uint64_t len)
{
	return off <= img->size && len <= img->size - off;
}

int image_read(const struct image *img, uint64_t off, void *dst, size_t len, struct error *err)
{
	if (off <= img->head_len && len <= img->head_len - off) {
		memcpy(dst, img->head + off, len);
		return 0;
	}

	int r = fd_pread_all(img->fd, dst, len, (off_t)off);

	return r < 0 ? read_failed(img, r, err) : 0;
}

static int copy_part(struct image *img, struct gmem *m, gpa_t at, uint64_t off, uint64_t len,
		     struct error *err)
{
	if (len == 0)
		return 0;

	void *host = gmem_span(m, at, len);
	int r = host ? fd_pread_all(img->fd, host, len, (off_t)off) : -EFAULT;

	if (r < 0)
		return read_failed(img, r, err);
	img->copied_bytes += len;
	return 0;
}

int image_place(struct image *img, struct gmem *m, gpa_t at, uint64_t off, uint64_t len,
		struct error *err)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t head = -at.v & (page - 1); /* up to the first page boundary */

	if (img->policy != KERNEL_MAP || (at.v - off) % page != 0 || len < head + page)
		return copy_part(img, m, at, off, len, err);

	uint64_t body = (len - head) & ~(page - 1);
	uint64_t tail = head + body;
	int r = gmem_map_file(m, gpa(at.v + head), img->fd, (off_t)(off + head), body);

	/* -ENODEV: a file system that cannot map. */
	if (r == -EINVAL || r == -ENODEV)
		return copy_part(img, m, at, off, len, err);
	if (r < 0)
		return error_set(err, r, img->field, NULL, "cannot map %s image: %s: %s", img->noun,
				 strerror(-r), img->path);
	img->mapped_bytes += body;
	r = copy_part(img, m, at, off, head, err);
	if (r < 0)
		return r;
	return copy_part(img, m, gpa(at.v + tail), off + tail, len - tail, err);
}

/* What the page tables at the start map. */
#define REACH (UINT64_C(4) << 30)

uint64_t image_ram_end(const struct gmem *m)
{
	unsigned count;
	const struct gmem_region *r = gmem_regions(m, &count);

	uint64_t end = r[0].base.v + r[0].len;

	return end < REACH ? end : REACH;
}
