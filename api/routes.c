/* routes.c - what each request does: the handlers, and the table of routes.
 *
 * A handler sees a body that fits its table and a machine in an allowed state. It
 * never prints, exits or touches the connection; a failed one has changed nothing
 * (vmm/vm.h promises that), so the client may correct its request and go on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/description.h"
#include "api/event_stream.h"
#include "api/fault.h"
#include "api/routes.h"
#include "api/schema.h"
#include "api/snapshot.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/mem.h"
#include "vmm/base/log.h"
#include "vmm/events.h"
#include "vmm/metrics.h"
#include "vmm/metrics_text.h"

enum {
	VM_LIVE = VM_RUNNING | VM_PAUSED,
	VM_ANY = VM_NOT_STARTED | VM_LIVE,
};

static int reply_with(struct api_call *call, json_t *reply)
{
	call->reply = reply;
	return reply ? 0 : api_out_of_memory(call);
}

static int get_instance(struct api_call *call)
{
	return reply_with(call, json_pack("{s:s, s:s, s:s, s:s}", "id", vm_id(call->vm), "state",
					  events_state_name(vm_state(call->vm)), "vmm_version",
					  WISP_VERSION, "app_name", "wisp"));
}

static int get_version(struct api_call *call)
{
	return reply_with(call,
			  json_pack("{s:s}", "firecracker_version", ROUTES_FIRECRACKER_VERSION));
}

static int get_machine(struct api_call *call)
{
	return reply_with(call, body_write(&body_machine, vm_machine(call->vm)));
}

static int get_metrics(struct api_call *call)
{
	call->text = metrics_text(vm_metrics(call->vm), vm_id(call->vm));
	return call->text ? 0 : api_out_of_memory(call);
}

static int get_events(struct api_call *call)
{
	call->text = event_stream_begin(call->vm);
	return call->text ? 0 : api_out_of_memory(call);
}

static int get_config(struct api_call *call)
{
	return reply_with(call, description_of(call->vm));
}

static const void *present_logger(const struct vm *vm)
{
	return vm_logger(vm);
}

static int put_logger(struct api_call *call)
{
	int r = vm_put_logger(call->vm, call->config, &call->err);

	fault_introduce(&call->err);
	return r;
}

static int put_metrics(struct api_call *call)
{
	return vm_put_metrics(call->vm, call->config, &call->err);
}

static int put_cpu(struct api_call *call)
{
	return vm_put_cpu(call->vm, call->config, &call->err);
}

static int put_boot_source(struct api_call *call)
{
	return vm_put_boot_source(call->vm, call->config, &call->err);
}

static int put_machine(struct api_call *call)
{
	return vm_put_machine(call->vm, call->config, &call->err);
}

static const void *present_machine(const struct vm *vm)
{
	return vm_machine(vm);
}

static int patch_machine(struct api_call *call)
{
	if (call->given == 0)
		return error_set(&call->err, -EINVAL, NULL, NULL, "Empty PATCH request.");
	return vm_put_machine(call->vm, call->config, &call->err);
}

static int check_id(struct api_call *call, const char *field, const char *id)
{
	if (strcmp(call->id, id) == 0)
		return 0;
	return error_set(&call->err, -EINVAL, field, NULL,
			 "The id from the path does not match the id from the body!");
}

static int put_drive(struct api_call *call)
{
	const struct drive_config *drive = call->config;
	int r = check_id(call, "drive_id", drive->drive_id);

	return r < 0 ? r : vm_put_drive(call->vm, drive, &call->err);
}

static int delete_drive(struct api_call *call)
{
	return vm_delete_drive(call->vm, call->id, &call->err);
}

static int delete_net(struct api_call *call)
{
	return vm_delete_net(call->vm, call->id, &call->err);
}

static int patch_drive(struct api_call *call)
{
	const struct drive_update *update = call->config;
	int r = check_id(call, "drive_id", update->drive_id);

	return r < 0 ? r : vm_patch_drive(call->vm, update, &call->err);
}

static int check_iface_id(struct api_call *call, const char *iface_id)
{
	if (strcmp(call->id, iface_id) == 0)
		return 0;
	return error_set(&call->err, -EINVAL, "iface_id", NULL,
			 "The id from the path [%s] does not match the id from the body [%s]!",
			 call->id, iface_id);
}

static int put_net(struct api_call *call)
{
	const struct net_config *net = call->config;
	int r = check_iface_id(call, net->iface_id);

	return r < 0 ? r : vm_put_net(call->vm, net, &call->err);
}

static int patch_net(struct api_call *call)
{
	const struct net_update *update = call->config;
	int r = check_iface_id(call, update->iface_id);

	return r < 0 ? r : vm_patch_net(call->vm, update, &call->err);
}

static int put_pmem(struct api_call *call)
{
	const struct pmem_config *pmem = call->config;
	int r = check_id(call, "id", pmem->id);

	return r < 0 ? r : vm_put_pmem(call->vm, pmem, &call->err);
}

static int delete_pmem(struct api_call *call)
{
	return vm_delete_pmem(call->vm, call->id, &call->err);
}

static int patch_pmem(struct api_call *call)
{
	const struct pmem_update *update = call->config;
	int r = check_id(call, "id", update->id);

	return r < 0 ? r : vm_patch_pmem(call->vm, update, &call->err);
}

static int put_mmds_config(struct api_call *call)
{
	return vm_put_mmds(call->vm, call->config, &call->err);
}

/* A copy: who gets it may change it. */
static int get_mmds(struct api_call *call)
{
	const json_t *data = vm_metadata(call->vm);

	return reply_with(call, data ? json_deep_copy(data) : json_object());
}

/* Too much has a status of its own. */
static int mmds_result(struct api_call *call, int r)
{
	if (r == -EFBIG)
		call->refusal = 413;
	return r;
}

static int put_mmds(struct api_call *call)
{
	return mmds_result(call, vm_put_metadata(call->vm, call->document, &call->err));
}

static int patch_mmds(struct api_call *call)
{
	return mmds_result(call, vm_patch_metadata(call->vm, call->document, &call->err));
}

static int put_entropy(struct api_call *call)
{
	return vm_put_entropy(call->vm, call->config, &call->err);
}

static int put_balloon(struct api_call *call)
{
	return vm_put_balloon(call->vm, call->config, &call->err);
}

static int put_memory(struct api_call *call)
{
	return vm_put_memory(call->vm, call->config, &call->err);
}

static int patch_memory(struct api_call *call)
{
	const struct memory_target_config *c = call->config;

	return vm_patch_memory(call->vm, c->requested_size_mib, &call->err);
}

static int get_memory(struct api_call *call)
{
	const struct memory_hotplug_config *c = vm_memory(call->vm);
	struct virtio_mem_status status;
	int r = vm_memory_status(call->vm, &status, &call->err);

	if (r < 0)
		return r;
	return reply_with(call, json_pack("{s:I, s:I, s:I, s:I, s:I}", "block_size_mib",
					  (json_int_t)c->block_size_mib, "total_size_mib",
					  (json_int_t)c->total_size_mib, "slot_size_mib",
					  (json_int_t)c->slot_size_mib, "plugged_size_mib",
					  (json_int_t)status.plugged_mib, "requested_size_mib",
					  (json_int_t)status.requested_mib));
}

static int put_working_set(struct api_call *call)
{
	return vm_save_working_set(call->vm, call->config, &call->err);
}

static int put_vsock(struct api_call *call)
{
	return vm_put_vsock(call->vm, call->config, &call->err);
}

static int put_serial(struct api_call *call)
{
	return vm_put_serial(call->vm, call->config, &call->err);
}

static int put_console(struct api_call *call)
{
	return vm_put_console(call->vm, call->config, &call->err);
}

static int delete_shared_directory(struct api_call *call)
{
	return vm_delete_shared_directory(call->vm, call->id, &call->err);
}

static int put_shared_directory(struct api_call *call)
{
	const struct shared_directory_config *directory = call->config;

	if (strcmp(call->id, directory->tag) != 0)
		return error_set(&call->err, -EINVAL, "tag", NULL,
				 "The tag from the path does not match the tag from the body!");
	return vm_put_shared_directory(call->vm, directory, &call->err);
}

static int get_balloon(struct api_call *call)
{
	const struct balloon_config *balloon = vm_balloon(call->vm);

	if (!balloon)
		return error_set(&call->err, -ENODEV, NULL, NULL, "No balloon device found.");
	return reply_with(call, body_write(&body_balloon, balloon));
}

static int patch_balloon(struct api_call *call)
{
	const struct balloon_target_config *c = call->config;

	return vm_patch_balloon(call->vm, c->amount_mib, &call->err);
}

static int patch_balloon_statistics(struct api_call *call)
{
	const struct balloon_polling_config *c = call->config;

	return vm_patch_balloon_statistics(call->vm, c->stats_polling_interval_s, &call->err);
}

/* By their tags. */
static const char *const statistics_names[VIRTIO_BALLOON_STATS] = {
	"swap_in",	    "swap_out",	   "major_faults",
	"minor_faults",	    "free_memory", "total_memory",
	"available_memory", "disk_caches", "hugetlb_allocations",
	"hugetlb_failures", "oom_kill",	   "alloc_stall",
	"async_scan",	    "direct_scan", "async_reclaim",
	"direct_reclaim",
};

/* What the guest has told, cut to what a JSON integer holds here. 0 or -1. */
static int add_statistics(json_t *reply, const struct virtio_balloon_statistics *s)
{
	int r = 0;

	for (unsigned i = 0; i < VIRTIO_BALLOON_STATS && r == 0; i++) {
		uint64_t value = s->value[i] < INT64_MAX ? s->value[i] : INT64_MAX;

		if (s->known & 1u << i)
			r = json_object_set_new(reply, statistics_names[i],
						json_integer((json_int_t)value));
	}
	return r;
}

static int get_balloon_statistics(struct api_call *call)
{
	struct virtio_balloon_statistics s;
	int r = vm_balloon_statistics(call->vm, &s, &call->err);

	if (r < 0)
		return r;
	r = reply_with(call,
		       json_pack("{s:I, s:I, s:I, s:I}", "target_pages", (json_int_t)s.target_pages,
				 "actual_pages", (json_int_t)s.actual_pages, "target_mib",
				 (json_int_t)(s.target_pages / VIRTIO_BALLOON_MIB), "actual_mib",
				 (json_int_t)(s.actual_pages / VIRTIO_BALLOON_MIB)));
	if (r == 0 && add_statistics(call->reply, &s) < 0)
		r = api_out_of_memory(call);
	return r;
}

static int start_hinting(struct api_call *call)
{
	const struct hinting_config *c = call->config;

	return vm_start_hinting(call->vm, c->acknowledge_on_stop, &call->err);
}

static int stop_hinting(struct api_call *call)
{
	return vm_stop_hinting(call->vm, &call->err);
}

static int get_hinting(struct api_call *call)
{
	struct virtio_balloon_hinting h;
	int r = vm_hinting(call->vm, &h, &call->err);

	if (r < 0)
		return r;
	return reply_with(call,
			  json_pack("{s:I, s:o}", "host_cmd", (json_int_t)h.host_cmd, "guest_cmd",
				    h.guest_told ? json_integer(h.guest_cmd) : json_null()));
}

static int put_action(struct api_call *call)
{
	static const struct {
		unsigned states;
		int (*run)(struct vm *vm, struct error *err);
	} actions[] = {
		[ACTION_INSTANCE_START] = { VM_NOT_STARTED, vm_start },
		[ACTION_FLUSH_METRICS] = { VM_LIVE, vm_flush_metrics },
		[ACTION_SEND_CTRL_ALT_DEL] = { VM_LIVE, vm_send_ctrl_alt_del },
		[ACTION_POWER_BUTTON] = { VM_LIVE, vm_press_power_button },
	};
	const struct action_config *action = call->config;
	int r = api_check_state(call, actions[action->action_type].states);

	return r < 0 ? r : actions[action->action_type].run(call->vm, &call->err);
}

static int patch_vm(struct api_call *call)
{
	const struct vm_state_config *target = call->config;

	if (target->state == VM_TARGET_PAUSED)
		return vm_pause(call->vm, &call->err);
	return vm_resume(call->vm, &call->err);
}

/* clang-format off */
const struct route routes[] = {
	{ VERB_GET,   "/",               VM_ANY,         .run = get_instance,
	  .metric = "instance_info" },
	{ VERB_GET,   "/version",        VM_ANY,         .run = get_version,
	  .metric = "vmm_version" },
	{ VERB_GET,   "/machine-config", VM_ANY,         .run = get_machine,
	  .metric = "machine_cfg" },
	{ VERB_GET,   "/vm/config",      VM_ANY,         .run = get_config },
	{ VERB_GET,   "/metrics",        VM_ANY,         .run = get_metrics,
	  .type = METRICS_TEXT_TYPE },
	{ VERB_GET,   "/events",         VM_ANY,         .run = get_events,
	  .type = EVENT_STREAM_TYPE, .stream = true },
	{ VERB_PUT,   "/logger",         VM_NOT_STARTED, &body_logger,
	  .present = present_logger, .run = put_logger,
	  .metric = "logger" },
	{ VERB_PUT,   "/metrics",        VM_NOT_STARTED, &body_metrics,     .run = put_metrics,
	  .metric = "metrics" },
	{ VERB_PUT,   "/cpu-config",     VM_NOT_STARTED, &body_cpu,         .run = put_cpu,
	  .metric = "cpu_cfg" },
	{ VERB_PUT,   "/boot-source",    VM_NOT_STARTED, &body_boot_source, .run = put_boot_source,
	  .metric = "boot_source" },
	{ VERB_PUT,   "/machine-config", VM_NOT_STARTED, &body_machine,     .run = put_machine,
	  .deprecated = "cpu_template",
	  .metric = "machine_cfg" },
	{ VERB_PUT,   "/drives/{id}",    VM_ANY,         &body_drive,       .run = put_drive,
	  .metric = "drive" },
	{ VERB_DELETE, "/drives/{id}",   VM_LIVE,        .run = delete_drive },
	{ VERB_PATCH, "/drives/{id}",    VM_LIVE,        &body_drive_update, .run = patch_drive,
	  .metric = "drive" },
	{ VERB_PUT,   "/network-interfaces/{id}", VM_ANY, &body_net, .run = put_net,
	  .metric = "network" },
	{ VERB_DELETE, "/network-interfaces/{id}", VM_LIVE, .run = delete_net },
	{ VERB_PATCH, "/network-interfaces/{id}", VM_LIVE, &body_net_update, .run = patch_net,
	  .metric = "network" },
	{ VERB_DELETE, "/pmem/{id}",     VM_LIVE,        .run = delete_pmem },
	{ VERB_PUT,   "/pmem/{id}",      VM_ANY,         &body_pmem,        .run = put_pmem,
	  .metric = "pmem" },
	{ VERB_PATCH, "/pmem/{id}",      VM_LIVE,        &body_pmem_update, .run = patch_pmem },
	{ VERB_PUT,   "/entropy",        VM_NOT_STARTED, &body_entropy,     .run = put_entropy },
	{ VERB_GET,   "/balloon",        VM_ANY,         .run = get_balloon },
	{ VERB_PUT,   "/balloon",        VM_NOT_STARTED, &body_balloon,     .run = put_balloon },
	{ VERB_PATCH, "/balloon",        VM_LIVE,        &body_target,      .run = patch_balloon },
	{ VERB_GET,   "/balloon/statistics", VM_LIVE,    .run = get_balloon_statistics },
	{ VERB_PATCH, "/balloon/statistics", VM_LIVE,    &body_polling,
	  .run = patch_balloon_statistics },
	{ VERB_GET,   "/balloon/hinting/status", VM_LIVE, .run = get_hinting },
	{ VERB_PATCH, "/balloon/hinting/start",  VM_LIVE, &body_hinting, .body_optional = true,
	  .run = start_hinting },
	{ VERB_PATCH, "/balloon/hinting/stop",   VM_LIVE, .body_optional = true, .run = stop_hinting },
	{ VERB_GET,   "/hotplug/memory", VM_LIVE,        .run = get_memory,
	  .metric = "hotplug_memory" },
	{ VERB_PUT,   "/hotplug/memory", VM_NOT_STARTED, &body_memory,      .run = put_memory,
	  .metric = "hotplug_memory" },
	{ VERB_PATCH, "/hotplug/memory", VM_LIVE,        &body_memory_target, .run = patch_memory,
	  .metric = "hotplug_memory" },
	{ VERB_PUT,   "/vsock",          VM_NOT_STARTED, &body_vsock,       .run = put_vsock,
	  .deprecated = "vsock_id",
	  .metric = "vsock" },
	{ VERB_PUT,   "/mmds/config",    VM_NOT_STARTED, &body_mmds,        .run = put_mmds_config,
	  .metric = "mmds" },
	{ VERB_GET,   "/mmds",           VM_ANY,         .run = get_mmds,
	  .metric = "mmds" },
	{ VERB_PUT,   "/mmds",           VM_ANY,         .any_body = true,  .run = put_mmds,
	  .metric = "mmds" },
	{ VERB_PATCH, "/mmds",           VM_ANY,         .any_body = true,  .run = patch_mmds,
	  .metric = "mmds" },
	{ VERB_PUT,   "/serial",         VM_NOT_STARTED, &body_serial,      .run = put_serial,
	  .metric = "serial" },
	{ VERB_PUT,   "/console",        VM_NOT_STARTED, &body_console,     .run = put_console },
	{ VERB_DELETE, "/shared-directories/{id}", VM_LIVE, .run = delete_shared_directory },
	{ VERB_PUT,   "/shared-directories/{id}", VM_ANY, &body_shared_directory,
	  .run = put_shared_directory },
	{ VERB_PUT,   "/actions",        VM_ANY,         &body_action,      .run = put_action,
	  .metric = "actions" },
	{ VERB_PATCH, "/machine-config", VM_NOT_STARTED, &body_machine, present_machine, patch_machine,
	  .deprecated = "cpu_template",
	  .metric = "machine_cfg" },
	{ VERB_PUT,   "/snapshot/create", VM_LIVE,       &body_snapshot_create,
	  .run = snapshot_create },
	{ VERB_PUT,   "/snapshot/load",  VM_NOT_STARTED, &body_snapshot_load, .run = snapshot_load,
	  .deprecated = "mem_file_path" },
	{ VERB_PUT,   "/snapshot/working-set", VM_LIVE,  &body_working_set, .run = put_working_set },
	{ VERB_PATCH, "/vm",             VM_LIVE,        &body_vm_state,    .run = patch_vm },
};
/* clang-format on */
const size_t routes_count = sizeof(routes) / sizeof(routes[0]);
