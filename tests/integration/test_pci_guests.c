/* test_pci_guests.c - real guests whose devices are on PCI: all of a boot, a vector for each
 * queue, and disks that come and go while the guest runs.
 *
 * The guest prints what it sees, or waits for it; nobody in it rescans a bus. Runs
 * where test_boot runs.
 *
 *   test_pci_guests [CASE]    only the named case
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <sched.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"
#include "vmm/base/clock.h"

enum {
	LIMIT_S = 240,
	SKIPPED = 77,
	RETRY_US = 50000,
	SCRIPT_BYTES = 8192,
	DISK_BYTES = 32 * 1024 * 1024,
	SECOND = 7, /* how often the second disk comes and goes */
};

#define RESUME	", \"resume_vm\": true"
#define SERVED	"{\"iface_id\": \"eth0\", \"host_dev_name\": \"wtap0\"}"
#define CONSOLE "console=ttyS0 reboot=k panic=-1 quiet "

struct guest {
	struct session *wisp;
	const char *socket;
};

static struct guest boot(const struct fixture_config *c)
{
	struct guest g = { .socket = fixture_path("pci.sock") };
	const char *const argv[] = {
		fixture_program("wisp"),
		"--enable-pci",
		"--api-sock",
		g.socket,
		"--config-file",
		fixture_config("pci.json", c),
		NULL,
	};

	g.wisp = session_start(argv);
	return g;
}

/* A stock kernel that runs a script: its first disk is the script. */
static struct guest boot_script(const char *kernel, const char *initrd, const char *script,
				const char *extra)
{
	struct fixture_config c = {
		.kernel = fixture_need_image(kernel),
		.initrd = fixture_need_image(initrd),
		.boot_args = CONSOLE "-- sh /dev/vda",
		.disk = fixture_disk("script", script, SCRIPT_BYTES),
		.disk_not_root = true,
		.disk_read_only = true,
		.vcpus = 2,
		.mem_mib = 256,
		.extra = extra,
	};

	return boot(&c);
}

static void expect_end(struct guest *g)
{
	int got = session_wait(g->wisp, LIMIT_S);

	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(g->wisp));
	session_end(g->wisp);
}

static int call(const struct guest *g, const char *method, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(g->socket, method, path, body, &reply);
	return reply.status;
}

/* --- what a guest finds --- */

/* Counts of an interrupt, of both processors together. */
#define COUNT                                                                   \
	"count() { awk -v n=$1 '$NF == n { s = $2 + $3 } END { print s + 0 }' " \
	"/proc/interrupts; }\n"

/* Each processor's requests go by its own queue and end by its own vector. A device that
 * the guest gives up on its own is gone. */
static void find_devices(const char *kernel, const char *initrd)
{
	struct guest g = boot_script(
		kernel, initrd,
		COUNT "for i in 0 1; do taskset $((1 << i)) dd if=/dev/vda of=/dev/null bs=4k "
		      "count=1 iflag=direct 2>/dev/null; done\n"
		      "head -c 16 /dev/hwrng >/dev/null\n"
		      "grep -c 'PCI-MSI' /proc/interrupts | sed s/^/vectors-/\n"
		      "for n in virtio0-req.0 virtio0-req.1 virtio1-input; do\n"
		      "[ $(count $n) -gt 0 ] && echo $n-came; done\n"
		      "cat /sys/bus/pci/devices/0000:00:0[0-9]*/vendor | xargs | sed s/^/ids-/\n"
		      "echo 0 >/sys/bus/pci/slots/2/power\n"
		      "ls /sys/bus/pci/devices | xargs | sed s/^/left-/\n"
		      "exit\n",
		", \"entropy\": {}");

	/* Configuration and two queues of the disk, configuration and one queue. */
	session_expect(g.wisp, "vectors-5", LIMIT_S);
	session_expect(g.wisp, "virtio0-req.0-came", LIMIT_S);
	session_expect(g.wisp, "virtio0-req.1-came", LIMIT_S);
	session_expect(g.wisp, "virtio1-input-came", LIMIT_S);
	session_expect(g.wisp, "ids-0x8086 0x1af4 0x1af4", LIMIT_S);
	session_expect(g.wisp, "the guest let go of rng \"entropy\"", LIMIT_S);
	session_expect(g.wisp, "left-0000:00:00.0 0000:00:01.0\r\n", LIMIT_S);
	expect_end(&g);
}

static void test_cloud_kernel(void **state)
{
	(void)state;
	find_devices("vmlinuz-cloud", "initrd-cloud");
}

static void test_kernel_6_12(void **state)
{
	(void)state;
	find_devices("vmlinuz-6.12", "initrd-6.12");
}

static long long allocated_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long long)st.st_blocks * 512;
}

/* A distribution on its root disk, which both processors write to and verify, and trim. */
static void test_debian(void **state)
{
	enum { WRITTEN = 2 * 4 * 1024 * 1024 };

	const char *disk = fixture_path("debian.ext4");
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = CONSOLE,
		.vcpus = 2,
		.mem_mib = 512,
		.disk = disk,
		.disk_async = true,
	};
	char command[1024];
	long long before;
	struct guest g;

	(void)state;
	snprintf(command, sizeof(command), "cp --sparse=always --reflink=auto %s %s",
		 fixture_need_image("debian.ext4"), disk);
	assert_int_equal(system(command), 0);
	g = boot(&c);
	session_expect(g.wisp, "login:", LIMIT_S);
	session_send(g.wisp, "root\n");
	session_expect(g.wisp, "# ", LIMIT_S);
	session_send(g.wisp, "stty -echo; findmnt -no SOURCE / | sed s/^/root-/\n");
	session_expect(g.wisp, "root-/dev/vda", LIMIT_S);
	session_send(g.wisp, "fio --name=check --directory=/root --numjobs=2 --size=4m --bs=4k "
			     "--rw=randrw --ioengine=psync --fsync=64 --verify=crc32c "
			     "--do_verify=1 --verify_fatal=1 --minimal >/tmp/fio; echo fio-$?\n");
	session_expect(g.wisp, "fio-0", LIMIT_S);
	session_send(g.wisp, "sync; echo synced-$?\n");
	session_expect(g.wisp, "synced-0", LIMIT_S);
	before = allocated_bytes(disk);
	session_send(g.wisp, "rm /root/check*; sync; fstrim /; echo trim-$?\n");
	session_expect(g.wisp, "trim-0", LIMIT_S);
	assert_true(allocated_bytes(disk) < before - WRITTEN / 4);
	session_send(g.wisp, "poweroff\n");
	expect_end(&g);
}

/* --- coming and going --- */

static int plug(const struct guest *g, const char *id, const char *path)
{
	char where[64], body[512];

	snprintf(where, sizeof(where), "/drives/%s", id);
	snprintf(body, sizeof(body),
		 "{\"drive_id\": \"%s\", \"path_on_host\": \"%s\", \"is_root_device\": false, "
		 "\"is_read_only\": false}",
		 id, path);
	return call(g, "PUT", where, body);
}

static int plug_pmem(const struct guest *g, const char *id, const char *path)
{
	char where[64], body[512];

	snprintf(where, sizeof(where), "/pmem/%s", id);
	snprintf(body, sizeof(body), "{\"id\": \"%s\", \"path_on_host\": \"%s\"}", id, path);
	return call(g, "PUT", where, body);
}

/* field: of the id. */
static bool is_configured(const struct guest *g, const char *field, const char *id)
{
	struct api_reply reply;
	char text[64];

	api_call(g->socket, "GET", "/vm/config", NULL, &reply);
	assert_int_equal(reply.status, 200);
	snprintf(text, sizeof(text), "\"%s\":\"%s\"", field, id);
	return strstr(reply.body, text);
}

/* Until the guest has let go. */
static void wait_until_gone(const struct guest *g, const char *field, const char *id)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;

	while (is_configured(g, field, id)) {
		if (clock_now_us() > deadline_us)
			fail_msg("the guest keeps %s:\n%s", id, session_output(g->wisp));
		usleep(RETRY_US);
	}
}

/* A node is there a moment before its device can be opened. */
#define READABLE "readable() { head -c 1 $1 >/dev/null 2>&1; }\n"

/* A file system is made on a disk that came; what was written is there when the disk
 * comes again, under another name. A second one comes and goes many times. */
static void come_and_go(const char *kernel, const char *initrd)
{
	const char *first = fixture_disk("first.raw", "", DISK_BYTES);
	const char *second = fixture_disk("second.raw", "SECOND", DISK_BYTES);
	struct guest g =
		boot_script(kernel, initrd,
			    READABLE "there() { until readable /dev/$1; do sleep 0.1; done; }\n"
				     "gone() { while [ -b /dev/$1 ]; do sleep 0.1; done; }\n"
				     "mkdir -p /mnt; echo armed; there vdb\n"
				     "mke2fs /dev/vdb >/dev/null && mount -t ext4 /dev/vdb /mnt\n"
				     "seq 100000 >/mnt/numbers; umount /mnt; echo written\n"
				     "gone vdb; echo first-gone; there vdb\n"
				     "mount -t ext4 /dev/vdb /mnt\n"
				     "seq 100000 | cmp - /mnt/numbers && echo read-back\n"
				     "umount /mnt\n"
				     "for i in 1 2 3 4 5 6 7; do there vdc; head -c 6 /dev/vdc\n"
				     "echo -$i; gone vdc; echo gone-$i; done; exit\n",
			    "");

	session_expect(g.wisp, "armed", LIMIT_S);
	assert_int_equal(plug(&g, "first", first), 204);
	assert_int_equal(plug(&g, "first", first), 400);
	session_expect(g.wisp, "written", LIMIT_S);
	assert_int_equal(call(&g, "DELETE", "/drives/first", NULL), 204);
	session_expect(g.wisp, "first-gone", LIMIT_S);
	wait_until_gone(&g, "drive_id", "first");
	assert_int_equal(call(&g, "DELETE", "/drives/first", NULL), 400);
	assert_int_equal(plug(&g, "again", first), 204);
	session_expect(g.wisp, "read-back", LIMIT_S);
	for (int i = 1; i <= SECOND; i++) {
		char text[16];

		snprintf(text, sizeof(text), "SECOND-%d", i);
		assert_int_equal(plug(&g, "second", second), 204);
		session_expect(g.wisp, text, LIMIT_S);
		assert_int_equal(call(&g, "DELETE", "/drives/second", NULL), 204);
		snprintf(text, sizeof(text), "gone-%d", i);
		session_expect(g.wisp, text, LIMIT_S);
		wait_until_gone(&g, "drive_id", "second");
	}
	expect_end(&g);
}

static void test_hotplug(void **state)
{
	(void)state;
	come_and_go("vmlinuz-cloud", "initrd-cloud");
}

static void test_hotplug_6_12(void **state)
{
	(void)state;
	come_and_go("vmlinuz-6.12", "initrd-6.12");
}

/* An interface comes, carries packets to the test's own network, and goes. */
static void test_hotplug_net(void **state)
{
	struct guest g;

	(void)state;
	if (unshare(CLONE_NEWNET) != 0) {
		print_message("no network namespace without being root\n");
		skip();
	}
	assert_int_equal(system("ip tuntap add wtap0 mode tap && "
				"ip address add 10.0.0.1/24 dev wtap0 && ip link set wtap0 up"),
			 0);
	g = boot_script("vmlinuz-cloud", "initrd-cloud",
			"echo armed; until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done\n"
			"ip address add 10.0.0.2/24 dev eth0; ip link set eth0 up\n"
			"ping -q -c 20 -A -w 60 10.0.0.1 && echo reached\n"
			"while [ -e /sys/class/net/eth0 ]; do sleep 0.1; done; exit\n",
			"");
	session_expect(g.wisp, "armed", LIMIT_S);
	assert_int_equal(call(&g, "PUT", "/network-interfaces/eth0",
			      "{\"iface_id\": \"eth0\", \"host_dev_name\": \"wtap0\"}"),
			 204);
	session_expect(g.wisp, "reached", LIMIT_S);
	assert_int_equal(call(&g, "DELETE", "/network-interfaces/eth0", NULL), 204);
	expect_end(&g);
}

/* An interface with the metadata service goes, and has it again when it comes back. */
static void test_hotplug_service(void **state)
{
	struct guest g;

	(void)state;
	if (unshare(CLONE_NEWNET) != 0) {
		print_message("no network namespace without being root\n");
		skip();
	}
	assert_int_equal(system("ip tuntap add wtap0 mode tap && ip link set wtap0 up"), 0);
	g = boot_script("vmlinuz-cloud", "initrd-cloud",
			"fetch() { until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done\n"
			"ip address add 10.0.0.2/24 dev eth0; ip link set eth0 up\n"
			"ip route add 169.254.169.254 dev eth0\n"
			"until wget -q -O - http://169.254.169.254/a; do sleep 0.1; done; }\n"
			"fetch; while [ -e /sys/class/net/eth0 ]; do sleep 0.1; done\n"
			"fetch; exit\n",
			", \"network-interfaces\": [" SERVED "], "
			"\"mmds-config\": {\"network_interfaces\": [\"eth0\"]}");
	api_wait(g.socket, LIMIT_S);
	assert_int_equal(call(&g, "PUT", "/mmds", "{\"a\": \"told once\"}"), 204);
	session_expect(g.wisp, "told once", LIMIT_S);
	assert_int_equal(call(&g, "DELETE", "/network-interfaces/eth0", NULL), 204);
	wait_until_gone(&g, "iface_id", "eth0");
	assert_int_equal(call(&g, "PUT", "/mmds", "{\"a\": \"told again\"}"), 204);
	assert_int_equal(call(&g, "PUT", "/network-interfaces/eth0", SERVED), 204);
	session_expect(g.wisp, "told again", LIMIT_S);
	expect_end(&g);
}

static const char *const plain[] = { NULL };
static const char *const blank[] = {
	"--blank", "--blank-vcpus", "2", "--blank-mem-mib", "256", NULL
};

/* In place of m, which was saved: another process, and the guest in it reads the file. */
static void go_on(struct machine *m, const char *const *options, const char *body)
{
	saved_kill(m);
	*m = saved_start_with("pci.sock", options);
	saved_call(m, "PUT", "/snapshot/load", body);
	session_send(m->wisp, "compare\n");
	session_expect(m->wisp, "the same", LIMIT_S);
}

/* Memory that came while the guest ran, behind some that has gone, and behind blocks that
 * the configuration has last: in each way to be saved and to be loaded it is where the guest
 * has mapped it. Returns who brings the last one's memory. */
static struct session *save_and_go_on(struct guest *g)
{
	struct machine m = { .wisp = g->wisp };
	struct session *pager;
	struct api_reply reply;

	snprintf(m.socket, sizeof(m.socket), "%s", g->socket);
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	go_on(&m, plain, saved_load_body("state", "memory", RESUME));
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Diff");
	go_on(&m, blank, saved_load_body("state", "memory", RESUME));
	saved_pause(&m);
	api_call(m.socket, "PUT", "/snapshot/create",
		 saved_create_body("state", "memory", ", \"live\": true"), &reply);
	assert_int_equal(reply.status, 200);
	pager = saved_pager("memory");
	go_on(&m, plain, saved_served_body("state", RESUME));
	g->wisp = m.wisp;
	return pager;
}

/* The same of a file as memory: what was stored through its mapping is there when it
 * comes again. */
static void test_hotplug_pmem(void **state)
{
	const char *file = fixture_disk("pmem.raw", "", DISK_BYTES);
	struct guest g =
		boot_script("vmlinuz-cloud", "initrd-cloud",
			    READABLE "there() { until readable /dev/pmem*; do sleep 0.1; done; }\n"
				     "gone() { while [ -b /dev/pmem* ]; do sleep 0.1; done; }\n"
				     "mkdir -p /mnt; echo armed; there\n"
				     "mke2fs -b 4096 /dev/pmem* >/dev/null\n"
				     "mount -t ext4 -o dax=always /dev/pmem* /mnt\n"
				     "seq 100000 >/mnt/numbers; umount /mnt; echo written\n"
				     "gone; echo first-gone; there\n"
				     "mount -t ext4 -o dax=always /dev/pmem* /mnt\n"
				     "seq 100000 | cmp - /mnt/numbers && echo read-back\n"
				     "while read -r word && [ $word = compare ]; do\n"
				     "seq 100000 | cmp - /mnt/numbers && echo the same; done\n"
				     "umount /mnt; exit\n",
			    ", \"memory-hotplug\": {\"total_size_mib\": 128}");
	struct session *pager;

	(void)state;
	session_expect(g.wisp, "armed", LIMIT_S);
	assert_int_equal(plug_pmem(&g, "first", file), 204);
	assert_int_equal(plug_pmem(&g, "first", file), 400);
	session_expect(g.wisp, "written", LIMIT_S);
	assert_int_equal(call(&g, "DELETE", "/pmem/first", NULL), 204);
	session_expect(g.wisp, "first-gone", LIMIT_S);
	wait_until_gone(&g, "id", "first");
	assert_int_equal(call(&g, "DELETE", "/pmem/first", NULL), 400);
	assert_int_equal(plug_pmem(&g, "again", file), 204);
	session_expect(g.wisp, "read-back", LIMIT_S);
	pager = save_and_go_on(&g);
	session_send(g.wisp, "end\n");
	expect_end(&g);
	saved_pager_end(pager);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cloud_kernel), cmocka_unit_test(test_kernel_6_12),
		cmocka_unit_test(test_debian),	     cmocka_unit_test(test_hotplug),
		cmocka_unit_test(test_hotplug_6_12), cmocka_unit_test(test_hotplug_net),
		cmocka_unit_test(test_hotplug_pmem), cmocka_unit_test(test_hotplug_service),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
