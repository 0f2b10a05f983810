/* initrd.c - places the initial RAM disk. Its content is the kernel's business. */
#include <inttypes.h>
#include <unistd.h>

#include "vmm/loader/image.h"
#include "vmm/loader/initrd.h"

enum { MIB = 1024 * 1024 };

static uint64_t room_end(const struct gmem *m, uint64_t addr_max)
{
	uint64_t end = image_ram_end(m);

	if (addr_max != 0 && addr_max < end)
		end = addr_max + 1;
	return end;
}

static int choose_address(const struct image *img, gpa_t kernel_end, uint64_t end, gpa_t *ret,
			  struct error *err)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;
	uint64_t start = end < img->size ? 0 : (end - img->size) & ~mask;

	if (start < kernel_end.v)
		return image_refuse(img, err, "raise mem_size_mib, or give a smaller initrd",
				    "is too large: %" PRIu64
				    " bytes, and between the kernel's end at %" PRIu64
				    " MiB and %" PRIu64 " MiB there is no room for them",
				    img->size, kernel_end.v / MIB, end / MIB);
	*ret = gpa(start);
	return 0;
}

int initrd_load(struct gmem *m, int fd, const char *path, gpa_t kernel_end, uint64_t addr_max,
		enum kernel_load_policy policy, struct initrd_image *ret, struct error *err)
{
	struct image img = {
		.fd = fd,
		.path = path,
		.noun = "initrd",
		.field = "initrd_path",
		.policy = policy,
	};
	gpa_t start = gpa(0);
	int r = image_open(&img, err);

	if (r == 0)
		r = choose_address(&img, kernel_end, room_end(m, addr_max), &start, err);
	if (r == 0)
		r = image_place(&img, m, start, 0, img.size, err);
	if (r < 0)
		return r;
	*ret = (struct initrd_image){
		.start = start,
		.len = img.size,
		.mapped_bytes = img.mapped_bytes,
		.copied_bytes = img.copied_bytes,
	};
	return 0;
}
