/* test_cpuid.c - topology, identity and masks, on a made-up table of leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/arch/x86_64/cpuid.h"

static struct cpuid_table table;

/* What KVM might report: an L1 and an L3 cache, and every leaf that is fixed up. */
static void fill(void)
{
	static const struct kvm_cpuid_entry2 leaves[] = {
		{ .function = 0, .eax = 0x1f },
		{ .function = 1, .ebx = 0xffffffff, .edx = 1u << 28 },
		{ .function = 4, .index = 0, .eax = 0x21 },
		{ .function = 4, .index = 1, .eax = 0x63 },
		{ .function = 4, .index = 2, .eax = 0 },
		{ .function = 0xa, .eax = 0x07300404, .ebx = 1, .ecx = 1, .edx = 1 },
		{ .function = 0xb, .index = 0, .eax = 9, .ebx = 9 },
		{ .function = 0xb, .index = 1, .eax = 9, .ebx = 9 },
		{ .function = 0x1f, .index = 0 },
		{ .function = 0x80000001, .ecx = 0xffffffff },
		{ .function = 0x80000008, .ecx = 0xffff },
		{ .function = 0x8000001d, .index = 3, .eax = 0x63 },
		{ .function = 0x8000001e, .eax = 99, .ebx = 99, .ecx = 99 },
	};

	memset(&table, 0, sizeof(table));
	table.head.nent = sizeof(leaves) / sizeof(leaves[0]);
	memcpy(table.entry, leaves, sizeof(leaves));
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table.head.nent; i++) {
		if (table.entry[i].function == function && table.entry[i].index == index)
			return &table.entry[i];
	}
	fail_msg("no leaf %#x.%u", function, index);
	return NULL;
}

static void describe(unsigned vcpus, unsigned threads)
{
	const struct cpuid_topology topology = { vcpus, threads };

	fill();
	assert_int_equal(cpuid_describe(&table, &topology), 0);
}

static void test_features(void **state)
{
	(void)state;
	describe(1, 1);
	assert_true(leaf(1, 0)->ecx & 1u << 31);
	assert_true(leaf(1, 0)->ecx & 1u << 24);
	assert_false(leaf(1, 0)->edx & 1u << 28);
	describe(6, 1);
	assert_true(leaf(1, 0)->edx & 1u << 28);
	assert_int_equal(leaf(1, 0)->ebx >> 16 & 0xff, 8);
	assert_int_equal(leaf(0xa, 0)->eax, 0);
	assert_int_equal(leaf(0x80000001, 0)->ecx, ~(1u << 23 | 1u << 24 | 1u << 28));
}

static void test_topology(void **state)
{
	static const struct {
		unsigned vcpus, threads;
		unsigned thread_shift, core_shift;
		unsigned l1_sharers, l3_sharers;
	} cases[] = {
		{ 1, 1, 0, 0, 1, 1 },	{ 2, 1, 0, 1, 1, 2 }, { 2, 2, 1, 1, 2, 2 },
		{ 3, 1, 0, 2, 1, 3 },	{ 8, 2, 1, 3, 2, 8 }, { 31, 1, 0, 5, 1, 31 },
		{ 32, 2, 1, 5, 2, 32 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		describe(cases[i].vcpus, cases[i].threads);
		for (uint32_t f = 0xb; f <= 0x1f; f += 0x1f - 0xb) {
			assert_int_equal(leaf(f, 0)->eax, cases[i].thread_shift);
			assert_int_equal(leaf(f, 0)->ebx, cases[i].threads);
			assert_int_equal(leaf(f, 0)->ecx, 0x100);
			assert_int_equal(leaf(f, 1)->eax, cases[i].core_shift);
			assert_int_equal(leaf(f, 1)->ebx, cases[i].vcpus);
			assert_int_equal(leaf(f, 1)->ecx, 0x201);
			assert_int_equal(leaf(f, 2)->ebx, 0);
		}
		assert_int_equal((leaf(4, 0)->eax >> 14 & 0xfff) + 1, cases[i].l1_sharers);
		assert_int_equal((leaf(4, 1)->eax >> 14 & 0xfff) + 1, cases[i].l3_sharers);
		assert_int_equal(leaf(4, 2)->eax, 0);
		assert_int_equal((leaf(0x8000001d, 3)->eax >> 14 & 0xfff) + 1, cases[i].l3_sharers);
		assert_int_equal((leaf(0x80000008, 0)->ecx & 0xff) + 1, cases[i].vcpus);
		assert_int_equal(leaf(0x80000008, 0)->ecx >> 12 & 0xf, cases[i].core_shift);
	}
}

/* The APIC id stands in five places, and each vCPU's table starts from the last. */
static void test_identity(void **state)
{
	const struct cpuid_topology topology = { 8, 2 };

	(void)state;
	describe(8, 2);
	for (uint32_t id = 0; id < 8; id++) {
		cpuid_identify(&table, &topology, id);
		assert_int_equal(leaf(1, 0)->ebx >> 24, id);
		for (uint32_t i = 0; i < 3; i++) {
			assert_int_equal(leaf(0xb, i)->edx, id);
			assert_int_equal(leaf(0x1f, i)->edx, id);
		}
		assert_int_equal(leaf(0x8000001e, 0)->eax, id);
		assert_int_equal(leaf(0x8000001e, 0)->ebx & 0xff, id / 2);
		assert_int_equal(leaf(0x8000001e, 0)->ebx >> 8 & 0xff, 1);
		assert_int_equal(leaf(0x8000001e, 0)->ecx, 0);
	}
}

/* A host that offers AMD's leaf to nobody: it is added, announced and filled in. */
static void test_amd_topology(void **state)
{
	const struct cpuid_topology topology = { 4, 2 };

	(void)state;
	memset(&table, 0, sizeof(table));
	table.head.nent = 3;
	table.entry[0].ebx = 0x68747541; /* "AuthenticAMD" */
	table.entry[0].edx = 0x69746e65;
	table.entry[0].ecx = 0x444d4163;
	table.entry[1].function = 0x80000000;
	table.entry[1].eax = 0x80000008;
	table.entry[2].function = 0x80000001;
	assert_int_equal(cpuid_describe(&table, &topology), 0);
	cpuid_identify(&table, &topology, 3);
	assert_int_equal(leaf(0x80000000, 0)->eax, 0x8000001e);
	assert_int_equal(leaf(0x80000001, 0)->ecx, 1u << 22);
	assert_int_equal(leaf(0x8000001e, 0)->eax, 3);
	assert_int_equal(leaf(0x8000001e, 0)->ebx, 0x101);
}

static void test_masks(void **state)
{
	static const struct cpuid_mask masks[] = {
		{ 1, 0, CPUID_EDX, .clear = ~0u, .set = 5 },
		{ 4, 1, CPUID_EAX, .clear = 0x3 },
	};
	static const struct cpuid_mask absent = { 0x77, 0, CPUID_EBX, .set = 1 };

	(void)state;
	fill();
	assert_int_equal(cpuid_apply(&table, &masks[0]), 0);
	assert_int_equal(cpuid_apply(&table, &masks[1]), 0);
	assert_int_equal(cpuid_apply(&table, &absent), -ENOENT);
	assert_int_equal(leaf(1, 0)->edx, 5);
	assert_int_equal(leaf(4, 1)->eax, 0x60);
	assert_int_equal(leaf(4, 0)->eax, 0x21);
}

static void test_full_table(void **state)
{
	const struct cpuid_topology topology = { 2, 1 };

	(void)state;
	fill();
	for (uint32_t i = table.head.nent; i < CPUID_MAX_ENTRIES; i++)
		table.entry[i] = (struct kvm_cpuid_entry2){ .function = 0x50000000 + i };
	table.head.nent = CPUID_MAX_ENTRIES;
	assert_true(cpuid_describe(&table, &topology) < 0);
}

/* What a guest's own registers change does not count, all else does. */
static void test_same(void **state)
{
	static const struct {
		uint32_t leaf, index;
		struct kvm_cpuid_entry2 change; /* bits of its registers */
		bool same;
	} rows[] = {
		{ 1, 0, { .eax = 0 }, true },
		{ 1, 0, { .eax = 1 }, false },
		{ 1, 0, { .ebx = 1u << 24 }, false },
		{ 1, 0, { .ecx = 1u << 27 }, true }, /* OSXSAVE */
		{ 1, 0, { .ecx = 1u << 26 }, false },
		{ 1, 0, { .edx = 1u << 9 }, true }, /* APIC */
		{ 1, 0, { .edx = 1u << 8 }, false },
		{ 4, 1, { .edx = 1u << 9 }, false },
		{ 0x8000001d, 3, { .ecx = 1u << 27 }, false },
	};
	static struct cpuid_table other;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kvm_cpuid_entry2 *e;

		describe(2, 1);
		other = table;
		e = &other.entry[leaf(rows[i].leaf, rows[i].index) - table.entry];
		e->eax ^= rows[i].change.eax;
		e->ebx ^= rows[i].change.ebx;
		e->ecx ^= rows[i].change.ecx;
		e->edx ^= rows[i].change.edx;
		if (cpuid_same(&table, &other) != rows[i].same)
			fail_msg("row %zu", i);
	}
	describe(2, 1);
	other = table;
	other.head.nent--;
	assert_false(cpuid_same(&table, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_features),   cmocka_unit_test(test_topology),
		cmocka_unit_test(test_identity),   cmocka_unit_test(test_masks),
		cmocka_unit_test(test_full_table), cmocka_unit_test(test_amd_topology),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
