/* elf.h - an uncompressed ELF kernel (vmlinux). Internal to the loader. */
#ifndef VMM_LOADER_ELF_H
#define VMM_LOADER_ELF_H

#include "vmm/loader/image.h"

/* Checks the whole file first, then places its segments. Sets *ret's protocol,
 * entry and end, on success only. */
int elf_load(struct image *img, struct gmem *m, gpa_t lowest, struct kernel_image *ret,
	     struct error *err);

#endif
