/* oci.h - what an OCI image layout with one image in it says (image-layout.md, manifest.md and
 * config.md of the OCI image specification). What is read is a stranger's. Any thread.
 */
#ifndef SUPERVISOR_OCI_H
#define SUPERVISOR_OCI_H

#include "supervisor/images/image.h"

enum { OCI_LAYERS_MAX = 256 };

struct oci_image {
	char digest[DIGEST_BYTES]; /* of its manifest, without "sha256:" */
	unsigned nlayers;
	char layers[OCI_LAYERS_MAX][DIGEST_BYTES];
	char run[IMAGE_RUN_BYTES]; /* how it wants to be run, as in struct image */
};

/* The layout is a folder below dir. -EBADMSG: it makes no sense, or its image is too large a
 * one to describe. */
int oci_read(int dir, const char *layout, struct oci_image *ret, struct error *err);

#endif
