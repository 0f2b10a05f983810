/* test_boot.c - real kernels, from the first instruction to power-off.
 *
 * Each test boots a kernel under wisp as a user would and talks to it over its
 * serial console. Needs a KVM that runs guest kernels at hardware speed: where
 * the machine has none, CTest runs this program inside the test host.
 *
 *   test_boot [CASE]    only the named case
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 240, SKIPPED = 77 };

#define CONSOLE "console=ttyS0 reboot=k panic=-1 "

static struct session *boot(const struct fixture_config *c)
{
	const char *const argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--config-file",
		fixture_config("boot.json", c),
		"--debug-exit-port",
		"0xf4",
		"--boot-timer",
		"--report",
		fixture_path("report.json"),
		NULL,
	};

	return session_start(argv);
}

static void expect_end(struct session *s, int status)
{
	int got = session_wait(s, LIMIT_S);

	if (got != status)
		fail_msg("ended with %d, not %d:\n%s", got, status, session_output(s));
	session_end(s);
}

/* The command's exit status comes back as wisp's. */
static void test_minimal(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = CONSOLE "quiet wisp.boot_timer wisp.exit_port=0xf4 -- "
				     "grep -c ^processor /proc/cpuinfo; uname -r; exit 42",
		.vcpus = 2,
		.mem_mib = 128,
	};
	struct session *s = boot(&c);

	(void)state;
	session_expect(s, "2", LIMIT_S);
	session_expect(s, "6.1", LIMIT_S);
	expect_end(s, 42);
}

/* Every device of the step, in a kernel that finds them on its command line. */
static void test_minimal_devices(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = CONSOLE "quiet wisp.exit_port=0xf4 -- "
				     "dd if=/dev/vda bs=8 count=1 2>/dev/null; echo; "
				     "cat /sys/block/vda/ro; cat /sys/block/vda/serial; echo; "
				     "cat /sys/class/misc/hw_random/rng_current; "
				     "head -c 64 /dev/hwrng | wc -c",
		.mem_mib = 64,
		.disk = fixture_disk("ro.raw", "WISPDISK", 1024 * 1024),
		.disk_read_only = true,
		.disk_not_root = true,
		.extra = ", \"entropy\": {}",
	};
	struct session *s = boot(&c);

	(void)state;
	session_expect(s, "WISPDISK", LIMIT_S);
	session_expect(s, "1", LIMIT_S);
	session_expect(s, "disk", LIMIT_S);
	session_expect(s, "virtio_rng", LIMIT_S);
	session_expect(s, "64", LIMIT_S);
	expect_end(s, 0);
}

/* The compressed form of the same kernel, by the 64-bit entry. */
static void test_bzimage(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("bzImage-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = CONSOLE "quiet wisp.exit_port=0xf4 -- echo bzimage-$((40+2)); exit 3",
	};
	struct session *s;

	(void)state;
	c.mem_mib = 128;
	s = boot(&c);
	session_expect(s, "bzimage-42", LIMIT_S);
	expect_end(s, 3);
}

/* RAM on both sides of the gap, all of it usable. */
static void test_large_memory(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = CONSOLE "quiet wisp.exit_port=0xf4 -- "
				     "[ $(sed -n 's/MemTotal: *\\\\([0-9]*\\\\) kB/\\\\1/p' "
				     "/proc/meminfo) -gt 3900000 ]",
		.mem_mib = 4096,
	};

	(void)state;
	expect_end(boot(&c), 0);
}

static void boot_stock_kernel(const char *kernel, const char *initrd, const char *release)
{
	struct fixture_config c = {
		.kernel = fixture_need_image(kernel),
		.initrd = fixture_need_image(initrd),
		.boot_args = CONSOLE "quiet -- uname -r; "
				     "grep -c ^processor /proc/cpuinfo | sed s/^/cpus-/; "
				     "ls /sys/bus/virtio/devices | wc -l | sed s/^/virtio-/",
		.vcpus = 2,
		.mem_mib = 256,
		.disk = fixture_disk("stock.raw", "WISPDISK", 1024 * 1024),
		.disk_not_root = true,
		.extra = ", \"entropy\": {}",
	};
	struct session *s = boot(&c);

	session_expect(s, release, LIMIT_S);
	session_expect(s, "cpus-2", LIMIT_S);
	session_expect(s, "virtio-2", LIMIT_S);
	expect_end(s, 0);
}

/* Distribution kernels know wisp's devices by ACPI alone, and power off by it. */
static void test_cloud_kernel(void **state)
{
	(void)state;
	boot_stock_kernel("vmlinuz-cloud", "initrd-cloud", "6.1.");
}

static void test_kernel_6_12(void **state)
{
	(void)state;
	boot_stock_kernel("vmlinuz-6.12", "initrd-6.12", "6.12.");
}

/* The guest's driver has taken the generation ID, and both pages are where the tables
 * say: reserved, an ID that is not zeros, a clock. */
static void test_generation(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-stock"),
		.initrd = fixture_need_image("initrd-stock"),
		.boot_args = CONSOLE "quiet",
		.mem_mib = 256,
	};
	struct session *s = boot(&c);

	(void)state;
	session_expect(s, "# ", LIMIT_S);
	session_send(s, "stty -echo; ls /sys/bus/acpi/drivers/vmgenid\n");
	session_expect(s, "WISP0001:00", LIMIT_S);
	session_send(s, "grep -A1 '9d000-.*Reserved' /proc/iomem\n");
	session_expect(s, "0009e000-0009efff : AMZNC10C:00", LIMIT_S);
	session_send(s, "dd if=/dev/mem bs=4096 skip=157 count=2 of=/pages 2>/dev/null\n");
	session_send(s, "head -c 16 /pages | tr -d '\\000' | wc -c | sed s/^/id-bytes-/\n");
	session_expect(s, "id-bytes-1", LIMIT_S);
	session_send(s, "dd if=/pages bs=4096 skip=1 2>/dev/null | head -c 4; exit\n");
	session_expect(s, "VCLK", LIMIT_S);
	expect_end(s, 0);
}

/* A stock kernel reboots by each of its ways, finds its disk as it left it, and powers
 * off in the end. */
static void test_reboot(void **state)
{
	static const char *const ways[] = { "kbd", "acpi", "triple" };
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = CONSOLE "quiet",
		.mem_mib = 256,
		.disk = fixture_disk("reboot.raw", "none", 1024 * 1024),
		.disk_not_root = true,
	};
	const char *const argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--config-file",
		fixture_config("boot.json", &c),
		"--on-reboot",
		"restart",
		NULL,
	};
	struct session *s = session_start(argv);
	const char *before = "none";
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		session_expect(s, "# ", LIMIT_S);
		session_send(s, "stty -echo; head -c 4 /dev/vda | sed s/^/disk-/\n");
		snprintf(line, sizeof(line), "disk-%.4s", before);
		session_expect(s, line, LIMIT_S);
		session_expect(s, "# ", LIMIT_S);
		snprintf(line, sizeof(line),
			 "echo %s >/sys/kernel/reboot/type; echo %s.. >/dev/vda; sync; reboot -f\n",
			 ways[i], ways[i]);
		session_send(s, line);
		before = i == 0 ? "kbd." : ways[i];
	}
	session_expect(s, "# ", LIMIT_S);
	session_send(s, "poweroff -f\n");
	expect_end(s, 0);
}

/* Boots the stock kernel with this command and an API; presses once it is armed. */
static struct session *boot_and_press(const char *command, const char *action)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = command,
		.mem_mib = 256,
	};
	const char *socket = fixture_path("api.sock");
	const char *const argv[] = {
		fixture_program("wisp"),	 "--api-sock", socket, "--config-file",
		fixture_config("boot.json", &c), NULL,
	};
	struct session *s = session_start(argv);
	struct api_reply reply;
	char body[64];

	session_expect(s, "armed", LIMIT_S);
	snprintf(body, sizeof(body), "{\"action_type\": \"%s\"}", action);
	api_call(socket, "PUT", "/actions", body, &reply);
	assert_int_equal(reply.status, 204);
	return s;
}

/* The button reaches the guest's ACPI event device. */
static void test_power_button(void **state)
{
	struct session *s = boot_and_press(
		CONSOLE "quiet -- echo armed; until grep ACPI:Ged /proc/interrupts | "
			"grep -q ' [1-9][0-9]* '; do sleep 0.1; done; echo pressed",
		"PowerButton");

	(void)state;
	session_expect(s, "pressed", LIMIT_S);
	expect_end(s, 0);
}

/* The keys reach the guest's keyboard driver, and the kernel resets. */
static void test_ctrl_alt_del(void **state)
{
	(void)state;
	expect_end(boot_and_press(CONSOLE "quiet -- echo armed; sleep 1000", "SendCtrlAltDel"), 0);
}

/* A copy of the kernel whose PVH note nobody recognises: "Xen" is misspelt. */
static const char *without_pvh(const char *kernel)
{
	static const char note[] = "\x04\0\0\0\x08\0\0\0\x12\0\0\0Xen";
	const char *path = fixture_path("vmlinux-no-pvh");
	FILE *f = fopen(kernel, "re");
	char *bytes, *at;
	long len;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	len = ftell(f);
	rewind(f);
	bytes = malloc((size_t)len);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)len, f), len);
	fclose(f);
	at = memmem(bytes, (size_t)len, note, sizeof(note));
	assert_non_null(at);
	at[sizeof(note) - 2] = 'x';
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, (size_t)len, f), len);
	assert_int_equal(fclose(f), 0);
	free(bytes);
	return path;
}

/* An ELF kernel without the note starts at its 64-bit entry. */
static void test_elf64(void **state)
{
	struct fixture_config c = {
		.kernel = without_pvh(fixture_need_image("vmlinux-minimal")),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = CONSOLE "quiet wisp.exit_port=0xf4 -- exit 9",
		.mem_mib = 128,
	};

	(void)state;
	expect_end(boot(&c), 9);
}

/* What the guest's scheduler makes of 4 vCPUs with two threads a core. */
static void test_topology(void **state)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = CONSOLE "quiet wisp.exit_port=0xf4 -- "
				     "cd /sys/devices/system/cpu; cat online; for i in 0 1 2 3; do "
				     "cat cpu$i/topology/thread_siblings_list "
				     "cpu$i/topology/package_cpus_list; done | xargs",
		.vcpus = 4,
		.mem_mib = 128,
		.machine_extra = ", \"smt\": true",
	};
	struct session *s = boot(&c);

	(void)state;
	session_expect(s, "0-3", LIMIT_S);
	session_expect(s, "0-1 0-3 0-1 0-3 2-3 0-3 2-3 0-3", LIMIT_S);
	expect_end(s, 0);
}

static void reserve_huge_pages(unsigned pages)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "we");

	if (!f) {
		print_message("cannot reserve huge pages here\n");
		skip();
	}
	fprintf(f, "%u", pages);
	fclose(f);
}

/* RAM from hugetlbfs and from transparent huge pages. */
static void test_huge_pages(void **state)
{
	static const char *const kinds[] = { "2M", "Transparent" };

	(void)state;
	reserve_huge_pages(64);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char extra[64];
		struct fixture_config c = {
			.kernel = fixture_need_image("vmlinux-minimal"),
			.initrd = fixture_need_image("initramfs.cpio"),
			.boot_args = CONSOLE "quiet wisp.exit_port=0xf4 -- exit 4",
			.mem_mib = 128,
			.machine_extra = extra,
		};

		snprintf(extra, sizeof(extra), ", \"huge_pages\": \"%s\"", kinds[i]);
		expect_end(boot(&c), 4);
	}
	reserve_huge_pages(0);
}

static void copy_disk(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp --sparse=always --reflink=auto %s %s", from, to);
	assert_int_equal(system(command), 0);
}

static long long allocated_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long long)st.st_blocks * 512;
}

/* A whole distribution: login on the console, fio's verify from both processors, a
 * trim that the host's file shrinks by, power-off. test_pci_guests.c has the same with the
 * disk's other engine. */
static void test_debian(void **state)
{
	enum { WRITTEN = 2 * 8 * 1024 * 1024 };

	const char *disk = fixture_path("debian.ext4");
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = CONSOLE "quiet",
		.vcpus = 2,
		.mem_mib = 512,
		.disk = disk,
	};
	struct session *s;
	long long before;

	(void)state;
	copy_disk(fixture_need_image("debian.ext4"), disk);
	s = boot(&c);
	session_expect(s, "login:", LIMIT_S);
	session_send(s, "root\n");
	session_expect(s, "# ", LIMIT_S);
	session_send(s, "stty -echo; nproc | sed s/^/cpus-/\n");
	session_expect(s, "cpus-2", LIMIT_S);
	session_send(s, "fio --name=check --directory=/root --numjobs=2 --size=8m --bs=4k "
			"--rw=randrw --ioengine=psync --fsync=64 --verify=crc32c --do_verify=1 "
			"--verify_fatal=1 --minimal >/tmp/fio; echo fio-$?\n");
	session_expect(s, "fio-0", LIMIT_S);
	session_send(s, "sync; echo synced-$?\n");
	session_expect(s, "synced-0", LIMIT_S);
	before = allocated_bytes(disk);
	session_send(s, "rm /root/check*; sync; fstrim /; echo trim-$?\n");
	session_expect(s, "trim-0", LIMIT_S);
	assert_true(allocated_bytes(disk) < before - WRITTEN / 4);
	session_send(s, "poweroff\n");
	expect_end(s, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minimal),	     cmocka_unit_test(test_minimal_devices),
		cmocka_unit_test(test_bzimage),	     cmocka_unit_test(test_large_memory),
		cmocka_unit_test(test_cloud_kernel), cmocka_unit_test(test_kernel_6_12),
		cmocka_unit_test(test_power_button), cmocka_unit_test(test_ctrl_alt_del),
		cmocka_unit_test(test_elf64),	     cmocka_unit_test(test_topology),
		cmocka_unit_test(test_huge_pages),   cmocka_unit_test(test_debian),
		cmocka_unit_test(test_generation),   cmocka_unit_test(test_reboot),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
