/* cpus.c - the guest's processors: one model, and each vCPU made from it. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/cpus.h"
#include "vmm/arch/x86_64/named_template.h"
#include "vmm/arch/x86_64/state.h"
#include "vmm/arch/x86_64/template.h"

int arch_named_template(enum cpu_template_name name, struct cpu_template *ret, struct error *err)
{
	struct host_cpu host;
	int r;

	named_template_host(&host);
	r = named_template_check(name, &host, err);
	if (r == 0)
		named_template_make(name, ret);
	return r;
}

void arch_make_template(enum cpu_template_name name, struct cpu_template *ret)
{
	named_template_make(name, ret);
}

struct arch_cpus {
	struct cpuid_topology topology;
	struct cpuid_table supported; /* as KVM tells it */
	struct cpuid_table cpuid;     /* as all vCPUs share it */
	const struct cpu_template *template;
	unsigned identified; /* vCPUs that have theirs, from the first on */
};

int arch_cpus_create(const struct kvm *kvm, struct arch_cpus **ret, struct error *err)
{
	struct arch_cpus *cpus = malloc(sizeof(*cpus));
	int r;

	if (!cpus)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	cpus->identified = 0;
	r = cpuid_supported(kvm, &cpus->supported, err);
	if (r < 0) {
		arch_cpus_destroy(cpus);
		return r;
	}
	*ret = cpus;
	return 0;
}

int arch_cpus_describe(struct arch_cpus *cpus, const struct kvm *kvm,
		       const struct arch_cpu_config *config, struct error *err)
{
	int r;

	cpus->topology = (struct cpuid_topology){
		.vcpus = config->vcpus,
		.threads_per_core = config->smt && config->vcpus > 1 ? 2 : 1,
	};
	cpus->template = config->template;
	r = cpus->template ? template_check(cpus->template, kvm, err) : 0;
	if (r < 0)
		return r;
	cpuid_copy(&cpus->cpuid, &cpus->supported);
	r = cpuid_describe(&cpus->cpuid, &cpus->topology);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "KVM reports too many CPUID leaves");
	return cpus->template ? template_apply_cpuid(cpus->template, &cpus->cpuid, err) : 0;
}

void arch_cpus_destroy(struct arch_cpus *cpus)
{
	free(cpus);
}

const struct cpuid_table *cpus_supported(const struct arch_cpus *cpus)
{
	return &cpus->supported;
}

/* KVM is asked: it may show less, or more, than it was told. */
bool cpus_has_identity(const struct arch_cpus *cpus, int vcpu_fd, unsigned i,
		       const struct cpuid_table *t)
{
	struct cpuid_table *now;
	bool same;

	if (i >= cpus->identified)
		return false;
	now = malloc(sizeof(*now));
	if (!now)
		return false;
	now->head.nent = CPUID_MAX_ENTRIES;
	same = ioctl(vcpu_fd, KVM_GET_CPUID2, now) == 0 && cpuid_same(now, t);
	free(now);
	return same;
}

/* APIC ids are the indices of the vCPUs. */
int arch_vcpu_identify(struct arch_cpus *cpus, int vcpu_fd, unsigned i, struct error *err)
{
	cpuid_identify(&cpus->cpuid, &cpus->topology, i);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, &cpus->cpuid) < 0)
		return error_errno(err, NULL, NULL, "KVM_SET_CPUID2 failed for vCPU %u", i);
	cpus->identified = i + 1;
	return 0;
}

/* CPUID comes before everything else: KVM checks MSRs and control registers
 * against it. */
int arch_vcpu_init(struct arch_cpus *cpus, int vcpu_fd, unsigned i, const struct arch_boot *boot,
		   struct error *err)
{
	int r = arch_vcpu_identify(cpus, vcpu_fd, i, err);

	if (r == 0)
		r = state_set_msrs(vcpu_fd, err);
	if (r == 0 && cpus->template)
		r = template_apply_msrs(cpus->template, vcpu_fd, err);
	if (r == 0)
		r = state_set_lapic(vcpu_fd, err);
	if (r == 0 && i == 0)
		r = state_set_entry(vcpu_fd, boot, err);
	return r;
}
