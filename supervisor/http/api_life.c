/* api_life.c - checks and answers of routes that make instances or move them. */
#include <errno.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/size.h"
#include "supervisor/books/store.h"
#include "supervisor/http/api_life.h"
#include "supervisor/images/image.h"
#include "supervisor/life/queue.h"
#include "supervisor/life/root_disk.h"
#include "supervisor/life/runtime.h"
#include "supervisor/network/given.h"
#include "supervisor/network/lease.h"
#include "supervisor/wispd.h"

static const int64_t NS_PER_S = 1000000000;

#define PLACE(type, member) \
	.offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)

int api_check_name(const char *name, struct error *err)
{
	if (!name[0] || instance_name_ok(name))
		return 0;
	return error_set(err, -EINVAL, "name",
			 "lower-case letters, digits, dots and hyphens; a letter or digit first",
			 "The name cannot be used");
}

static int check_interface(void *config, struct error *err)
{
	return lease_check(config, err);
}

static const struct body_field interface_fields[] = {
	{ .name = "network",
	  .type = BODY_STRING,
	  PLACE(lease_request, network),
	  .min = 1,
	  .required = true },
	{ .name = "address", .type = BODY_STRING, PLACE(lease_request, address) },
	{ .name = "egress",
	  .type = BODY_STRINGS,
	  PLACE(lease_request, egress),
	  .mark = offsetof(struct lease_request, negress),
	  .max = POLICY_RULES_MAX },
	{ .name = "publish",
	  .type = BODY_STRINGS,
	  PLACE(lease_request, publish),
	  .mark = offsetof(struct lease_request, npublish),
	  .max = LEASE_PORTS_MAX },
	{ .name = "rx_bytes_per_s",
	  .type = BODY_U64,
	  PLACE(lease_request, rx_bytes_per_s),
	  .max = LEASE_RATE_MAX },
	{ .name = "tx_bytes_per_s",
	  .type = BODY_U64,
	  PLACE(lease_request, tx_bytes_per_s),
	  .max = LEASE_RATE_MAX },
};

const struct body_table api_interface_table = {
	.size = sizeof(struct lease_request),
	.fields = interface_fields,
	.nfields = sizeof(interface_fields) / sizeof(interface_fields[0]),
	.check = check_interface,
};

void api_set_expiry(struct instance *i, uint64_t ttl_s)
{
	i->expires_boot_ns = ttl_s ? ledger_boot_ns() + (int64_t)ttl_s * NS_PER_S : 0;
	i->expires_wall_ns = ttl_s ? ledger_wall_ns() + (int64_t)ttl_s * NS_PER_S : 0;
}

int api_use_shape(struct api_call *call, const char *name, struct instance *i)
{
	struct rows rows;
	int r = store_select(call->d->truth.store, &rows, &call->err,
			     "SELECT version, vcpus, mem_mib FROM shape WHERE name = ?"
			     " ORDER BY version DESC LIMIT 1",
			     "s", name);

	if (r < 0)
		return r;
	r = rows_next(&rows, &call->err);
	if (r > 0) {
		snprintf(i->shape, sizeof(i->shape), "%s", name);
		i->shape_version = rows_int(&rows, 0);
		i->vcpus = rows_int(&rows, 1);
		i->mem_mib = rows_int(&rows, 2);
	}
	rows_end(&rows);
	if (r == 0)
		return error_set(&call->err, -ENOENT, "shape", "GET /shapes lists what there is",
				 "There is no shape %s", name);
	return r < 0 ? r : 0;
}

int api_use_image(struct api_call *call, const char *which, struct instance *i)
{
	struct image image;
	int r = image_find(&call->d->truth, which, &image, &call->err);

	if (r == 0 && image.state != IMAGE_PUBLISHED)
		r = error_set(&call->err, -EPERM, "image", "wait for its probe, or look at its log",
			      "Image %.12s is not published", image.digest);
	if (r == 0)
		memcpy(i->image, image.digest, sizeof(i->image));
	return r;
}

int api_check_room(struct api_call *call)
{
	if (wispd_has_room(call->d))
		return 0;
	return error_set(&call->err, -ENOSPC, NULL, "make room on the disk of state_dir",
			 "The disk is full: nothing new can begin");
}

int api_admit(struct api_call *call, const struct instance *i)
{
	int r = i->start_wanted && !i->wait_ms ? queue_decide(call->d->queue, i, &call->err) : 0;

	return r < 0 ? r : 0;
}

int api_answer(struct api_call *call, const struct instance *i, const char *verb, int goal)
{
	char id[OPERATION_ID_BYTES];
	int r = operation_begin(&call->d->truth, i->tenant, i->id, verb, goal, id, &call->err);

	if (r < 0)
		return r;
	memcpy(call->kick, i->id, sizeof(i->id));
	return api_reply(
		call, json_pack("{s:s, s:o}", "operation", id, "instance", instance_describe(i)));
}

int api_choose_runtime(struct api_call *call, const char *said, const struct board *asked,
		       bool devices, struct instance *i)
{
	struct board board = *asked;
	const struct runtime *runtime;
	const char *wanted;
	int r = board_settle(&call->d->truth, i, &board, &call->err);

	if (r < 0)
		return r;
	wanted = said[0] ? said : devices || board_needs(&board, i->vcpus) ? "qemu" : "wisp";
	runtime = runtime_find(wanted);
	if (!runtime)
		return error_set(&call->err, -ENOTSUP, "runtime", "wisp and qemu are there",
				 "There is no runtime %s", wanted);
	if (devices && !runtime->devices)
		return error_set(&call->err, -ENODEV, "devices",
				 "leave the runtime out, or say qemu: it has VFIO",
				 "A microVM has no PCI device of the host's");
	snprintf(i->runtime, sizeof(i->runtime), "%s", wanted);
	return board_check(i, &board, &call->err);
}

int api_let_plug(struct api_call *call, const struct instance *i)
{
	int r = store_run(call->d->truth.store, &call->err, "INSERT INTO hotplug VALUES (?)", "s",
			  i->id);

	return r < 0 ? r : 0;
}

int api_find_disk(struct api_call *call, const struct instance *i, int64_t *size_mib,
		  int64_t *image_mib)
{
	struct truth *t = &call->d->truth;
	struct image image;
	int r = image_find(t, i->image, &image, &call->err);

	if (r == 0)
		r = root_disk_of_image(&call->d->config, image.rootfs, image.rootfs_read_only,
				       image_mib, &call->err);
	if (r == 0)
		r = size_disk(t, i->id, size_mib, &call->err);
	if (r == 0 && *image_mib == 0)
		r = error_set(&call->err, -EINVAL, "disk_mib", "give it a volume",
			      "%s has no root disk that it can write to", i->name);
	if (*size_mib < *image_mib)
		*size_mib = *image_mib;
	return r;
}

int api_set_disk(struct api_call *call, const struct instance *i, int64_t size_mib)
{
	int64_t now_mib = 0, image_mib = 0;
	int r = size_mib ? api_find_disk(call, i, &now_mib, &image_mib) : 0;

	return r < 0 ? r : size_set_disk(&call->d->truth, i, size_mib, image_mib, &call->err);
}

int api_check_generation(struct api_call *call, const struct instance *i, uint64_t generation)
{
	if (!generation || (int64_t)generation == i->generation)
		return 0;
	return error_set(&call->err, -ESTALE, "generation", "look at it again, and repeat",
			 "%s has changed: its generation is %lld", i->name,
			 (long long)i->generation);
}

int api_refuse_move(struct api_call *call, const struct instance *i, const char *verb)
{
	char names[160];

	return error_set(&call->err, -EPERM, "state", state_names_for(verb, names, sizeof(names)),
			 "%s is %s; %s needs another state", i->name, states[i->state].name, verb);
}

int api_refuse_engine(struct api_call *call, const struct instance *i)
{
	return error_set(&call->err, -EPERM, "engine", "let the engine run: wispctl launch",
			 "%s starts and ends %s", i->owner_engine, i->name);
}

/* What is in somebody else's namespace is not a tenant's to choose. */
int api_take_netns(struct api_call *call, const struct instance *i, const char *path,
		   const char *link, unsigned interfaces)
{
	int r = netns_check(&call->d->config, path, link, &call->err);

	if (r == 0 && call->caller->role < ROLE_ADMIN)
		r = error_set(&call->err, -EACCES, "netns", "ask an administrator",
			      "Only an administrator gives network namespaces");
	if (r == 0 && interfaces)
		r = error_set(&call->err, -EINVAL, "netns", "one or the other",
			      "What is in a network namespace has no interface in the host's");
	return r < 0 ? r
		     : given_take(&call->d->truth, i, path, link, call->caller->actor, &call->err);
}
