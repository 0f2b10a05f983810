/* vm_config.c - what a microVM was asked to be, and what is changed while it runs.
 *
 * Plain values and slots, set before the start; files are opened and checked here, so
 * that a wrong path is refused by the request that names it. What can change after the
 * start goes to the running devices (live.h) or, on PCI, comes and goes as a whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/life.h"
#include "vmm/arch/arch.h"
#include "vmm/base/fd.h"
#include "vmm/config_check.h"
#include "vmm/live.h"
#include "vmm/loader/cmdline.h"
#include "vmm/logger.h"
#include "vmm/machine.h"
#include "vmm/metrics.h"
#include "vmm/root.h"
#include "vmm/vm_parts.h"

/* O_NONBLOCK: a FIFO must not hang us before the loader refuses it. */
static int open_image(const char *path, const char *what, const char *field, int *ret,
		      struct error *err)
{
	int fd = fd_open(path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return error_set(err, -errno, field, "give the path of a file that wisp may read",
				 "The %s file cannot be opened: %s (os error %d): \"%s\"", what,
				 strerror(errno), errno, path);
	*ret = fd;
	return 0;
}

int vm_put_logger(struct vm *vm, const struct logger_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	return r < 0 ? r : logger_set(vm->options.logger, c, err);
}

int vm_put_metrics(struct vm *vm, const struct metrics_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	return r < 0 ? r : metrics_open(vm->options.metrics, c, err);
}

static void set_template(struct vm *vm, struct cpu_template *t)
{
	free(vm->cpu_template);
	vm->cpu_template = t;
}

/* Of one that has a name and one of the user's own, the last counts. */
int vm_put_cpu(struct vm *vm, const struct cpu_config *c, struct error *err)
{
	struct cpu_template *t;
	int r = vm_check_not_started(vm, err);

	if (r < 0)
		return r;
	t = malloc(sizeof(*t));
	r = t ? cpu_template_parse(c, t, err)
	      : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r < 0) {
		free(t);
		return r;
	}
	set_template(vm, t);
	vm->machine_config.has_cpu_template = false;
	vm->machine_config.cpu_template = CPU_TEMPLATE_NONE;
	return 0;
}

/* *ret: the template that a machine is asked to have by name, for the caller to free. */
static int name_template(const struct machine_config *c, struct cpu_template **ret,
			 struct error *err)
{
	struct cpu_template *t = malloc(sizeof(*t));
	int r = t ? arch_named_template((enum cpu_template_name)c->cpu_template, t, err)
		  : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	if (r < 0)
		free(t);
	else
		*ret = t;
	return r;
}

int vm_put_boot_source(struct vm *vm, const struct boot_source_config *c, struct error *err)
{
	int kernel_fd = -1, initrd_fd = -1;
	struct cmdline line;
	int r = vm_check_not_started(vm, err);

	if (r == 0 && c->has_boot_args)
		r = cmdline_init(&line, c->boot_args, err);
	if (r == 0)
		r = open_image(c->kernel_image_path, "kernel", "kernel_image_path", &kernel_fd,
			       err);
	if (r == 0 && c->initrd_path[0])
		r = open_image(c->initrd_path, "initrd", "initrd_path", &initrd_fd, err);
	if (r < 0) {
		fd_close(kernel_fd);
		return r;
	}
	fd_close(vm->kernel_fd);
	fd_close(vm->initrd_fd);
	vm->kernel_fd = kernel_fd;
	vm->initrd_fd = initrd_fd;
	vm->boot_source = *c;
	vm->has_boot_source = true;
	return 0;
}

#define SMALL_FOR_BALLOON \
	"The memory size (MiB) is smaller than the previously set balloon device target size."

static int check_holds_balloon(const struct vm *vm, const struct machine_config *c,
			       struct error *err)
{
	const struct balloon_config *b = vm_balloon(vm);

	if (!b || b->amount_mib <= c->mem_size_mib)
		return 0;
	return error_set(err, -EINVAL, "mem_size_mib", "give more, or PUT a smaller balloon first",
			 SMALL_FOR_BALLOON " mem_size_mib is %" PRIu64
					   " and the balloon's amount_mib %" PRIu64,
			 c->mem_size_mib, b->amount_mib);
}

int vm_put_serial(struct vm *vm, const struct serial_config *c, struct error *err)
{
	int fd = -1, r = vm_check_not_started(vm, err);

	if (r < 0)
		return r;
	if (c->serial_out_path[0]) {
		fd = fd_open_lines(c->serial_out_path, 0600);
		if (fd < 0)
			return error_set(err, fd, "serial_out_path", "give a writable file or FIFO",
					 "The serial port's output %.128s cannot be opened: %s",
					 c->serial_out_path, strerror(-fd));
	}
	fd_close(vm->serial_fd);
	vm->serial_fd = fd;
	vm->serial_limit = c->rate_limiter;
	return 0;
}

int vm_put_machine(struct vm *vm, const struct machine_config *c, struct error *err)
{
	bool had_name = vm->machine_config.has_cpu_template;
	struct cpu_template *t = NULL;
	int r = vm_check_not_started(vm, err);

	if (r == 0)
		r = config_check_machine(c, err);
	if (r == 0)
		r = check_holds_balloon(vm, c, err);
	if (r == 0 && c->cpu_template != CPU_TEMPLATE_NONE)
		r = name_template(c, &t, err);
	if (r < 0)
		return r;
	/* One of the user's own stays until a name takes its place. */
	if (had_name || c->has_cpu_template)
		set_template(vm, t);
	vm->machine_config = *c;
	vm->machine_config.has_cpu_template = t != NULL;
	return 0;
}

/* Drives, interfaces, pmem and directories come and go after the start on PCI alone. */
static int check_pluggable(const struct vm *vm, struct error *err)
{
	if (vm->state == VM_NOT_STARTED || vm->options.enable_pci)
		return 0;
	return error_set(err, -EBUSY, NULL, "start wisp with --enable-pci",
			 "The requested operation is not supported after starting the microVM.");
}

/* Into its slot before the start, into the running machine after it. */
static int put_device(struct vm *vm, enum slot_kind kind, const char *id, const void *config,
		      struct error *err)
{
	struct virtio_dev *dev;
	int r;

	if (vm->state == VM_NOT_STARTED)
		return vm_explain_refusal(vm, slots_put(vm->slots, kind, id, config, err), err);
	r = slots_plug(vm->slots, kind, id, config, (unsigned)vm->machine_config.vcpu_count, &dev,
		       err);
	if (r < 0)
		return vm_explain_refusal(vm, r, err);
	notices_watch(vm->notices, dev);
	if (kind == SLOT_NET)
		r = vm_mmds_serve(vm, id, err);
	if (r == 0)
		r = machine_plug(vm->machine, dev, err);
	else
		virtio_dev_destroy(dev);
	if (r < 0)
		slots_remove(vm->slots, dev);
	else
		vm_tell_device(vm, dev, "plugged");
	return r;
}

static int delete_device(struct vm *vm, enum slot_kind kind, const char *id, const char *what,
			 struct error *err)
{
	struct virtio_dev *dev;
	int r = vm_check_started(vm, err);

	if (r == 0)
		r = check_pluggable(vm, err);
	if (r < 0)
		return r;
	if (!slots_find(vm->slots, kind, id, &dev))
		return error_set(err, -ENODEV, NULL, "name one of this machine",
				 "there is no %s \"%s\"", what, id);
	r = machine_ask_back(vm->machine, dev);
	return r < 0 ? error_set(err, r, NULL, NULL, "%s \"%s\" cannot go", what, id) : 0;
}

/* field: what asks for the device to be the root. */
static int check_root(const struct vm *vm, enum slot_kind kind, const char *id, const char *field,
		      struct error *err)
{
	if (vm->state == VM_NOT_STARTED)
		return root_check(vm->slots, kind, id, err);
	return error_set(err, -EINVAL, field, "give false",
			 "A root device cannot come while the guest runs");
}

int vm_put_drive(struct vm *vm, const struct drive_config *c, struct error *err)
{
	int r = check_pluggable(vm, err);

	if (r == 0 && c->is_root_device)
		r = check_root(vm, SLOT_DRIVE, c->drive_id, "is_root_device", err);
	if (r == 0)
		r = vm_check_descriptor(vm, SLOT_DRIVE, c->drive_id, c->path_on_host,
					"path_on_host", err);
	return r < 0 ? r : put_device(vm, SLOT_DRIVE, c->drive_id, c, err);
}

int vm_delete_drive(struct vm *vm, const char *id, struct error *err)
{
	return delete_device(vm, SLOT_DRIVE, id, "drive", err);
}

static int check_mac_is_free(const struct vm *vm, const struct net_config *c, struct error *err)
{
	const struct net_config *other;

	for (unsigned i = 0; c->guest_mac[0] && (other = vm_net(vm, i)) != NULL; i++) {
		if (strcmp(other->iface_id, c->iface_id) != 0 &&
		    strcasecmp(other->guest_mac, c->guest_mac) == 0)
			return error_set(err, -EEXIST, "guest_mac", "give each its own",
					 "The MAC address is already in use: %s. It is interface "
					 "\"%s\"'s",
					 c->guest_mac, other->iface_id);
	}
	return 0;
}

int vm_put_net(struct vm *vm, const struct net_config *c, struct error *err)
{
	int r = check_pluggable(vm, err);

	if (r == 0)
		r = config_check_net(c, err);
	if (r == 0)
		r = check_mac_is_free(vm, c, err);
	if (r == 0)
		r = vm_check_descriptor(vm, SLOT_NET, c->iface_id, c->host_dev_name,
					"host_dev_name", err);
	if (r == 0)
		r = vm_check_connection(vm, c->passt_socket, "passt_socket", err);
	return r < 0 ? r : put_device(vm, SLOT_NET, c->iface_id, c, err);
}

int vm_delete_net(struct vm *vm, const char *id, struct error *err)
{
	return delete_device(vm, SLOT_NET, id, "network interface", err);
}

int vm_put_pmem(struct vm *vm, const struct pmem_config *c, struct error *err)
{
	int r = check_pluggable(vm, err);

	if (r == 0 && c->root_device)
		r = check_root(vm, SLOT_PMEM, c->id, "root_device", err);
	if (r == 0)
		r = vm_check_descriptor(vm, SLOT_PMEM, c->id, c->path_on_host, "path_on_host", err);
	return r < 0 ? r : put_device(vm, SLOT_PMEM, c->id, c, err);
}

int vm_delete_pmem(struct vm *vm, const char *id, struct error *err)
{
	return delete_device(vm, SLOT_PMEM, id, "pmem device", err);
}

int vm_put_entropy(struct vm *vm, const struct entropy_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	return r < 0 ? r : slots_put(vm->slots, SLOT_ENTROPY, "entropy", c, err);
}

static int check_amount(const struct vm *vm, uint64_t amount_mib, struct error *err)
{
	uint64_t most_mib = vm->machine_config.mem_size_mib;

	if (most_mib > UINT32_MAX / VIRTIO_BALLOON_MIB)
		most_mib = UINT32_MAX / VIRTIO_BALLOON_MIB;
	if (amount_mib <= most_mib)
		return 0;
	return error_set(err, -EINVAL, "amount_mib", "give at most the machine's mem_size_mib",
			 "Amount of pages requested is too large. amount_mib is %" PRIu64
			 " and at most %" PRIu64 " is possible",
			 amount_mib, most_mib);
}

int vm_put_balloon(struct vm *vm, const struct balloon_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	if (r == 0)
		r = check_amount(vm, c->amount_mib, err);
	if (r < 0)
		return r;
	return slots_put(vm->slots, SLOT_BALLOON, "balloon", c, err);
}

int vm_put_vsock(struct vm *vm, const struct vsock_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	return r < 0 ? r : slots_put(vm->slots, SLOT_VSOCK, "vsock", c, err);
}

int vm_put_shared_directory(struct vm *vm, const struct shared_directory_config *c,
			    struct error *err)
{
	int r = check_pluggable(vm, err);

	return r < 0 ? r : put_device(vm, SLOT_SHARED_DIRECTORY, c->tag, c, err);
}

int vm_delete_shared_directory(struct vm *vm, const char *tag, struct error *err)
{
	return delete_device(vm, SLOT_SHARED_DIRECTORY, tag, "shared directory", err);
}

int vm_put_memory(struct vm *vm, const struct memory_hotplug_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	if (r == 0)
		r = config_check_memory_hotplug(c, err);
	return r < 0 ? r : slots_put(vm->slots, SLOT_MEMORY, "memory", c, err);
}

int vm_put_console(struct vm *vm, const struct console_config *c, struct error *err)
{
	int r = vm_check_not_started(vm, err);

	return r < 0 ? r : slots_put(vm->slots, SLOT_CONSOLE, "console", c, err);
}

const struct logger_config *vm_logger(const struct vm *vm)
{
	return logger_config(vm->options.logger);
}

const struct boot_source_config *vm_boot_source(const struct vm *vm)
{
	return vm->has_boot_source ? &vm->boot_source : NULL;
}

const struct machine_config *vm_machine(const struct vm *vm)
{
	return &vm->machine_config;
}

const struct drive_config *vm_drive(const struct vm *vm, unsigned index)
{
	return slots_config(vm->slots, SLOT_DRIVE, index);
}

const struct net_config *vm_net(const struct vm *vm, unsigned index)
{
	return slots_config(vm->slots, SLOT_NET, index);
}

const struct pmem_config *vm_pmem(const struct vm *vm, unsigned index)
{
	return slots_config(vm->slots, SLOT_PMEM, index);
}

const struct entropy_config *vm_entropy(const struct vm *vm)
{
	return slots_config(vm->slots, SLOT_ENTROPY, 0);
}

const struct balloon_config *vm_balloon(const struct vm *vm)
{
	return slots_config(vm->slots, SLOT_BALLOON, 0);
}

const struct vsock_config *vm_vsock(const struct vm *vm)
{
	return slots_config(vm->slots, SLOT_VSOCK, 0);
}

const struct console_config *vm_console(const struct vm *vm)
{
	return slots_config(vm->slots, SLOT_CONSOLE, 0);
}

const struct shared_directory_config *vm_shared_directory(const struct vm *vm, unsigned index)
{
	return slots_config(vm->slots, SLOT_SHARED_DIRECTORY, index);
}

const struct memory_hotplug_config *vm_memory(const struct vm *vm)
{
	return slots_config(vm->slots, SLOT_MEMORY, 0);
}

/* --- while the guest runs --- */

int vm_patch_drive(struct vm *vm, const struct drive_update *c, struct error *err)
{
	int r = vm_check_started(vm, err);

	if (r == 0)
		r = vm_check_descriptor(vm, SLOT_DRIVE, c->drive_id, c->path_on_host,
					"path_on_host", err);
	if (r == 0)
		r = live_patch_drive(vm->slots, c, err);
	return vm_explain_refusal(vm, r, err);
}

int vm_patch_net(struct vm *vm, const struct net_update *c, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_patch_net(vm->slots, c, err);
}

int vm_patch_pmem(struct vm *vm, const struct pmem_update *c, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_patch_pmem(vm->slots, c, err);
}

int vm_patch_memory(struct vm *vm, uint64_t requested_mib, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_patch_memory(vm->slots, requested_mib, err);
}

int vm_memory_status(struct vm *vm, struct virtio_mem_status *ret, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_memory_status(vm->slots, ret, err);
}

int vm_patch_balloon(struct vm *vm, uint64_t amount_mib, struct error *err)
{
	int r = vm_check_started(vm, err);

	if (r == 0 && vm_balloon(vm))
		r = check_amount(vm, amount_mib, err);
	return r < 0 ? r : live_patch_balloon(vm->slots, amount_mib, err);
}

int vm_patch_balloon_statistics(struct vm *vm, uint64_t interval_s, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_patch_balloon_statistics(vm->slots, interval_s, err);
}

int vm_balloon_statistics(struct vm *vm, struct virtio_balloon_statistics *ret, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_balloon_statistics(vm->slots, ret, err);
}

int vm_start_hinting(struct vm *vm, bool acknowledge, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_start_hinting(vm->slots, acknowledge, err);
}

int vm_stop_hinting(struct vm *vm, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_stop_hinting(vm->slots, err);
}

int vm_hinting(struct vm *vm, struct virtio_balloon_hinting *ret, struct error *err)
{
	int r = vm_check_started(vm, err);

	return r < 0 ? r : live_hinting(vm->slots, ret, err);
}
