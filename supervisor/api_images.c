/* api_images.c - routes about images. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/api.h"
#include "supervisor/api_areas.h"
#include "supervisor/image.h"
#include "supervisor/operation.h"
#include "supervisor/store.h"
#include "supervisor/wispd.h"
#include "supervisor/workers.h"
#include "vmm/base/log.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct import_body {
	char name[NAME_BYTES], cmdline[CMDLINE_BYTES];
	struct image_files files;
	bool rootfs_read_only, agent;
};

static int check_import(void *config, struct error *err)
{
	struct import_body *b = config;

	if (!instance_name_ok(b->name))
		return error_set(err, -EINVAL, "name",
				 "lower-case letters, digits, dots and hyphens",
				 "The name cannot be used");
	if (b->files.kernel[0] != '/' || (b->files.initrd[0] && b->files.initrd[0] != '/') ||
	    (b->files.rootfs[0] && b->files.rootfs[0] != '/'))
		return error_set(err, -EINVAL, "kernel", "begin it with a slash",
				 "A path is not absolute");
	return 0;
}

static const struct body_field import_fields[] = {
	{ .name = "name",
	  .type = BODY_STRING,
	  PLACE(import_body, name),
	  .min = 1,
	  .required = true },
	{ .name = "kernel",
	  .type = BODY_STRING,
	  PLACE(import_body, files.kernel),
	  .min = 1,
	  .required = true },
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

static int remove_image(struct api_call *call)
{
	return image_remove(&call->d->truth, call->id, call->caller->actor, &call->err);
}

/* --- importing --- */

/* Files are copied and hashed on a worker; the row follows when they are there. */
struct import {
	struct work work;
	struct wispd *d;
	char operation[OPERATION_ID_BYTES], actor[ACTOR_BYTES];
	struct image_files files;
	struct image image;
	int result;
	struct error err;
};

static void import_run(struct work *work)
{
	struct import *i = (struct import *)work;

	i->result = image_import_files(&i->d->config, &i->files, &i->image, &i->err);
}

static int import_write(struct import *i)
{
	struct truth *t = &i->d->truth;
	struct error err = { 0 };
	const char *code = NULL;
	int r = i->result;

	if (r == 0)
		r = image_add(t, &i->image, i->actor, &i->err);
	if (r < 0)
		api_status_of(r, &code);
	return operation_end(t, i->operation, code, i->err.text, i->image.digest, &err);
}

/* Books that cannot be written now leave the operation to the next start. */
static void import_done(struct work *work)
{
	struct import *i = (struct import *)work;
	struct truth *t = &i->d->truth;
	struct error err = { 0 };
	int r = store_begin(t->store, &err);

	if (r == 0)
		r = import_write(i);
	if (r == 0)
		r = wispd_commit(i->d, &err);
	if (r < 0) {
		store_rollback(t->store);
		log_error("importing %s: %s", i->image.name, err.text);
	}
	free(i);
}

/* The work goes with it: what is handed to the workers is not the call's to free. */
static void import_begin(struct wispd *d, void *ctx)
{
	struct import *i = malloc(sizeof(*i));

	if (!i) {
		log_error("importing: out of memory");
		return;
	}
	memcpy(i, ctx, sizeof(*i));
	workers_add(d->workers, &i->work);
}

static int import(struct api_call *call)
{
	const struct import_body *b = call->config;
	struct import *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
	i->work = (struct work){ .run = import_run, .done = import_done };
	i->d = call->d;
	i->result = -ECANCELED;
	i->files = b->files;
	i->image.rootfs_read_only = b->rootfs_read_only;
	i->image.agent = b->agent;
	memcpy(i->image.name, b->name, sizeof(i->image.name));
	memcpy(i->image.cmdline, b->cmdline, sizeof(i->image.cmdline));
	memcpy(i->actor, call->caller->actor, sizeof(i->actor));
	call->after = import_begin;
	call->after_ctx = i;
	r = operation_begin(&call->d->truth, call->tenant, b->name, "import", OPERATION_NO_GOAL,
			    i->operation, &call->err);
	return r < 0 ? r : api_reply(call, json_pack("{s:s}", "operation", i->operation));
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/images",      ROLE_VIEWER, false, 200, NULL,          list,
	  .what = "All images: they are everybody's." },
	{ "POST",   "/images",      ROLE_ADMIN,  true,  202, &import_table, import,
	  .what = "Makes an image of files of the host, which are copied. A name that is there moves to it. With "
		  "`agent` its guests get one, by an initrd of wispd's unless there is one with wisp-init." },
	{ "GET",    "/images/{id}", ROLE_VIEWER, false, 200, NULL,          get,
	  .what = "One image, by name or digest." },
	{ "DELETE", "/images/{id}", ROLE_ADMIN,  true,  200, NULL,          remove_image,
	  .what = "Removes an image that nothing is made of." },
};
/* clang-format on */

const struct api_area api_images = { "Images", routes, sizeof(routes) / sizeof(routes[0]) };
