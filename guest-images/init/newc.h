/* newc.h - writing a cpio archive of the kind the kernel unpacks at boot.
 *
 * Format: Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
 * Directories must be added before what lies in them; paths have no leading '/'.
 */
#ifndef GUEST_IMAGES_INIT_NEWC_H
#define GUEST_IMAGES_INIT_NEWC_H

#include <stddef.h>

struct newc {
	int fd;	      /* where it goes, from its present end; borrowed */
	unsigned ino; /* of the last entry; the kernel wants them distinct */
};

/* Each: 0, or a negative errno, after which the archive is of no use. */
int newc_dir(struct newc *a, const char *path);
int newc_file(struct newc *a, const char *path, unsigned mode, const void *data, size_t len);
int newc_copy(struct newc *a, const char *path, unsigned mode, const char *from);
int newc_end(struct newc *a);

#endif
