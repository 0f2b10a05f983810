/* snapshot.c - machines saved and loaded by request.
 *
 * Whoever loads trusts nothing: the state's bytes were checked by its reader, the manifest
 * goes through the tables that check the API's bodies, and the machine is configured by
 * the calls that serve these. What the request overrides (taps, files of drives,
 * sockets) is put into the description before. So a clone has all of its own before
 * the first of its devices is made.
 *
 * A load that fails leaves a machine that was never configured.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/description.h"
#include "api/fault.h"
#include "api/snapshot.h"
#include "api/snapshot_disks.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"
#include "vmm/metrics.h"
#include "vmm/snapshot/snapshot_files.h"

enum { MS_PER_S = 1000, NS_PER_MS = 1000000 };

static const char *const type_names[] = {
	[SNAPSHOT_FULL] = "Full",
	[SNAPSHOT_DIFF] = "Diff",
};
static const struct {
	const char *what;
	enum metric metric;
} written[] = {
	[SNAPSHOT_FULL] = { "Full, written", METRIC_CREATE_FULL_US },
	[SNAPSHOT_DIFF] = { "Diff, written", METRIC_CREATE_DIFF_US },
};

/* Says how long it took since start_us, in the log and in the metrics. */
static void tell(const struct vm *vm, const char *what, enum metric metric, uint64_t start_us)
{
	uint64_t took_us = clock_now_us() - start_us;

	log_info("snapshot: %s in %llu us", what, (unsigned long long)took_us);
	metrics_set(vm_metrics(vm), metric, took_us);
}

/* --- create --- */

static json_int_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (json_int_t)t.tv_sec * MS_PER_S + t.tv_nsec / NS_PER_MS;
}

static char *make_manifest(const struct vm *vm, uint32_t type)
{
	json_t *config = description_of(vm), *manifest;
	char *text;

	manifest = json_pack("{s:s, s:s, s:I, s:s, s:o, s:o}", "wisp", WISP_VERSION, "id",
			     vm_id(vm), "created_ms", now_ms(), "type", type_names[type], "disks",
			     snapshot_disks(vm), "config", config);
	text = manifest ? json_dumps(manifest, JSON_COMPACT) : NULL;
	json_decref(manifest);
	return text;
}

static int create_paused(struct api_call *call, const char *manifest)
{
	const struct snapshot_create_config *c = call->config;
	uint64_t start_us = clock_now_us();
	int r = api_check_state(call, VM_PAUSED);

	if (r == 0)
		r = vm_save(call->vm, c, manifest, &call->err);
	if (r == 0)
		tell(call->vm, written[c->snapshot_type].what, written[c->snapshot_type].metric,
		     start_us);
	return r;
}

/* The answer to a live create, when it is there or has failed. */
static void on_live_end(void *later, const struct live_result *result, const struct error *err)
{
	struct http_response response = { .status = 200 };
	char line[FAULT_LINE_BYTES];
	json_t *reply;

	if (err) {
		fault_line(err, line, sizeof(line));
		log_warn("snapshot: live: %s", line);
		response.status = 400;
		response.body = fault_json(line);
	} else {
		log_info("snapshot: live, written in %llu us, of which the guest stood still %llu",
			 (unsigned long long)result->total_us,
			 (unsigned long long)result->pause_us);
		reply = json_pack("{s:I, s:I, s:I, s:I}", "pause_us", (json_int_t)result->pause_us,
				  "total_us", (json_int_t)result->total_us, "memory_bytes",
				  (json_int_t)result->bytes, "faults", (json_int_t)result->faults);
		response.body = json_dumps(reply, JSON_COMPACT);
		json_decref(reply);
	}
	http_answer(later, &response);
	free(response.body);
}

static int create_live(struct api_call *call, const char *manifest)
{
	struct http_later *later = http_defer(call->response);
	const struct live_sink sink = { on_live_end, later };
	int r;

	if (!later)
		return api_out_of_memory(call);
	r = vm_save_live(call->vm, call->config, manifest, &sink, &call->err);
	if (r < 0)
		http_undefer(call->response, later);
	return r;
}

int snapshot_create(struct api_call *call)
{
	const struct snapshot_create_config *c = call->config;
	char *manifest = make_manifest(call->vm, c->snapshot_type);
	int r;

	if (!manifest)
		return api_out_of_memory(call);
	r = (c->live ? create_live : create_paused)(call, manifest);
	free(manifest);
	return r;
}

/* --- load --- */

json_t *snapshot_manifest(struct state *state, struct error *err)
{
	const char *text;
	size_t len;

	state_begin(state, STATE_MANIFEST, 0);
	text = state_rest(state, &len);
	state_end(state);
	return state_error(state, err) < 0 ? NULL : body_parse(text, len, err);
}

static int read_description(const json_t *manifest, struct machine_description *d,
			    struct error *err)
{
	const json_t *config = json_object_get(manifest, "config");
	int r;

	if (!config)
		return error_set(err, -EBADMSG, "snapshot_path", NULL,
				 "The state's manifest has no config");
	r = body_read(&body_description, config, 0, d, err);
	/* Where this process logs and counts, and what it boots, is its own business. */
	d->has_logger = d->has_metrics = d->has_boot_source = false;
	return r < 0 ? r : 0;
}

static int override_networks(const struct snapshot_load_config *c, struct machine_description *d,
			     struct error *err)
{
	for (uint32_t i = 0; i < c->nnetworks; i++) {
		uint32_t n = 0;

		while (n < d->nnets && strcmp(d->nets[n].iface_id, c->networks[i].iface_id) != 0)
			n++;
		if (n == d->nnets)
			return error_set(err, -ENODEV, "network_overrides",
					 "name an interface that was saved",
					 "The snapshot has no network interface \"%s\"",
					 c->networks[i].iface_id);
		strcpy(d->nets[n].host_dev_name, c->networks[i].host_dev_name);
		d->nets[n].passt_socket[0] = '\0';
		if (c->networks[i].guest_mac[0])
			strcpy(d->nets[n].guest_mac, c->networks[i].guest_mac);
	}
	return 0;
}

static int override_drives(const struct snapshot_load_config *c, struct machine_description *d,
			   struct error *err)
{
	for (uint32_t i = 0; i < c->ndrives; i++) {
		uint32_t n = 0;

		while (n < d->ndrives && strcmp(d->drives[n].drive_id, c->drives[i].drive_id) != 0)
			n++;
		if (n == d->ndrives)
			return error_set(err, -ENODEV, "drive_overrides",
					 "name a drive that was saved",
					 "The snapshot has no drive \"%s\"", c->drives[i].drive_id);
		strcpy(d->drives[n].path_on_host, c->drives[i].path_on_host);
	}
	return 0;
}

static int override_pmem(const struct snapshot_load_config *c, struct machine_description *d,
			 struct error *err)
{
	for (uint32_t i = 0; i < c->npmem; i++) {
		uint32_t n = 0;

		while (n < d->npmem && strcmp(d->pmem[n].id, c->pmem[i].id) != 0)
			n++;
		if (n == d->npmem)
			return error_set(err, -ENODEV, "pmem_overrides", "name one that was saved",
					 "The snapshot has no pmem \"%s\"", c->pmem[i].id);
		strcpy(d->pmem[n].path_on_host, c->pmem[i].path_on_host);
	}
	return 0;
}

static int override_sockets(const struct snapshot_load_config *c, struct machine_description *d,
			    struct error *err)
{
	if (c->has_vsock && !d->has_vsock)
		return error_set(err, -ENODEV, "vsock_override", "leave it out",
				 "The snapshot has no vsock device");
	if (c->has_console && !d->has_console)
		return error_set(err, -ENODEV, "console_override", "leave it out",
				 "The snapshot has no console");
	if (c->mmds_data[0] && !d->has_mmds)
		return error_set(err, -ENODEV, "mmds_data", "leave it out",
				 "The snapshot has no metadata service");
	if (c->has_vsock)
		strcpy(d->vsock.uds_path, c->vsock.uds_path);
	if (c->has_vsock && c->vsock.guest_cid)
		d->vsock.guest_cid = c->vsock.guest_cid;
	if (c->has_console) {
		strcpy(d->console.uds_path, c->console.uds_path);
		d->console.pty_path[0] = '\0';
	}
	return 0;
}

static int override(const struct snapshot_load_config *c, struct machine_description *d,
		    struct error *err)
{
	int r = override_networks(c, d, err);

	if (r == 0)
		r = override_drives(c, d, err);
	if (r == 0)
		r = override_pmem(c, d, err);
	if (r == 0)
		r = override_sockets(c, d, err);
	if (r < 0)
		return r;
	if (c->has_huge_pages && c->huge_pages != HUGE_PAGES_AS_SAVED)
		d->machine.huge_pages = c->huge_pages;
	d->machine.track_dirty_pages = c->track_dirty_pages || c->enable_diff_snapshots;
	return 0;
}

/* What the manifest and the request say together, into d. */
static int describe(const struct snapshot_load_config *c, struct state *state,
		    struct machine_description *d, struct error *err)
{
	json_t *manifest = snapshot_manifest(state, err);
	int r = manifest ? read_description(manifest, d, err) : err->code;

	if (r == 0)
		r = override(c, d, err);
	if (r == 0)
		r = snapshot_check_disks(json_object_get(manifest, "disks"), d,
					 c->allow_changed_disks, err);
	json_decref(manifest);
	return r;
}

/* What the service is to know, before the guest can ask. */
static int put_metadata(struct vm *vm, const struct snapshot_load_config *c, struct error *err)
{
	json_t *data;
	int r;

	if (!c->mmds_data[0])
		return 0;
	data = body_parse(c->mmds_data, strlen(c->mmds_data), err);
	if (!data)
		return err->code;
	r = vm_put_metadata(vm, data, err);
	json_decref(data);
	return r;
}

static int load(struct vm *vm, const struct snapshot_load_config *c, struct state *state,
		struct machine_description *d, struct error *err)
{
	int r = describe(c, state, d, err);

	if (r == 0)
		r = description_apply(vm, d, err);
	if (r == 0)
		r = put_metadata(vm, c, err);
	return r < 0 ? r : vm_load(vm, c, state, err);
}

int snapshot_load(struct api_call *call)
{
	const struct snapshot_load_config *c = call->config;
	struct machine_description *d;
	uint64_t start_us = clock_now_us();
	struct state *state = NULL;
	json_t *known;
	int r = vm_check_blank(call->vm, &call->err);

	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return api_out_of_memory(call);
	known = json_incref((json_t *)vm_metadata(call->vm));
	r = snapshot_read_state(c->snapshot_path, "snapshot_path", &state, &call->err);
	if (r == 0)
		r = load(call->vm, c, state, d, &call->err);
	if (r < 0)
		vm_forget(call->vm, known);
	else
		tell(call->vm, "loaded", METRIC_LOAD_US, start_us);
	json_decref(known);
	state_destroy(state);
	free(d);
	/* A machine lives long, and what its load needed was for once. */
	free(call->config);
	call->config = NULL;
	malloc_trim(0);
	return r;
}
