/* test_device.c - the inventory of PCI functions and the preflight, on made-up hosts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/device/choose.h"
#include "supervisor/device/fault.h"
#include "supervisor/device/steer.h"
#include "tests/unit/fake_devices.h"
#include "tests/unit/scratch.h"

static int make_host(void **state)
{
	return scratch_make(state) < 0 ? -1 : fake_host(((struct scratch *)*state)->dir);
}

static struct inventory look(const char *root)
{
	struct inventory v;
	struct error err;

	assert_int_equal(inventory_read(root, &v, &err), 0);
	/* Of a host whose limits are not this one's. */
	v.host.memlock_mib = UINT64_MAX;
	return v;
}

/* --- what there is --- */

static void test_functions(void **state)
{
	const char *root = ((struct scratch *)*state)->dir;
	struct inventory v = look(root);
	const struct pci_function *f = inventory_find(&v, FAKE_NIC);
	json_t *j;

	assert_int_equal(v.count, 3);
	assert_true(pci_is_bridge(&v.functions[0]));
	assert_int_equal(f->class_code, 0x020000);
	assert_int_equal(f->vendor, 0x8086);
	assert_int_equal(f->group, 1);
	assert_string_equal(f->reset, "flr bus");
	assert_string_equal(f->driver_override, "");
	assert_int_equal(f->bars[0].bytes, 0x20000);
	assert_int_equal(f->bars[2].bytes, 0x20);
	assert_true(f->bars[2].io && !f->bars[0].io);
	assert_true(f->answers);
	assert_int_equal(v.host.available_mib, 4096);
	assert_int_equal(v.host.node[0].huge_free_mib, 128);
	assert_null(inventory_find(&v, "0000:00:05.0"));
	assert_null(inventory_find(&v, "a name that is far too long"));
	j = pci_describe(&v, f);
	assert_string_equal(json_string_value(json_object_get(j, "class")), "network");
	assert_int_equal(json_array_size(json_object_get(j, "group_members")), 1);
	json_decref(j);
	inventory_clear(&v);
}

/* Nothing of it is there, or nothing of it makes sense. */
static void test_odd_hosts(void **state)
{
	static const char nonsense[] = "zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz"
				       " zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz zzzz";
	static const char *const attributes[] = {
		"class",  "vendor",	    "numa_node",     "reset_method", "resource",
		"config", "sriov_totalvfs", "aer_dev_fatal", "local_cpulist"
	};
	const char *root = ((struct scratch *)*state)->dir;
	struct inventory v;
	struct error err;

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), FAKE_FOLDER(FAKE_NIC) "/%s", attributes[i]);
		assert_int_equal(fake_file(root, path, nonsense), 0);
	}
	v = look(root);
	assert_int_equal(v.count, 3);
	assert_int_equal(inventory_find(&v, FAKE_NIC)->node, -1);
	inventory_clear(&v);
	v = look(scratch_path(*state, "proc"));
	assert_int_equal(v.count, 0);
	inventory_clear(&v);
	assert_int_equal(inventory_read(scratch_path(*state, "none"), &v, &err), -ENOENT);
	inventory_clear(&v);
}

/* --- names --- */

static const struct {
	const char *text;
	int matches; /* how many of the host's functions; negative: refused */
} selectors[] = {
	{ "pci:network", 1 },
	{ "network", 1 },
	{ "pci:nvme", 1 },
	{ "pci:storage", 1 },
	{ "pci:01", 1 },
	{ "pci:0108", 1 },
	{ "pci:010802", 1 },
	{ "pci:gpu", 0 },
	{ "pci:8086:10d3", 3 },
	{ "pci:8086:10D3", 3 },
	{ "pci:8086:0000", 0 },
	{ "pci:0000:00:04.0", 1 },
	{ "00:04.0", 1 },
	{ "pci:00:05.0", 0 },
	{ "", -EINVAL },
	{ "pci:", -EINVAL },
	{ "pci:nic", -EINVAL },
	{ "pci:8086:10d", -EINVAL },
	{ "pci:8086-10d3", -EINVAL },
	{ "pci:0", -EINVAL },
	{ "pci:00:04", -EINVAL },
	{ "pci:00:04.0/../x", -EINVAL },
	{ "usb:1-1", -EINVAL },
};

static void test_selectors(void **state)
{
	struct inventory v = look(((struct scratch *)*state)->dir);

	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
		struct pci_selector s;
		struct error err;
		int n = pci_selector_parse(selectors[i].text, &s, &err);

		for (unsigned f = 0; n >= 0 && f < v.count; f++)
			n += pci_selector_matches(&s, &v.functions[f]);
		if (n != selectors[i].matches)
			fail_msg("%s: %d", selectors[i].text, n);
	}
	inventory_clear(&v);
}

/* --- the checks --- */

static const struct spoil {
	const char *check;
	enum preflight_verdict verdict;
	const char *path, *text; /* text NULL: it is not there */
	const char *target;	 /* of a link, instead */
	struct preflight_request request;
} spoils[] = {
	{ .check = "iommu",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "sys/class/iommu/dmar0",
	  .text = "x" },
	{ .check = "interrupt_remapping",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "proc/interrupts",
	  .text = " 0: 1 IO-APIC timer\n" },
	{ .check = "interrupt_remapping",
	  .verdict = PREFLIGHT_WARN,
	  .path = "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
	  .text = "Y\n" },
	{ .check = "group",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/iommu_group" },
	{ .check = "group",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NVME) "/iommu_group",
	  .target = "../1" },
	{ .check = "group",
	  .verdict = PREFLIGHT_PASS,
	  .path = FAKE_FOLDER("0000:00:00.0") "/iommu_group",
	  .target = "../1" },
	{ .check = "acs",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "proc/cmdline",
	  .text = "pcie_acs_override=downstream" },
	{ .check = "reset",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/reset_method",
	  .text = "\n" },
	{ .check = "reset",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/reset_method",
	  .text = "bus\n" },
	{ .check = "reset",
	  .verdict = PREFLIGHT_PASS,
	  .path = FAKE_FOLDER(FAKE_NIC) "/reset_method",
	  .text = "pm bus\n" },
	{ .check = "host_use",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/boot_vga",
	  .text = "1\n" },
	{ .check = "driver",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/driver_override",
	  .text = "pci-stub\n" },
	{ .check = "driver",
	  .verdict = PREFLIGHT_PASS,
	  .path = FAKE_FOLDER(FAKE_NIC) "/driver_override",
	  .text = "vfio-pci\n" },
	{ .check = "driver", .verdict = PREFLIGHT_REFUSE, .path = "dev/vfio/vfio" },
	{ .check = "descriptor", .verdict = PREFLIGHT_REFUSE, .path = "dev/vfio/vfio" },
	{ .check = "dma_entries",
	  .verdict = PREFLIGHT_WARN,
	  .path = "sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
	  .text = "100\n" },
	{ .check = "dma_entries",
	  .verdict = PREFLIGHT_PASS,
	  .path = "sys/module/vfio_iommu_type1/parameters/dma_entry_limit",
	  .text = "100\n",
	  .request = { .huge_pages = true } },
	{ .check = "huge_pages",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "x",
	  .text = "",
	  .request = { .huge_pages = true } },
	{ .check = "huge_pages",
	  .verdict = PREFLIGHT_PASS,
	  .path = "sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
	  .text = "65\n",
	  .request = { .huge_pages = true } },
	{ .check = "huge_pages",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages",
	  .text = "65\n",
	  .request = { .huge_pages = true } },
	{ .check = "numa",
	  .verdict = PREFLIGHT_WARN,
	  .path = FAKE_FOLDER(FAKE_NIC) "/numa_node",
	  .text = "1\n",
	  .request = { .node = 0 } },
	{ .check = "numa",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/numa_node",
	  .text = "1\n",
	  .request = { .numa = PREFLIGHT_NUMA_REQUIRED } },
	{ .check = "numa",
	  .verdict = PREFLIGHT_PASS,
	  .path = FAKE_FOLDER(FAKE_NIC) "/numa_node",
	  .text = "1\n",
	  .request = { .numa = PREFLIGHT_NUMA_ANY } },
	{ .check = "numa",
	  .verdict = PREFLIGHT_PASS,
	  .path = FAKE_FOLDER(FAKE_NIC) "/numa_node",
	  .text = "-1\n",
	  .request = { .numa = PREFLIGHT_NUMA_REQUIRED } },
	{ .check = "memory",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "proc/meminfo",
	  .text = "MemAvailable: 1024 kB\n" },
	{ .check = "memory",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "sys/kernel/mm/ksm/run",
	  .text = "1\n" },
	{ .check = "features",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "x",
	  .text = "",
	  .request = { .features = "console,snapshot" } },
	{ .check = "features",
	  .verdict = PREFLIGHT_PASS,
	  .path = "x",
	  .text = "",
	  .request = { .features = "console,,snapshots" } },
	{ .check = "health",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/config",
	  .text = "" },
	{ .check = "health",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/config",
	  .text = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" },
	{ .check = "health",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/power_state",
	  .text = "D3cold\n" },
	{ .check = "health",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/aer_dev_fatal",
	  .text = "Undefined 0\nTOTAL_ERR_FATAL 2\n" },
	{ .check = "health",
	  .verdict = PREFLIGHT_WARN,
	  .path = FAKE_FOLDER(FAKE_NIC) "/max_link_width",
	  .text = "8\n" },
	{ .check = "sriov",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = FAKE_FOLDER(FAKE_NIC) "/sriov_numvfs",
	  .text = "2\n" },
	{ .check = "sriov",
	  .verdict = PREFLIGHT_WARN,
	  .path = FAKE_FOLDER(FAKE_NIC) "/sriov_totalvfs",
	  .text = "2\n" },
	{ .check = "sriov",
	  .verdict = PREFLIGHT_PASS,
	  .path = FAKE_FOLDER(FAKE_NIC) "/physfn",
	  .target = "../0000:01:00.0" },
	{ .check = "interrupt_placement",
	  .verdict = PREFLIGHT_REFUSE,
	  .path = "x",
	  .text = "",
	  .request = { .latency = true } },
	{ .check = "interrupt_placement",
	  .verdict = PREFLIGHT_PASS,
	  .path = "x",
	  .text = "",
	  .request = { .latency = true, .node = 1 } },
};

static const struct preflight_check *find_check(const char *code)
{
	for (unsigned i = 0; i < preflight_checks_count; i++)
		if (strcmp(preflight_checks[i].code, code) == 0)
			return &preflight_checks[i];
	fail_msg("there is no check %s", code);
	return NULL;
}

static void spoil(const char *root, const struct spoil *s)
{
	char command[256];

	/* A folder that gives way to a file takes its content along. */
	snprintf(command, sizeof(command), "rm -rf %s/%s", root, s->path);
	assert_int_equal(system(command), 0);
	if (s->target)
		assert_int_equal(fake_link(root, s->path, s->target), 0);
	else if (s->text && strcmp(s->path, "sys/class/iommu/dmar0") != 0)
		assert_int_equal(fake_file(root, s->path, s->text), 0);
}

static struct preflight plan(const struct inventory *v)
{
	return (struct preflight){ .inventory = v,
				   .device = { inventory_find(v, FAKE_NIC) },
				   .count = 1,
				   .request = { .mem_mib = 130, .node = -1 } };
}

static void test_healthy(void **state)
{
	struct inventory v = look(((struct scratch *)*state)->dir);
	struct preflight p = plan(&v);
	char text[PREFLIGHT_TEXT_BYTES];
	json_t *j;

	assert_int_equal(preflight_run(&p, NULL, text), PREFLIGHT_PASS);
	j = preflight_explain(&p);
	assert_string_equal(json_string_value(json_object_get(j, "chosen")), "qemu");
	json_decref(j);
	p.count = 0;
	p.needs = "a microVM has no such thing";
	j = preflight_explain(&p);
	assert_string_equal(json_string_value(json_object_get(j, "chosen")), "qemu");
	json_decref(j);
	p.needs = NULL;
	j = preflight_explain(&p);
	assert_string_equal(json_string_value(json_object_get(j, "chosen")), "wisp");
	json_decref(j);
	inventory_clear(&v);
}

/* Each fault is seen by its own row, and told with a remedy. */
static void test_checks(void **state)
{
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		const struct spoil *s = &spoils[i];
		const struct preflight_check *check = find_check(s->check);
		char text[PREFLIGHT_TEXT_BYTES] = "";
		enum preflight_verdict verdict;
		struct preflight p;
		struct inventory v;
		void *scratch;

		assert_int_equal(make_host(&scratch), 0);
		spoil(((struct scratch *)scratch)->dir, s);
		v = look(((struct scratch *)scratch)->dir);
		p = plan(&v);
		p.request = s->request;
		p.request.mem_mib = 130;
		p.request.node = s->request.node ? s->request.node : -1;
		if (strcmp(s->check, "numa") == 0)
			p.request.node = strcmp(s->text, "-1\n") == 0 ? -1 : 0;
		verdict = check->check(&p, text);
		if (verdict != s->verdict || !text[0])
			fail_msg("row %zu, %s: %d \"%s\"", i, s->check, (int)verdict, text);
		assert_true(verdict == PREFLIGHT_PASS || check->remedy[0]);
		inventory_clear(&v);
		scratch_remove(&scratch);
	}
	(void)state;
}

static void test_memlock(void **state)
{
	struct inventory v = look(((struct scratch *)*state)->dir);
	const struct preflight_check *first;
	struct preflight p = plan(&v);
	char text[PREFLIGHT_TEXT_BYTES];

	v.host.memlock_mib = 1153;
	assert_int_equal(preflight_run(&p, &first, text), PREFLIGHT_REFUSE);
	assert_string_equal(first->code, "memlock");
	assert_string_equal(text, "1154 MiB are to be locked, 1153 may be");
	v.host.memlock_mib = 1154;
	assert_int_equal(preflight_run(&p, &first, text), PREFLIGHT_PASS);
	inventory_clear(&v);
}

/* What cannot be told apart goes together. */
static void test_groups(void **state)
{
	const char *root = ((struct scratch *)*state)->dir;
	static const char both[][CHOOSE_TEXT_BYTES] = { "pci:network", "pci:nvme" };
	const struct preflight_check *first;
	char text[PREFLIGHT_TEXT_BYTES];
	struct preflight p;
	struct inventory v;
	struct error err;

	fake_link(root, FAKE_FOLDER(FAKE_NVME) "/iommu_group", "../1");
	fake_link(root, FAKE_FOLDER(FAKE_NVME) "/driver", "../../bus/pci/drivers/nvme");
	v = look(root);
	p = plan(&v);
	assert_int_equal(preflight_run(&p, &first, text), PREFLIGHT_REFUSE);
	assert_string_equal(first->code, "group");
	assert_string_equal(text, FAKE_NIC " shares group 1 with " FAKE_NVME
					   ", which the host drives by nvme");
	assert_int_equal(choose_devices(both, 2, NULL, NULL, &p, &err), 0);
	assert_int_equal(p.count, 2);
	assert_int_equal(preflight_run(&p, &first, text), PREFLIGHT_PASS);
	inventory_clear(&v);
}

/* --- the host's own use --- */

static const struct {
	const char *link, *target, *file, *text, *use;
} uses[] = {
	{ "sys/class/net/eth0", "../../devices/pci0000:00/" FAKE_NIC "/net/eth0",
	  "sys/class/net/eth0/flags", "0x1003\n", "eth0 is up" },
	{ "sys/class/net/eth0", "../../devices/pci0000:00/" FAKE_NIC "/net/eth0",
	  "sys/class/net/eth0/flags", "0x1002\n", "" },
	{ "sys/class/net/eth0", "../../devices/pci0000:00/" FAKE_NIC "/net/eth0",
	  "sys/class/net/eth0/upper_br0", "", "eth0 is part of another interface" },
	{ "sys/class/block/sda1", "../../devices/pci0000:00/" FAKE_NIC "/ata1/block/sda/sda1",
	  "sys/class/block/sda1/dev", "8:1\n", "sda1 is mounted" },
	{ "sys/class/block/sda1", "../../devices/pci0000:00/" FAKE_NIC "/ata1/block/sda/sda1",
	  "sys/class/block/sda1/dev", "8:11\n", "" },
	{ "sys/class/block/sda2", "../../devices/pci0000:00/" FAKE_NIC "/ata1/block/sda/sda2",
	  "sys/class/block/sda2/dev", "8:2\n", "sda2 is swap" },
	{ "sys/class/block/sdb", "../../devices/pci0000:00/" FAKE_NIC "/ata2/block/sdb",
	  "sys/class/block/sdb/holders/dm-0", "", "sdb is part of another disk" },
	{ "sys/bus/hid/devices/0003:1:2", "../../../devices/pci0000:00/" FAKE_NIC "/usb1/1-1/x",
	  "x", "", "an input device is connected to it" },
	/* The function behind a bridge, not the bridge. */
	{ "sys/class/net/eth1", "../../devices/pci0000:00/" FAKE_NVME "/" FAKE_NIC "/net/eth1",
	  "sys/class/net/eth1/flags", "0x1\n", "eth1 is up" },
};

static void test_uses(void **state)
{
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		char folder[PATH_MAX];
		struct inventory v;
		const char *root;
		void *scratch;

		assert_int_equal(make_host(&scratch), 0);
		root = ((struct scratch *)scratch)->dir;
		/* A link to the folder, and the folder. */
		snprintf(folder, sizeof(folder), "%.*s/%s/x",
			 (int)(strrchr(uses[i].link, '/') - uses[i].link), uses[i].link,
			 uses[i].target);
		assert_int_equal(fake_file(root, "sys/devices/pci0000:00/x", ""), 0);
		assert_int_equal(fake_file(root, folder, ""), 0);
		assert_int_equal(fake_link(root, uses[i].link, uses[i].target), 0);
		assert_int_equal(fake_file(root, uses[i].file, uses[i].text), 0);
		v = look(root);
		if (strcmp(inventory_find(&v, FAKE_NIC)->use, uses[i].use) != 0)
			fail_msg("row %zu: \"%s\"", i, inventory_find(&v, FAKE_NIC)->use);
		inventory_clear(&v);
		scratch_remove(&scratch);
	}
	(void)state;
}

/* A disk of many controllers is none's below it. */
static void test_nvme_subsystem(void **state)
{
	const char *root = ((struct scratch *)*state)->dir;
	struct inventory v;

	fake_file(root, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/dev", "8:1\n");
	fake_link(root, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0",
		  "../../../pci0000:00/" FAKE_NVME "/nvme/nvme0");
	fake_link(root, "sys/class/block/nvme0n1",
		  "../../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
	v = look(root);
	assert_string_equal(inventory_find(&v, FAKE_NVME)->use, "nvme0n1 is mounted");
	assert_string_equal(inventory_find(&v, FAKE_NIC)->use, "");
	inventory_clear(&v);
}

/* --- choosing --- */

static bool is_nic(void *ctx, const struct pci_function *f)
{
	(void)ctx;
	return strcmp(f->address, FAKE_NIC) == 0;
}

static void test_choice(void **state)
{
	static const char network[][CHOOSE_TEXT_BYTES] = { "pci:network" };
	static const char pair[][CHOOSE_TEXT_BYTES] = { "pci:network", "pci:network" };
	const char *root = ((struct scratch *)*state)->dir;
	struct preflight p;
	struct inventory v;
	struct error err;

	fake_function(root, "0000:00:05.0", "0x020000\n", 5);
	fake_link(root, FAKE_FOLDER("0000:00:05.0") "/physfn", "../" FAKE_NIC);
	v = look(root);
	p = plan(&v);
	assert_int_equal(choose_devices(network, 1, NULL, NULL, &p, &err), 0);
	assert_string_equal(p.device[0]->address, "0000:00:05.0");
	assert_int_equal(choose_devices(pair, 2, NULL, NULL, &p, &err), 0);
	assert_string_equal(p.device[1]->address, FAKE_NIC);
	assert_int_equal(choose_devices(pair, 2, is_nic, NULL, &p, &err), -EBUSY);
	inventory_clear(&v);
}

/* --- interrupts --- */

#define INTERRUPTS                                                                         \
	"            CPU0       CPU1\n"                                                    \
	"  8:          0          0  IO-APIC   8-edge  rtc0\n"                             \
	" 25:          0          3  IR-PCI-MSI 65536-edge  eth0\n"                        \
	" 45:          1          0  IR-PCI-MSI 65537-edge  vfio-msix[0](" FAKE_NIC ")\n"  \
	" 46:          1          0  IR-PCI-MSI 65538-edge  vfio-msix[0](" FAKE_NVME ")\n" \
	" 47:          1          0  IR-PCI-MSI 65539-edge  vfio-msix[1](" FAKE_NIC ")\n"  \
	"NMI:          0          0  Non-maskable interrupts\n"

static void expect_text(const char *root, const char *path, const char *wanted)
{
	char name[512], text[32] = "";
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", root, path);
	f = fopen(name, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, wanted);
}

static void test_steering(void **state)
{
	const char *root = ((struct scratch *)*state)->dir;
	json_t *j;

	fake_file(root, "proc/interrupts", INTERRUPTS);
	fake_file(root, FAKE_FOLDER(FAKE_NIC) "/local_cpulist", "2-3\n");
	fake_file(root, "proc/irq/25/smp_affinity_list", "0-3\n");
	fake_file(root, "proc/irq/45/smp_affinity_list", "0-3\n");
	fake_file(root, "proc/irq/46/smp_affinity_list", "0-3\n");
	fake_file(root, "proc/irq/47/smp_affinity_list", "2-3\n");
	assert_int_equal(steer_interrupts(root, FAKE_NIC, ""), 1);
	expect_text(root, "proc/irq/25/smp_affinity_list", "0-3\n");
	expect_text(root, "proc/irq/45/smp_affinity_list", "2-3\n");
	expect_text(root, "proc/irq/46/smp_affinity_list", "0-3\n");
	assert_int_equal(steer_interrupts(root, "0000:00:1f.0", ""), 0);
	/* To the guest's own, where it has some. */
	assert_int_equal(steer_interrupts(root, FAKE_NIC, "1,3"), 2);
	expect_text(root, "proc/irq/47/smp_affinity_list", "1,3\n");
	j = steer_describe(root, FAKE_NIC);
	assert_int_equal(json_array_size(j), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "cpus")),
			    "1,3");
	json_decref(j);
}

/* --- faults --- */

static const struct {
	const char *record, *address; /* NULL: no fault */
} records[] = {
	{ "3,712,5140900,-;DMAR: [DMA Read NO_PASID] Request device [00:08.0] fault addr 0x7ff00000 "
	  "[fault reason 0x06] PTE Read access is not set\n",
	  "0000:00:08.0" },
	{ "3,1,1,-;vfio-pci 0001:01:00.1: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000e "
	  "address=0xd0000000 flags=0x0000]\n SUBSYSTEM=pci\n",
	  "0001:01:00.1" },
	{ "5,900,77,-;vfio-pci 0000:00:04.0: Relaying device request to user (#0)\n SUBSYSTEM=pci\n",
	  "0000:00:04.0" },
	{ "12,900,77,-;vfio-pci 0000:00:04.0: Relaying device request to user (#0)\n", NULL },
	{ "3,1,1,-;AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:c1:1f.7 domain=0x0000 "
	  "address=0x0 flags=0x0]\n",
	  "0000:c1:1f.7" },
	/* A program's, though it says the same. */
	{ "12,1,1,-;DMAR: [DMA Read] Request device [00:08.0] fault addr 0\n", NULL },
	{ "3,1,1,-;DMAR: [DMA Read] Request device [00:0\n", NULL },
	{ "3,1,1,-;DMAR: IOMMU enabled\n", NULL },
	{ "DMAR: [DMA Read] Request device [00:08.0]", NULL },
	{ ",;DMAR: Request device [00:08.0]", NULL },
	{ "", NULL },
};

static void test_faults(void **state)
{
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		bool found = fault_parse(records[i].record, &f);

		if (found != (records[i].address != NULL))
			fail_msg("record %zu", i);
		if (found)
			assert_string_equal(f.address, records[i].address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steering, make_host, scratch_remove),
		cmocka_unit_test(test_faults),
		cmocka_unit_test_setup_teardown(test_functions, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_odd_hosts, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_selectors, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_healthy, make_host, scratch_remove),
		cmocka_unit_test(test_checks),
		cmocka_unit_test_setup_teardown(test_memlock, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_groups, make_host, scratch_remove),
		cmocka_unit_test(test_uses),
		cmocka_unit_test_setup_teardown(test_nvme_subsystem, make_host, scratch_remove),
		cmocka_unit_test_setup_teardown(test_choice, make_host, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
