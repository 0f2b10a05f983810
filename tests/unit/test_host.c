/* test_host.c - the host's processors and its inventory, of machines that are made up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/host/report.h"
#include "tests/unit/fake_devices.h"
#include "tests/unit/scratch.h"

#define CPUINFO                                                                                \
	"processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 106\n"         \
	"model name\t: A Processor @ 2.00GHz\nflags\t\t: fpu vmx avx2 avx512fx hypervisor\n\n" \
	"processor\t: 1\nvendor_id\t: another\n"

static const struct topology *machine(const char *made_up)
{
	static struct topology t;
	struct error err;

	assert_int_equal(topology_read(made_up, &t, &err), 0);
	return &t;
}

static void test_lists(void **state)
{
	static const struct {
		const char *list;
		int count; /* below 0: refused */
	} rows[] = {
		{ "0", 1 },   { "0-3,8", 5 }, { "1023", 1 }, { "1024", -1 }, { "-", -1 },
		{ "3-", -1 }, { "", -1 },     { "x", -1 },   { "0-3 ", -1 }, { "0-5000", -1 },
	};
	char text[TOPOLOGY_LIST_BYTES];
	cpu_set_t set;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = topology_parse(rows[i].list, &set);

		if (rows[i].count < 0) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(CPU_COUNT(&set), rows[i].count);
		assert_string_equal(topology_list(&set, text, sizeof(text)), rows[i].list);
	}
	CPU_ZERO(&set);
	for (int cpu = 0; cpu < TOPOLOGY_CPUS_MAX; cpu += 2)
		CPU_SET(cpu, &set);
	assert_int_equal(topology_parse(topology_list(&set, text, sizeof(text)), &set), 0);
	assert_int_equal(CPU_COUNT(&set), TOPOLOGY_CPUS_MAX / 2);
}

static void test_topology(void **state)
{
	const struct topology *t = machine("pack:2 [numa(memory=1GB)] core:2 pu:2");
	char list[TOPOLOGY_LIST_BYTES];

	(void)state;
	assert_int_equal(t->sockets, 2);
	assert_int_equal(t->ncores, 4);
	assert_int_equal(t->ncpus, 8);
	assert_int_equal(t->nnodes, 2);
	assert_int_equal(t->node[1].memory_mib, 953);
	assert_string_equal(topology_list(&t->node[1].cpus, list, sizeof(list)), "4-7");
	assert_string_equal(topology_list(&t->core[2].cpus, list, sizeof(list)), "4-5");
	assert_int_equal(t->core[2].node, 1);
	assert_int_equal(t->core[2].first, 4);
	assert_int_equal(topology_find_node(t, 1), 1);
	assert_int_equal(topology_find_node(t, 2), -1);
}

static void test_this_host(void **state)
{
	const struct topology *t = machine(NULL);

	(void)state;
	assert_true(t->ncpus >= 1 && t->ncores >= 1 && t->nnodes >= 1);
	assert_true(t->ncores <= t->ncpus);
	assert_true(CPU_ISSET(t->core[0].first, &t->online));
}

/* --- the inventory --- */

static int make_host(void **state)
{
	const char *root;

	if (scratch_make(state) < 0)
		return -1;
	root = ((struct scratch *)*state)->dir;
	return fake_host(root) | fake_file(root, "proc/cpuinfo", CPUINFO) |
	       fake_file(root, "proc/meminfo", "MemTotal:  4096 kB\nMemAvailable: 2048 kB\n") |
	       fake_file(root, "sys/class/net/eth1/device/numa_node", "1\n") |
	       fake_file(root, "sys/class/net/eth1/speed", "1000\n") |
	       fake_link(root, "sys/class/net/eth1/device/driver", "../../e1000e") |
	       fake_file(root, "sys/class/net/tap0/mtu", "1500\n") |
	       fake_file(root, "sys/block/sda/size", "4096\n") |
	       fake_file(root, "sys/block/sda/device/model", "A disk\n") |
	       fake_file(root, "sys/block/loop0/size", "8\n") |
	       fake_file(root, "sys/module/kvm_intel/parameters/nested", "Y\n") |
	       fake_file(root, "dev/kvm", "") |
	       fake_file(root, "sys/class/dmi/id/bios_version", "1.0\n") |
	       fake_file(root,
			 "sys/devices/system/node/node1/hugepages/hugepages-2048kB/"
			 "nr_hugepages",
			 "7\n") |
	       fake_file(root, "sys/devices/system/cpu/vulnerabilities/meltdown",
			 "Mitigation: PTI\n");
}

static json_t *look(const char *root, const char *labels)
{
	json_t *report = report_make(root, labels, machine("pack:2 [numa] core:2 pu:1"));

	assert_non_null(report);
	return report;
}

/* What a path of members leads to, as JSON. */
static void assert_says(const json_t *report, const char *section, const char *a, const char *b,
			const char *expected)
{
	json_t *j = json_object_get(json_object_get(report, section), a);
	char *text;

	j = b ? json_object_get(j, b) : j;
	text = json_dumps(j, JSON_ENCODE_ANY | JSON_COMPACT);
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_report(void **state)
{
	json_t *r = look(((struct scratch *)*state)->dir, "");

	assert_says(r, "cpu", "model", NULL, "\"A Processor @ 2.00GHz\"");
	assert_says(r, "cpu", "vendor", NULL, "\"GenuineIntel\"");
	assert_says(r, "cpu", "flags", NULL, "[\"vmx\",\"hypervisor\",\"avx2\"]");
	assert_says(r, "cpu", "cores", NULL, "4");
	assert_says(r, "memory", "total_mib", NULL, "4");
	assert_says(r, "nodes", "1", "cpus", "\"2-3\"");
	assert_says(r, "nodes", "1", "huge_pages", "{\"hugepages-2048kB\":{\"total\":7}}");
	assert_says(r, "nics", "eth1", NULL,
		    "{\"driver\":\"e1000e\",\"speed_mbps\":1000,\"node\":1}");
	assert_null(json_object_get(json_object_get(r, "nics"), "tap0"));
	assert_says(r, "disks", "sda", "size_mib", "2");
	assert_null(json_object_get(json_object_get(r, "disks"), "loop0"));
	assert_says(r, "pci", FAKE_NIC, "class", "\"network\"");
	assert_says(r, "kvm", "flavour", NULL, "\"vmx\"");
	assert_says(r, "kvm", "is_nested", NULL, "true");
	assert_says(r, "firmware", "bios_version", NULL, "\"1.0\"");
	assert_says(r, "mitigations", "meltdown", NULL, "\"Mitigation: PTI\"");
	json_decref(r);
}

static void test_labels(void **state)
{
	struct scratch *s = *state;
	char path[PATH_MAX];
	json_t *r;

	snprintf(path, sizeof(path), "%s/labels", s->dir);
	assert_int_equal(fake_file(s->dir, "labels", "{\"rack\": \"b7\"}"), 0);
	r = look(s->dir, path);
	assert_says(r, "labels", "rack", NULL, "\"b7\"");
	json_decref(r);
	assert_int_equal(fake_file(s->dir, "labels", "{\"rack\": 7}"), 0);
	r = look(s->dir, path);
	assert_non_null(json_object_get(json_object_get(r, "labels"), "fault"));
	json_decref(r);
}

static void test_differences(void **state)
{
	const char *root = ((struct scratch *)*state)->dir;
	json_t *before = look(root, ""), *after;
	char what[REPORT_WHAT_BYTES], cut[8];

	assert_int_equal(report_compare(before, before, what, sizeof(what)), 0);
	assert_string_equal(what, "");
	assert_int_equal(fake_file(root, "sys/class/net/eth1/speed", "100\n"), 0);
	assert_int_equal(fake_file(root, "sys/class/net/eth2/device/numa_node", "0\n"), 0);
	after = look(root, "");
	assert_int_equal(report_compare(json_object_get(before, "nics"),
					json_object_get(after, "nics"), what, sizeof(what)),
			 2);
	assert_string_equal(what, "eth1.speed_mbps: 1000 -> 100, eth2 added");
	assert_int_equal(report_compare(json_object_get(after, "nics"),
					json_object_get(before, "nics"), cut, sizeof(cut)),
			 2);
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
	json_decref(before);
	json_decref(after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_this_host),
		cmocka_unit_test_setup_teardown(test_report, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_labels, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_differences, make_host, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
