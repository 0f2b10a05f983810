/* machine.c - the machine, built from its parts.
 *
 * What depends on no guest comes first (frame.c, which has the reasons for the order):
 * the VM, every memslot, the irqchip, the vCPUs. Then memory that devices bring, which
 * takes memslots, and behind the last memslot ioeventfds and irqfds. A machine that is
 * loaded may find its frame made long before, with the vCPUs' threads waiting; otherwise
 * these are started last.
 *
 * Ownership: the machine owns all of it and takes it apart in reverse order; a
 * half-built machine is taken apart by the same function.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "devices/pci/bus.h"
#include "devices/virtio/life.h"
#include "vmm/arch/arch.h"
#include "vmm/base/fd.h"
#include "vmm/console.h"
#include "vmm/frame.h"
#include "vmm/machine.h"
#include "vmm/placement.h"
#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/memory_handler.h"
#include "vmm/snapshot/plugged.h"
#include "vmm/snapshot/prefetch.h"

struct machine {
	struct frame *frame;
	struct memory_handler *handler; /* NULL: memory is all here */
	struct prefetch *prefetch;	/* NULL: nothing is brought before it is asked for */
	struct placement placement;
	struct arch_platform *platform;
	struct console *console;
	struct gsi_table *gsi;
	struct pci_bus *pci; /* NULL: virtio-mmio */
	struct lanes *lanes;
	struct devices *devices;
	struct virtio_dev *device[VM_MAX_DEVICES]; /* from [added] on not in devices yet */
	unsigned device_count, added;
	bool is_loaded; /* and its interrupts are not routed before machine_start() */
	bool was_blank; /* the main thread is confined already, less strictly */

	struct loop *loop;
	struct timeline *timeline;
	const struct thread_filters *filters;
	enum thread_role role;
	struct stop_sink ended;
	struct gone_sink gone;
	struct loop_source *stop_source;
};

/* A vCPU has asked to stop; on the main thread, by the eventfd that orders the two. */
static void on_stop_event(void *ctx, uint32_t events)
{
	struct machine *m = ctx;
	struct frame *f = m->frame;

	(void)events;
	if (!fd_event_drain(f->stop_fd))
		return;
	vcpus_pause(f->vcpus);
	/* The guest's last words come before ours. */
	console_flush(m->console);
	stop_request(&m->ended, f->stop_reason, f->stop_value);
}

/* Whether another process must be able to map guest memory. */
static bool memory_is_shared(const struct machine *m)
{
	for (unsigned n = 0; n < m->device_count; n++) {
		if (m->device[n]->ops->remote)
			return true;
	}
	return false;
}

static int set_memslot(void *ctx, const struct memslot *slot)
{
	return kvm_set_memslot(ctx, slot);
}

/* Where a device's memory was: blocks say it themselves. */
static int read_base(struct virtio_dev *d, struct state *s, unsigned place, gpa_t *ret,
		     struct error *err)
{
	if (!d->ops->saved_base)
		return plugged_base(s, place, ret, err);
	state_begin(s, d->ops->section, place);
	*ret = gpa(d->ops->saved_base(d, s));
	state_end(s);
	return state_error(s, err);
}

static int restore_window(struct machine *m, struct virtio_dev *d, struct state *s, unsigned place,
			  struct error *err)
{
	struct placement_saved saved = { .device = d->ops->name, .place = place };
	int r = read_base(d, s, place, &saved.base, err);
	struct window *w;

	if (r < 0)
		return r;
	w = d->ops->hand_over(d);
	r = placement_restore(&m->placement, w, &saved, err);
	return r < 0 ? r : plugged_load(w, s, place, err);
}

/* Devices that bring memory. */
static int place_windows(struct machine *m, const struct machine_saved *saved, struct error *err)
{
	const struct memslot_sink sink = { set_memslot, &m->frame->kvm };
	int r = 0;

	placement_init(&m->placement, &sink, kvm_max_memslots(&m->frame->kvm), m->frame->mem);
	for (unsigned n = 0; n < m->device_count && r == 0; n++) {
		struct virtio_dev *d = m->device[n];

		if (!d->ops->hand_over)
			continue;
		r = saved ? restore_window(m, d, saved->state, saved->place[n], err)
			  : placement_add(&m->placement, d->ops->hand_over(d), err);
	}
	return r;
}

static int map_memory(void *ctx, struct gmem *mem, struct error *err)
{
	const struct machine_saved *saved = ctx;

	return memory_file_load(saved->memory_fd, mem, err);
}

/* What else the memory file has, and whoever brings pages from now on. Memory that was copied
 * out of its file is all there. */
static int bring_memory(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	const struct machine_saved *saved = spec->saved;
	struct gmem *mem = m->frame->mem;
	int r;

	if (saved->handler)
		return memory_handler_start(saved->handler, mem, spec->filters, &m->handler, err);
	r = memory_file_load_blocks(saved->memory_fd, mem, err);
	if (r < 0)
		return r;
	if (!saved->working_set || !gmem_shows_file(mem, gpa(0), 1))
		return 0;
	return prefetch_start(saved->working_set, saved->id, mem, spec->filters, &m->prefetch, err);
}

static int create_frame(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	const struct machine_saved *saved = spec->saved;
	const struct frame_config config = {
		.machine = spec->config,
		.shared_memory = memory_is_shared(m),
		.cpu_template = saved ? NULL : spec->cpu_template,
		.kvm = spec->kvm,
		.early_cpus = spec->early_cpus,
		.timeline = spec->timeline,
		.filters = spec->filters,
		.fill = saved && !saved->handler ? map_memory : NULL,
		.fill_ctx = (void *)saved,
	};
	int r = 0;

	if (!m->frame)
		r = frame_create(&config, &m->frame, err);
	else if (config.fill)
		r = config.fill(config.fill_ctx, m->frame->mem, err);
	if (r == 0)
		r = place_windows(m, saved, err);
	return r < 0 || !saved ? r : bring_memory(m, spec, err);
}

static int create_pci(struct machine *m)
{
	struct arch_pci place;
	int r;

	arch_pci(&place);
	r = pci_bus_create(place.window, &m->pci);
	if (r == 0)
		r = bus_add(m->frame->mmio, place.ecam, PCI_ECAM_LEN, &pci_ecam_bus_ops, m->pci);
	if (r == 0)
		r = bus_add(m->frame->mmio, place.window, PCI_WINDOW_LEN, &pci_window_bus_ops,
			    m->pci);
	return r;
}

static int create_buses(struct machine *m, bool pci)
{
	int r = gsi_table_create(&m->frame->kvm, &m->gsi);

	if (r == 0 && pci)
		r = create_pci(m);
	return r;
}

static int create_platform(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	struct arch_platform_config config = {
		.kvm = &m->frame->kvm,
		.mem = m->frame->mem,
		.stop = frame_stop_sink(m->frame),
		.timeline = spec->timeline,
		.virtio_devices = spec->pci ? 0 : spec->device_count,
		.boot_timer = spec->boot_timer,
		.debug_exit_port = spec->debug_exit_port,
	};
	int r = create_buses(m, spec->pci);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot create the machine's buses");
	config.gsi = m->gsi;
	config.pci = m->pci;
	config.pio = m->frame->pio;
	config.mmio = m->frame->mmio;
	r = arch_platform_create(&config, &m->platform, err);
	if (r < 0)
		return r;
	r = console_create(arch_platform_serial(m->platform), m->loop, &spec->serial, &m->console);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot set up the console");
	return 0;
}

static int init_vcpus(struct machine *m, const struct arch_boot *boot, unsigned count,
		      struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++)
		r = arch_vcpu_init(m->frame->cpus, vcpus_fd(m->frame->vcpus, i), i, boot, err);
	return r;
}

static int add_next_device(struct machine *m, const struct machine_saved *saved, struct error *err)
{
	unsigned n = m->added++;

	if (saved && m->pci)
		return devices_add_at(m->devices, m->device[n], saved->place[n], err);
	return devices_add(m->devices, m->device[n], err);
}

/* The devices of the specification go over to m->devices one by one. */
static int add_devices(struct machine *m, const struct machine_saved *saved, struct error *err)
{
	struct devices_config config = {
		.kvm = &m->frame->kvm,
		.mem = m->frame->mem,
		.mmio = m->frame->mmio,
		.loop = m->loop,
		.gsi = m->gsi,
		.pci = m->pci,
		.hotplug = arch_platform_hotplug(m->platform),
		.gone = m->gone,
	};
	int r = lanes_create(m->loop, m->frame->vcpu_count, m->filters, &m->lanes);

	config.lanes = m->lanes;
	if (r == 0)
		r = devices_create(&config, &m->devices);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "out of memory");
	while (m->added < m->device_count && r == 0)
		r = add_next_device(m, saved, err);
	return r;
}

/* What the kernel must be told of the devices that it cannot find by itself. */
static int describe_devices(struct cmdline *line, unsigned count, struct error *err)
{
	int r = 0;

	for (unsigned n = 0; n < count && r == 0; n++) {
		char word[64];

		arch_describe_virtio(word, sizeof(word), n);
		r = cmdline_add(line, err, word);
	}
	return r;
}

static int load_kernel(struct machine *m, const struct machine_spec *spec, struct arch_boot *boot,
		       struct error *err)
{
	struct cmdline line = *spec->cmdline;
	struct arch_boot_config config = {
		.mem = m->frame->mem,
		.kernel_fd = spec->kernel_fd,
		.initrd_fd = spec->initrd_fd,
		.kernel_path = spec->kernel_path,
		.initrd_path = spec->initrd_path,
		.cmdline = line.text,
		.vcpus = (unsigned)spec->config->vcpu_count,
		.virtio_devices = spec->pci ? 0 : spec->device_count,
		.pci = spec->pci,
	};
	int r = describe_devices(&line, config.virtio_devices, err);

	if (r < 0)
		return r;
	return arch_boot_load(&config, boot, err);
}

/* Descriptors that the guest's exits and interrupts go through. After this no
 * memslot may change. */
static int connect(struct machine *m, struct error *err)
{
	int r = frame_await_memory(m->frame, err);

	if (r == 0)
		r = arch_platform_connect(m->platform, err);
	if (r == 0)
		r = devices_connect(m->devices, err);
	if (r < 0)
		return r;
	r = loop_add(m->loop, m->frame->stop_fd, EPOLLIN, on_stop_event, m, &m->stop_source);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot watch for the guest's end");
	return 0;
}

/* From here on to load_state(): saved and loaded alike (vmm/snapshot/state.h). */
static int vcpus_state(struct frame *f, bool catch_up, struct state *s, struct error *err)
{
	uint64_t passed_ns = catch_up ? arch_clock_passed_ns(s) : 0;
	int r = 0;

	for (unsigned i = 0; i < f->vcpu_count && r == 0; i++)
		r = arch_vcpu_state(&f->kvm, f->cpus, vcpus_fd(f->vcpus, i), i, passed_ns, s, err);
	return r;
}

static int parts_state(struct machine *m, bool catch_up, struct state *s, struct error *err)
{
	struct frame *f = m->frame;
	int r = arch_cpu_model_state(f->cpus, vcpus_fd(f->vcpus, 0), s, err);

	if (r == 0)
		r = vcpus_state(f, catch_up, s, err);
	if (r == 0)
		r = arch_clock_state(&f->kvm, catch_up, s, err);
	if (r < 0)
		return r;
	arch_platform_state(m->platform, s);
	return devices_state(m->devices, s, err);
}

int machine_save(struct machine *m, struct state *s, struct error *err)
{
	devices_save_blocks(m->devices, s);
	return parts_state(m, false, s, err);
}

/* The guest finds that it is a copy as soon as it runs. Its interrupts' routes come
 * when it does: see start_interrupts(). */
static int load_state(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	struct frame *f = m->frame;
	int r;

	gsi_table_hold(m->gsi);
	r = parts_state(m, spec->saved->catch_up, spec->saved->state, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < f->vcpu_count; i++)
		arch_vcpu_forgive(vcpus_fd(f->vcpus, i));
	r = arch_platform_renew(m->platform);
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot give the guest a new generation ID")
		     : 0;
}

static int build(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	struct arch_boot boot = { 0 };
	int r = create_frame(m, spec, err);

	if (r == 0 && !spec->saved)
		r = load_kernel(m, spec, &boot, err);
	if (r == 0)
		r = create_platform(m, spec, err);
	if (r == 0 && !spec->saved)
		r = init_vcpus(m, &boot, (unsigned)spec->config->vcpu_count, err);
	if (r == 0)
		r = add_devices(m, spec->saved, err);
	if (r == 0)
		r = connect(m, err);
	if (r == 0 && spec->saved)
		r = load_state(m, spec, err);
	return r;
}

static void destroy_devices(struct virtio_dev *const *devices, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		virtio_dev_destroy(devices[i]);
}

int machine_create(const struct machine_spec *spec, struct machine **ret, struct error *err)
{
	struct machine *m = calloc(1, sizeof(*m));
	int r;

	if (!m) {
		destroy_devices(spec->devices, spec->device_count);
		frame_destroy(spec->frame);
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	m->frame = spec->frame;
	m->was_blank = spec->frame != NULL;
	m->is_loaded = spec->saved != NULL;
	m->loop = spec->loop;
	m->timeline = spec->timeline;
	m->filters = spec->filters;
	m->role = spec->role;
	m->ended = spec->ended;
	m->gone = spec->gone;
	m->device_count = spec->device_count;
	for (unsigned i = 0; i < spec->device_count; i++)
		m->device[i] = spec->devices[i];
	r = build(m, spec, err);
	if (r < 0) {
		machine_destroy(m);
		return r;
	}
	timeline_mark(m->timeline, TIMELINE_KVM_READY);
	*ret = m;
	return 0;
}

static int confine(const struct machine *m, struct error *err)
{
	int r = m->role < THREAD_ROLES ? thread_filter_install(m->filters, m->role) : 0;

	return r < 0 ? error_set(err, r, "seccomp-filter", "does the kernel have seccomp?",
				 "cannot confine the main thread: %s", strerror(-r))
		     : 0;
}

/* KVM takes all interrupt routes of a loaded machine in one call, which may have to wait
 * for another processor. The guest does not: until the main thread comes back from here,
 * nothing sends an interrupt that has a route. */
static int start_interrupts(struct machine *m, struct error *err)
{
	int r = gsi_table_release(m->gsi);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "KVM refused the interrupt routes: %s",
				 strerror(-r));
	arch_platform_wake(m->platform);
	devices_wake(m->devices);
	return 0;
}

static int start_lanes(struct machine *m, struct error *err)
{
	int r = lanes_start(m->lanes);

	return r < 0 ? error_set(err, r, NULL, "is the limit of processes too low?",
				 "cannot start the devices' threads: %s", strerror(-r))
		     : 0;
}

/* The vCPUs and the devices' threads confine themselves, and the main thread has its filter
 * before they are released: in a process that waited for its snapshot one that allows the load, so that
 * the stricter one can wait until they run. Nothing that they do reaches the main thread
 * before it is through here. */
int machine_start(struct machine *m, struct error *err)
{
	int r = frame_start(m->frame, err);

	if (r == 0)
		r = start_lanes(m, err);
	if (r == 0 && !m->was_blank)
		r = confine(m, err);
	if (r == 0)
		r = vcpus_release(m->frame->vcpus, err);
	if (r == 0 && m->is_loaded)
		r = start_interrupts(m, err);
	if (r == 0)
		lanes_release(m->lanes);
	return r < 0 || !m->was_blank ? r : confine(m, err);
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	if (m->frame)
		frame_stop(m->frame);
	loop_source_remove(m->stop_source);
	devices_destroy(m->devices);
	destroy_devices(&m->device[m->added], m->device_count - m->added);
	lanes_destroy(m->lanes);
	console_destroy(m->console);
	arch_platform_destroy(m->platform);
	pci_bus_destroy(m->pci);
	gsi_table_destroy(m->gsi);
	prefetch_destroy(m->prefetch);
	memory_handler_destroy(m->handler);
	frame_destroy(m->frame);
	free(m);
}

void machine_pause(struct machine *m)
{
	vcpus_pause(m->frame->vcpus);
	devices_pause(m->devices);
}

void machine_resume(struct machine *m)
{
	/* The guest asked to stop before the pause: what follows is on its way to the
	 * main thread, and the vCPUs must not run on behind a reset. */
	if (__atomic_load_n(&m->frame->stopping, __ATOMIC_ACQUIRE))
		return;
	devices_resume(m->devices);
	vcpus_resume(m->frame->vcpus);
}

/* A device that brings memory. The window outlives the device, and goes when the device
 * cannot come. */
static int plug_with_window(struct machine *m, struct virtio_dev *dev, struct error *err)
{
	struct window *w = dev->ops->hand_over(dev);
	int r = placement_add(&m->placement, w, err);

	if (r < 0) {
		virtio_dev_destroy(dev);
		return r;
	}
	r = devices_plug(m->devices, dev, err);
	if (r < 0)
		window_withdraw(w);
	return r;
}

int machine_plug(struct machine *m, struct virtio_dev *dev, struct error *err)
{
	if (dev->ops->hand_over)
		return plug_with_window(m, dev, err);
	if (!dev->ops->remote || m->frame->shared)
		return devices_plug(m->devices, dev, err);
	virtio_dev_destroy(dev);
	return error_set(err, -EOPNOTSUPP, "socket",
			 "have a drive or directory of this kind from the start",
			 "A back end cannot come while the guest runs: nobody else can map this "
			 "guest's memory");
}

int machine_place(const struct machine *m, const struct virtio_dev *dev)
{
	return devices_place(m->devices, dev);
}

int machine_ask_back(struct machine *m, const struct virtio_dev *dev)
{
	return devices_ask_back(m->devices, dev);
}

int machine_ctrl_alt_del(struct machine *m)
{
	return arch_ctrl_alt_del(m->platform);
}

int machine_power_button(struct machine *m)
{
	return arch_power_button(m->platform);
}

void machine_exits(const struct machine *m, uint64_t counts[VCPU_EXIT_KINDS])
{
	vcpus_exits(m->frame->vcpus, counts);
}

struct gmem *machine_memory(const struct machine *m)
{
	return m->frame->mem;
}
