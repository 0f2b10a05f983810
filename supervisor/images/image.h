/* image.h - what instances are made of: a kernel, and perhaps an initrd and a root disk.
 *
 * An image is named by a digest over its parts' digests and how they are used; its name
 * points to one digest at a time. Loop thread, but image_import_files(); errors as of
 * store.h, and -ENOENT.
 */
#ifndef SUPERVISOR_IMAGE_H
#define SUPERVISOR_IMAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/config.h"

enum { IMAGE_RUN_BYTES = 16384 };

/* One with an agent is probed before it is published; only then it has its name. */
enum image_state { IMAGE_PUBLISHED, IMAGE_PROBING, IMAGE_FAILED };

struct image {
	char digest[DIGEST_BYTES];
	char name[NAME_BYTES];
	char kernel[DIGEST_BYTES], initrd[DIGEST_BYTES], rootfs[DIGEST_BYTES]; /* "": none */
	bool rootfs_read_only;
	bool agent; /* its guests have one, by initrd and cmdline (image_agent.h) */
	char cmdline[CMDLINE_BYTES];
	uint64_t bytes;
	/* How it wants to be run, in JSON: entrypoint, cmd, env, user, workdir; "": not said. */
	char run[IMAGE_RUN_BYTES];
	enum image_state state;
	char wanted[NAME_BYTES]; /* the name that it gets when it is published */
	char cause[CAUSE_BYTES]; /* why it has failed */
};

struct image_files {
	char kernel[PATH_MAX], initrd[PATH_MAX], rootfs[PATH_MAX]; /* "": none */
};

/* Copies the files in and fills digests and bytes: of a part without a path the digest stays.
 * Any thread. */
int image_import_files(const struct config *c, const struct image_files *files, struct image *image,
		       struct error *err);

/* Within a transaction. One with an agent is to be probed; others are published. *there, and
 * nothing is done: it is published under this name. A name that another image has moves to this
 * one when it is published, unless that is in use (-EBUSY). */
int image_add(struct truth *t, const struct image *image, const char *actor, bool *there,
	      struct error *err);
/* Its probe has ended. boot_ms: how long its boot took, its instance's making included. */
int image_publish(struct truth *t, const struct image *image, int64_t boot_ms, const char *actor,
		  struct error *err);
int image_fail(struct truth *t, const struct image *image, const char *cause, const char *actor,
	       struct error *err);
/* -EBUSY: instances are made of it. */
int image_remove(struct truth *t, const char *which, const char *actor, struct error *err);

/* By name or digest. */
int image_find(struct truth *t, const char *which, struct image *ret, struct error *err);
json_t *image_describe(const struct image *image);
json_t *image_list(struct truth *t, struct error *err);

/* Removes blobs that belong to no image, and what an import left half done; how many. Not
 * while an import is under way. */
int image_sweep(struct truth *t, const struct config *c, struct error *err);

#endif
