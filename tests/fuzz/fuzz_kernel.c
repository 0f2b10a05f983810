/* fuzz_kernel.c - any bytes as a kernel file.
 *
 * Loads the input by mapping and by copying: both must agree on the outcome and
 * leave the same guest RAM, with nothing below the lowest address, and the entry
 * inside the image.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/base/fd.h"
#include "vmm/loader/kernel.h"

enum { RAM = 4 << 20, LOWEST = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

static struct gmem *load(int fd, enum kernel_load_policy policy, struct kernel_image *image,
			 int *outcome)
{
	const struct gmem_config config = { .size_bytes = RAM };
	struct gmem *m = NULL;
	struct error err = { 0 };

	require(gmem_create(&config, &m, &err) == 0, "guest RAM");
	*outcome = kernel_load(m, fd, "input", gpa(LOWEST), policy, image, &err);
	require((*outcome == 0) == (err.code == 0), "an error has a text");
	return m;
}

static void check_image(const struct gmem *m, const struct kernel_image *image)
{
	const uint8_t *low = gmem_span(m, gpa(0), LOWEST);

	require(image->entry.v >= LOWEST && image->entry.v < image->end.v, "the entry is inside");
	require(image->end.v <= RAM, "the image is inside RAM");
	require(low[0] == 0 && memcmp(low, low + 1, LOWEST - 1) == 0, "low RAM is untouched");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC), mapped, copied;
	struct kernel_image by_map, by_copy;

	require(fd >= 0 && fd_pwrite_all(fd, data, len, 0) == 0, "the input file");

	struct gmem *a = load(fd, KERNEL_MAP, &by_map, &mapped);
	struct gmem *b = load(fd, KERNEL_COPY, &by_copy, &copied);

	require(mapped == copied, "the same outcome");
	if (mapped == 0) {
		check_image(a, &by_map);
		require(by_map.entry.v == by_copy.entry.v && by_map.end.v == by_copy.end.v,
			"the same image");
		require(memcmp(gmem_span(a, gpa(LOWEST), RAM - LOWEST),
			       gmem_span(b, gpa(LOWEST), RAM - LOWEST), RAM - LOWEST) == 0,
			"the same RAM");
	}
	gmem_destroy(a);
	gmem_destroy(b);
	fd_close(fd);
	return 0;
}
