/* vm.c - one microVM, as its user sees it.
 *
 * Keeps what was asked for (slots and plain values), builds a machine from it on
 * vm_start(), and passes on what is asked of the machine afterwards. Every
 * request is checked against the state first and changes nothing when it fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/life.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/config_check.h"
#include "vmm/live.h"
#include "vmm/loader/cmdline.h"
#include "vmm/logger.h"
#include "vmm/machine.h"
#include "vmm/metrics.h"
#include "vmm/metrics_machine.h"
#include "vmm/report.h"
#include "vmm/root.h"
#include "vmm/slots.h"
#include "vmm/vm.h"

enum {
	/* The exit status of a machine that KVM could not run any further. */
	EXIT_GUEST_FAULT = 1,
};

/* What Firecracker adds to every command line of a machine without PCI. */
#define NO_PCI "pci=off"

struct vm {
	char id[VM_ID_LEN + 1];
	struct vm_options options;
	struct loop *loop;
	enum vm_state state;
	struct timeline timeline;

	bool has_boot_source;
	struct boot_source_config boot_source;
	int kernel_fd, initrd_fd;
	int serial_fd; /* -1: standard output */
	struct token_bucket serial_limit;
	struct machine_config machine_config;
	struct cpu_template *cpu_template; /* NULL: none */
	struct slots *slots;

	struct machine *machine; /* from the start on; NULL when it could not restart */
	uint64_t restarts;
	uint64_t past_exits[VCPU_EXIT_KINDS]; /* of the machines before this one */
};

int vm_create(const struct vm_options *options, struct loop *loop, struct vm **ret,
	      struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm || slots_create(&vm->slots) < 0) {
		free(vm);
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	snprintf(vm->id, sizeof(vm->id), "%s", options->id);
	vm->options = *options;
	vm->options.id = vm->id;
	vm->loop = loop;
	vm->state = VM_NOT_STARTED;
	vm->kernel_fd = vm->initrd_fd = vm->serial_fd = -1;
	vm->machine_config = (struct machine_config)MACHINE_CONFIG_DEFAULT;
	timeline_mark(&vm->timeline, TIMELINE_MAIN);
	vm->timeline.at_us[TIMELINE_EXEC] =
		options->start_time_us ? options->start_time_us : vm->timeline.at_us[TIMELINE_MAIN];
	*ret = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	machine_destroy(vm->machine);
	slots_destroy(vm->slots);
	free(vm->cpu_template);
	fd_close(vm->serial_fd);
	fd_close(vm->initrd_fd);
	fd_close(vm->kernel_fd);
	free(vm);
}

const char *vm_id(const struct vm *vm)
{
	return vm->id;
}

enum vm_state vm_state(const struct vm *vm)
{
	return vm->state;
}

static int check_not_started(const struct vm *vm, struct error *err)
{
	if (vm->state == VM_NOT_STARTED)
		return 0;
	return error_set(err, -EBUSY, NULL, NULL,
			 "The requested operation is not supported after starting the microVM.");
}

static int check_started(const struct vm *vm, struct error *err)
{
	if (vm->state != VM_NOT_STARTED)
		return 0;
	return error_set(err, -EINVAL, NULL, NULL,
			 "The requested operation is not supported before starting the microVM.");
}

/* O_NONBLOCK: a FIFO must not hang us before the loader refuses it. */
static int open_image(const char *path, const char *what, const char *field, int *ret,
		      struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return error_set(err, -errno, field, "give the path of a file that wisp may read",
				 "The %s file cannot be opened: %s (os error %d): \"%s\"", what,
				 strerror(errno), errno, path);
	*ret = fd;
	return 0;
}

int vm_put_logger(struct vm *vm, const struct logger_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

	return r < 0 ? r : logger_set(vm->options.logger, c, err);
}

int vm_put_metrics(struct vm *vm, const struct metrics_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

	return r < 0 ? r : metrics_open(vm->options.metrics, c, err);
}

int vm_put_cpu(struct vm *vm, const struct cpu_config *c, struct error *err)
{
	struct cpu_template *t;
	int r = check_not_started(vm, err);

	if (r < 0)
		return r;
	t = malloc(sizeof(*t));
	r = t ? cpu_template_parse(c, t, err)
	      : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r < 0) {
		free(t);
		return r;
	}
	free(vm->cpu_template);
	vm->cpu_template = t;
	return 0;
}

int vm_put_boot_source(struct vm *vm, const struct boot_source_config *c, struct error *err)
{
	int kernel_fd = -1, initrd_fd = -1;
	struct cmdline line;
	int r = check_not_started(vm, err);

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

/* Read and write, so that a FIFO opens without a reader; never blocking on one. */
int vm_put_serial(struct vm *vm, const struct serial_config *c, struct error *err)
{
	int fd = -1, r = check_not_started(vm, err);

	if (r < 0)
		return r;
	if (c->serial_out_path[0]) {
		fd = open(c->serial_out_path,
			  O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
		if (fd < 0)
			return error_errno(err, "serial_out_path", "give a writable file or FIFO",
					   "The serial port's output %.128s cannot be opened",
					   c->serial_out_path);
	}
	fd_close(vm->serial_fd);
	vm->serial_fd = fd;
	vm->serial_limit = c->rate_limiter;
	return 0;
}

int vm_put_machine(struct vm *vm, const struct machine_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

	if (r == 0)
		r = config_check_machine(c, err);
	if (r == 0)
		r = check_holds_balloon(vm, c, err);
	if (r < 0)
		return r;
	vm->machine_config = *c;
	return 0;
}

/* Drives, interfaces and pmem come and go after the start on PCI alone. */
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
		return slots_put(vm->slots, kind, id, config, err);
	r = slots_plug(vm->slots, kind, id, config, (unsigned)vm->machine_config.vcpu_count, &dev,
		       err);
	if (r < 0)
		return r;
	r = machine_plug(vm->machine, dev, err);
	if (r < 0)
		slots_remove(vm->slots, dev);
	return r;
}

static int delete_device(struct vm *vm, enum slot_kind kind, const char *id, const char *what,
			 struct error *err)
{
	struct virtio_dev *dev;
	int r = check_started(vm, err);

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
	return r < 0 ? r : put_device(vm, SLOT_PMEM, c->id, c, err);
}

int vm_delete_pmem(struct vm *vm, const char *id, struct error *err)
{
	return delete_device(vm, SLOT_PMEM, id, "pmem device", err);
}

int vm_put_entropy(struct vm *vm, const struct entropy_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

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
	int r = check_not_started(vm, err);

	if (r == 0)
		r = check_amount(vm, c->amount_mib, err);
	if (r < 0)
		return r;
	return slots_put(vm->slots, SLOT_BALLOON, "balloon", c, err);
}

int vm_put_vsock(struct vm *vm, const struct vsock_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

	return r < 0 ? r : slots_put(vm->slots, SLOT_VSOCK, "vsock", c, err);
}

int vm_put_shared_directory(struct vm *vm, const struct shared_directory_config *c,
			    struct error *err)
{
	int r = check_not_started(vm, err);

	return r < 0 ? r : slots_put(vm->slots, SLOT_SHARED_DIRECTORY, c->tag, c, err);
}

struct metrics *vm_metrics(const struct vm *vm)
{
	return vm->options.metrics;
}

const struct logger_config *vm_logger(const struct vm *vm)
{
	return logger_config(vm->options.logger);
}

int vm_put_memory(struct vm *vm, const struct memory_hotplug_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

	if (r == 0)
		r = config_check_memory_hotplug(c, err);
	return r < 0 ? r : slots_put(vm->slots, SLOT_MEMORY, "memory", c, err);
}

int vm_put_console(struct vm *vm, const struct console_config *c, struct error *err)
{
	int r = check_not_started(vm, err);

	return r < 0 ? r : slots_put(vm->slots, SLOT_CONSOLE, "console", c, err);
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

static void restart(struct vm *vm);

/* The guest ended: the process ends with it, or boots it again. */
static void on_ended(void *ctx, enum stop_reason reason, int value)
{
	static const char *const reasons[] = {
		[STOP_RESET] = "reset",
		[STOP_POWER_OFF] = "power off",
		[STOP_DEBUG_EXIT] = "debug exit",
		[STOP_FAULT] = "fault",
	};

	struct vm *vm = ctx;

	log_guest_at(LOG_INFO, "the guest ended: %s", reasons[reason]);
	if (reason == STOP_RESET && vm->options.restart)
		restart(vm);
	else
		vm_stop(vm, reason == STOP_FAULT ? EXIT_GUEST_FAULT : value);
}

static void on_device_gone(void *ctx, const struct virtio_dev *dev)
{
	struct vm *vm = ctx;

	log_info("the guest let go of %s \"%s\"", dev->ops->name, slots_id(vm->slots, dev));
	slots_remove(vm->slots, dev);
}

static int build_cmdline(const struct vm *vm, struct cmdline *line, struct error *err)
{
	const struct boot_source_config *b = &vm->boot_source;
	int r = cmdline_init(line, b->has_boot_args ? b->boot_args : CMDLINE_DEFAULT, err);

	if (r == 0 && !vm->options.enable_pci)
		r = cmdline_add(line, err, NO_PCI);
	return r < 0 ? r : root_add_words(vm->slots, line, err);
}

static void destroy_devices(struct virtio_dev *const *devices, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		virtio_dev_destroy(devices[i]);
}

/* Whoever sends the output elsewhere has no terminal to type at. */
static struct console_ends serial_ends(const struct vm *vm)
{
	bool is_file = vm->serial_fd >= 0;

	return (struct console_ends){
		.in_fd = is_file ? -1 : STDIN_FILENO,
		.out_fd = is_file ? vm->serial_fd : STDOUT_FILENO,
		.limit = vm->serial_limit,
	};
}

static int build_machine(struct vm *vm, struct error *err)
{
	struct virtio_dev *devices[VM_MAX_DEVICES];
	struct cmdline line;
	struct machine_spec spec = {
		.config = &vm->machine_config,
		.cpu_template = vm->cpu_template,
		.kernel_path = vm->boot_source.kernel_image_path,
		.initrd_path = vm->boot_source.initrd_path,
		.kernel_fd = vm->kernel_fd,
		.initrd_fd = vm->initrd_fd,
		.cmdline = &line,
		.devices = devices,
		.pci = vm->options.enable_pci,
		.gone = { on_device_gone, vm },
		.serial = serial_ends(vm),
		.boot_timer = vm->options.boot_timer,
		.debug_exit_port = vm->options.debug_exit_port,
		.loop = vm->loop,
		.timeline = &vm->timeline,
		.ended = { on_ended, vm },
	};
	int r = slots_take(vm->slots, (unsigned)vm->machine_config.vcpu_count, devices,
			   &spec.device_count, err);

	if (r < 0)
		return r;
	r = build_cmdline(vm, &line, err);
	if (r == 0)
		r = machine_create(&spec, &vm->machine, err);
	else
		destroy_devices(devices, spec.device_count);
	if (r < 0)
		slots_forget(vm->slots);
	return r;
}

/* Of all machines so far. */
static void count_exits(const struct vm *vm, uint64_t counts[VCPU_EXIT_KINDS])
{
	uint64_t now[VCPU_EXIT_KINDS] = { 0 };

	if (vm->machine)
		machine_exits(vm->machine, now);
	for (unsigned i = 0; i < VCPU_EXIT_KINDS; i++)
		counts[i] = vm->past_exits[i] + now[i];
}

static void add_totals(void *ctx, json_t *totals)
{
	uint64_t exits[VCPU_EXIT_KINDS];
	struct vm *vm = ctx;

	count_exits(vm, exits);
	metrics_add_exits(totals, exits);
	metrics_add_devices(totals, vm->slots);
}

/* Builds the machine anew and, unless its user has paused it, runs it. */
static int boot_again(struct vm *vm, struct error *err)
{
	int r = build_machine(vm, err);

	if (r < 0)
		return r;
	if (vm->state == VM_PAUSED)
		machine_pause(vm->machine);
	return machine_start(vm->machine, err);
}

/* In the old machine's last call to us. */
static void restart(struct vm *vm)
{
	struct error err = { 0 };
	char line[sizeof(err.text) + sizeof(err.hint)];

	count_exits(vm, vm->past_exits);
	slots_keep(vm->slots);
	machine_destroy(vm->machine);
	vm->machine = NULL;
	slots_take_back(vm->slots);
	vm->restarts++;
	if (boot_again(vm, &err) == 0)
		return;
	log_error("the guest cannot be restarted: %s", error_line(&err, line, sizeof(line)));
	vm_stop(vm, EXIT_GUEST_FAULT);
}

/* Back ends are told once of the memory that they share. */
static int check_shared_memory(const struct vm *vm, struct error *err)
{
	bool shared = vm_shared_directory(vm, 0) != NULL;
	const struct drive_config *drive;

	for (unsigned i = 0; (drive = vm_drive(vm, i)) != NULL; i++)
		shared = shared || drive->socket[0];
	if (!shared || !vm_memory(vm))
		return 0;
	return error_set(err, -EINVAL, "memory-hotplug", "leave out the one or the other",
			 "Memory that is plugged in later cannot be shared with the back end of a "
			 "drive or directory.");
}

int vm_start(struct vm *vm, struct error *err)
{
	int r = check_not_started(vm, err);

	if (r < 0)
		return r;
	if (!vm->has_boot_source)
		return error_set(err, -EINVAL, "boot-source", "PUT /boot-source first",
				 "Cannot start microvm without kernel configuration.");
	r = check_shared_memory(vm, err);
	if (r < 0)
		return r;
	timeline_mark(&vm->timeline, TIMELINE_START);
	vm->timeline.start_cpu_us = clock_cpu_us();
	r = build_machine(vm, err);
	if (r < 0)
		return r;
	r = machine_start(vm->machine, err);
	if (r < 0) {
		machine_destroy(vm->machine);
		vm->machine = NULL;
		slots_forget(vm->slots);
		return r;
	}
	vm->state = VM_RUNNING;
	metrics_start(vm->options.metrics, &(struct metrics_source){ add_totals, vm }, vm->loop);
	return 0;
}

int vm_flush_metrics(struct vm *vm, struct error *err)
{
	int r = check_started(vm, err);

	if (r < 0)
		return r;
	r = metrics_flush(vm->options.metrics);
	return r < 0 ? error_set(err, r, "metrics_path", "look at the file and its disk",
				 "The metrics cannot be written: %s", strerror(-r))
		     : 0;
}

int vm_pause(struct vm *vm, struct error *err)
{
	uint64_t start_us = clock_now_us();
	int r = check_started(vm, err);

	if (r < 0)
		return r;
	if (vm->state == VM_RUNNING)
		machine_pause(vm->machine);
	vm->state = VM_PAUSED;
	metrics_set(vm->options.metrics, METRIC_PAUSE_US, clock_now_us() - start_us);
	return 0;
}

int vm_resume(struct vm *vm, struct error *err)
{
	uint64_t start_us = clock_now_us();
	int r = check_started(vm, err);

	if (r < 0)
		return r;
	if (vm->state == VM_PAUSED)
		machine_resume(vm->machine);
	vm->state = VM_RUNNING;
	metrics_set(vm->options.metrics, METRIC_RESUME_US, clock_now_us() - start_us);
	return 0;
}

static int press(struct vm *vm, int (*button)(struct machine *), const char *what,
		 struct error *err)
{
	int r = check_started(vm, err);

	if (r < 0)
		return r;
	r = button(vm->machine);
	return r < 0 ? error_set(err, r, NULL, "try again later", "the guest did not take %s", what)
		     : 0;
}

int vm_send_ctrl_alt_del(struct vm *vm, struct error *err)
{
	return press(vm, machine_ctrl_alt_del, "Ctrl-Alt-Del", err);
}

int vm_press_power_button(struct vm *vm, struct error *err)
{
	return press(vm, machine_power_button, "the power button", err);
}

int vm_patch_drive(struct vm *vm, const struct drive_update *c, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_patch_drive(vm->slots, c, err);
}

int vm_patch_net(struct vm *vm, const struct net_update *c, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_patch_net(vm->slots, c, err);
}

int vm_patch_pmem(struct vm *vm, const struct pmem_update *c, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_patch_pmem(vm->slots, c, err);
}

int vm_patch_memory(struct vm *vm, uint64_t requested_mib, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_patch_memory(vm->slots, requested_mib, err);
}

int vm_memory_status(struct vm *vm, struct virtio_mem_status *ret, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_memory_status(vm->slots, ret, err);
}

int vm_patch_balloon(struct vm *vm, uint64_t amount_mib, struct error *err)
{
	int r = check_started(vm, err);

	if (r == 0 && vm_balloon(vm))
		r = check_amount(vm, amount_mib, err);
	return r < 0 ? r : live_patch_balloon(vm->slots, amount_mib, err);
}

int vm_patch_balloon_statistics(struct vm *vm, uint64_t interval_s, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_patch_balloon_statistics(vm->slots, interval_s, err);
}

int vm_balloon_statistics(struct vm *vm, struct virtio_balloon_statistics *ret, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_balloon_statistics(vm->slots, ret, err);
}

int vm_start_hinting(struct vm *vm, bool acknowledge, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_start_hinting(vm->slots, acknowledge, err);
}

int vm_stop_hinting(struct vm *vm, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_stop_hinting(vm->slots, err);
}

int vm_hinting(struct vm *vm, struct virtio_balloon_hinting *ret, struct error *err)
{
	int r = check_started(vm, err);

	return r < 0 ? r : live_hinting(vm->slots, ret, err);
}

void vm_stop(struct vm *vm, int exit_status)
{
	timeline_mark(&vm->timeline, TIMELINE_EXIT);
	loop_stop(vm->loop, exit_status);
}

int vm_write_report(struct vm *vm, int fd)
{
	struct report report = {
		.id = vm->id,
		.timeline = &vm->timeline,
		.slots = vm->slots,
		.restarts = vm->restarts,
	};

	count_exits(vm, report.exits);
	if (vm->machine)
		report.memory = machine_memory(vm->machine);
	return report_write(&report, fd);
}
