/* api_create.c - an instance as it is asked for, and all that is written down for it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/device/claims.h"
#include "supervisor/http/api.h"
#include "supervisor/http/api_create.h"
#include "supervisor/http/api_life.h"
#include "supervisor/http/api_placement.h"
#include "supervisor/images/image.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/attend.h"
#include "supervisor/life/board.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/queue.h"
#include "supervisor/network/lease.h"
#include "supervisor/pool/take.h"
#include "supervisor/share/share.h"
#include "supervisor/volume/volume.h"
#include "supervisor/wispd.h"

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

struct create_body {
	char name[NAME_BYTES], image[DIGEST_BYTES], shape[NAME_BYTES], runtime[NAME_BYTES];
	char cmdline[CMDLINE_BYTES], labels[LABELS_BYTES];
	bool start, remove, attended;
	uint64_t ttl_s, priority, wait_ms;
	bool hotplug;
	uint32_t nvolumes, ninterfaces;
	char volumes[VOLUMES_MAX][VOLUME_REQUEST_BYTES];
	struct lease_request interfaces[LEASES_MAX];
	char pool[NAME_BYTES];
	uint32_t ndevices;
	char devices[LAUNCH_DEVICES_MAX][CHOOSE_TEXT_BYTES];
	struct board board;
	struct placement_body placement;
	uint32_t nshares;
	char shares[SHARES_MAX][SHARE_REQUEST_BYTES];
	char netns[CONFIG_FOLDER_BYTES], netns_link[LINK_BYTES];
	char engine[NAME_BYTES], engine_ref[ADOPTED_REF_BYTES];
};

static const struct create_body create_default = { .shape = "small",
						   .labels = "{}",
						   .netns_link = "eth0" };

static int check_create(void *config, struct error *err)
{
	struct create_body *b = config;
	int r = api_check_name(b->name, err);

	if (r < 0 || (!b->engine[0] && !b->engine_ref[0]))
		return r;
	if (!instance_name_ok(b->engine) || strcmp(b->engine, INSTANCE_OWN_ENGINE) == 0)
		return error_set(err, -EINVAL, "engine", "slurm, kubernetes, nomad, ...",
				 "Nobody else is called so");
	if (b->start || b->wait_ms)
		return error_set(err, -EINVAL, b->start ? "start" : "wait_ms",
				 "leave it out, then: wispctl launch", "Its engine starts it");
	return 0;
}

static const struct body_field create_fields[] = {
	{ .name = "image",
	  .type = BODY_STRING,
	  PLACE(create_body, image),
	  .min = 1,
	  .required = true },
	{ .name = "name", .type = BODY_STRING, PLACE(create_body, name), .min = 1 },
	{ .name = "shape", .type = BODY_STRING, PLACE(create_body, shape), .min = 1 },
	{ .name = "runtime", .type = BODY_STRING, PLACE(create_body, runtime), .min = 1 },
	{ .name = "cmdline", .type = BODY_STRING, PLACE(create_body, cmdline) },
	{ .name = "labels", .type = BODY_MAP, PLACE(create_body, labels) },
	{ .name = "start", .type = BODY_BOOL, PLACE(create_body, start) },
	{ .name = "remove", .type = BODY_BOOL, PLACE(create_body, remove) },
	{ .name = "attended", .type = BODY_BOOL, PLACE(create_body, attended) },
	{ .name = "ttl_s", .type = BODY_U64, PLACE(create_body, ttl_s), .max = 315360000 },
	{ .name = "priority",
	  .type = BODY_U64,
	  PLACE(create_body, priority),
	  .max = QUEUE_PRIORITY_MAX },
	{ .name = "wait_ms", .type = BODY_U64, PLACE(create_body, wait_ms), .max = 604800000 },
	{ .name = "hotplug", .type = BODY_BOOL, PLACE(create_body, hotplug) },
	{ .name = "volumes",
	  .type = BODY_STRINGS,
	  PLACE(create_body, volumes),
	  .mark = offsetof(struct create_body, nvolumes),
	  .max = VOLUMES_MAX },
	{ .name = "interfaces",
	  .type = BODY_ARRAY,
	  PLACE(create_body, interfaces),
	  .mark = offsetof(struct create_body, ninterfaces),
	  .max = LEASES_MAX,
	  .table = &api_interface_table },
	{ .name = "pool", .type = BODY_STRING, PLACE(create_body, pool), .min = 1 },
	{ .name = "devices",
	  .type = BODY_STRINGS,
	  PLACE(create_body, devices),
	  .mark = offsetof(struct create_body, ndevices),
	  .max = LAUNCH_DEVICES_MAX },
	{ .name = "firmware",
	  .type = BODY_ENUM,
	  PLACE(create_body, board.firmware),
	  .names = board_firmware_names },
	{ .name = "disk_bus",
	  .type = BODY_ENUM,
	  PLACE(create_body, board.disks),
	  .names = board_disks_names },
	{ .name = "placement",
	  .type = BODY_OBJECT,
	  PLACE(create_body, placement),
	  .table = &placement_table },
	{ .name = "shares",
	  .type = BODY_STRINGS,
	  PLACE(create_body, shares),
	  .mark = offsetof(struct create_body, nshares),
	  .max = SHARES_MAX },
	{ .name = "netns", .type = BODY_STRING, PLACE(create_body, netns), .min = 1 },
	{ .name = "netns_link", .type = BODY_STRING, PLACE(create_body, netns_link), .min = 1 },
	{ .name = "engine", .type = BODY_STRING, PLACE(create_body, engine), .min = 1 },
	{ .name = "engine_ref", .type = BODY_STRING, PLACE(create_body, engine_ref), .min = 1 },
};

const struct body_table api_create_table = {
	.size = sizeof(struct create_body),
	.defaults = &create_default,
	.fields = create_fields,
	.nfields = sizeof(create_fields) / sizeof(create_fields[0]),
	.check = check_create,
};

static int describe_plan(struct api_call *call, const struct create_body *b, struct instance *i)
{
	int r = api_check_room(call);

	if (r == 0)
		r = api_check_tenant(call);
	if (r == 0)
		r = api_use_image(call, b->image, i);
	if (r == 0)
		r = api_use_shape(call, b->shape, i);
	if (r == 0)
		r = api_choose_runtime(call, b->runtime, &b->board, b->ndevices > 0, i);
	if (r == 0)
		r = placement_read(call->d, &b->placement, b->runtime, &i->wish, &call->err);
	if (r == 0 && b->engine[0] && !place_is_plain(&i->wish))
		r = error_set(&call->err, -EINVAL, "placement", "leave it out",
			      "Its engine says where it runs");
	if (r < 0)
		return r;
	snprintf(i->tenant, sizeof(i->tenant), "%s", call->tenant);
	snprintf(i->name, sizeof(i->name), "%s", b->name);
	snprintf(i->owner_engine, sizeof(i->owner_engine), "%s",
		 b->engine[0] ? b->engine : INSTANCE_OWN_ENGINE);
	memcpy(i->cmdline, b->cmdline, sizeof(i->cmdline));
	memcpy(i->labels, b->labels, sizeof(i->labels));
	i->start_wanted = b->start;
	i->remove_wanted = b->remove;
	i->priority = (int64_t)b->priority;
	i->wait_ms = (int64_t)b->wait_ms;
	api_set_expiry(i, b->ttl_s);
	return 0;
}

static int take(struct api_call *call, const struct create_body *b, struct instance *i,
		struct take *ret)
{
	const struct take_wish wish = {
		.pool = b->pool,
		.plain = b->start && !b->hotplug && !b->nvolumes && !b->ndevices && !b->nshares &&
			 !b->netns[0] && place_is_plain(&i->wish) &&
			 strcmp(i->runtime, "wisp") == 0,
		.interfaces = b->interfaces,
		.ninterfaces = b->ninterfaces,
	};

	return take_choose(call->d, i, &wish, ret, &call->err);
}

int api_create(struct api_call *call)
{
	const struct create_body *b = call->config;
	struct instance i = { 0 };
	struct take taken = { 0 };
	int r = describe_plan(call, b, &i);

	if (r == 0)
		r = api_admit(call, &i);
	if (r == 0)
		r = take(call, b, &i, &taken);
	if (r == 0)
		r = instance_create(&call->d->truth, &i, call->caller->actor, &call->err);
	if (r == 0 && b->engine[0])
		r = adopted_make(&call->d->truth, &i, b->engine_ref, call->caller->actor,
				 &call->err);
	if (r == 0)
		r = board_write(&call->d->truth, &i, &b->board, &call->err);
	if (r == 0 && b->ndevices)
		r = claims_make(call->d, &i, b->devices, b->ndevices, &call->err);
	if (r == 0)
		r = kinds_reserve(call->d, &i, &call->err);
	if (r == 0)
		r = lease_take(&call->d->truth, &i, b->interfaces, b->ninterfaces, &call->err);
	if (r == 0)
		r = volume_take(&call->d->truth, &i, b->volumes, b->nvolumes, &call->err);
	if (r == 0)
		r = share_take(&call->d->truth, &call->d->config, &i, b->shares, b->nshares,
			       call->caller->actor, &call->err);
	if (r == 0 && b->netns[0])
		r = api_take_netns(call, &i, b->netns, b->netns_link, b->ninterfaces);
	if (r == 0 && b->hotplug)
		r = api_let_plug(call, &i);
	if (r == 0 && b->attended)
		r = attend_make(call->d, &i, &call->err);
	if (r == 0)
		r = take_bind(call->d, &i, &taken, call->caller->actor, &call->err);
	if (r == 0)
		r = api_answer(call, &i, "create", b->start ? STATE_RUNNING : STATE_CREATED);
	if (r < 0 || !taken.asked)
		return r;
	json_object_set_new(call->reply, "pool", take_describe(&taken));
	return taken.found ? api_follow(call, take_follow, i.id) : 0;
}
