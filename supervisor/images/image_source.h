/* image_source.h - root disks out of what others have made.
 *
 *   oci:FOLDER[:TAG]            an OCI image layout
 *   oci-archive:FILE[:TAG]      one in an archive
 *   docker-archive:FILE[:NAME]  what docker and podman save
 *   tar:FILE                    a root file system in an archive
 *   raw:FILE, qcow2:FILE        a disk
 *
 * All but raw disks are copied into a folder that belongs to a stranger, looked through, and
 * then taken apart there by programs that are that stranger (confined.h): skopeo, umoci, tar,
 * mke2fs, qemu-img. What comes of it is a disk, whose bytes the same source gives again.
 */
#ifndef SUPERVISOR_IMAGE_SOURCE_H
#define SUPERVISOR_IMAGE_SOURCE_H

#include "supervisor/images/image.h"
#include "supervisor/images/progress.h"

enum { IMAGE_SOURCE_BYTES = PATH_MAX + 256 };

/* Whether it begins as one of the above, with an absolute path. */
bool image_source_known(const char *source);

/* Makes the root disk; size_mib: of the file system, 0: what is needed and some room. Fills
 * rootfs, bytes and run. Any thread. */
int image_source_import(const struct config *c, const char *source, uint64_t size_mib,
			struct progress *progress, struct image *image, struct error *err);

/* At the start: removes what an import left half done; how many. */
int image_source_sweep(const struct config *c, struct error *err);

#endif
