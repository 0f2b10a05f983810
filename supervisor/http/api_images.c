/* api_images.c - routes about images. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/images/image.h"
#include "supervisor/images/image_agent.h"
#include "supervisor/images/image_probe.h"
#include "supervisor/images/import.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct import_body {
	char name[NAME_BYTES], base[DIGEST_BYTES], cmdline[CMDLINE_BYTES];
	char source[IMAGE_SOURCE_BYTES];
	struct image_files files;
	uint64_t size_mib;
	bool rootfs_read_only, agent;
};

static bool is_relative(const char *path)
{
	return path[0] && path[0] != '/';
}

/* A disk with a boot loader, which nobody tells anything. */
static bool boots_itself(const struct import_body *b)
{
	bool disk = strncmp(b->source, "raw:", 4) == 0 || strncmp(b->source, "qcow2:", 6) == 0;

	return (b->files.rootfs[0] || disk) && !b->files.initrd[0] && !b->cmdline[0] && !b->agent;
}

static int check_import(void *config, struct error *err)
{
	struct import_body *b = config;

	if (!instance_name_ok(b->name))
		return error_set(err, -EINVAL, "name",
				 "lower-case letters, digits, dots and hyphens",
				 "The name cannot be used");
	if (is_relative(b->files.kernel) || is_relative(b->files.initrd) ||
	    is_relative(b->files.rootfs))
		return error_set(err, -EINVAL, "kernel", "begin it with a slash",
				 "A path is not absolute");
	if (b->files.kernel[0] && b->base[0])
		return error_set(err, -EINVAL, "kernel", "kernel, or base: an image that has one",
				 "An image has one kernel");
	if (!b->files.kernel[0] && !b->base[0] && !boots_itself(b))
		return error_set(err, -EINVAL, "kernel",
				 "give a kernel, or a base that has one; or a disk with a boot "
				 "loader (rootfs, raw:, qcow2:), and nothing else",
				 "Nothing would boot");
	if (b->source[0] && (b->files.rootfs[0] || !image_source_known(b->source)))
		return error_set(
			err, -EINVAL, "source",
			"oci:, oci-archive:, docker-archive:, tar:, raw: or qcow2:, and an "
			"absolute path; no rootfs",
			"The source cannot be used");
	return 0;
}

static const struct body_field import_fields[] = {
	{ .name = "name",
	  .type = BODY_STRING,
	  PLACE(import_body, name),
	  .min = 1,
	  .required = true },
	{ .name = "kernel", .type = BODY_STRING, PLACE(import_body, files.kernel) },
	{ .name = "base", .type = BODY_STRING, PLACE(import_body, base) },
	{ .name = "source", .type = BODY_STRING, PLACE(import_body, source) },
	{ .name = "size_mib", .type = BODY_U64, PLACE(import_body, size_mib), .max = 1 << 20 },
	{ .name = "initrd", .type = BODY_STRING, PLACE(import_body, files.initrd) },
	{ .name = "rootfs", .type = BODY_STRING, PLACE(import_body, files.rootfs) },
	{ .name = "rootfs_read_only", .type = BODY_BOOL, PLACE(import_body, rootfs_read_only) },
	{ .name = "cmdline", .type = BODY_STRING, PLACE(import_body, cmdline) },
	{ .name = "agent", .type = BODY_BOOL, PLACE(import_body, agent) },
};

static const struct body_table import_table = {
	.size = sizeof(struct import_body),
	.fields = import_fields,
	.nfields = sizeof(import_fields) / sizeof(import_fields[0]),
	.check = check_import,
};

static int list(struct api_call *call)
{
	json_t *all = image_list(&call->d->truth, &call->err);

	return all ? api_reply(call, json_pack("{s:o}", "images", all)) : call->err.code;
}

static int get(struct api_call *call)
{
	struct image image;
	int r = image_find(&call->d->truth, call->id, &image, &call->err);

	return r < 0 ? r : api_reply(call, image_describe(&image));
}

static void sweep(struct wispd *d, void *ctx)
{
	(void)ctx;
	imports_sweep(d);
}

static int remove_image(struct api_call *call)
{
	call->after = sweep;
	return image_remove(&call->d->truth, call->id, call->caller->actor, &call->err);
}

static int get_log(struct api_call *call)
{
	struct image image;
	int r = image_find(&call->d->truth, call->id, &image, &call->err);

	return r < 0 ? r : image_probe_log(&call->d->config, image.digest, &call->text, &call->err);
}

/* --- importing --- */

/* Kernel and initrd of another image, and how it is begun. */
static int borrow(struct api_call *call, const struct import_body *b, struct image *image)
{
	struct image base;
	int r = b->base[0] ? image_find(&call->d->truth, b->base, &base, &call->err) : 0;

	if (r < 0 || !b->base[0])
		return r;
	if (!base.kernel[0])
		return error_set(&call->err, -EINVAL, "base", "choose one that has a kernel",
				 "Image %s boots itself", b->base);
	memcpy(image->kernel, base.kernel, sizeof(image->kernel));
	memcpy(image->initrd, base.initrd, sizeof(image->initrd));
	memcpy(image->cmdline, base.cmdline, sizeof(image->cmdline));
	return b->cmdline[0] ? image_agent_add_words(image->cmdline, b->cmdline, &call->err) : 0;
}

static int import(struct api_call *call)
{
	const struct import_body *b = call->config;
	struct import_request *q = calloc(1, sizeof(*q));
	struct import *import = NULL;
	int r;

	if (!q)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	q->files = b->files;
	q->size_mib = b->size_mib;
	q->image.rootfs_read_only = b->rootfs_read_only;
	q->image.agent = b->agent;
	memcpy(q->source, b->source, sizeof(q->source));
	memcpy(q->image.name, b->name, sizeof(q->image.name));
	memcpy(q->image.cmdline, b->cmdline, sizeof(q->image.cmdline));
	r = borrow(call, b, &q->image);
	if (r == 0)
		r = import_create(call->d, q, call->tenant, call->caller->actor, &import,
				  &call->err);
	free(q);
	if (r < 0)
		return r;
	call->after = import_start;
	call->after_ctx = import;
	return api_reply(call, json_pack("{s:s}", "operation", import_operation(import)));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/images",      ROLE_VIEWER, false, 200, NULL,          list,
	  .what = "All images: they are everybody's." },
	{ "POST",   "/images",      ROLE_ADMIN,  true,  202, &import_table, import,
	  .what = "Makes an image of files of the host, or of a `source`, which becomes its root disk. With `base` "
		  "it has the kernel, initrd and command line of that image, and `cmdline` is added; with neither `kernel` nor "
		  "`base` the disk boots itself, by UEFI. With `agent` its "
		  "guests get one, by an initrd of wispd's unless there is one with wisp-init; it is booted, and "
		  "published when that answers. A name that is there moves to it then." },
	{ "GET",    "/images/{id}", ROLE_VIEWER, false, 200, NULL,          get,
	  .what = "One image, by name or digest." },
	{ "DELETE", "/images/{id}", ROLE_ADMIN,  true,  200, NULL,          remove_image,
	  .what = "Removes an image that nothing is made of." },
	{ "GET",    "/images/{id}/log", ROLE_ADMIN, false, 200, NULL,       get_log,
	  .what = "What the console said of an image that did not boot.", .type = "text/plain" },
};
/* clang-format on */

const struct api_area api_images = { "Images", routes, sizeof(routes) / sizeof(routes[0]) };
