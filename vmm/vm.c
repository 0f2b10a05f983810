/* vm.c - one microVM, as its user sees it.
 *
 * Its life: from what was asked for (vm_config.c) a machine is built, started, paused,
 * started again after a reset if that is wanted, and told about. Every request is
 * checked against the state first and changes nothing when it fails.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/mmds/mmds.h"
#include "devices/virtio/life.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/events.h"
#include "vmm/loader/cmdline.h"
#include "vmm/machine.h"
#include "vmm/metrics.h"
#include "vmm/metrics_machine.h"
#include "vmm/report.h"
#include "vmm/root.h"
#include "vmm/vm_parts.h"

enum {
	/* The exit status of a machine that KVM could not run any further. */
	EXIT_GUEST_FAULT = 1,
};

/* What Firecracker adds to every command line of a machine without PCI. */
#define NO_PCI "pci=off"

int vm_create(const struct vm_options *options, struct loop *loop, struct vm **ret,
	      struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm || slots_create(&vm->slots) < 0) {
		free(vm);
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	r = options->events ? notices_create(vm->slots, loop, options->events, &vm->notices) : 0;
	if (r < 0) {
		slots_destroy(vm->slots);
		free(vm);
		return error_set(err, r, NULL, NULL, "Events cannot be told: %s", strerror(-r));
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
	vm_live_abort(vm);
	machine_destroy(vm->machine);
	vm_drop_frame(vm);
	slots_destroy(vm->slots);
	notices_destroy(vm->notices);
	mmds_destroy(vm->mmds);
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

int vm_check_not_started(const struct vm *vm, struct error *err)
{
	if (vm->state == VM_NOT_STARTED)
		return 0;
	return error_set(err, -EBUSY, NULL, NULL,
			 "The requested operation is not supported after starting the microVM.");
}

int vm_check_started(const struct vm *vm, struct error *err)
{
	if (vm->state != VM_NOT_STARTED)
		return 0;
	return error_set(err, -EINVAL, NULL, NULL,
			 "The requested operation is not supported before starting the microVM.");
}

struct metrics *vm_metrics(const struct vm *vm)
{
	return vm->options.metrics;
}

static void set_state(struct vm *vm, enum vm_state state)
{
	bool news = vm->state != state;

	vm->state = state;
	if (news)
		events_tell(vm->options.events, "state",
			    json_pack("{s:s}", "state", events_state_name(state)));
}

void vm_tell_device(const struct vm *vm, const struct virtio_dev *dev, const char *change)
{
	struct slot_device d;

	if (slots_find_running(vm->slots, dev, &d))
		events_tell(vm->options.events, "device",
			    json_pack("{s:s, s:s, s:s}", "device", d.collection, "id", d.id,
				      "change", change));
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
	events_tell(vm->options.events, "guest_ended",
		    json_pack("{s:s}", "reason", reasons[reason]));
	/* A machine that was loaded has no kernel to boot. */
	if (reason == STOP_RESET && vm->options.restart && vm->has_boot_source)
		restart(vm);
	else
		vm_stop(vm, reason == STOP_FAULT ? EXIT_GUEST_FAULT : value);
}

static void on_device_gone(void *ctx, const struct virtio_dev *dev)
{
	struct vm *vm = ctx;

	struct slot_device d;

	if (slots_find_running(vm->slots, dev, &d))
		log_info("the guest let go of %s \"%s\"", dev->ops->name, d.id);
	vm_tell_device(vm, dev, "unplugged");
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

/* A filter is for good: a machine that is built again finds the main thread confined. */
static enum thread_role main_role(const struct vm *vm)
{
	if (vm->restarts > 0)
		return THREAD_ROLES;
	if (vm->options.restart)
		return THREAD_MAIN_RESTART;
	return vm->options.enable_pci ? THREAD_MAIN_PCI : THREAD_MAIN;
}

int vm_build_machine(struct vm *vm, const struct machine_saved *saved, struct error *err)
{
	struct virtio_dev *devices[VM_MAX_DEVICES];
	struct cmdline line;
	struct machine_spec spec = {
		.config = &vm->machine_config,
		.cpu_template = vm->cpu_template,
		.kvm = vm->options.kvm,
		.early_cpus = vm->options.early_cpus,
		.kernel_path = vm->boot_source.kernel_image_path,
		.initrd_path = vm->boot_source.initrd_path,
		.kernel_fd = vm->kernel_fd,
		.initrd_fd = vm->initrd_fd,
		.cmdline = &line,
		.saved = saved,
		.devices = devices,
		.pci = vm->options.enable_pci,
		.gone = { on_device_gone, vm },
		.serial = serial_ends(vm),
		.boot_timer = vm->options.boot_timer,
		.debug_exit_port = vm->options.debug_exit_port,
		.loop = vm->loop,
		.timeline = &vm->timeline,
		.filters = vm->options.filters,
		.role = main_role(vm),
		.ended = { on_ended, vm },
	};
	int r = slots_take(vm->slots, (unsigned)vm->machine_config.vcpu_count, devices,
			   &spec.device_count, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < spec.device_count; i++)
		notices_watch(vm->notices, devices[i]);
	r = vm_mmds_serve_all(vm, err);
	if (r == 0 && !saved)
		r = build_cmdline(vm, &line, err);
	if (r == 0) {
		spec.frame = vm_take_frame(vm, saved != NULL);
		r = machine_create(&spec, &vm->machine, err);
	} else {
		destroy_devices(devices, spec.device_count);
	}
	if (r == 0)
		gmem_set_page_map(machine_memory(vm->machine), vm->options.page_map);
	else
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
	vm_mmds_add_metrics(vm, totals);
}

/* Builds the machine anew and, unless its user has paused it, runs it. */
static int boot_again(struct vm *vm, struct error *err)
{
	int r = vm_build_machine(vm, NULL, err);

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

	vm_live_abort(vm);
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

int vm_set_going(struct vm *vm, enum vm_state state, struct error *err)
{
	int r;

	if (state == VM_PAUSED)
		machine_pause(vm->machine);
	r = vm_confine_files(vm, err);
	if (r == 0)
		r = machine_start(vm->machine, err);
	if (r < 0) {
		machine_destroy(vm->machine);
		vm->machine = NULL;
		slots_forget(vm->slots);
		return r;
	}
	set_state(vm, state);
	metrics_start(vm->options.metrics, &(struct metrics_source){ add_totals, vm }, vm->loop);
	return 0;
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
	int r = vm_check_not_started(vm, err);

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
	r = vm_build_machine(vm, NULL, err);
	return r < 0 ? r : vm_set_going(vm, VM_RUNNING, err);
}

int vm_flush_metrics(struct vm *vm, struct error *err)
{
	int r = vm_check_started(vm, err);

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
	int r = vm_check_started(vm, err);

	if (r < 0)
		return r;
	if (vm->state == VM_RUNNING)
		machine_pause(vm->machine);
	set_state(vm, VM_PAUSED);
	metrics_set(vm->options.metrics, METRIC_PAUSE_US, clock_now_us() - start_us);
	return 0;
}

int vm_resume(struct vm *vm, struct error *err)
{
	uint64_t start_us = clock_now_us();
	int r = vm_check_started(vm, err);

	if (r < 0)
		return r;
	if (vm->state == VM_PAUSED)
		machine_resume(vm->machine);
	set_state(vm, VM_RUNNING);
	metrics_set(vm->options.metrics, METRIC_RESUME_US, clock_now_us() - start_us);
	return 0;
}

static int press(struct vm *vm, int (*button)(struct machine *), const char *what,
		 struct error *err)
{
	int r = vm_check_started(vm, err);

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

void vm_stop(struct vm *vm, int exit_status)
{
	timeline_mark(&vm->timeline, TIMELINE_EXIT);
	events_tell(vm->options.events, "state",
		    json_pack("{s:s, s:i}", "state", "Ended", "exit_status", exit_status));
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
