/* early_cpus.h - what processors KVM can show a guest here, read ahead.
 *
 * KVM makes that list with an instruction, CPUID, that a virtual host cannot execute without
 * its own hypervisor: 0.3 ms there. So a thread asks for it from the first moment on, while
 * the main thread reads what the machine is to be and creates it. Should the main thread need
 * it first, on a busy host, it does not wait for that thread but asks itself. Main thread.
 */
#ifndef VMM_EARLY_CPUS_H
#define VMM_EARLY_CPUS_H

#include "vmm/arch/arch.h"
#include "vmm/base/error.h"
#include "vmm/kvm.h"

struct early_cpus;

/* Starts the thread, if one can be had. Before that it grows the table of descriptors:
 * where there are two threads, that has to wait for every processor. device: as kvm_open()
 * takes it, not copied. 0 and *ret, or a negative errno. */
int early_cpus_begin(const char *device, struct early_cpus **ret);

/* What was read, which is the caller's then, or what is read now, also of a second call. The
 * thread is gone. 0, or a negative errno and *err. */
int early_cpus_take(struct early_cpus *e, const struct kvm *kvm, struct arch_cpus **ret,
		    struct error *err);

/* Waits for the thread. Accepts NULL. */
void early_cpus_destroy(struct early_cpus *e);

#endif
