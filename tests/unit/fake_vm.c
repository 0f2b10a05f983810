/* fake_vm.c - a machine that keeps what it is told and runs nothing.
 *
 * On a loop (vm_create), a start with the boot argument "exit=N" ends the loop with
 * N, as a guest that powers off would; the report is then the list of calls.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/mem.h"
#include "tests/unit/fake_vm.h"
#include "vmm/base/fd.h"
#include "vmm/logger.h"
#include "vmm/metrics.h"

struct vm {
	char id[VM_ID_LEN + 1];
	struct loop *loop;
	struct loop_source *source;
	int event, exit_status;
	enum vm_state state;
	struct boot_source_config boot_source;
	bool has_boot_source, has_entropy, has_balloon, has_vsock, has_console, fail;
	struct entropy_config entropy;
	char fail_field[64];
	struct machine_config machine;
	struct drive_config drives[VM_MAX_DRIVES];
	struct net_config nets[VM_MAX_NETS];
	unsigned ndrives, nnets, npmem;
	struct pmem_config pmem[VM_MAX_PMEM];
	struct balloon_config balloon;
	struct vsock_config vsock;
	struct console_config console;
	struct memory_hotplug_config memory;
	bool has_memory;
	struct logger_config logger;
	struct metrics *metrics, *own_metrics;
	struct shared_directory_config directories[VM_MAX_SHARED_DIRECTORIES];
	unsigned ndirectories;
	struct mmds_config mmds;
	bool has_mmds;
	struct json_t *metadata;
	char calls[512];
};

static int record(struct vm *vm, const char *call, struct error *err)
{
	size_t used = strlen(vm->calls);

	snprintf(vm->calls + used, sizeof(vm->calls) - used, "%s ", call);
	if (!vm->fail)
		return 0;
	vm->fail = false;
	return error_set(err, -EIO, vm->fail_field, "try another", "The fake machine refused");
}

int vm_create(const struct vm_options *options, struct loop *loop, struct vm **ret,
	      struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return error_set(err, -ENOMEM, NULL, NULL, "No memory");
	snprintf(vm->id, sizeof(vm->id), "%s", options->id);
	vm->loop = loop;
	vm->event = -1;
	vm->state = VM_NOT_STARTED;
	vm->machine = (struct machine_config)MACHINE_CONFIG_DEFAULT;
	if (!options->metrics && metrics_create(vm->id, &vm->own_metrics) < 0)
		abort();
	vm->metrics = options->metrics ? options->metrics : vm->own_metrics;
	vm->logger = (struct logger_config){ .level = LOGGER_LEVEL_DEFAULT };
	*ret = vm;
	return 0;
}

struct vm *fake_vm_new(void)
{
	struct vm *vm;

	if (vm_create(&(struct vm_options){ .id = "fake" }, NULL, &vm, NULL) < 0)
		abort();
	return vm;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	loop_source_remove(vm->source);
	fd_close(vm->event);
	json_decref(vm->metadata);
	metrics_destroy(vm->own_metrics);
	free(vm);
}

void fake_vm_set_state(struct vm *vm, enum vm_state state)
{
	vm->state = state;
}

void fake_vm_fail(struct vm *vm, const char *field)
{
	vm->fail = true;
	snprintf(vm->fail_field, sizeof(vm->fail_field), "%s", field);
}

const char *fake_vm_calls(const struct vm *vm)
{
	return vm->calls;
}

void fake_vm_forget(struct vm *vm)
{
	vm->calls[0] = '\0';
}

const char *vm_id(const struct vm *vm)
{
	return vm->id;
}

enum vm_state vm_state(const struct vm *vm)
{
	return vm->state;
}

int vm_put_logger(struct vm *vm, const struct logger_config *c, struct error *err)
{
	enum log_level level;
	int r = logger_parse_level(c, &level, err);

	if (r == 0)
		r = record(vm, "put_logger", err);
	if (r == 0)
		vm->logger = *c;
	return r;
}

int vm_put_metrics(struct vm *vm, const struct metrics_config *c, struct error *err)
{
	int r = record(vm, "put_metrics", err);

	return r < 0 ? r : metrics_open(vm->metrics, c, err);
}

int vm_put_cpu(struct vm *vm, const struct cpu_config *c, struct error *err)
{
	(void)c;
	return record(vm, "put_cpu", err);
}

int vm_put_boot_source(struct vm *vm, const struct boot_source_config *c, struct error *err)
{
	int r = record(vm, "put_boot_source", err);

	if (r < 0)
		return r;
	vm->boot_source = *c;
	vm->has_boot_source = true;
	return 0;
}

int vm_put_serial(struct vm *vm, const struct serial_config *c, struct error *err)
{
	(void)c;
	return record(vm, "put_serial", err);
}

int vm_put_machine(struct vm *vm, const struct machine_config *c, struct error *err)
{
	int r = record(vm, "put_machine", err);

	if (r < 0)
		return r;
	vm->machine = *c;
	return 0;
}

static struct drive_config *find_drive(struct vm *vm, const char *id)
{
	unsigned i = 0;

	while (i < vm->ndrives && strcmp(vm->drives[i].drive_id, id) != 0)
		i++;
	return i < vm->ndrives ? &vm->drives[i] : NULL;
}

int vm_put_drive(struct vm *vm, const struct drive_config *c, struct error *err)
{
	struct drive_config *drive = find_drive(vm, c->drive_id);
	int r = record(vm, "put_drive", err);

	if (r < 0)
		return r;
	if (!drive && vm->ndrives == VM_MAX_DRIVES)
		return error_set(err, -ENOSPC, "drive_id", NULL, "Too many drives");
	if (!drive)
		drive = &vm->drives[vm->ndrives++];
	*drive = *c;
	return 0;
}

/* Of a drive that was never put, too. */
int vm_delete_drive(struct vm *vm, const char *id, struct error *err)
{
	struct drive_config *drive = find_drive(vm, id);
	int r = record(vm, "delete_drive", err);

	if (r == 0 && drive)
		*drive = vm->drives[--vm->ndrives];
	return r;
}

int vm_delete_net(struct vm *vm, const char *id, struct error *err)
{
	(void)id;
	return record(vm, "delete_net", err);
}

/* Takes one for a drive that was never put, too. */
int vm_patch_drive(struct vm *vm, const struct drive_update *c, struct error *err)
{
	struct drive_config *drive = find_drive(vm, c->drive_id);
	int r = record(vm, "patch_drive", err);

	if (r < 0 || !drive)
		return r;
	if (c->path_on_host[0])
		strcpy(drive->path_on_host, c->path_on_host);
	if (c->has_rate_limiter)
		drive->rate_limiter = c->rate_limiter;
	drive->has_rate_limiter |= c->has_rate_limiter;
	return 0;
}

static struct net_config *find_net(struct vm *vm, const char *id)
{
	unsigned i = 0;

	while (i < vm->nnets && strcmp(vm->nets[i].iface_id, id) != 0)
		i++;
	return i < vm->nnets ? &vm->nets[i] : NULL;
}

int vm_put_net(struct vm *vm, const struct net_config *c, struct error *err)
{
	struct net_config *net = find_net(vm, c->iface_id);
	int r = record(vm, "put_net", err);

	if (r < 0)
		return r;
	if (!net && vm->nnets == VM_MAX_NETS)
		return error_set(err, -ENOSPC, "iface_id", NULL, "Too many interfaces");
	if (!net)
		net = &vm->nets[vm->nnets++];
	*net = *c;
	return 0;
}

/* Takes one for an interface that was never put, too. */
int vm_patch_net(struct vm *vm, const struct net_update *c, struct error *err)
{
	struct net_config *net = find_net(vm, c->iface_id);
	int r = record(vm, "patch_net", err);

	if (r < 0 || !net)
		return r;
	if (c->has_rx_rate_limiter)
		net->rx_rate_limiter = c->rx_rate_limiter;
	if (c->has_tx_rate_limiter)
		net->tx_rate_limiter = c->tx_rate_limiter;
	net->has_rx_rate_limiter |= c->has_rx_rate_limiter;
	net->has_tx_rate_limiter |= c->has_tx_rate_limiter;
	return 0;
}

static struct pmem_config *find_pmem(struct vm *vm, const char *id)
{
	unsigned i = 0;

	while (i < vm->npmem && strcmp(vm->pmem[i].id, id) != 0)
		i++;
	return i < vm->npmem ? &vm->pmem[i] : NULL;
}

int vm_put_pmem(struct vm *vm, const struct pmem_config *c, struct error *err)
{
	struct pmem_config *pmem = find_pmem(vm, c->id);
	int r = record(vm, "put_pmem", err);

	if (r < 0)
		return r;
	if (!pmem && vm->npmem == VM_MAX_PMEM)
		return error_set(err, -ENOSPC, "id", NULL, "Too many pmem devices");
	if (!pmem)
		pmem = &vm->pmem[vm->npmem++];
	*pmem = *c;
	return 0;
}

int vm_delete_pmem(struct vm *vm, const char *id, struct error *err)
{
	struct pmem_config *pmem = find_pmem(vm, id);
	int r = record(vm, "delete_pmem", err);

	if (r == 0 && pmem)
		*pmem = vm->pmem[--vm->npmem];
	return r;
}

/* Takes one for a device that was never put, too. */
int vm_patch_pmem(struct vm *vm, const struct pmem_update *c, struct error *err)
{
	struct pmem_config *pmem = find_pmem(vm, c->id);
	int r = record(vm, "patch_pmem", err);

	if (r < 0 || !pmem || !c->has_rate_limiter)
		return r;
	pmem->rate_limiter = c->rate_limiter;
	pmem->has_rate_limiter = true;
	return 0;
}

int vm_put_entropy(struct vm *vm, const struct entropy_config *c, struct error *err)
{
	int r = record(vm, "put_entropy", err);

	if (r < 0)
		return r;
	vm->entropy = *c;
	vm->has_entropy = true;
	return 0;
}

int vm_put_balloon(struct vm *vm, const struct balloon_config *c, struct error *err)
{
	int r = record(vm, "put_balloon", err);

	if (r < 0)
		return r;
	vm->balloon = *c;
	vm->has_balloon = true;
	return 0;
}

int vm_put_vsock(struct vm *vm, const struct vsock_config *c, struct error *err)
{
	int r = record(vm, "put_vsock", err);

	if (r < 0)
		return r;
	vm->vsock = *c;
	vm->has_vsock = true;
	return 0;
}

int vm_put_shared_directory(struct vm *vm, const struct shared_directory_config *c,
			    struct error *err)
{
	int r = record(vm, "put_shared_directory", err);

	if (r < 0)
		return r;
	if (vm->ndirectories == VM_MAX_SHARED_DIRECTORIES)
		return error_set(err, -ENOSPC, "tag", NULL, "Too many directories");
	vm->directories[vm->ndirectories++] = *c;
	return 0;
}

int vm_delete_shared_directory(struct vm *vm, const char *tag, struct error *err)
{
	(void)tag;
	return record(vm, "delete_shared_directory", err);
}

int vm_put_mmds(struct vm *vm, const struct mmds_config *c, struct error *err)
{
	int r = record(vm, "put_mmds", err);

	if (r < 0)
		return r;
	vm->mmds = *c;
	vm->has_mmds = true;
	return 0;
}

const struct mmds_config *vm_mmds(const struct vm *vm)
{
	return vm->has_mmds ? &vm->mmds : NULL;
}

/* What says "large" is too large. */
static int check_metadata(const struct json_t *data, struct error *err)
{
	return json_object_get(data, "large") ? error_set(err, -EFBIG, NULL, NULL, "too large") : 0;
}

int vm_put_metadata(struct vm *vm, struct json_t *data, struct error *err)
{
	int r = record(vm, "put_metadata", err);

	if (r == 0)
		r = check_metadata(data, err);
	if (r < 0)
		return r;
	json_decref(vm->metadata);
	vm->metadata = json_incref(data);
	return 0;
}

/* Changes nothing. */
int vm_patch_metadata(struct vm *vm, const struct json_t *patch, struct error *err)
{
	int r = record(vm, "patch_metadata", err);

	return r < 0 ? r : check_metadata(patch, err);
}

const struct json_t *vm_metadata(const struct vm *vm)
{
	return vm->metadata;
}

struct metrics *vm_metrics(const struct vm *vm)
{
	return vm->metrics;
}

const struct logger_config *vm_logger(const struct vm *vm)
{
	return &vm->logger;
}

int vm_put_console(struct vm *vm, const struct console_config *c, struct error *err)
{
	int r = record(vm, "put_console", err);

	if (r < 0)
		return r;
	vm->console = *c;
	vm->has_console = true;
	return 0;
}

const struct boot_source_config *vm_boot_source(const struct vm *vm)
{
	return vm->has_boot_source ? &vm->boot_source : NULL;
}

const struct machine_config *vm_machine(const struct vm *vm)
{
	return &vm->machine;
}

const struct drive_config *vm_drive(const struct vm *vm, unsigned index)
{
	return index < vm->ndrives ? &vm->drives[index] : NULL;
}

const struct net_config *vm_net(const struct vm *vm, unsigned index)
{
	return index < vm->nnets ? &vm->nets[index] : NULL;
}

const struct pmem_config *vm_pmem(const struct vm *vm, unsigned index)
{
	return index < vm->npmem ? &vm->pmem[index] : NULL;
}

const struct entropy_config *vm_entropy(const struct vm *vm)
{
	return vm->has_entropy ? &vm->entropy : NULL;
}

const struct balloon_config *vm_balloon(const struct vm *vm)
{
	return vm->has_balloon ? &vm->balloon : NULL;
}

const struct vsock_config *vm_vsock(const struct vm *vm)
{
	return vm->has_vsock ? &vm->vsock : NULL;
}

const struct console_config *vm_console(const struct vm *vm)
{
	return vm->has_console ? &vm->console : NULL;
}

const struct shared_directory_config *vm_shared_directory(const struct vm *vm, unsigned index)
{
	return index < vm->ndirectories ? &vm->directories[index] : NULL;
}

int vm_put_memory(struct vm *vm, const struct memory_hotplug_config *c, struct error *err)
{
	int r = record(vm, "put_memory", err);

	if (r < 0)
		return r;
	vm->memory = *c;
	vm->has_memory = true;
	return 0;
}

const struct memory_hotplug_config *vm_memory(const struct vm *vm)
{
	return vm->has_memory ? &vm->memory : NULL;
}

int vm_patch_memory(struct vm *vm, uint64_t requested_mib, struct error *err)
{
	(void)requested_mib;
	return record(vm, "patch_memory", err);
}

/* 8 MiB wanted, 6 MiB plugged. */
int vm_memory_status(struct vm *vm, struct virtio_mem_status *ret, struct error *err)
{
	*ret = (struct virtio_mem_status){ .plugged_mib = 6, .requested_mib = 8 };
	if (!vm->has_memory)
		return error_set(err, -ENODEV, NULL, NULL, "No such memory");
	return record(vm, "memory_status", err);
}

int vm_patch_balloon(struct vm *vm, uint64_t amount_mib, struct error *err)
{
	vm->balloon.amount_mib = amount_mib;
	return record(vm, "patch_balloon", err);
}

int vm_patch_balloon_statistics(struct vm *vm, uint64_t interval_s, struct error *err)
{
	vm->balloon.stats_polling_interval_s = interval_s;
	return record(vm, "patch_balloon_statistics", err);
}

/* 3 MiB wanted, 1 MiB and a page given; two values told, the largest possible and 0. */
int vm_balloon_statistics(struct vm *vm, struct virtio_balloon_statistics *ret, struct error *err)
{
	*ret = (struct virtio_balloon_statistics){
		.target_pages = 768,
		.actual_pages = 257,
		.known = 1u << 4 | 1u << 15,
		.value = { [4] = UINT64_MAX },
	};
	return record(vm, "balloon_statistics", err);
}

int vm_start_hinting(struct vm *vm, bool acknowledge, struct error *err)
{
	return record(vm, acknowledge ? "start_hinting" : "start_hinting_unacknowledged", err);
}

int vm_stop_hinting(struct vm *vm, struct error *err)
{
	return record(vm, "stop_hinting", err);
}

/* Run 5 is asked for; a guest that has a balloon has told of run 4. */
int vm_hinting(struct vm *vm, struct virtio_balloon_hinting *ret, struct error *err)
{
	*ret = (struct virtio_balloon_hinting){ 5, vm->has_balloon, 4 };
	return record(vm, "hinting", err);
}

static void on_end(void *arg, uint32_t events)
{
	struct vm *vm = arg;

	(void)events;
	vm_stop(vm, vm->exit_status);
}

/* Ends the loop once it runs, if the boot arguments ask for it. */
static int end_soon(struct vm *vm)
{
	const char *args = vm->boot_source.boot_args;

	if (!vm->loop || strncmp(args, "exit=", 5) != 0)
		return 0;
	vm->exit_status = (int)strtol(args + 5, NULL, 10);
	vm->event = fd_event();
	if (vm->event < 0)
		return vm->event;
	fd_event_signal(vm->event);
	return loop_add(vm->loop, vm->event, EPOLLIN, on_end, vm, &vm->source);
}

static int move_to(struct vm *vm, const char *call, enum vm_state state, struct error *err)
{
	int r = record(vm, call, err);

	if (r == 0)
		vm->state = state;
	return r;
}

int vm_start(struct vm *vm, struct error *err)
{
	int r = move_to(vm, "start", VM_RUNNING, err);

	return r < 0 ? r : end_soon(vm);
}

int vm_save(struct vm *vm, const struct snapshot_create_config *c, const char *manifest,
	    struct error *err)
{
	(void)c;
	if (!strstr(manifest, "\"config\""))
		abort();
	return record(vm, "save", err);
}

int vm_save_working_set(struct vm *vm, const struct working_set_config *c, struct error *err)
{
	if (!c->working_set_path[0])
		abort();
	return record(vm, "save_working_set", err);
}

int vm_save_live(struct vm *vm, const struct snapshot_create_config *c, const char *manifest,
		 const struct live_sink *sink, struct error *err)
{
	static const struct live_result result = { .pause_us = 1, .total_us = 2 };
	int r = record(vm, "save_live", err);

	(void)c;
	if (!strstr(manifest, "\"config\""))
		abort();
	if (r == 0)
		sink->ended(sink->ctx, &result, NULL);
	return r;
}

int vm_check_blank(const struct vm *vm, struct error *err)
{
	(void)vm;
	(void)err;
	return 0;
}

int vm_load(struct vm *vm, const struct snapshot_load_config *c, struct state *state,
	    struct error *err)
{
	(void)c;
	(void)state;
	return record(vm, "load", err);
}

int vm_make_blank(struct vm *vm, unsigned vcpus, uint64_t mem_size_mib, struct error *err)
{
	(void)vcpus;
	(void)mem_size_mib;
	return record(vm, "make_blank", err);
}

void vm_forget(struct vm *vm, struct json_t *known)
{
	(void)known;
	record(vm, "forget", NULL);
}

int vm_pause(struct vm *vm, struct error *err)
{
	return move_to(vm, "pause", VM_PAUSED, err);
}

int vm_resume(struct vm *vm, struct error *err)
{
	return move_to(vm, "resume", VM_RUNNING, err);
}

int vm_flush_metrics(struct vm *vm, struct error *err)
{
	int r = record(vm, "flush_metrics", err);

	return r < 0 ? r : metrics_flush(vm->metrics);
}

int vm_send_ctrl_alt_del(struct vm *vm, struct error *err)
{
	return record(vm, "ctrl_alt_del", err);
}

int vm_press_power_button(struct vm *vm, struct error *err)
{
	return record(vm, "power_button", err);
}

void vm_stop(struct vm *vm, int exit_status)
{
	loop_stop(vm->loop, exit_status);
}

int vm_write_report(struct vm *vm, int fd)
{
	char line[sizeof(vm->calls) + 32];
	int n = snprintf(line, sizeof(line), "{\"calls\": \"%s\"}\n", vm->calls);

	return fd_pwrite_all(fd, line, (size_t)n, 0);
}
