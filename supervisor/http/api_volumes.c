/* api_volumes.c - routes about volumes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/operation.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/volumes.h"
#include "supervisor/volume/work.h"
#include "supervisor/wispd.h"

enum { SIZE_MIB_MAX = 1 << 24 };

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct volume_body {
	char name[NAME_BYTES], from[NAME_BYTES];
	uint64_t size_mib;
	uint32_t format;
};

static int check_volume(void *config, struct error *err)
{
	struct volume_body *b = config;

	if (!instance_name_ok(b->name))
		return error_set(err, -EINVAL, "name",
				 "lower-case letters, digits, dots and hyphens",
				 "The name cannot be used");
	if (!b->from[0] == (b->size_mib > 0))
		return 0;
	return error_set(err, -EINVAL, "size_mib", "a copy is as large as what it is of",
			 "A volume has either a size, or another that it is a copy of");
}

static const struct body_field volume_fields[] = {
	{ .name = "name",
	  .type = BODY_STRING,
	  PLACE(volume_body, name),
	  .min = 1,
	  .required = true },
	{ .name = "size_mib", .type = BODY_U64, PLACE(volume_body, size_mib), .max = SIZE_MIB_MAX },
	{ .name = "format",
	  .type = BODY_ENUM,
	  PLACE(volume_body, format),
	  .names = volume_format_names },
	{ .name = "from", .type = BODY_STRING, PLACE(volume_body, from) },
};

static const struct body_table volume_table = {
	.size = sizeof(struct volume_body),
	.fields = volume_fields,
	.nfields = sizeof(volume_fields) / sizeof(volume_fields[0]),
	.check = check_volume,
};

struct attach_body {
	char instance[NAME_BYTES];
	bool read_only;
};

static const struct body_field attach_fields[] = {
	{ .name = "instance",
	  .type = BODY_STRING,
	  PLACE(attach_body, instance),
	  .min = 1,
	  .required = true },
	{ .name = "read_only", .type = BODY_BOOL, PLACE(attach_body, read_only) },
};

static const struct body_table attach_table = {
	.size = sizeof(struct attach_body),
	.fields = attach_fields,
	.nfields = sizeof(attach_fields) / sizeof(attach_fields[0]),
};

struct grow_body {
	uint64_t size_mib;
};

static const struct body_field grow_fields[] = {
	{ .name = "size_mib",
	  .type = BODY_U64,
	  PLACE(grow_body, size_mib),
	  .min = 1,
	  .max = SIZE_MIB_MAX,
	  .required = true },
};

static const struct body_table grow_table = {
	.size = sizeof(struct grow_body),
	.fields = grow_fields,
	.nfields = 1,
};

struct remove_body {
	bool erase;
};

static const struct body_field remove_fields[] = {
	{ .name = "erase", .type = BODY_BOOL, PLACE(remove_body, erase) },
};

static const struct body_table remove_table = {
	.size = sizeof(struct remove_body),
	.fields = remove_fields,
	.nfields = 1,
};

/* --- reading --- */

static int add_one(void *ctx, const struct volume *v)
{
	return json_array_append_new(ctx, volume_describe(v));
}

static int list(struct api_call *call)
{
	json_t *all = json_array();
	int r = volume_each(&call->d->truth, call->tenant, add_one, all, &call->err);

	if (r < 0) {
		json_decref(all);
		return r;
	}
	return api_reply(call, json_pack("{s:o}", "volumes", all));
}

static int get(struct api_call *call)
{
	struct volume v;
	int r = volume_find(&call->d->truth, call->tenant, call->id, &v, &call->err);

	return r < 0 ? r : api_reply(call, volume_describe(&v));
}

/* --- work --- */

/* Of the volume that the path names, unless something is being done to it. */
static struct volume_work *begin(struct api_call *call, enum volume_verb verb)
{
	struct volume_work *w = calloc(1, sizeof(*w));

	if (!w) {
		error_set(&call->err, -ENOMEM, NULL, NULL, "out of memory");
		return NULL;
	}
	call->after_ctx = w;
	w->d = call->d;
	w->verb = verb;
	memcpy(w->actor, call->caller->actor, sizeof(w->actor));
	if (call->id[0] &&
	    volume_find_ready(&call->d->truth, call->tenant, call->id, &w->volume, &call->err) < 0)
		return NULL;
	return w;
}

/* The row says what is going to be done; and what is done comes after the commit. */
static int go(struct api_call *call, struct volume_work *w, const char *verb)
{
	struct truth *t = &call->d->truth;
	int r = operation_begin(t, w->volume.tenant, w->volume.id, verb, OPERATION_NO_GOAL,
				w->operation, &call->err);

	if (r < 0)
		return r;
	call->after = volume_work_begin;
	return api_reply(call, json_pack("{s:s, s:o}", "operation", w->operation, "volume",
					 volume_describe(&w->volume)));
}

/* A guest that writes meanwhile would leave a copy that never was. */
static int refuse_running(struct api_call *call, const struct volume *v)
{
	struct instance i;
	int r;

	if (v->place == VOLUME_FREE)
		return 0;
	r = instance_load(&call->d->truth, v->instance, &i, &call->err);
	if (r < 0 || !states[i.state].alive)
		return r;
	return error_set(&call->err, -EBUSY, "volume", "detach it, or stop that first",
			 "%s may be writing to volume %s", i.name, v->name);
}

static int lock_source(struct api_call *call, struct volume_work *w, const char *name)
{
	int r = volume_find_ready(&call->d->truth, call->tenant, name, &w->source, &call->err);

	if (r == 0)
		r = refuse_running(call, &w->source);
	if (r < 0)
		return r;
	w->verb = VERB_COPY;
	w->volume.size_mib = w->source.size_mib;
	w->volume.format = w->source.format;
	w->source.state = VOLUME_COPYING;
	return volume_update(&call->d->truth, &w->source, &call->err);
}

static int create(struct api_call *call)
{
	const struct volume_body *b = call->config;
	struct volume_work *w = begin(call, VERB_MAKE);
	int r;

	if (!w)
		return call->err.code;
	r = api_check_tenant(call);
	if (r < 0)
		return r;
	w->volume.format = (enum volume_format)b->format;
	w->volume.size_mib = (int64_t)b->size_mib;
	memcpy(w->volume.name, b->name, sizeof(w->volume.name));
	snprintf(w->volume.tenant, sizeof(w->volume.tenant), "%s", call->tenant);
	if (b->from[0])
		r = lock_source(call, w, b->from);
	if (r == 0)
		r = disk_check_room(&call->d->config, w->volume.size_mib, &call->err);
	if (r == 0)
		r = volume_add(&call->d->truth, &w->volume, &call->err);
	return r < 0 ? r : go(call, w, "make");
}

static int remove_volume(struct api_call *call)
{
	const struct remove_body *b = call->config;
	struct volume_work *w = begin(call, b->erase ? VERB_ERASE : VERB_REMOVE);
	int r;

	if (!w)
		return call->err.code;
	if (w->volume.place != VOLUME_FREE)
		return error_set(&call->err, -EBUSY, "volume", "detach it first",
				 "Volume %s is an instance's", w->volume.name);
	r = snapshot_volumes_check_unused(&call->d->truth, &w->volume, &call->err);
	if (r < 0)
		return r;
	w->volume.state = b->erase ? VOLUME_ERASING : VOLUME_REMOVING;
	r = volume_update(&call->d->truth, &w->volume, &call->err);
	return r < 0 ? r : go(call, w, "remove");
}

/* A copy of it is as large as the books say. */
static int refuse_saving(struct api_call *call, const struct volume *v)
{
	struct instance i;
	int r = instance_load(&call->d->truth, v->instance, &i, &call->err);

	if (r < 0 || !state_is_saving(i.state))
		return r;
	return error_set(&call->err, -EBUSY, "volume", "try again when it is made",
			 "A snapshot of %s is being made, which has volume %s", i.name, v->name);
}

static int grow(struct api_call *call)
{
	const struct grow_body *b = call->config;
	struct volume_work *w = begin(call, VERB_GROW);
	int64_t size_mib = (int64_t)b->size_mib;
	int r = 0;

	if (!w)
		return call->err.code;
	if (size_mib < w->volume.size_mib)
		return error_set(&call->err, -EINVAL, "size_mib", "make a smaller one, and copy",
				 "A volume does not become smaller");
	if (w->volume.place != VOLUME_FREE)
		r = refuse_saving(call, &w->volume);
	if (r == 0 && w->volume.place != VOLUME_FREE)
		r = volume_work_aim(w, &call->err);
	if (r == 0)
		r = disk_check_room(&call->d->config, size_mib - w->volume.size_mib, &call->err);
	if (r < 0)
		return r;
	w->old_size_mib = w->volume.size_mib;
	w->volume.size_mib = size_mib;
	w->volume.state = VOLUME_GROWING;
	r = volume_update(&call->d->truth, &w->volume, &call->err);
	return r < 0 ? r : go(call, w, "grow");
}

static int back_up(struct api_call *call)
{
	const struct api_path_body *b = call->config;
	struct volume_work *w = begin(call, VERB_BACK_UP);
	int r;

	if (!w)
		return call->err.code;
	r = refuse_running(call, &w->volume);
	if (r < 0)
		return r;
	memcpy(w->path, b->path, sizeof(w->path));
	w->volume.state = VOLUME_COPYING;
	r = volume_update(&call->d->truth, &w->volume, &call->err);
	return r < 0 ? r : go(call, w, "back_up");
}

/* --- attaching --- */

/* Whether drives can come and go now; 0: it does not run, so rows are enough. */
static int can_plug(struct api_call *call, struct volume_work *w, const struct instance *i)
{
	int r;

	if (!states[i->state].alive && i->state != STATE_DELETING)
		return 0;
	if (i->state != STATE_RUNNING)
		return error_set(&call->err, -EBUSY, "instance", "wait until it runs, or stop it",
				 "%s is %s", i->name, states[i->state].name);
	memcpy(w->volume.instance, i->id, sizeof(w->volume.instance));
	r = volume_work_aim(w, &call->err);
	if (r < 0)
		return r;
	if (w->launch.hotplug && w->launch.runtime->plug_drive)
		return 1;
	return error_set(&call->err, -ENOTSUP, "instance",
			 "stop it first; or create it with hotplug, on a kernel with PCI",
			 "%s runs, and was not made for disks that come and go", i->name);
}

/* One that does not run: the row says it all. */
static int write_place(struct api_call *call, struct volume_work *w, const char *event)
{
	int r = volume_update(&call->d->truth, &w->volume, &call->err);

	if (r == 0)
		r = volume_tell(&call->d->truth, event, &w->volume, w->actor, NULL, &call->err);
	return r < 0 ? r
		     : api_reply(call, json_pack("{s:o}", "volume", volume_describe(&w->volume)));
}

static int attach(struct api_call *call)
{
	const struct attach_body *b = call->config;
	struct volume_work *w = begin(call, VERB_PLUG);
	struct truth *t = &call->d->truth;
	struct instance i = { 0 };
	int live, r;

	if (!w)
		return call->err.code;
	r = instance_find(t, w->volume.tenant, b->instance, &i, &call->err);
	if (r == 0)
		r = volume_give(t, &w->volume, &i, b->read_only, VOLUME_ATTACHED, &call->err);
	live = r < 0 ? r : can_plug(call, w, &i);
	if (live == 0)
		return write_place(call, w, "volume.attached");
	if (live < 0)
		return live;
	w->volume.place = VOLUME_PLUGGING;
	r = volume_update(t, &w->volume, &call->err);
	return r < 0 ? r : go(call, w, "attach");
}

static int detach(struct api_call *call)
{
	struct volume_work *w = begin(call, VERB_UNPLUG);
	struct truth *t = &call->d->truth;
	struct instance i = { 0 };
	int live, r;

	if (!w)
		return call->err.code;
	if (w->volume.place == VOLUME_FREE)
		return error_set(&call->err, -EPERM, "volume", NULL, "No instance has volume %s",
				 w->volume.name);
	r = instance_load(t, w->volume.instance, &i, &call->err);
	live = r < 0 ? r : can_plug(call, w, &i);
	if (live < 0)
		return live;
	w->volume.place = live ? VOLUME_UNPLUGGING : VOLUME_FREE;
	if (!live)
		return write_place(call, w, "volume.detached");
	r = volume_update(t, &w->volume, &call->err);
	return r < 0 ? r : go(call, w, "detach");
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET",    "/volumes",             ROLE_VIEWER,   false, 200, NULL,          list,
	  .what = "All volumes of the tenant." },
	{ "POST",   "/volumes",             ROLE_OPERATOR, true,  202, &volume_table, create,
	  .what = "Makes an empty volume, or a copy of another that nobody writes to (`from`): of the same "
		  "blocks, where the file system can." },
	{ "GET",    "/volumes/{id}",        ROLE_VIEWER,   false, 200, NULL,          get,
	  .what = "One volume, by name or id." },
	{ "DELETE", "/volumes/{id}",        ROLE_OPERATOR, true,  202, &remove_table, remove_volume,
	  .what = "Removes one that nobody has; with `erase`, overwrites it first, reads it again, and puts "
		  "a certificate into the ledger." },
	{ "POST",   "/volumes/{id}/attach", ROLE_OPERATOR, true,  202, &attach_table, attach,
	  .what = "Makes it a disk of an instance; of one that runs, if that has `hotplug`: then there is an "
		  "operation to wait for." },
	{ "POST",   "/volumes/{id}/detach", ROLE_OPERATOR, true,  202, NULL,          detach,
	  .what = "Takes it from its instance; from one that runs, once its guest lets it go." },
	{ "POST",   "/volumes/{id}/grow",   ROLE_OPERATOR, true,  202, &grow_table,   grow,
	  .what = "Makes it larger, under a running guest, too, which hears of it." },
	{ "POST",   "/volumes/{id}/backup", ROLE_ADMIN,    true,  202, &api_path_table, back_up,
	  .what = "Copies one that nobody writes to, to a new file of the host." },
};
/* clang-format on */

const struct api_area api_volumes = { "Volumes", routes, sizeof(routes) / sizeof(routes[0]) };
