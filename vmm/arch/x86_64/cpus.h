/* cpus.h - what the guest's processors look like, for the rest of this architecture. */
#ifndef VMM_ARCH_X86_64_CPUS_H
#define VMM_ARCH_X86_64_CPUS_H

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"

/* What KVM supports on this host; valid as long as cpus. */
const struct cpuid_table *cpus_supported(const struct arch_cpus *cpus);

/* Whether arch_vcpu_identify() has given vCPU i what *t, of a saved one, says. */
bool cpus_has_identity(const struct arch_cpus *cpus, int vcpu_fd, unsigned i,
		       const struct cpuid_table *t);

#endif
