/* test_named_template.c - what each named template shows, and where it may be used. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/named_template.h"

static struct cpu_template template;

/* All that the template does to one register, written as a custom template would be. */
static void expect_bits(enum cpu_template_name name, uint32_t leaf, uint32_t subleaf, unsigned reg,
			const char *bits)
{
	uint32_t mask = 0, value = 0, want_mask = 0, want_value = 0;

	assert_int_equal(strlen(bits), 32);
	for (const char *c = bits; *c; c++) {
		want_mask = want_mask << 1 | (*c != 'x');
		want_value = want_value << 1 | (*c == '1');
	}
	named_template_make(name, &template);
	for (unsigned i = 0; i < template.ncpuid; i++) {
		const struct cpu_template_cpuid *row = &template.cpuid[i];

		if (row->leaf != leaf || row->subleaf != subleaf || row->reg != reg)
			continue;
		value = (value & ~row->mask) | row->value;
		mask |= row->mask;
	}
	assert_int_equal(mask, want_mask);
	assert_int_equal(value, want_value);
}

/* As Firecracker's own templates of these names are published in its custom form. */
static void test_bits(void **state)
{
	static const enum cpu_template_name like_haswell[] = {
		CPU_TEMPLATE_T2,
		CPU_TEMPLATE_T2S,
		CPU_TEMPLATE_T2CL,
		CPU_TEMPLATE_T2A,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(like_haswell) / sizeof(like_haswell[0]); i++) {
		const enum cpu_template_name n = like_haswell[i];

		expect_bits(n, 1, 0, CPUID_EAX, "xxxx000000000011xx00011011110010");
		expect_bits(n, 1, 0, CPUID_ECX, "xxxxxxxxxxxxx0xx00xx00x0000000xx");
		expect_bits(n, 1, 0, CPUID_EDX, "000x0xxxx00xx0xxxxx1xxxx1xxxxxxx");
		expect_bits(n, 7, 0, CPUID_EBX, "00000000000x000000x00x1xxxx0x0xx");
		expect_bits(n, 7, 0, CPUID_ECX, "x0xxxxxxx0xxxxx0x0x00000x0x0000x");
		expect_bits(n, 7, 0, CPUID_EDX, "xxxxxxxxxxxxxxxxxxxxxxx0xxx000xx");
		expect_bits(n, 0xd, 0, CPUID_EAX, "xxxxxxxxxxxxxxxxxxxxxx0x00000xxx");
		expect_bits(n, 0xd, 1, CPUID_EAX, "xxxxxxxxxxxxxxxxxxxxxxxxxxxx000x");
	}
	expect_bits(CPU_TEMPLATE_T2S, 0x80000001, 0, CPUID_ECX, "xx0xxxxxxxxxxxxxxxxxxxx0xxxxxxxx");
	expect_bits(CPU_TEMPLATE_T2S, 0x80000001, 0, CPUID_EDX, "xxxxx0xxxxxxxxxxxxxxxxxxxxxxxxxx");
	expect_bits(CPU_TEMPLATE_T2, 0x80000008, 0, CPUID_EBX, "xxxxxxxxxxxxxxxxxxxxxx0xxxxxxxxx");
	expect_bits(CPU_TEMPLATE_T2CL, 0x80000001, 0, CPUID_ECX,
		    "xx0xxxxxxxxxxxxxxxxxxxx000xxxxxx");
	expect_bits(CPU_TEMPLATE_T2CL, 0x80000001, 0, CPUID_EDX,
		    "xxxxx00000xxxxxxxxxxxxxxxxxxxxxx");
	expect_bits(CPU_TEMPLATE_T2A, 0x80000001, 0, CPUID_ECX, "xx0xxxxxxxxxxxxxxxxxxxx000xxx0xx");
	expect_bits(CPU_TEMPLATE_T2A, 0x80000001, 0, CPUID_EDX, "xxxxx00xx0xxxxxxxxxxxxxxxxxxxxxx");
	expect_bits(CPU_TEMPLATE_T2A, 0x80000008, 0, CPUID_EBX, "xxxxxxxxxxx111xxxxxxxx0xxxxxx1x0");
	expect_bits(CPU_TEMPLATE_C3, 1, 0, CPUID_EAX, "xxxx000000000011xx00011011100100");
	expect_bits(CPU_TEMPLATE_C3, 1, 0, CPUID_ECX, "xxxxxxxxx0xxxxxx00x000x0xx0000xx");
	expect_bits(CPU_TEMPLATE_C3, 7, 0, CPUID_EBX, "000000000x0x000000x000x0xx0000xx");
	expect_bits(CPU_TEMPLATE_C3, 0x80000001, 0, CPUID_ECX, "xxxxxxxxxxxxxxxxxxxxxxx0xx0xxxxx");
}

static void expect_msr(enum cpu_template_name name, uint64_t mask, uint64_t value)
{
	named_template_make(name, &template);
	assert_int_equal(template.nmsrs, 1);
	assert_int_equal(template.msrs[0].index, 0x10a);
	assert_true(template.msrs[0].mask == mask);
	assert_true(template.msrs[0].value == value);
}

static void test_msrs(void **state)
{
	(void)state;
	expect_msr(CPU_TEMPLATE_T2S, UINT64_MAX, 0xc0a0c4c);
	expect_msr(CPU_TEMPLATE_T2CL, 0xffffffffe2f51e00, 0);
	named_template_make(CPU_TEMPLATE_T2, &template);
	assert_int_equal(template.nmsrs, 0);
	named_template_make(CPU_TEMPLATE_NONE, &template);
	assert_int_equal(template.ncpuid, 0);
}

#define INTEL(model, stepping)                     \
	{                                          \
		"GenuineIntel", 6, model, stepping \
	}

static void test_hosts(void **state)
{
	static const struct {
		struct host_cpu host;
		unsigned good; /* bits of names */
	} rows[] = {
		{ INTEL(0x55, 4),
		  1 << CPU_TEMPLATE_C3 | 1 << CPU_TEMPLATE_T2 | 1 << CPU_TEMPLATE_T2S },
		{ INTEL(0x55, 7), 1 << CPU_TEMPLATE_C3 | 1 << CPU_TEMPLATE_T2 |
					  1 << CPU_TEMPLATE_T2S | 1 << CPU_TEMPLATE_T2CL },
		{ INTEL(0x6a, 6),
		  1 << CPU_TEMPLATE_C3 | 1 << CPU_TEMPLATE_T2 | 1 << CPU_TEMPLATE_T2CL },
		{ INTEL(0x8f, 8), 0 },
		{ { "AuthenticAMD", 0x19, 1, 1 }, 1 << CPU_TEMPLATE_T2A },
		{ { "AuthenticAMD", 0x19, 0x11, 1 }, 0 },
		{ { "AuthenticAMD", 6, 0x55, 4 }, 0 },
		{ { "CentaurHauls", 6, 0x55, 4 }, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned n = CPU_TEMPLATE_NONE; n <= CPU_TEMPLATE_V1N1; n++) {
			bool good = n == CPU_TEMPLATE_NONE || rows[i].good & 1u << n;
			struct error err = { 0 };

			assert_int_equal(named_template_check(n, &rows[i].host, &err),
					 good ? 0 : -EOPNOTSUPP);
			assert_string_equal(err.field, good ? "" : "cpu_template");
		}
	}
}

static void test_refusals(void **state)
{
	const struct host_cpu genoa = { "AuthenticAMD", 0x19, 0x11, 1 };
	struct error err = { 0 };

	(void)state;
	named_template_check(CPU_TEMPLATE_T2S, &genoa, &err);
	assert_string_equal(err.text, "CPU vendor mismatched between actual CPU and CPU template. "
				      "This host's vendor is AuthenticAMD, the template's "
				      "GenuineIntel");
	named_template_check(CPU_TEMPLATE_T2A, &genoa, &err);
	assert_string_equal(err.text, "The current CPU model is not permitted to apply the CPU "
				      "template. It is family 25, model 17, stepping 1");
	assert_string_equal(err.hint, "it is for Milan; use one of those, or a template of your "
				      "own");
	named_template_check(CPU_TEMPLATE_V1N1, &genoa, &err);
	assert_non_null(strstr(err.text, "the template's Arm"));
}

static void test_host(void **state)
{
	struct host_cpu host;

	(void)state;
	named_template_host(&host);
	assert_int_equal(strlen(host.vendor), 12);
	assert_true(host.family > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),  cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_hosts), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
