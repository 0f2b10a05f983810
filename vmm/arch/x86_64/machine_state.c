/* machine_state.c - what of a saved machine belongs to all of its processors: the
 * features that the guest counts on, and the clock.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "vmm/arch/arch.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/cpus.h"
#include "vmm/arch/x86_64/feature_names.h"

/* Registers of CPUID in which each bit is a feature that a guest may be using. */
static const struct feature_word {
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	const char *name;
	uint32_t ignored; /* bits that follow what the guest or wisp does */
} feature_words[] = {
	/* 24: the TSC's deadline, 27: OSXSAVE, 31: hypervisor; 28: more than one vCPU */
	{ 0x1, 0, CPUID_ECX, "1.ecx", 1u << 24 | 1u << 27 | 1u << 31 },
	{ 0x1, 0, CPUID_EDX, "1.edx", 1u << 28 },
	{ 0x7, 0, CPUID_EBX, "7.ebx", 0 },
	{ 0x7, 0, CPUID_ECX, "7.ecx", 1u << 4 }, /* OSPKE */
	{ 0x7, 0, CPUID_EDX, "7.edx", 0 },
	{ 0x7, 1, CPUID_EAX, "7:1.eax", 0 },
	{ 0xd, 0, CPUID_EAX, "d.eax", 0 },
	{ 0xd, 1, CPUID_EAX, "d:1.eax", 0 },
	{ 0x80000001, 0, CPUID_ECX, "80000001.ecx", 0 },
	{ 0x80000001, 0, CPUID_EDX, "80000001.edx", 0 },
	{ 0x80000008, 0, CPUID_EBX, "80000008.ebx", 0 },
};

enum {
	FEATURE_WORDS = sizeof(feature_words) / sizeof(feature_words[0]),
	VENDOR_LEN = 12,
	NAMES_BYTES = 96,
	NS_PER_S = 1000000000
};

struct cpu_model {
	uint8_t vendor[VENDOR_LEN];
	uint32_t word[FEATURE_WORDS];
};

static const struct kvm_cpuid_entry2 *find_leaf(const struct cpuid_table *t, uint32_t leaf,
						uint32_t subleaf)
{
	for (uint32_t i = 0; i < t->head.nent; i++) {
		if (t->entry[i].function == leaf && t->entry[i].index == subleaf)
			return &t->entry[i];
	}
	return NULL;
}

static uint32_t feature_word(const struct cpuid_table *t, const struct feature_word *w)
{
	const struct kvm_cpuid_entry2 *e = find_leaf(t, w->leaf, w->subleaf);

	if (!e)
		return 0;
	switch (w->reg) {
	case CPUID_EAX:
		return e->eax & ~w->ignored;
	case CPUID_EBX:
		return e->ebx & ~w->ignored;
	case CPUID_ECX:
		return e->ecx & ~w->ignored;
	case CPUID_EDX:
	default:
		return e->edx & ~w->ignored;
	}
}

static void describe(const struct cpuid_table *t, struct cpu_model *m)
{
	const struct kvm_cpuid_entry2 *e = find_leaf(t, 0, 0);

	memset(m, 0, sizeof(*m));
	if (e) {
		memcpy(m->vendor, &e->ebx, 4);
		memcpy(m->vendor + 4, &e->edx, 4);
		memcpy(m->vendor + 8, &e->ecx, 4);
	}
	for (unsigned i = 0; i < FEATURE_WORDS; i++)
		m->word[i] = feature_word(t, &feature_words[i]);
}

/* What a CPU template showed to the guest and the first host did not have is not asked
 * of the second one either. */
static int guest_model(int vcpu_fd, const struct cpu_model *host, struct cpu_model *ret,
		       struct error *err)
{
	struct cpuid_table *t = calloc(1, sizeof(*t));
	int r = 0;

	if (!t)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	t->head.nent = CPUID_MAX_ENTRIES;
	if (ioctl(vcpu_fd, KVM_GET_CPUID2, t) < 0)
		r = error_errno(err, NULL, NULL, "KVM_GET_CPUID2 failed");
	describe(t, ret);
	for (unsigned i = 0; i < FEATURE_WORDS; i++)
		ret->word[i] &= host->word[i];
	free(t);
	return r;
}

static int compare(const struct cpu_model *guest, const struct cpu_model *host, struct error *err)
{
	static const char hint[] = "load it where the processor is like the first host's, or boot "
				   "the guest with a cpu-config that leaves this out";

	if (memcmp(guest->vendor, host->vendor, VENDOR_LEN) != 0)
		return error_set(
			err, -ENOTSUP, NULL, hint,
			"The guest runs on a processor of %.12s, this host has one of %.12s",
			(const char *)guest->vendor, (const char *)host->vendor);
	for (unsigned i = 0; i < FEATURE_WORDS; i++) {
		const char *word = feature_words[i].name;
		uint32_t missing = guest->word[i] & ~host->word[i];
		char names[NAMES_BYTES];

		if (!missing)
			continue;
		feature_names_print(word, missing, names, sizeof(names));
		return error_set(err, -ENOTSUP, NULL, hint,
				 "The guest uses features that this host lacks: %s (CPUID %s)",
				 names, word);
	}
	return 0;
}

int arch_cpu_model_state(const struct arch_cpus *cpus, int vcpu_fd, struct state *s,
			 struct error *err)
{
	struct cpu_model host, guest = { 0 };
	int r = 0;

	describe(cpus_supported(cpus), &host);
	if (!state_loading(s))
		r = guest_model(vcpu_fd, &host, &guest, err);
	if (r < 0)
		return r;
	state_begin(s, STATE_CPU, 0);
	state_bytes(s, guest.vendor, sizeof(guest.vendor));
	for (unsigned i = 0; i < FEATURE_WORDS; i++)
		state_u32(s, &guest.word[i]);
	state_end(s);
	r = state_error(s, err);
	return r < 0 || !state_loading(s) ? r : compare(&guest, &host, err);
}

struct saved_clock {
	uint64_t now, realtime;
	bool has_realtime;
};

static void clock_fields(struct saved_clock *c, struct state *s)
{
	state_begin(s, STATE_CLOCK, 0);
	state_u64(s, &c->now);
	state_bool(s, &c->has_realtime);
	state_u64(s, &c->realtime);
	state_end(s);
}

uint64_t arch_clock_passed_ns(struct state *s)
{
	struct saved_clock c = { 0 };
	struct timespec t;
	uint64_t now_ns;

	clock_fields(&c, s);
	clock_gettime(CLOCK_REALTIME, &t);
	now_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
	return c.has_realtime && now_ns > c.realtime ? now_ns - c.realtime : 0;
}

int arch_clock_state(const struct kvm *kvm, bool catch_up, struct state *s, struct error *err)
{
	struct kvm_clock_data clock = { 0 };
	struct saved_clock saved = { 0 };
	int r;

	if (!state_loading(s)) {
		if (ioctl(kvm->vm_fd, KVM_GET_CLOCK, &clock) < 0)
			return error_errno(err, NULL, NULL, "KVM_GET_CLOCK failed");
		saved.has_realtime = clock.flags & KVM_CLOCK_REALTIME;
		saved.now = clock.clock;
		saved.realtime = saved.has_realtime ? clock.realtime : 0;
	}
	clock_fields(&saved, s);
	r = state_error(s, err);
	if (r < 0 || !state_loading(s))
		return r;
	if (catch_up && !saved.has_realtime)
		return error_set(err, -ENOTSUP, "clock_realtime", "leave it out",
				 "The state does not say when it was saved");
	clock = (struct kvm_clock_data){ .clock = saved.now };
	if (catch_up) {
		clock.realtime = saved.realtime;
		clock.flags = KVM_CLOCK_REALTIME;
	}
	if (ioctl(kvm->vm_fd, KVM_SET_CLOCK, &clock) < 0)
		return error_errno(err, catch_up ? "clock_realtime" : NULL, NULL,
				   "KVM_SET_CLOCK failed");
	return 0;
}
