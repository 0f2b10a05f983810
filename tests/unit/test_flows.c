/* test_flows.c - the text for ovs-ofctl.
 *
 * Compared with tests/golden/flows-*.txt; "test_flows FOLDER" writes them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/network/flows.h"

#define TAG "abc123"

static struct lease make_lease(const char *prefix6, const char *egress)
{
	struct lease l = { .n = 26, .network = { .n = 3, .mode = NETWORK_OVS } };

	assert_int_equal(prefix_parse("10.1.0.0/24", &l.network.prefix4), 0);
	if (prefix6)
		assert_int_equal(prefix_parse(prefix6, &l.network.prefix6), 0);
	l.address4 = prefix_address(&l.network.prefix4, 2);
	l.address6 = prefix_address(&l.network.prefix6, 2);
	lease_mac(&l.address4, l.mac);
	snprintf(l.link, sizeof(l.link), "wt" TAG "1a");
	snprintf(l.egress, sizeof(l.egress), "%s", egress);
	return l;
}

static const struct {
	const char *name, *prefix6, *egress;
} texts[] = {
	{ "open", NULL, "" },
	{ "open6", "fd00:1::/64", "" },
	{ "nothing", NULL, "none" },
	{ "listed", "fd00:1::/64",
	  "10.0.0.0/8 tcp 1000-1040\nany udp 53\nfd00::/8\nany icmp\n192.0.2.0/24 tcp 1-65535" },
};

enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };

static void write_flows(FILE *out, unsigned n)
{
	struct lease l = make_lease(texts[n].prefix6, texts[n].egress);
	struct error err;

	flows_print_bridge(out);
	assert_int_equal(flows_print_lease(TAG, &l, out, &err), 0);
	flows_remove_lease(TAG, &l, out);
}

static void test_golden(void **state)
{
	(void)state;
	for (unsigned n = 0; n < TEXTS; n++) {
		char path[512], golden[16384] = "", text[16384] = "";
		FILE *f, *out = fmemopen(text, sizeof(text), "w");

		write_flows(out, n);
		fclose(out);
		snprintf(path, sizeof(path), WISP_GOLDEN "/flows-%s.txt", texts[n].name);
		f = fopen(path, "re");
		assert_non_null(f);
		assert_true(fread(golden, 1, sizeof(golden) - 1, f) > 0);
		fclose(f);
		assert_string_equal(text, golden);
	}
}

/* A list that is none is not half told. */
static void test_bad_list(void **state)
{
	struct lease l = make_lease(NULL, "any tcp 1\nall");
	char text[4096] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct error err;

	(void)state;
	assert_int_equal(flows_print_lease(TAG, &l, out, &err), -EINVAL);
	fclose(out);
	assert_string_equal(text, "");
}

static int write_golden(const char *folder)
{
	for (unsigned n = 0; n < TEXTS; n++) {
		char path[512];
		FILE *f;

		snprintf(path, sizeof(path), "%s/flows-%s.txt", folder, texts[n].name);
		f = fopen(path, "we");
		if (!f)
			return EXIT_FAILURE;
		write_flows(f, n);
		fclose(f);
	}
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_bad_list),
	};

	if (argc == 2)
		return write_golden(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
