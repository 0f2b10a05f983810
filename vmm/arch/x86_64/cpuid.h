/* cpuid.h - what CPUID tells the guest.
 *
 * Starts from what KVM supports on this host and changes what must differ: the
 * topology, the identity of each vCPU, the hypervisor bit, and what a set of
 * masks takes away or adds. Sources: Intel SDM volume 2A (CPUID), AMD APM volume
 * 3 appendix E, Documentation/virt/kvm/x86/cpuid.rst.
 */
#ifndef VMM_ARCH_X86_64_CPUID_H
#define VMM_ARCH_X86_64_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/kvm.h"

enum { CPUID_MAX_ENTRIES = 256 };

/* Room for all entries that KVM accepts; too large for a stack. */
struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[CPUID_MAX_ENTRIES];
};

/* One package of `vcpus` logical processors, threads_per_core 1 or 2. */
struct cpuid_topology {
	unsigned vcpus;
	unsigned threads_per_core;
};

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

/* Bits of one register of one leaf: cleared first, then set. */
struct cpuid_mask {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	uint32_t clear, set;
};

/* Fills *t with what KVM supports on this host. */
int cpuid_supported(const struct kvm *kvm, struct cpuid_table *t, struct error *err);

/* Copies what is in it, and not the room for more. */
void cpuid_copy(struct cpuid_table *to, const struct cpuid_table *from);

/* Makes *t describe the machine as its vCPUs share it. -ENOSPC when the table is full. */
int cpuid_describe(struct cpuid_table *t, const struct cpuid_topology *topology);

/* Applies a mask. -ENOENT: the table lacks the leaf. */
int cpuid_apply(struct cpuid_table *t, const struct cpuid_mask *mask);

/* Makes *t that of the vCPU with this APIC id. */
void cpuid_identify(struct cpuid_table *t, const struct cpuid_topology *topology, uint32_t apic_id);

/* Whether both tell a guest the same, in the same order: but for what KVM changes by
 * itself when a guest sets its control registers. */
bool cpuid_same(const struct cpuid_table *a, const struct cpuid_table *b);

#endif
