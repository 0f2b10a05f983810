/* initrd.h - the initial RAM disk, put into guest RAM. */
#ifndef VMM_LOADER_INITRD_H
#define VMM_LOADER_INITRD_H

#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/loader/kernel.h"
#include "vmm/memory/gmem.h"

struct initrd_image {
	gpa_t start; /* page aligned */
	uint64_t len;
	uint64_t mapped_bytes, copied_bytes;
};

/* Loads the file behind fd as high in the RAM below the MMIO gap as it can be,
 * out of the way of the kernel, which unpacks itself upwards from low addresses.
 * Nothing is put below kernel_end, or above addr_max, the highest address that
 * the kernel can reach (a bzImage's initrd_addr_max; 0: no limit). fd, path and
 * policy: as for kernel_load(). Main thread, before the machine starts.
 * 0 and *ret, or a negative errno and *err (field "initrd_path"). */
int initrd_load(struct gmem *m, int fd, const char *path, gpa_t kernel_end, uint64_t addr_max,
		enum kernel_load_policy policy, struct initrd_image *ret, struct error *err);

#endif
