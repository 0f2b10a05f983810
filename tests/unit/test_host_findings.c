/* test_host_findings.c - findings from a file system that the test wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "vmm/host_findings.h"

enum { OUTPUT_BYTES = 4096, FILES = 9 };

#define CPU "/sys/devices/system/cpu/"

/* In the order of a host: what to write, NULL for no file, and what must be said. */
struct host {
	const char *content[FILES];
	const char *says[FILES];
	unsigned remedies;
};

static const char *const paths[FILES] = {
	"/sys/kernel/mm/ksm/run",
	CPU "smt/active",
	"/proc/swaps",
	"/sys/module/kvm/parameters/nx_huge_pages",
	"/proc/self/mounts",
	"/proc/sys/kernel/seccomp/actions_avail",
	CPU "vulnerabilities/itlb_multihit",
	CPU "vulnerabilities/meltdown",
	CPU "vulnerabilities/spectre_v2",
};

#define SWAPS	   "Filename Type Size Used Priority\n"
#define SWAPS_USED "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n"
#define CGROUPS_V1 "t /sys/fs/cgroup tmpfs rw 0 0\nc /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"

static const struct host good = {
	{ "0", "0", SWAPS, "N", "cgroup2 /sys/fs/cgroup cgroup2 rw,favordynmods 0 0\n",
	  "kill_process trap log", "Not affected", "Mitigation: PTI", "Not affected" },
	{ "ksm: pages are not shared\n", "smt: a core has one thread\n", "swap: off\n",
	  "nx_huge_pages: off\n", "cgroup: version 2, favordynmods\n", "seccomp: filters\n",
	  "cpu itlb_multihit: Not affected\n", "cpu meltdown: Mitigation: PTI\n",
	  "cpu spectre_v2: Not affected\n" },
	0,
};

static const struct host bad = {
	{ "1", "1", SWAPS_USED, "N", CGROUPS_V1, "kill_thread", "KVM: Vulnerable", "Vulnerable",
	  "Vulnerable, IBPB: disabled" },
	{ "ksm: pages of equal content are shared -> ", "smt: two threads share a core -> ",
	  "swap: on -> ", "nx_huge_pages: off, on a processor that needs it -> ",
	  "cgroup: version 1 -> ", "seccomp: missing -> ", "cpu itlb_multihit: KVM: Vulnerable\n",
	  "cpu meltdown: Vulnerable -> ", "cpu spectre_v2: Vulnerable, IBPB: disabled -> " },
	8,
};

static const struct host old = {
	{ NULL, NULL, NULL, NULL, "c /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "trap",
	  "Not affected", NULL, NULL },
	{ "ksm: this kernel has none\n", "smt: this kernel has none\n", "swap: off\n",
	  "nx_huge_pages: this kernel has none\n", "cgroup: version 1, with version 2 beside it ->",
	  "seccomp: filters\n", "cpu itlb_multihit: Not affected\n", "cpu ", "cpu " },
	1,
};

static const struct host costly = {
	{ "2", "0", SWAPS, "Y", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "trap", "Not affected",
	  NULL, NULL },
	{ "ksm: pages are not", "smt: a core", "swap: off",
	  "nx_huge_pages: on, on a processor that does not need it -> ", "cgroup: version 2 -> ",
	  "seccomp: filters\n", "cpu itlb", "cpu ", "cpu " },
	2,
};

static void make_file(const char *root, const char *path, const char *content)
{
	char command[512], full[256];
	FILE *f;

	snprintf(command, sizeof(command), "mkdir -p $(dirname %s%s)", root, path);
	assert_int_equal(system(command), 0);
	snprintf(full, sizeof(full), "%s%s", root, path);
	f = fopen(full, "we");
	assert_non_null(f);
	fputs(content, f);
	assert_int_equal(fclose(f), 0);
}

static void check(const struct host *h)
{
	char root[] = "/tmp/test_host_findings.XXXXXX", command[64], text[OUTPUT_BYTES] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(mkdtemp(root));
	for (unsigned i = 0; i < FILES; i++)
		if (h->content[i])
			make_file(root, paths[i], h->content[i]);
	assert_int_equal(host_findings_print(out, root), h->remedies);
	fclose(out);
	for (unsigned i = 0; i < FILES; i++)
		if (!strstr(text, h->says[i]))
			fail_msg("no \"%s\" in:\n%s", h->says[i], text);
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

static void hosts(void **state)
{
	(void)state;
	check(&good);
	check(&bad);
	check(&old);
	check(&costly);
}

/* A kernel that tells nothing about its processor is itself a finding. */
static void nothing_there(void **state)
{
	char text[OUTPUT_BYTES] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_int_equal(host_findings_print(out, "/nonexistent"), 3);
	fclose(out);
	assert_non_null(strstr(text, "cpu: the kernel does not tell"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts),
		cmocka_unit_test(nothing_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
