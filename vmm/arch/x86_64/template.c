/* template.c - a CPU template, applied to what KVM gives. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86_64/template.h"

/* Both structs lie as KVM wants one entry to lie. */
struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int template_check(const struct cpu_template *t, const struct kvm *kvm, struct error *err)
{
	for (unsigned i = 0; i < t->ncapabilities; i++) {
		if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)t->capabilities[i]) <= 0)
			return error_set(err, -EOPNOTSUPP, "kvm_capabilities",
					 "leave it out, or use a host that has it",
					 "KVM does not have capability %" PRIu32 " on this host",
					 t->capabilities[i]);
	}
	return 0;
}

int template_apply_cpuid(const struct cpu_template *t, struct cpuid_table *cpuid, struct error *err)
{
	for (unsigned i = 0; i < t->ncpuid; i++) {
		const struct cpu_template_cpuid *row = &t->cpuid[i];
		const struct cpuid_mask mask = {
			.leaf = row->leaf,
			.subleaf = row->subleaf,
			.reg = (enum cpuid_register)row->reg,
			.clear = row->mask,
			.set = row->value,
		};

		if (cpuid_apply(cpuid, &mask) < 0)
			return error_set(err, -ENOENT, "cpuid_modifiers",
					 "leave it out, or use a host that has it",
					 "Template changes a CPUID entry not supported by KVM: "
					 "Leaf: %#x, Subleaf: %#x",
					 row->leaf, row->subleaf);
	}
	return 0;
}

static int modify_msr(const struct cpu_template_msr *row, int vcpu_fd, struct error *err)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = row->index };

	/* KVM returns how many it read or took. */
	if (ioctl(vcpu_fd, KVM_GET_MSRS, &msr) != 1)
		return error_set(err, -ENOENT, "msr_modifiers",
				 "leave it out, or use a host that has it",
				 "Template changes an MSR entry not supported by KVM: "
				 "Register Address: %#x",
				 row->index);
	msr.entry.data = (msr.entry.data & ~row->mask) | row->value;
	if (ioctl(vcpu_fd, KVM_SET_MSRS, &msr) != 1)
		return error_set(err, -EINVAL, "msr_modifiers",
				 "leave out what this host's processor cannot have",
				 "KVM refuses the template's value %#llx of MSR %#x",
				 (unsigned long long)msr.entry.data, row->index);
	return 0;
}

int template_apply_msrs(const struct cpu_template *t, int vcpu_fd, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < t->nmsrs && r == 0; i++)
		r = modify_msr(&t->msrs[i], vcpu_fd, err);
	return r;
}
