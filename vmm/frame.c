/* frame.c - the part of a machine that does not depend on what will run in it.
 *
 * The order is the design. Every part that KVM must know is created in the one sequence
 * that never waits for another processor:
 *
 *   the VM, every memslot, the irqchip, the vCPUs; then, by the machine, ioeventfds and
 *   irqfds, and last the threads.
 *
 * Registering an ioeventfd or an in-kernel irqchip's buses starts an SRCU grace period
 * that the next memslot would have to sit out (7 to 20 ms), and the table of descriptors
 * cannot grow without an RCU wait once there are threads: so the memslots come first, and
 * the table has been grown before the first thread was started (early_cpus.h).
 *
 * RAM is a reserved range of addresses that the memslots name from the start. A file that
 * is mapped over it later, MAP_FIXED, needs no memslot: this is how a saved machine's
 * memory comes into a frame that has long been finished. Where the file is known before
 * the memslots are set it is mapped first, so that KVM does not look through all it has of
 * that memory for what it must forget; and a thread sets them (memslots.h), of which
 * nothing is left when anything is bound.
 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/base/fd.h"
#include "vmm/early_cpus.h"
#include "vmm/frame.h"
#include "vmm/memslots.h"

enum { MIB = 1024 * 1024 };

/* On a vCPU's thread. The first request counts; all vCPUs leave the guest. */
static void on_guest_stop(void *ctx, enum stop_reason reason, int value)
{
	struct frame *f = ctx;

	if (__atomic_exchange_n(&f->stopping, true, __ATOMIC_ACQ_REL))
		return;
	f->stop_reason = reason;
	f->stop_value = value;
	vcpus_request_pause(f->vcpus);
	fd_event_signal(f->stop_fd);
}

struct stop_sink frame_stop_sink(struct frame *f)
{
	return (struct stop_sink){ on_guest_stop, f };
}

static int create_memory(struct frame *f, const struct frame_config *c, struct error *err)
{
	static const struct {
		enum gmem_backing own, shared;
	} backings[] = {
		[HUGE_PAGES_NONE] = { GMEM_ANON, GMEM_MEMFD },
		[HUGE_PAGES_TRANSPARENT] = { GMEM_TRANSPARENT, GMEM_MEMFD_TRANSPARENT },
		[HUGE_PAGES_2M] = { GMEM_HUGE_2M, GMEM_HUGE_2M },
	};
	uint32_t huge_pages = c->machine->huge_pages;
	struct gmem_config config = {
		.size_bytes = f->mem_size_mib * MIB,
		.backing =
			c->shared_memory ? backings[huge_pages].shared : backings[huge_pages].own,
	};

	arch_mmio_gap(&config.gap_start, &config.gap_end);
	f->shared = c->shared_memory;
	f->plain = config.backing == GMEM_ANON && !c->cpu_template;
	return gmem_create(&config, &f->mem, err);
}

static int create_vm(struct frame *f, const struct frame_config *c, struct error *err)
{
	int r = kvm_open(&f->kvm, c->kvm, err);

	if (r == 0)
		r = kvm_create_vm(&f->kvm, err);
	if (r == 0)
		r = arch_vm_init(&f->kvm, err);
	if (r == 0)
		r = create_memory(f, c, err);
	if (r == 0 && c->fill)
		r = c->fill(c->fill_ctx, f->mem, err);
	if (r == 0 && c->fill)
		r = memslots_begin(&f->kvm, f->mem, &f->memslots, err);
	else if (r == 0)
		r = kvm_set_memory(&f->kvm, f->mem, err);
	if (r == 0)
		r = arch_irqchip_init(&f->kvm, err);
	return r;
}

static int create_buses(struct frame *f, struct error *err)
{
	int r = bus_create(&f->pio);

	if (r == 0)
		r = bus_create(&f->mmio);
	return r < 0 ? error_set(err, r, NULL, NULL, "cannot create the machine's buses") : 0;
}

static int create_vcpus(struct frame *f, const struct frame_config *c, struct error *err)
{
	struct vcpus_config config = {
		.kvm = &f->kvm,
		.count = f->vcpu_count,
		.pio = f->pio,
		.mmio = f->mmio,
		.stop = frame_stop_sink(f),
		.timeline = c->timeline,
		.filters = c->filters,
	};
	struct arch_cpu_config model = {
		.vcpus = config.count,
		.smt = c->machine->smt,
		.template = c->cpu_template,
	};
	int r = vcpus_create(&config, &f->vcpus, err);

	if (r == 0)
		r = early_cpus_take(c->early_cpus, &f->kvm, &f->cpus, err);
	return r < 0 ? r : arch_cpus_describe(f->cpus, &f->kvm, &model, err);
}

static int create_stop(struct frame *f, struct error *err)
{
	f->stop_fd = fd_event();
	if (f->stop_fd < 0)
		return error_set(err, f->stop_fd, NULL, NULL, "cannot watch for the guest's end");
	return 0;
}

int frame_create(const struct frame_config *config, struct frame **ret, struct error *err)
{
	struct frame *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	f->kvm.fd = f->kvm.vm_fd = f->stop_fd = -1;
	f->vcpu_count = (unsigned)config->machine->vcpu_count;
	f->mem_size_mib = config->machine->mem_size_mib;
	r = create_stop(f, err);
	if (r == 0)
		r = create_vm(f, config, err);
	if (r == 0)
		r = create_buses(f, err);
	if (r == 0)
		r = create_vcpus(f, config, err);
	if (r < 0) {
		frame_destroy(f);
		return r;
	}
	*ret = f;
	return 0;
}

int frame_await_memory(struct frame *f, struct error *err)
{
	return f->memslots ? memslots_await(f->memslots, err) : 0;
}

int frame_start(struct frame *f, struct error *err)
{
	if (f->started)
		return 0;
	f->started = true;
	return vcpus_start(f->vcpus, err);
}

int frame_make_ready(struct frame *f, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < f->vcpu_count && r == 0; i++)
		r = arch_vcpu_identify(f->cpus, vcpus_fd(f->vcpus, i), i, err);
	if (r == 0)
		r = frame_start(f, err);
	return r < 0 ? r : vcpus_await(f->vcpus, err);
}

bool frame_fits(const struct frame *f, const struct machine_config *machine)
{
	return f->plain && machine->huge_pages == HUGE_PAGES_NONE &&
	       machine->vcpu_count == f->vcpu_count && machine->mem_size_mib == f->mem_size_mib;
}

void frame_stop(struct frame *f)
{
	vcpus_destroy(f->vcpus);
	f->vcpus = NULL;
}

void frame_destroy(struct frame *f)
{
	if (!f)
		return;
	frame_stop(f);
	fd_close(f->stop_fd);
	arch_cpus_destroy(f->cpus);
	bus_destroy(f->mmio);
	bus_destroy(f->pio);
	memslots_destroy(f->memslots);
	kvm_close(&f->kvm);
	gmem_destroy(f->mem);
	free(f);
}
