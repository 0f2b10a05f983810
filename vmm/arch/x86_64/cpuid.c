/* cpuid.c - what CPUID tells the guest.
 *
 * Two passes: cpuid_describe() once a machine, for all that its vCPUs share, and
 * cpuid_identify() once a vCPU, for the few fields that hold its APIC id. Both
 * are tables of leaf and fix-up, so that a leaf that KVM does not report costs
 * nothing and needs no special case.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86_64/cpuid.h"

enum {
	LEAF_FEATURES = 0x1,
	LEAF_CACHES = 0x4,
	LEAF_EXTENDED = 0x7,
	LEAF_PERFMON = 0xa,
	LEAF_TOPOLOGY = 0xb,
	LEAF_XSAVE = 0xd,
	LEAF_TOPOLOGY_V2 = 0x1f,
};
#define LEAF_AMD_LAST	    0x80000000u
#define LEAF_AMD_FEATURES   0x80000001u
#define LEAF_AMD_SIZES	    0x80000008u
#define LEAF_AMD_CACHES	    0x8000001du
#define LEAF_AMD_TOPOLOGY   0x8000001eu
#define LEAF_AMD_PERFMON_V2 0x80000022u

#define BIT(n) (1u << (n))

/* Replaces the bits high..low of a register. */
static void set_field(uint32_t *reg, unsigned high, unsigned low, uint32_t value)
{
	uint32_t mask = (uint32_t)((BIT(high - low) << 1) - 1);

	*reg = (*reg & ~(mask << low)) | ((value & mask) << low);
}

/* Bits needed for n different ids. */
static unsigned id_bits(unsigned n)
{
	unsigned bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

static unsigned thread_bits(const struct cpuid_topology *t)
{
	return id_bits(t->threads_per_core);
}

/* Processors that share a cache of this level: a core's threads, or everybody. */
static uint32_t cache_sharers(const struct cpuid_topology *t, uint32_t level)
{
	return level < 3 ? t->threads_per_core : t->vcpus;
}

/* KVM's list leaves the TSC-deadline timer out: it is one of the in-kernel APIC. A guest needs
 * it, since there is no PIT by which to measure the APIC's other timers. */
static void describe_features(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	e->ecx |= BIT(24); /* the TSC-deadline timer */
	e->ecx |= BIT(31); /* running under a hypervisor */
	set_field(&e->ebx, 23, 16, 1u << id_bits(t->vcpus));
	if (t->vcpus > 1)
		e->edx |= BIT(28); /* EBX[23:16] is valid */
	else
		e->edx &= ~BIT(28);
}

static void describe_intel_cache(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	if ((e->eax & 0x1f) == 0)
		return;
	set_field(&e->eax, 25, 14, cache_sharers(t, (e->eax >> 5) & 7) - 1);
	set_field(&e->eax, 31, 26, (1u << (id_bits(t->vcpus) - thread_bits(t))) - 1);
}

static void describe_amd_cache(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	if ((e->eax & 0x1f) == 0)
		return;
	set_field(&e->eax, 25, 14, cache_sharers(t, (e->eax >> 5) & 7) - 1);
}

/* No performance counters: they cost a guest MSR exits and tell it of its
 * neighbours. */
static void hide_leaf(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	(void)t;
	e->eax = e->ebx = e->ecx = e->edx = 0;
}

static void describe_amd_features(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	(void)t;
	e->ecx &= ~(BIT(23) | BIT(24) | BIT(28)); /* performance counter extensions */
}

static void describe_amd_sizes(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t)
{
	set_field(&e->ecx, 7, 0, t->vcpus - 1);
	set_field(&e->ecx, 15, 12, id_bits(t->vcpus));
}

static const struct fixup {
	uint32_t leaf;
	void (*run)(struct kvm_cpuid_entry2 *e, const struct cpuid_topology *t);
} describe_fixups[] = {
	{ LEAF_FEATURES, describe_features },
	{ LEAF_CACHES, describe_intel_cache },
	{ LEAF_PERFMON, hide_leaf },
	{ LEAF_AMD_FEATURES, describe_amd_features },
	{ LEAF_AMD_SIZES, describe_amd_sizes },
	{ LEAF_AMD_CACHES, describe_amd_cache },
	{ LEAF_AMD_PERFMON_V2, hide_leaf },
};

int cpuid_supported(const struct kvm *kvm, struct cpuid_table *t, struct error *err)
{
	t->head = (struct kvm_cpuid2){ .nent = CPUID_MAX_ENTRIES };
	if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, t) < 0)
		return error_errno(err, NULL, NULL, "KVM_GET_SUPPORTED_CPUID failed");
	return 0;
}

void cpuid_copy(struct cpuid_table *to, const struct cpuid_table *from)
{
	to->head = from->head;
	memcpy(to->entry, from->entry, from->head.nent * sizeof(from->entry[0]));
}

static struct kvm_cpuid_entry2 *find_leaf(struct cpuid_table *t, uint32_t leaf)
{
	for (uint32_t i = 0; i < t->head.nent; i++) {
		if (t->entry[i].function == leaf)
			return &t->entry[i];
	}
	return NULL;
}

static void remove_leaf(struct cpuid_table *t, uint32_t leaf)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->head.nent; i++) {
		if (t->entry[i].function != leaf)
			t->entry[kept++] = t->entry[i];
	}
	t->head.nent = kept;
}

/* One level of the extended topology: how far to shift an x2APIC id to get the
 * id of the level above, and how many processors are in this level. */
static int add_level(struct cpuid_table *t, uint32_t leaf, uint32_t subleaf, uint32_t type,
		     uint32_t shift, uint32_t processors)
{
	if (t->head.nent == CPUID_MAX_ENTRIES)
		return -ENOSPC;
	t->entry[t->head.nent++] = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = subleaf,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = shift,
		.ebx = processors,
		.ecx = subleaf | type << 8,
	};
	return 0;
}

/* Writes the extended topology leaf anew: thread, core, end. */
static int describe_levels(struct cpuid_table *t, uint32_t leaf, const struct cpuid_topology *topo)
{
	enum { TYPE_END, TYPE_THREAD, TYPE_CORE };
	int r;

	if (!find_leaf(t, leaf))
		return 0;
	remove_leaf(t, leaf);
	r = add_level(t, leaf, 0, TYPE_THREAD, thread_bits(topo), topo->threads_per_core);
	if (r == 0)
		r = add_level(t, leaf, 1, TYPE_CORE, id_bits(topo->vcpus), topo->vcpus);
	if (r == 0)
		r = add_level(t, leaf, 2, TYPE_END, 0, 0);
	return r;
}

static bool is_amd(struct cpuid_table *t)
{
	static const char *const vendors[] = { "AuthenticAMD", "HygonGenuine" };
	const struct kvm_cpuid_entry2 *e = find_leaf(t, 0);
	uint32_t name[3];

	if (!e)
		return false;
	name[0] = e->ebx;
	name[1] = e->edx;
	name[2] = e->ecx;
	for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++) {
		if (memcmp(name, vendors[i], sizeof(name)) == 0)
			return true;
	}
	return false;
}

/* Kernels believe a topology with threads on AMD processors only when this leaf is
 * there and announced, and KVM may offer neither. cpuid_identify() fills it in. */
static int describe_amd_topology(struct cpuid_table *t)
{
	struct kvm_cpuid_entry2 *features = find_leaf(t, LEAF_AMD_FEATURES);
	struct kvm_cpuid_entry2 *last = find_leaf(t, LEAF_AMD_LAST);

	if (!is_amd(t) || !features || !last)
		return 0;
	features->ecx |= BIT(22);
	if (last->eax < LEAF_AMD_TOPOLOGY)
		last->eax = LEAF_AMD_TOPOLOGY;
	if (find_leaf(t, LEAF_AMD_TOPOLOGY))
		return 0;
	if (t->head.nent == CPUID_MAX_ENTRIES)
		return -ENOSPC;
	t->entry[t->head.nent++] = (struct kvm_cpuid_entry2){ .function = LEAF_AMD_TOPOLOGY };
	return 0;
}

int cpuid_describe(struct cpuid_table *t, const struct cpuid_topology *topology)
{
	int r;

	for (uint32_t i = 0; i < t->head.nent; i++) {
		for (size_t f = 0; f < sizeof(describe_fixups) / sizeof(describe_fixups[0]); f++) {
			if (t->entry[i].function == describe_fixups[f].leaf)
				describe_fixups[f].run(&t->entry[i], topology);
		}
	}
	r = describe_levels(t, LEAF_TOPOLOGY, topology);
	if (r == 0)
		r = describe_levels(t, LEAF_TOPOLOGY_V2, topology);
	return r < 0 ? r : describe_amd_topology(t);
}

static uint32_t *entry_register(struct kvm_cpuid_entry2 *e, enum cpuid_register reg)
{
	uint32_t *const regs[] = {
		[CPUID_EAX] = &e->eax,
		[CPUID_EBX] = &e->ebx,
		[CPUID_ECX] = &e->ecx,
		[CPUID_EDX] = &e->edx,
	};

	return regs[reg];
}

int cpuid_apply(struct cpuid_table *t, const struct cpuid_mask *mask)
{
	for (uint32_t i = 0; i < t->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entry[i];
		uint32_t *reg = entry_register(e, mask->reg);

		if (e->function != mask->leaf || e->index != mask->subleaf)
			continue;
		*reg = (*reg & ~mask->clear) | mask->set;
		return 0;
	}
	return -ENOENT;
}

void cpuid_identify(struct cpuid_table *t, const struct cpuid_topology *topology, uint32_t apic_id)
{
	for (uint32_t i = 0; i < t->head.nent; i++) {
		struct kvm_cpuid_entry2 *e = &t->entry[i];

		switch (e->function) {
		case LEAF_FEATURES:
			set_field(&e->ebx, 31, 24, apic_id);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY_V2:
			e->edx = apic_id;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = apic_id;
			e->ebx = apic_id >> thread_bits(topology);
			set_field(&e->ebx, 15, 8, topology->threads_per_core - 1);
			e->ecx = 0; /* one node in the one package */
			break;
		default:
			break;
		}
	}
}

/* Bits of a register that follow the guest's own: CR4, IA32_APIC_BASE, XCR0 and
 * IA32_MISC_ENABLE. */
static uint32_t changing_bits(const struct kvm_cpuid_entry2 *e, enum cpuid_register reg)
{
	static const struct cpuid_mask changing[] = {
		{ LEAF_FEATURES, 0, CPUID_ECX, .clear = BIT(27) | BIT(3) }, /* OSXSAVE, MONITOR */
		{ LEAF_FEATURES, 0, CPUID_EDX, .clear = BIT(9) },	    /* APIC */
		{ LEAF_EXTENDED, 0, CPUID_ECX, .clear = BIT(4) },	    /* OSPKE */
		{ LEAF_XSAVE, 0, CPUID_EBX, .clear = ~0u },
		{ LEAF_XSAVE, 1, CPUID_EBX, .clear = ~0u },
	};

	for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
		if (e->function == changing[i].leaf && e->index == changing[i].subleaf &&
		    reg == changing[i].reg)
			return changing[i].clear;
	}
	return 0;
}

static bool same_entry(const struct kvm_cpuid_entry2 *a, const struct kvm_cpuid_entry2 *b)
{
	return a->function == b->function && a->index == b->index && a->flags == b->flags &&
	       a->eax == b->eax && ((a->ebx ^ b->ebx) & ~changing_bits(a, CPUID_EBX)) == 0 &&
	       ((a->ecx ^ b->ecx) & ~changing_bits(a, CPUID_ECX)) == 0 &&
	       ((a->edx ^ b->edx) & ~changing_bits(a, CPUID_EDX)) == 0;
}

bool cpuid_same(const struct cpuid_table *a, const struct cpuid_table *b)
{
	if (a->head.nent != b->head.nent)
		return false;
	for (uint32_t i = 0; i < a->head.nent; i++) {
		if (!same_entry(&a->entry[i], &b->entry[i]))
			return false;
	}
	return true;
}
