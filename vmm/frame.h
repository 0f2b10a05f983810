/* frame.h - the part of a machine that does not depend on what will run in it: KVM's VM,
 * RAM and its memslots, the interrupt controllers inside KVM, and the vCPUs.
 *
 * A machine begins with one. A process that waits for its snapshot has one ready, with
 * the vCPUs' threads at their gate, so that a load finds done what costs most.
 * Main thread, except where noted.
 */
#ifndef VMM_FRAME_H
#define VMM_FRAME_H

#include "devices/bus.h"
#include "devices/stop.h"
#include "vmm/arch/arch.h"
#include "vmm/config.h"
#include "vmm/vcpu.h"

struct early_cpus; /* early_cpus.h */

/* Nothing in it is owned; what it points to must outlive the frame. */
struct frame_config {
	const struct machine_config *machine;	 /* read by frame_create() alone */
	bool shared_memory;			 /* another process must be able to map RAM */
	const struct cpu_template *cpu_template; /* NULL: none */
	const char *kvm;			 /* as kvm_open() takes it */
	struct early_cpus *early_cpus;
	struct timeline *timeline;
	const struct thread_filters *filters; /* NULL: the vCPUs are not confined */
	/* Fills RAM, before KVM knows of it; 0 or a negative errno and *err. NULL: it stays
	 * empty. */
	int (*fill)(void *ctx, struct gmem *mem, struct error *err);
	void *fill_ctx;
};

/* For the machine that owns it; others look. */
struct frame {
	struct kvm kvm;
	struct gmem *mem;
	struct memslots *memslots; /* NULL: set when they were wanted */
	struct bus *pio, *mmio;	   /* empty */
	struct arch_cpus *cpus;
	struct vcpus *vcpus; /* NULL after frame_stop() */
	unsigned vcpu_count;
	uint64_t mem_size_mib;
	bool shared;  /* another process can map RAM */
	bool plain;   /* RAM that a file can be mapped over, and no template */
	bool started; /* the vCPUs' threads are there */

	int stop_fd;   /* signalled by the vCPU that first asked to stop */
	bool stopping; /* set once, by that vCPU, and read atomically */
	enum stop_reason stop_reason;
	int stop_value;
};

/* All of it, in the one order that never waits. Memslots of RAM that was filled may still be
 * on their way. 0 and *ret, or a negative errno and *err. */
int frame_create(const struct frame_config *config, struct frame **ret, struct error *err);

/* Waits for the memslots: before anything is bound to KVM's buses. */
int frame_await_memory(struct frame *f, struct error *err);

/* The vCPUs' threads, confined and at their gate; nothing when they are there. */
int frame_start(struct frame *f, struct error *err);

/* For a frame that waits: its vCPUs have the CPUID of a usual guest, which a saved one
 * from this host has, too, and their threads are started. */
int frame_make_ready(struct frame *f, struct error *err);

/* Whether a saved machine of this shape can go on in it. */
bool frame_fits(const struct frame *f, const struct machine_config *machine);

/* Where devices say that the guest wants to end: vCPUs pause, stop_fd is signalled. */
struct stop_sink frame_stop_sink(struct frame *f);

/* Ends the vCPUs: what they call may be taken apart then. */
void frame_stop(struct frame *f);

/* Accepts NULL. */
void frame_destroy(struct frame *f);

#endif
