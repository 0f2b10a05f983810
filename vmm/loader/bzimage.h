/* bzimage.h - a Linux bzImage. Internal to the loader. */
#ifndef VMM_LOADER_BZIMAGE_H
#define VMM_LOADER_BZIMAGE_H

#include "vmm/loader/image.h"

/* Checks the setup header, then places the protected-mode part. Sets *ret's
 * protocol, entry, end and header, on success only. */
int bzimage_load(struct image *img, struct gmem *m, gpa_t lowest, struct kernel_image *ret,
		 struct error *err);

#endif
