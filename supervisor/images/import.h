/* import.h - images on their way in: made by a worker, proved by a boot, and then named.
 *
 * Files and sources become blobs on a worker thread. An image without an agent is published
 * then; one with is first booted (image_probe.h), and published when its agent has answered.
 * What an import that was cut off has left goes at the next start of wispd; a probe that was
 * under way goes on. Loop thread; (T) as in instance.h.
 */
#ifndef SUPERVISOR_IMPORT_H
#define SUPERVISOR_IMPORT_H

#include "supervisor/books/operation.h"
#include "supervisor/images/image.h"
#include "supervisor/images/image_source.h"

struct import;
struct imports;
struct wispd;

struct import_request {
	char source[IMAGE_SOURCE_BYTES]; /* of the root disk (image_source.h); "": files.rootfs */
	uint64_t size_mib;
	struct image_files files;
	/* name, cmdline, agent, rootfs_read_only; and of an image that lends them: kernel, initrd. */
	struct image image;
};

int imports_create(struct wispd *d, struct imports **ret, struct error *err);
void imports_destroy(struct imports *all); /* after the workers' end; accepts NULL */

/* (T) Begins the operation, and describes the work: from malloc. import_start(), with that for
 * ctx, follows the commit, and copies it (struct api_call, after). */
int import_create(struct wispd *d, const struct import_request *request, const char *tenant,
		  const char *actor, struct import **ret, struct error *err);
const char *import_operation(const struct import *i);
void import_start(struct wispd *d, void *ctx);

/* {"stage", "percent"} of an operation that is an import under way; NULL: it is none. */
json_t *imports_progress(const struct imports *all, const char *operation);

/* (T) The image's probe has ended; code NULL: well. Ends the operation, if it is known. */
int imports_probed(struct imports *all, const char *digest, const char *code, const char *message,
		   struct error *err);
/* After the commit: forgets it. */
void imports_forget(struct imports *all, const char *digest);

/* Removes blobs that no image has, unless an import is under way. */
void imports_sweep(struct wispd *d);

#endif
