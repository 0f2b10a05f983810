/* dump.c - what a guest's first processor has, read back from KVM.
 *
 * A vCPU is made as for a machine, up to the point where it would run, and asked for all
 * of its CPUID and of its model-specific registers. What counts or changes by itself, and
 * what belongs to features that a guest does not have, is left out: nobody could compare
 * it, and no template should change it.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/base/fd.h"

enum { DUMP_ENTRY = 0x1000, MAX_INDICES = 1024 };

/* Intel SDM volume 4, AMD APM volume 2 appendix A, and the hypervisors' own. */
static const struct {
	uint32_t first, last;
} left_out[] = {
	{ 0x10, 0x12 },		    /* time stamp counter, KVM's old clock */
	{ 0xc1, 0xd2 },		    /* performance counters */
	{ 0x17a, 0x17b },	    /* machine checks that happened */
	{ 0x186, 0x197 },	    /* performance events */
	{ 0x309, 0x30b },	    /* fixed counters */
	{ 0x38d, 0x390 },	    /* their control */
	{ 0x480, 0x491 },	    /* VMX, of guests inside the guest */
	{ 0x4d0, 0x4d0 },	    /* more of machine checks */
	{ 0x6e0, 0x6e0 },	    /* the timer's deadline */
	{ 0x40000000, 0x400001ff }, /* Hyper-V's */
	{ 0x4b564d00, 0x4b564dff }, /* KVM's: the guest sets them */
	{ 0xc0010000, 0xc0010007 }, /* AMD's counters and events */
	{ 0xc0010200, 0xc001020c }, /* the same of later families */
};

struct msr_index {
	struct kvm_msr_list head;
	uint32_t index[MAX_INDICES];
};

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static bool is_left_out(uint32_t index)
{
	for (unsigned i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
		if (index >= left_out[i].first && index <= left_out[i].last)
			return true;
	}
	return false;
}

static void add_register(struct cpu_template *t, const struct kvm_cpuid_entry2 *e,
			 enum cpuid_register reg, uint32_t value)
{
	t->cpuid[t->ncpuid++] = (struct cpu_template_cpuid){
		.leaf = e->function,
		.subleaf = e->index,
		.flags = e->flags,
		.reg = reg,
		.mask = UINT32_MAX,
		.value = value,
	};
}

/* How many there are: before Linux 6.3 KVM does not say, and leaves the rest as it was. */
static uint32_t count_leaves(const struct cpuid_table *t)
{
	uint32_t n = 0;

	while (n < t->head.nent && (t->entry[n].function != 0 || t->entry[n].eax != 0))
		n++;
	return n;
}

static int read_cpuid(int vcpu_fd, struct cpu_template *ret, struct error *err)
{
	struct cpuid_table *t = calloc(1, sizeof(*t));
	uint32_t count = 0;
	int r = 0;

	if (!t)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	t->head.nent = CPUID_MAX_ENTRIES;
	if (ioctl(vcpu_fd, KVM_GET_CPUID2, t) < 0)
		r = error_errno(err, NULL, NULL, "KVM_GET_CPUID2 failed");
	else
		count = count_leaves(t);
	if (count > CPU_TEMPLATE_LEAVES)
		r = error_set(err, -ENOSPC, NULL, NULL,
			      "this processor has %u CPUID leaves, more than a template can have "
			      "(%d)",
			      count, CPU_TEMPLATE_LEAVES);
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		add_register(ret, &t->entry[i], CPUID_EAX, t->entry[i].eax);
		add_register(ret, &t->entry[i], CPUID_EBX, t->entry[i].ebx);
		add_register(ret, &t->entry[i], CPUID_ECX, t->entry[i].ecx);
		add_register(ret, &t->entry[i], CPUID_EDX, t->entry[i].edx);
	}
	free(t);
	return r;
}

/* KVM lists some that this processor does not have: they cannot be read. */
static int read_msrs(const struct kvm *kvm, int vcpu_fd, struct cpu_template *ret,
		     struct error *err)
{
	struct msr_index list = { .head.nmsrs = MAX_INDICES };

	if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, &list) < 0)
		return error_errno(err, NULL, NULL, "KVM_GET_MSR_INDEX_LIST failed");
	for (uint32_t i = 0; i < list.head.nmsrs; i++) {
		struct one_msr msr = { .head.nmsrs = 1, .entry.index = list.index[i] };

		if (is_left_out(list.index[i]) || ioctl(vcpu_fd, KVM_GET_MSRS, &msr) != 1)
			continue;
		if (ret->nmsrs == CPU_TEMPLATE_MSRS)
			return error_set(err, -ENOSPC, NULL, NULL,
					 "this processor has more MSRs than a template can have "
					 "(%d)",
					 CPU_TEMPLATE_MSRS);
		ret->msrs[ret->nmsrs++] = (struct cpu_template_msr){
			.index = msr.entry.index,
			.mask = UINT64_MAX,
			.value = msr.entry.data,
		};
	}
	return 0;
}

static int dump_vcpu(const struct kvm *kvm, const struct cpu_template *template,
		     struct cpu_template *ret, struct error *err)
{
	const struct arch_cpu_config config = { .vcpus = 1, .template = template };
	const struct arch_boot boot = { .protocol = ARCH_BOOT_PVH, .entry = DUMP_ENTRY };
	struct arch_cpus *cpus;
	int fd = kvm_create_vcpu(kvm, 0, err), r;

	if (fd < 0)
		return fd;
	r = arch_cpus_create(kvm, &cpus, err);
	if (r == 0) {
		r = arch_cpus_describe(cpus, kvm, &config, err);
		if (r == 0)
			r = arch_vcpu_init(cpus, fd, 0, &boot, err);
		arch_cpus_destroy(cpus);
	}
	if (r == 0)
		r = read_cpuid(fd, ret, err);
	if (r == 0)
		r = read_msrs(kvm, fd, ret, err);
	fd_close(fd);
	return r;
}

int arch_cpu_dump(const struct cpu_template *template, struct cpu_template *ret, struct error *err)
{
	struct kvm kvm;
	int r = kvm_open(&kvm, NULL, err);

	*ret = (struct cpu_template){ 0 };
	if (r < 0)
		return r;
	r = kvm_create_vm(&kvm, err);
	if (r == 0)
		r = arch_vm_init(&kvm, err);
	if (r == 0)
		r = arch_irqchip_init(&kvm, err);
	if (r == 0)
		r = dump_vcpu(&kvm, template, ret, err);
	kvm_close(&kvm);
	return r;
}
