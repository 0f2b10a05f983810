/* vcpu.h - the virtual processors: a thread each, run, paused and stopped together.
 *
 * Created and driven by the main thread. A vCPU thread executes KVM_RUN, answers
 * the exits that are cheap and local by the buses, and never waits for anything
 * but its own gate.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <stdint.h>

#include "devices/bus.h"
#include "devices/stop.h"
#include "vmm/base/error.h"
#include "vmm/base/thread_filter.h"
#include "vmm/kvm.h"
#include "vmm/timeline.h"

struct vcpus;

/* Exits to user space, as they are counted and reported. */
enum vcpu_exit {
	VCPU_EXIT_IO,
	VCPU_EXIT_MMIO,
	VCPU_EXIT_HLT,
	VCPU_EXIT_IOAPIC_EOI,
	VCPU_EXIT_SYSTEM_EVENT,
	VCPU_EXIT_SHUTDOWN,
	VCPU_EXIT_INTERRUPTED, /* we asked for it: pause, stop */
	VCPU_EXIT_OTHER,
	VCPU_EXIT_KINDS,
};

/* Nothing in it is owned; all of it must outlive the vCPUs. */
struct vcpus_config {
	const struct kvm *kvm;
	unsigned count;
	const struct bus *pio, *mmio;
	struct stop_sink stop; /* called on vCPU threads */
	struct timeline *timeline;
	const struct thread_filters *filters; /* NULL: the threads are not confined */
};

/* The vCPUs exist in KVM, no thread runs yet. 0 and *ret, or a negative errno. */
int vcpus_create(const struct vcpus_config *config, struct vcpus **ret, struct error *err);

/* The descriptor of vCPU i, for the architecture to set its registers. */
int vcpus_fd(const struct vcpus *v, unsigned i);

/* Starts one thread per vCPU; each confines itself and waits. On failure the threads
 * started before are still there: call vcpus_destroy(). */
int vcpus_start(struct vcpus *v, struct error *err);

/* Returns when each thread is confined, and at its place. Failure as above. */
int vcpus_await(struct vcpus *v, struct error *err);

/* Once, after vcpus_start(), which it awaits: lets the threads enter the guest, unless one could not
 * confine itself. Failure as above. */
int vcpus_release(struct vcpus *v, struct error *err);

/* Asks every vCPU to leave the guest. Returns at once; any thread. */
void vcpus_request_pause(struct vcpus *v);

/* As above, and returns when no vCPU executes guest code or a bus handler. */
void vcpus_pause(struct vcpus *v);

void vcpus_resume(struct vcpus *v);

/* Stops and joins the threads, frees everything. Accepts NULL. */
void vcpus_destroy(struct vcpus *v);

/* Exits so far of all vCPUs, by kind. Any thread; approximate while they run. */
void vcpus_exits(const struct vcpus *v, uint64_t counts[VCPU_EXIT_KINDS]);

/* The kind's name in reports: "ioapic_eoi". */
const char *vcpu_exit_name(enum vcpu_exit kind);

#endif
