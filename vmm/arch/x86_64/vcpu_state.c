/* vcpu_state.c - what a vCPU is in the middle of, saved and loaded.
 *
 * KVM's structures are part of its ABI and have no hidden padding: each goes into the
 * state as it is, with its length before it. The order of loading is KVM's: CPUID before
 * everything, since what follows is checked against it; the control registers with the
 * APIC's base before the APIC; the APIC before the MSRs, of which the TSC's deadline
 * comes last, for it means something only to an APIC whose timer is in that mode; events
 * at the end, since other calls clear them.
 *
 * MSRs: those that KVM lists, and the memory types that it does not. They are read and
 * written in one call each. Where KVM stops at one, on reading it is left out (this host
 * has it in the list only), on writing it must have the value already.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/cpus.h"

enum {
	MAX_MSRS = 512,	 /* of one vCPU */
	MSR_BATCH = 256, /* KVM takes no more at once */
	MAX_XSAVE = 32 * 1024,
	KVM_XSAVE = sizeof(struct kvm_xsave),
	MSR_TSC = 0x10,
	MSR_TSC_DEADLINE = 0x6e0,
	NS_PER_MS = 1000000,
	HYPERV_FIRST = 0x40000000, /* not offered to our guests */
	HYPERV_LAST = 0x400001ff,
};

/* The memory type range registers, which KVM's list leaves out. */
static const struct {
	uint32_t first, count;
} memory_types[] = {
	{ 0x200, 16 }, { 0x250, 1 }, { 0x258, 2 }, { 0x268, 8 }, { 0x2ff, 1 },
};

struct msr_batch {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[MAX_MSRS];
};

struct index_list {
	struct kvm_msr_list head;
	uint32_t index[MAX_MSRS];
};

/* All of a vCPU; too large for a stack. */
struct vcpu_image {
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	uint32_t tsc_khz;
	size_t xsave_len;
	uint8_t xsave[MAX_XSAVE];
	struct cpuid_table cpuid;
	uint32_t nmsrs;
	struct kvm_msr_entry msr[MAX_MSRS];
};

/* What one call gets or sets. A host that is not the saved one may lack none of them. */
static const struct part {
	const char *name;
	unsigned long get, set;
	size_t offset, len;
} parts[] = {
#define PART(NAME, member)                                                                  \
	{                                                                                   \
#NAME, KVM_GET_##NAME, KVM_SET_##NAME, offsetof(struct vcpu_image, member), \
			sizeof(((struct vcpu_image *)NULL)->member)                         \
	}
	PART(MP_STATE, mp_state),   PART(REGS, regs),	PART(SREGS, sregs),	   PART(XCRS, xcrs),
	PART(DEBUGREGS, debugregs), PART(LAPIC, lapic), PART(VCPU_EVENTS, events),
#undef PART
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]), LAST_PARTS = 1 /* set behind the MSRs */ };

/* --- MSRs --- */

static bool is_wanted(uint32_t index)
{
	return index != MSR_TSC_DEADLINE && (index < HYPERV_FIRST || index > HYPERV_LAST);
}

static void add_msr(struct vcpu_image *v, uint32_t index)
{
	if (v->nmsrs < MAX_MSRS)
		v->msr[v->nmsrs++] = (struct kvm_msr_entry){ .index = index };
}

static int list_msrs(const struct kvm *kvm, struct vcpu_image *v, struct error *err)
{
	struct index_list *list = calloc(1, sizeof(*list));
	int r = 0;

	if (!list)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	list->head.nmsrs = MAX_MSRS;
	if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
		r = error_errno(err, NULL, NULL, "KVM_GET_MSR_INDEX_LIST failed");
	for (uint32_t i = 0; i < list->head.nmsrs && r == 0; i++) {
		if (is_wanted(list->index[i]))
			add_msr(v, list->index[i]);
	}
	for (size_t i = 0; i < sizeof(memory_types) / sizeof(memory_types[0]); i++) {
		for (uint32_t k = 0; k < memory_types[i].count; k++)
			add_msr(v, memory_types[i].first + k);
	}
	add_msr(v, MSR_TSC_DEADLINE);
	free(list);
	return r;
}

/* How many of entry[0..count) KVM took, of a batch at most. */
static int call_msrs(int vcpu_fd, unsigned long call, struct kvm_msr_entry *entry, uint32_t count)
{
	struct msr_batch batch;
	uint32_t n = count < MSR_BATCH ? count : MSR_BATCH;
	int done;

	memset(&batch.head, 0, sizeof(batch.head));
	batch.head.nmsrs = n;
	memcpy(batch.entry, entry, n * sizeof(entry[0]));
	done = ioctl(vcpu_fd, call, &batch);
	if (done > 0)
		memcpy(entry, batch.entry, (size_t)done * sizeof(entry[0]));
	return done < 0 ? -errno : done;
}

static int get_msrs(int vcpu_fd, struct vcpu_image *v, struct error *err)
{
	uint32_t at = 0;

	while (at < v->nmsrs) {
		uint32_t left = v->nmsrs - at, n = left < MSR_BATCH ? left : MSR_BATCH;
		int done = call_msrs(vcpu_fd, KVM_GET_MSRS, &v->msr[at], n);

		if (done < 0)
			return error_set(err, done, NULL, NULL, "KVM_GET_MSRS failed: %s",
					 strerror(-done));
		at += (uint32_t)done;
		if ((uint32_t)done == n)
			continue;
		v->nmsrs--;
		memmove(&v->msr[at], &v->msr[at + 1], (v->nmsrs - at) * sizeof(v->msr[0]));
	}
	return 0;
}

static bool has_value(int vcpu_fd, const struct kvm_msr_entry *wanted)
{
	struct kvm_msr_entry now = { .index = wanted->index };

	return call_msrs(vcpu_fd, KVM_GET_MSRS, &now, 1) == 1 && now.data == wanted->data;
}

static int set_msrs(int vcpu_fd, struct vcpu_image *v, struct error *err)
{
	uint32_t at = 0;

	while (at < v->nmsrs) {
		uint32_t left = v->nmsrs - at, n = left < MSR_BATCH ? left : MSR_BATCH;
		int done = call_msrs(vcpu_fd, KVM_SET_MSRS, &v->msr[at], n);

		if (done < 0)
			return error_set(err, done, NULL, NULL, "KVM_SET_MSRS failed: %s",
					 strerror(-done));
		at += (uint32_t)done;
		if ((uint32_t)done == n)
			continue;
		if (!has_value(vcpu_fd, &v->msr[at]))
			return error_set(
				err, -ENOTSUP, NULL,
				"load it where processor and kernel are like the first host's",
				"KVM refused the saved value %#llx of MSR %#x",
				(unsigned long long)v->msr[at].data, v->msr[at].index);
		at++;
	}
	return 0;
}

/* --- the rest --- */

static size_t xsave_size(const struct kvm *kvm)
{
	int size = ioctl(kvm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	return size > KVM_XSAVE ? (size_t)size : KVM_XSAVE;
}

static int get_xsave(const struct kvm *kvm, int vcpu_fd, struct vcpu_image *v, struct error *err)
{
	v->xsave_len = xsave_size(kvm);
	if (v->xsave_len > sizeof(v->xsave))
		return error_set(err, -EFBIG, NULL, NULL,
				 "the processors' registers take %zu bytes", v->xsave_len);
	if (ioctl(vcpu_fd, v->xsave_len > KVM_XSAVE ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, v->xsave) < 0)
		return error_errno(err, NULL, NULL, "KVM_GET_XSAVE failed");
	return 0;
}

/* KVM reads as much as this host's size says. */
static int set_xsave(const struct kvm *kvm, int vcpu_fd, struct vcpu_image *v, struct error *err)
{
	if (xsave_size(kvm) > sizeof(v->xsave))
		return error_set(err, -EFBIG, NULL, NULL,
				 "the processors' registers are too large");
	if (ioctl(vcpu_fd, KVM_SET_XSAVE, v->xsave) < 0)
		return error_errno(err, NULL,
				   "load it where the processor is like the first host's",
				   "KVM_SET_XSAVE failed");
	return 0;
}

static int get_cpuid(int vcpu_fd, struct cpuid_table *t, struct error *err)
{
	t->head.nent = CPUID_MAX_ENTRIES;
	if (ioctl(vcpu_fd, KVM_GET_CPUID2, t) < 0)
		return error_errno(err, NULL, NULL, "KVM_GET_CPUID2 failed");
	return 0;
}

static int get_parts(int vcpu_fd, struct vcpu_image *v, unsigned first, unsigned end,
		     struct error *err)
{
	for (unsigned i = first; i < end; i++) {
		if (ioctl(vcpu_fd, parts[i].get, (char *)v + parts[i].offset) < 0)
			return error_errno(err, NULL, NULL, "KVM_GET_%s failed", parts[i].name);
	}
	return 0;
}

/* KVM keeps the address of a page fault that the guest has yet to take (such as its own, for
 * memory that is not there: "async page fault") beside CR2, and puts it there when it is
 * asked for the events, as the MP state may change CS and RIP. So these two come first, or
 * the copy takes its fault at another address. */
static int get_vcpu(const struct kvm *kvm, int vcpu_fd, struct vcpu_image *v, struct error *err)
{
	int r, khz;

	r = get_parts(vcpu_fd, v, 0, 1, err);
	if (r == 0)
		r = get_parts(vcpu_fd, v, PARTS - LAST_PARTS, PARTS, err);
	if (r == 0)
		r = get_parts(vcpu_fd, v, 1, PARTS - LAST_PARTS, err);
	if (r < 0)
		return r;
	khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
	v->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	r = get_xsave(kvm, vcpu_fd, v, err);
	if (r == 0)
		r = get_cpuid(vcpu_fd, &v->cpuid, err);
	if (r == 0)
		r = list_msrs(kvm, v, err);
	return r < 0 ? r : get_msrs(vcpu_fd, v, err);
}

/* Within what guests' clocks forgive (250 ppm) it is the host's own; otherwise the
 * hardware has to scale. */
static int set_tsc_khz(int vcpu_fd, uint32_t khz, struct error *err)
{
	int host = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);
	int64_t apart = (int64_t)khz - host;

	if (khz == 0 || host <= 0 || (apart < 0 ? -apart : apart) <= host / 4000)
		return 0;
	if (ioctl(vcpu_fd, KVM_SET_TSC_KHZ, (unsigned long)khz) == 0)
		return 0;
	return error_errno(err, NULL, "load it where the processor is like the first host's",
			   "The guest counts time at %u kHz, this processor at %d", khz, host);
}

static int set_parts(int vcpu_fd, const struct vcpu_image *v, unsigned first, unsigned end,
		     struct error *err)
{
	for (unsigned i = first; i < end; i++) {
		if (ioctl(vcpu_fd, parts[i].set, (const char *)v + parts[i].offset) < 0)
			return error_errno(err, NULL, "is the state of a machine like this one?",
					   "KVM_SET_%s failed", parts[i].name);
	}
	return 0;
}

static int set_cpuid(int vcpu_fd, const struct vcpu_image *v, struct error *err)
{
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, &v->cpuid) < 0)
		return error_errno(err, NULL,
				   "load it where the processor is like the first host's",
				   "KVM_SET_CPUID2 failed");
	return 0;
}

static int set_vcpu(const struct kvm *kvm, int vcpu_fd, struct vcpu_image *v, struct error *err)
{
	int r = set_tsc_khz(vcpu_fd, v->tsc_khz, err);

	if (r == 0)
		r = set_xsave(kvm, vcpu_fd, v, err);
	if (r == 0)
		r = set_parts(vcpu_fd, v, 0, PARTS - LAST_PARTS, err);
	if (r == 0)
		r = set_msrs(vcpu_fd, v, err);
	return r < 0 ? r : set_parts(vcpu_fd, v, PARTS - LAST_PARTS, PARTS, err);
}

/* --- as fields --- */

static void cpuid_fields(struct state *s, struct cpuid_table *t)
{
	size_t len = t->head.nent * sizeof(t->entry[0]);

	state_blob(s, t->entry, &len, sizeof(t->entry));
	if (len % sizeof(t->entry[0]) != 0)
		state_fail(s, "half an entry of CPUID");
	t->head.nent = (uint32_t)(len / sizeof(t->entry[0]));
}

static void msr_fields(struct state *s, struct vcpu_image *v)
{
	state_u32(s, &v->nmsrs);
	if (v->nmsrs > MAX_MSRS) {
		state_fail(s, "more MSRs than a vCPU has");
		v->nmsrs = 0;
	}
	for (uint32_t i = 0; i < v->nmsrs; i++) {
		uint32_t index = v->msr[i].index;
		uint64_t data = v->msr[i].data;

		state_u32(s, &index);
		state_u64(s, &data);
		v->msr[i] = (struct kvm_msr_entry){ .index = index, .data = data };
	}
}

static void vcpu_fields(struct state *s, unsigned index, struct vcpu_image *v)
{
	state_begin(s, STATE_VCPU, index);
	for (unsigned i = 0; i < PARTS; i++) {
		size_t len = parts[i].len;

		state_blob_as(s, parts[i].name, (char *)v + parts[i].offset, &len, parts[i].len);
		if (len != parts[i].len)
			state_fail(s, "a structure of KVM's with another length");
	}
	state_u32(s, &v->tsc_khz);
	state_blob(s, v->xsave, &v->xsave_len, sizeof(v->xsave));
	cpuid_fields(s, &v->cpuid);
	msr_fields(s, v);
	state_end(s);
}

/* A guest may tell the time by the TSC alone, and then KVM's clock cannot put it right. */
static void advance_tsc(struct vcpu_image *v, uint64_t ns)
{
	uint64_t ticks = (uint64_t)((unsigned __int128)ns * v->tsc_khz / NS_PER_MS);

	for (uint32_t i = 0; i < v->nmsrs; i++) {
		if (v->msr[i].index == MSR_TSC)
			v->msr[i].data += ticks;
	}
}

int arch_vcpu_state(const struct kvm *kvm, const struct arch_cpus *cpus, int vcpu_fd, unsigned i,
		    uint64_t passed_ns, struct state *s, struct error *err)
{
	struct vcpu_image *v = calloc(1, sizeof(*v));
	int r = 0;

	if (!v)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (!state_loading(s))
		r = get_vcpu(kvm, vcpu_fd, v, err);
	if (r == 0) {
		vcpu_fields(s, i, v);
		r = state_error(s, err);
	}
	if (r == 0 && state_loading(s) && !cpus_has_identity(cpus, vcpu_fd, i, &v->cpuid))
		r = set_cpuid(vcpu_fd, v, err);
	advance_tsc(v, passed_ns);
	if (r == 0 && state_loading(s))
		r = set_vcpu(kvm, vcpu_fd, v, err);
	free(v);
	return r;
}

/* Fails for a guest that does not use KVM's clock: then there is nobody to tell. */
void arch_vcpu_forgive(int vcpu_fd)
{
	(void)ioctl(vcpu_fd, KVM_KVMCLOCK_CTRL, 0);
}
