/* test_cpu_template.c - the texts of a CPU template: right ones, and wrong ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/cpu_template.h"

static struct cpu_config config;
static struct cpu_template template;

static void set(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text);
}

/* One leaf with one register, one MSR, one capability. */
static void make(const char *leaf, const char *bitmap, const char *addr, const char *msr_bitmap,
		 const char *capability)
{
	memset(&config, 0, sizeof(config));
	config.ncapabilities = config.ncpuid = config.nmsrs = config.cpuid[0].nregisters = 1;
	config.cpuid[0].registers[0].reg = 2;
	set(config.cpuid[0].leaf, sizeof(config.cpuid[0].leaf), leaf);
	set(config.cpuid[0].subleaf, sizeof(config.cpuid[0].subleaf), "0b101");
	set(config.cpuid[0].registers[0].bitmap, CPU_TEMPLATE_BITMAP, bitmap);
	set(config.msrs[0].addr, sizeof(config.msrs[0].addr), addr);
	set(config.msrs[0].bitmap, CPU_TEMPLATE_BITMAP, msr_bitmap);
	set(config.capabilities[0], CPU_TEMPLATE_NUMBER, capability);
}

static void test_numbers(void **state)
{
	(void)state;
	make("0x8000000A", "0b1xx0_x01x", "0x10a",
	     "0b1xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0", "171");
	assert_int_equal(cpu_template_parse(&config, &template, NULL), 0);
	assert_int_equal(template.ncpuid, 1);
	assert_int_equal(template.cpuid[0].leaf, 0x8000000a);
	assert_int_equal(template.cpuid[0].subleaf, 5);
	assert_int_equal(template.cpuid[0].reg, 2);
	assert_int_equal(template.cpuid[0].mask, 0x96);
	assert_int_equal(template.cpuid[0].value, 0x82);
	assert_int_equal(template.nmsrs, 1);
	assert_int_equal(template.msrs[0].index, 0x10a);
	assert_true(template.msrs[0].mask == ((UINT64_C(1) << 63) | 1));
	assert_true(template.msrs[0].value == UINT64_C(1) << 63);
	assert_int_equal(template.ncapabilities, 1);
	assert_int_equal(template.capabilities[0], 171);
}

/* Taking away a requirement requires nothing. */
static void test_removed_capability(void **state)
{
	(void)state;
	make("0x1", "0b1", "0x1", "0b1", "!171");
	assert_int_equal(cpu_template_parse(&config, &template, NULL), 0);
	assert_int_equal(template.ncapabilities, 0);
}

static void test_refused(void **state)
{
	static const struct {
		const char *leaf, *bitmap, *addr, *msr_bitmap, *capability, *field;
	} rows[] = {
		{ "1", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "0x", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "0x-1", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "0x1g", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "0b12", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "0x100000000", "0b1", "0x1", "0b1", "1", "cpuid_modifiers[0].leaf" },
		{ "0x1", "1", "0x1", "0b1", "1", "cpuid_modifiers[0].bitmap" },
		{ "0x1", "0b", "0x1", "0b1", "1", "cpuid_modifiers[0].bitmap" },
		{ "0x1", "0b_", "0x1", "0b1", "1", "cpuid_modifiers[0].bitmap" },
		{ "0x1", "0b2", "0x1", "0b1", "1", "cpuid_modifiers[0].bitmap" },
		{ "0x1", "0bX", "0x1", "0b1", "1", "cpuid_modifiers[0].bitmap" },
		{ "0x1", "0b111111111111111111111111111111111", "0x1", "0b1", "1",
		  "cpuid_modifiers[0].bitmap" },
		{ "0x1", "0b1", "0xfffffffff", "0b1", "1", "msr_modifiers[0].addr" },
		{ "0x1", "0b1", "0x1", "0x1", "1", "msr_modifiers[0].bitmap" },
		{ "0x1", "0b1", "0x1",
		  "0b11111111111111111111111111111111111111111111111111111111111111111", "1",
		  "msr_modifiers[0].bitmap" },
		{ "0x1", "0b1", "0x1", "0b1", "", "kvm_capabilities" },
		{ "0x1", "0b1", "0x1", "0b1", "!", "kvm_capabilities" },
		{ "0x1", "0b1", "0x1", "0b1", "!!1", "kvm_capabilities" },
		{ "0x1", "0b1", "0x1", "0b1", "-1", "kvm_capabilities" },
		{ "0x1", "0b1", "0x1", "0b1", "1 ", "kvm_capabilities" },
		{ "0x1", "0b1", "0x1", "0b1", "99999999999", "kvm_capabilities" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };

		make(rows[i].leaf, rows[i].bitmap, rows[i].addr, rows[i].msr_bitmap,
		     rows[i].capability);
		assert_int_equal(cpu_template_parse(&config, &template, &err), -EINVAL);
		assert_string_equal(err.field, rows[i].field);
	}
}

/* As much as a request can hold. */
static void test_full(void **state)
{
	(void)state;
	make("0x1", "0b1", "0x1", "0b1", "1");
	config.cpuid[0].nregisters = CPU_TEMPLATE_REGISTERS;
	for (unsigned r = 1; r < CPU_TEMPLATE_REGISTERS; r++)
		config.cpuid[0].registers[r] = config.cpuid[0].registers[0];
	for (unsigned i = 1; i < CPU_TEMPLATE_LEAVES; i++)
		config.cpuid[i] = config.cpuid[0];
	for (unsigned i = 1; i < CPU_TEMPLATE_MSRS; i++)
		config.msrs[i] = config.msrs[0];
	config.ncpuid = CPU_TEMPLATE_LEAVES;
	config.nmsrs = CPU_TEMPLATE_MSRS;
	assert_int_equal(cpu_template_parse(&config, &template, NULL), 0);
	assert_int_equal(template.ncpuid, CPU_TEMPLATE_LEAVES * CPU_TEMPLATE_REGISTERS);
	assert_int_equal(template.nmsrs, CPU_TEMPLATE_MSRS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_removed_capability),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
