/* test_config_check.c - what several fields of a configuration decide. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/config_check.h"

static void expect(int r, const struct error *err, const char *field, const char *text)
{
	if (!field) {
		assert_int_equal(r, 0);
		return;
	}
	assert_int_equal(r, -EINVAL);
	assert_string_equal(err->field, field);
	if (strncmp(err->text, text, strlen(text)) != 0)
		fail_msg("got \"%s\", not \"%s\"", err->text, text);
	assert_string_not_equal(err->hint, "");
}

static void machines(void **state)
{
	static const struct {
		struct machine_config c;
		const char *field, *text;
	} rows[] = {
		{ { .vcpu_count = 1, .mem_size_mib = 1 }, NULL, NULL },
		{ { .vcpu_count = 32, .mem_size_mib = 16, .smt = true }, NULL, NULL },
		{ { .vcpu_count = 1, .mem_size_mib = 2, .huge_pages = HUGE_PAGES_2M }, NULL, NULL },
		{ { .vcpu_count = 0, .mem_size_mib = 1 }, "vcpu_count", "The number of vCPUs" },
		{ { .vcpu_count = 33, .mem_size_mib = 1 }, "vcpu_count", "The number of vCPUs" },
		{ { .vcpu_count = 3, .mem_size_mib = 1, .smt = true },
		  "vcpu_count",
		  "The number of vCPUs" },
		{ { .vcpu_count = 1, .mem_size_mib = 0 }, "mem_size_mib", "The memory size (MiB)" },
		{ { .vcpu_count = 1, .mem_size_mib = 3, .huge_pages = HUGE_PAGES_TRANSPARENT },
		  "mem_size_mib",
		  "The memory size (MiB)" },
		{ { .vcpu_count = 1, .mem_size_mib = 1ull << 32 },
		  "mem_size_mib",
		  "The memory size (MiB) is more than this host has" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };

		expect(config_check_machine(&rows[i].c, &err), &err, rows[i].field, rows[i].text);
	}
}

static void networks(void **state)
{
	static const struct {
		struct net_config c;
		const char *field, *text;
	} rows[] = {
		{ { .host_dev_name = "tap0" }, NULL, NULL },
		{ { .passt_socket = "/p", .guest_mac = "06:00:00:00:00:01" }, NULL, NULL },
		{ { .guest_mac = "" }, "host_dev_name", "missing field `host_dev_name`" },
		{ { .host_dev_name = "tap0", .passt_socket = "/p" },
		  "host_dev_name",
		  "An interface has one back end, not both" },
		{ { .host_dev_name = "tap0", .guest_mac = "06:00:00:00:00:0g" },
		  "guest_mac",
		  "The provided MAC address is invalid" },
		{ { .host_dev_name = "tap0", .guest_mac = "01:00:00:00:00:01" },
		  "guest_mac",
		  "The provided MAC address is not of one station" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };

		expect(config_check_net(&rows[i].c, &err), &err, rows[i].field, rows[i].text);
	}
}

static void hotplug(void **state)
{
	/* total, block, slot */
	static const struct {
		struct memory_hotplug_config c;
		const char *field, *text;
	} rows[] = {
		{ { 128, 2, 128 }, NULL, NULL },
		{ { 1024, 2, 128 }, NULL, NULL },
		{ { 1536, 256, 512 }, NULL, NULL },
		{ { 1024, 1, 128 }, "block_size_mib", "Block size must not be lower than 2 MiB" },
		{ { 1024, 0, 128 }, "block_size_mib", "Block size must not be lower than 2 MiB" },
		{ { 1024, 3, 128 }, "block_size_mib", "Block size must be a power of 2" },
		{ { 1024, 2, 0 }, "slot_size_mib", "Slot size must not be lower than 128 MiB" },
		{ { 1024, 2, 127 }, "slot_size_mib", "Slot size must not be lower than 128 MiB" },
		{ { 1024, 4, 130 },
		  "slot_size_mib",
		  "Slot size must be a multiple of block size (4 MiB)" },
		{ { 1024, 256, 128 },
		  "slot_size_mib",
		  "Slot size must be a multiple of block size (256 MiB)" },
		{ { 0, 2, 128 },
		  "total_size_mib",
		  "Total size must not be lower than slot size (128 MiB)" },
		{ { 1000, 2, 128 },
		  "total_size_mib",
		  "Total size must be a multiple of slot size (128 MiB)" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct error err = { 0 };

		expect(config_check_memory_hotplug(&rows[i].c, &err), &err, rows[i].field,
		       rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines),
		cmocka_unit_test(networks),
		cmocka_unit_test(hotplug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
