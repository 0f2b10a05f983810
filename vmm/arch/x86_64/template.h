/* template.h - a CPU template, applied to what KVM gives. Main thread. */
#ifndef VMM_ARCH_X86_64_TEMPLATE_H
#define VMM_ARCH_X86_64_TEMPLATE_H

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/cpu_template.h"

/* KVM has every capability that the template requires. 0 or a negative errno. */
int template_check(const struct cpu_template *t, const struct kvm *kvm, struct error *err);

/* 0, or -ENOENT for a leaf that the guest does not have. */
int template_apply_cpuid(const struct cpu_template *t, struct cpuid_table *cpuid,
			 struct error *err);

/* After CPUID and the registers of power-on. 0, or a negative errno for a register that
 * KVM does not have, or a value that it refuses. */
int template_apply_msrs(const struct cpu_template *t, int vcpu_fd, struct error *err);

#endif
