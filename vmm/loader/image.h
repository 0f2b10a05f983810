/* image.h - the file behind a kernel or an initrd, and its way into guest RAM.
 *
 * Internal to the loader. The file is the user's and may be anything, or change
 * while it is read: every range is checked against the size that fstat() gave,
 * and a read that comes short is an error, never a wait.
 */
#ifndef VMM_LOADER_IMAGE_H
#define VMM_LOADER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/loader/kernel.h"
#include "vmm/memory/gmem.h"

enum { IMAGE_HEAD = 4096 };

struct image {
	int fd;		   /* the caller's */
	const char *path;  /* for messages only */
	const char *noun;  /* "kernel", "initrd" */
	const char *field; /* the API's name for the path */
	enum kernel_load_policy policy;

	uint64_t size; /* bytes of the file */
	size_t head_len;
	uint8_t head[IMAGE_HEAD]; /* its beginning: most headers need no second read */

	uint64_t mapped_bytes, copied_bytes; /* what image_place() did */
};

/* Fills size from fd. Refuses what is no regular file, or empty. */
int image_open(struct image *img, struct error *err);

/* Fills head: the first page, or all of a smaller file. */
int image_read_head(struct image *img, struct error *err);

/* True when [off, off + len) lies in the file; no sum can wrap. */
bool image_has(const struct image *img, uint64_t off, uint64_t len);

/* Copies len bytes at off, a range inside the file, to dst. */
int image_read(const struct image *img, uint64_t off, void *dst, size_t len, struct error *err);

/* Puts the file's [off, off + len) at guest address at, by mapping or copying as
 * the policy and alignment say. Both ranges have been checked by the caller. */
int image_place(struct image *img, struct gmem *m, gpa_t at, uint64_t off, uint64_t len,
		struct error *err);

/* The end of the RAM that an image may use: below the MMIO gap and below 4 GiB,
 * which is as far as the page tables at the start reach. */
uint64_t image_ram_end(const struct gmem *m);

/* -EINVAL with *err: "<noun> image " and the text, then the path. */
int image_refuse(const struct image *img, struct error *err, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
