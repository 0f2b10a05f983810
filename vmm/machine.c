/* machine.c - the machine, built from its parts.
 *
 * The order is the design. Every part that KVM must know is created in the one
 * sequence that never waits for another processor:
 *
 *   the VM, every memslot, the irqchip, the vCPUs, ioeventfds and irqfds, and
 *   last the threads.
 *
 * Registering an ioeventfd or an in-kernel irqchip starts an SRCU grace period
 * that the next memslot would have to sit out (7 to 20 ms), and the table of
 * descriptors cannot grow without an RCU wait once there are threads: so the
 * memslots come first and the table is grown while there is one thread.
 *
 * Ownership: the machine owns all of it and takes it apart in reverse order; a
 * half-built machine is taken apart by the same function.
 */
#include <errno.h>
#include <fcntl.h>
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
#include "vmm/machine.h"
#include "vmm/placement.h"
#include "vmm/snapshot/memory_file.h"

enum {
	MIB = 1024 * 1024,
	DESCRIPTOR_TABLE = 1024, /* descriptors that fit without growing the table */
};

struct machine {
	struct kvm kvm;
	struct gmem *mem;
	struct placement placement;
	struct bus *pio, *mmio;
	struct arch_platform *platform;
	struct arch_cpus *cpus;
	struct vcpus *vcpus;
	unsigned vcpu_count;
	struct console *console;
	struct gsi_table *gsi;
	struct pci_bus *pci; /* NULL: virtio-mmio */
	struct devices *devices;
	struct virtio_dev *device[VM_MAX_DEVICES]; /* from [added] on not in devices yet */
	unsigned device_count, added;

	struct loop *loop;
	struct timeline *timeline;
	const struct thread_filters *filters;
	enum thread_role role;
	struct stop_sink ended;
	struct gone_sink gone;
	int stop_fd; /* signalled by the vCPU that first asked to stop */
	struct loop_source *stop_source;
	bool stopping; /* set once, by that vCPU */
	enum stop_reason stop_reason;
	int stop_value;
};

/* On a vCPU's thread. The first request counts; all vCPUs leave the guest. */
static void on_guest_stop(void *ctx, enum stop_reason reason, int value)
{
	struct machine *m = ctx;

	if (__atomic_exchange_n(&m->stopping, true, __ATOMIC_ACQ_REL))
		return;
	m->stop_reason = reason;
	m->stop_value = value;
	vcpus_request_pause(m->vcpus);
	fd_event_signal(m->stop_fd);
}

/* The same on the main thread, by the eventfd that orders the two. */
static void on_stop_event(void *ctx, uint32_t events)
{
	struct machine *m = ctx;

	(void)events;
	if (!fd_event_drain(m->stop_fd))
		return;
	vcpus_pause(m->vcpus);
	/* The guest's last words come before ours. */
	console_flush(m->console);
	stop_request(&m->ended, m->stop_reason, m->stop_value);
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

static int create_memory(struct machine *m, const struct machine_config *c, struct error *err)
{
	static const struct {
		enum gmem_backing own, shared;
	} backings[] = {
		[HUGE_PAGES_NONE] = { GMEM_ANON, GMEM_MEMFD },
		[HUGE_PAGES_TRANSPARENT] = { GMEM_TRANSPARENT, GMEM_MEMFD_TRANSPARENT },
		[HUGE_PAGES_2M] = { GMEM_HUGE_2M, GMEM_HUGE_2M },
	};
	struct gmem_config config = {
		.size_bytes = c->mem_size_mib * MIB,
		.backing = memory_is_shared(m) ? backings[c->huge_pages].shared
					       : backings[c->huge_pages].own,
	};

	arch_mmio_gap(&config.gap_start, &config.gap_end);
	return gmem_create(&config, &m->mem, err);
}

/* Devices that bring memory. */
static int place_windows(struct machine *m, struct error *err)
{
	int r = 0;

	placement_init(&m->placement, &m->kvm, m->mem);
	for (unsigned n = 0; n < m->device_count && r == 0; n++) {
		struct virtio_dev *d = m->device[n];

		if (d->ops->hand_over)
			r = placement_add(&m->placement, d->ops->hand_over(d), err);
	}
	return r;
}

static int create_vm(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	int r = kvm_open(&m->kvm, err);

	if (r == 0)
		r = kvm_create_vm(&m->kvm, err);
	if (r == 0)
		r = arch_vm_init(&m->kvm, err);
	if (r == 0)
		r = create_memory(m, spec->config, err);
	if (r == 0 && spec->saved)
		r = memory_file_load(spec->saved->memory_fd, m->mem, err);
	if (r == 0)
		r = kvm_set_memory(&m->kvm, m->mem, err);
	if (r == 0)
		r = place_windows(m, err);
	if (r == 0)
		r = arch_irqchip_init(&m->kvm, err);
	return r;
}

static int create_pci(struct machine *m)
{
	struct arch_pci place;
	int r;

	arch_pci(&place);
	r = pci_bus_create(place.window, &m->pci);
	if (r == 0)
		r = bus_add(m->mmio, place.ecam, PCI_ECAM_LEN, &pci_ecam_bus_ops, m->pci);
	if (r == 0)
		r = bus_add(m->mmio, place.window, PCI_WINDOW_LEN, &pci_window_bus_ops, m->pci);
	return r;
}

static int create_buses(struct machine *m, bool pci)
{
	int r = bus_create(&m->pio);

	if (r == 0)
		r = bus_create(&m->mmio);
	if (r == 0)
		r = gsi_table_create(&m->kvm, &m->gsi);
	if (r == 0 && pci)
		r = create_pci(m);
	return r;
}

static int create_platform(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	struct arch_platform_config config = {
		.kvm = &m->kvm,
		.mem = m->mem,
		.stop = { on_guest_stop, m },
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
	config.pio = m->pio;
	config.mmio = m->mmio;
	r = arch_platform_create(&config, &m->platform, err);
	if (r < 0)
		return r;
	r = console_create(arch_platform_serial(m->platform), m->loop, &spec->serial, &m->console);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot set up the console");
	return 0;
}

static int create_vcpus(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	struct vcpus_config config = {
		.kvm = &m->kvm,
		.count = (unsigned)spec->config->vcpu_count,
		.pio = m->pio,
		.mmio = m->mmio,
		.stop = { on_guest_stop, m },
		.timeline = m->timeline,
		.filters = m->filters,
	};
	struct arch_cpu_config model = {
		.vcpus = config.count,
		.smt = spec->config->smt,
		.template = spec->cpu_template,
	};
	int r = spec->saved ? 0 : arch_cpus_create(&m->kvm, &model, &m->cpus, err);

	return r < 0 ? r : vcpus_create(&config, &m->vcpus, err);
}

static int init_vcpus(struct machine *m, const struct arch_boot *boot, unsigned count,
		      struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < count && r == 0; i++)
		r = arch_vcpu_init(m->cpus, vcpus_fd(m->vcpus, i), i, boot, err);
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
	const struct devices_config config = {
		.kvm = &m->kvm,
		.mem = m->mem,
		.mmio = m->mmio,
		.loop = m->loop,
		.gsi = m->gsi,
		.pci = m->pci,
		.hotplug = arch_platform_hotplug(m->platform),
		.gone = m->gone,
	};
	int r = devices_create(&config, &m->devices);

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
		.mem = m->mem,
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
	int r = arch_platform_connect(m->platform, err);

	if (r == 0)
		r = devices_connect(m->devices, err);
	if (r < 0)
		return r;
	m->stop_fd = fd_event();
	r = m->stop_fd < 0
		    ? m->stop_fd
		    : loop_add(m->loop, m->stop_fd, EPOLLIN, on_stop_event, m, &m->stop_source);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot watch for the guest's end");
	return 0;
}

/* Best effort: a limit below it only means that the table may grow later. */
static void grow_descriptor_table(const struct machine *m)
{
	fd_close(fcntl(m->stop_fd, F_DUPFD_CLOEXEC, DESCRIPTOR_TABLE - 1));
}

/* From here on to load_state(): saved and loaded alike (vmm/snapshot/state.h). */
static int vcpus_state(struct machine *m, struct state *s, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < m->vcpu_count && r == 0; i++)
		r = arch_vcpu_state(&m->kvm, vcpus_fd(m->vcpus, i), i, s, err);
	return r;
}

static int parts_state(struct machine *m, bool catch_up, struct state *s, struct error *err)
{
	int r = arch_cpu_model_state(&m->kvm, vcpus_fd(m->vcpus, 0), s, err);

	if (r == 0)
		r = vcpus_state(m, s, err);
	if (r == 0)
		r = arch_clock_state(&m->kvm, catch_up, s, err);
	if (r < 0)
		return r;
	arch_platform_state(m->platform, s);
	return devices_state(m->devices, s, err);
}

int machine_save(struct machine *m, struct state *s, struct error *err)
{
	return parts_state(m, false, s, err);
}

/* What the guest is told comes when its interrupts can reach it. */
static int tell_guest(struct machine *m, struct error *err)
{
	int r = arch_platform_renew(m->platform);

	devices_wake(m->devices);
	for (unsigned i = 0; i < m->vcpu_count; i++)
		arch_vcpu_forgive(vcpus_fd(m->vcpus, i));
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot give the guest a new generation ID")
		     : 0;
}

/* With one change of KVM's interrupt routes for all of it. */
static int load_state(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	int r, routes;

	gsi_table_hold(m->gsi);
	r = parts_state(m, spec->saved->catch_up, spec->saved->state, err);
	routes = gsi_table_release(m->gsi);
	if (r == 0 && routes < 0)
		r = error_set(err, routes, NULL, NULL, "KVM refused the interrupt routes: %s",
			      strerror(-routes));
	return r < 0 ? r : tell_guest(m, err);
}

static int build(struct machine *m, const struct machine_spec *spec, struct error *err)
{
	struct arch_boot boot = { 0 };
	int r = create_vm(m, spec, err);

	if (r == 0 && !spec->saved)
		r = load_kernel(m, spec, &boot, err);
	if (r == 0)
		r = create_platform(m, spec, err);
	if (r == 0)
		r = create_vcpus(m, spec, err);
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
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	m->kvm.fd = m->kvm.vm_fd = m->stop_fd = -1;
	m->loop = spec->loop;
	m->timeline = spec->timeline;
	m->filters = spec->filters;
	m->role = spec->role;
	m->ended = spec->ended;
	m->gone = spec->gone;
	m->vcpu_count = (unsigned)spec->config->vcpu_count;
	m->device_count = spec->device_count;
	for (unsigned i = 0; i < spec->device_count; i++)
		m->device[i] = spec->devices[i];
	r = build(m, spec, err);
	if (r < 0) {
		machine_destroy(m);
		return r;
	}
	grow_descriptor_table(m);
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

int machine_start(struct machine *m, struct error *err)
{
	int r = vcpus_start(m->vcpus, err);

	if (r == 0)
		r = confine(m, err);
	if (r == 0)
		r = vcpus_release(m->vcpus, err);
	return r;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	vcpus_destroy(m->vcpus);
	loop_source_remove(m->stop_source);
	fd_close(m->stop_fd);
	devices_destroy(m->devices);
	destroy_devices(&m->device[m->added], m->device_count - m->added);
	arch_cpus_destroy(m->cpus);
	console_destroy(m->console);
	arch_platform_destroy(m->platform);
	pci_bus_destroy(m->pci);
	gsi_table_destroy(m->gsi);
	bus_destroy(m->mmio);
	bus_destroy(m->pio);
	kvm_close(&m->kvm);
	gmem_destroy(m->mem);
	free(m);
}

void machine_pause(struct machine *m)
{
	vcpus_pause(m->vcpus);
	devices_pause(m->devices);
}

void machine_resume(struct machine *m)
{
	/* The guest asked to stop before the pause: what follows is on its way to the
	 * main thread, and the vCPUs must not run on behind a reset. */
	if (__atomic_load_n(&m->stopping, __ATOMIC_ACQUIRE))
		return;
	devices_resume(m->devices);
	vcpus_resume(m->vcpus);
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

/* A back end learns of guest memory once, at the start. */
int machine_plug(struct machine *m, struct virtio_dev *dev, struct error *err)
{
	if (dev->ops->hand_over)
		return plug_with_window(m, dev, err);
	if (!dev->ops->remote)
		return devices_plug(m->devices, dev, err);
	virtio_dev_destroy(dev);
	return error_set(err, -EOPNOTSUPP, NULL, "configure it before the start",
			 "this device cannot come while the guest runs");
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
	vcpus_exits(m->vcpus, counts);
}

const struct gmem *machine_memory(const struct machine *m)
{
	return m->mem;
}
