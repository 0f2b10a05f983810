/* test_vhost.c - real guests on real back ends: virtiofsd, qemu-storage-daemon.
 *
 * What the guest writes is looked at from the host's side, and the other way round; back
 * ends are killed while the guest uses them. Runs where test_boot runs.
 *
 *   test_vhost [CASE]    only the named case
 */
#include <fcntl.h>
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

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "vmm/base/clock.h"

enum {
	LIMIT_S = 240,
	SKIPPED = 77,
	RETRY_US = 20000,
	SCRIPT_BYTES = 4096,
	FILES = 300,  /* read and written, at some round trips each */
	NAMES = 5000, /* listed */
	DISK_MIB = 64,
	CHECKED_MIB = 16, /* what fio writes and verifies */
	PATTERN_BYTES = 4 * 1024 * 1024,
};

#define VIRTIOFSD "/usr/lib/qemu/virtiofsd"
#define CONSOLE	  "console=ttyS0 reboot=k panic=-1 quiet "

static void host(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A command of the host's that must succeed. */
static void host(const char *fmt, ...)
{
	char command[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void wait_for_file(const char *path)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;

	while (access(path, F_OK) < 0) {
		if (clock_now_us() > deadline_us)
			fail_msg("%s does not appear", path);
		usleep(RETRY_US);
	}
}

static struct session *start_virtiofsd(const char *socket, const char *directory)
{
	char at[256], source[256];
	const char *const argv[] = { VIRTIOFSD, at, "-o", source, NULL };
	struct session *s;

	snprintf(at, sizeof(at), "--socket-path=%s", socket);
	snprintf(source, sizeof(source), "source=%s", directory);
	s = session_start(argv);
	session_expect(s, "Waiting for vhost-user socket connection", LIMIT_S);
	return s;
}

/* Serves the block device that this option describes, as node "d". */
static struct session *start_storage_daemon(const char *socket, const char *blockdev)
{
	const char *pidfile = fixture_path("storage.pid");
	char export[256];
	const char *const argv[] = {
		"qemu-storage-daemon", "--blockdev", blockdev, "--export", export,
		"--pidfile",	       pidfile,	     NULL
	};
	struct session *s;

	unlink(pidfile);
	snprintf(export, sizeof(export),
		 "vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=%s,writable=on,"
		 "num-queues=2",
		 socket);
	s = session_start(argv);
	wait_for_file(pidfile);
	return s;
}

static struct session *start_wisp(const struct fixture_config *c, const char *api)
{
	const char *const argv[] = {
		fixture_program("wisp"),	 "--api-sock",	      api,    "--config-file",
		fixture_config("vhost.json", c), "--debug-exit-port", "0xf4", NULL,
	};

	return session_start(argv);
}

static void expect_end(struct session *s)
{
	int got = session_wait(s, LIMIT_S);

	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(s));
	session_end(s);
}

/* A script is the guest's first disk: a kernel takes few words for init. */
static struct fixture_config script_guest(const char *script)
{
	return (struct fixture_config){
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = CONSOLE "wisp.exit_port=0xf4 -- sh /dev/vda",
		.disk = fixture_disk("script", script, SCRIPT_BYTES),
		.disk_not_root = true,
		.disk_read_only = true,
		.vcpus = 2,
		.mem_mib = 256,
	};
}

static void make_files(const char *directory)
{
	host("mkdir -p %s/in && cd %s/in && seq -w %d | while read i; do echo file $i > $i; done",
	     directory, directory, FILES);
	host("mkdir %s/many && cd %s/many && seq %d | xargs touch", directory, directory, NAMES);
	host("cd %s/in && dd if=/dev/urandom of=large bs=1M count=4 status=none && "
	     "md5sum * > ../sums",
	     directory);
}

/* Files each way and thousands of names, a directory that may only be read, and a back end that is
 * killed: what was mounted fails, and is mounted anew. */
static void test_directories(void **state)
{
	const char *work = fixture_path("work"), *ro = fixture_path("ro");
	const char *work_sock = fixture_path("work.sock"), *ro_sock = fixture_path("ro.sock");
	struct fixture_config c = script_guest(
		"mkdir /w /r; mount -t virtiofs work /w && mount -t virtiofs ro /r || exit 1\n"
		"cd /w/in && md5sum -c ../sums | grep -c OK | sed s/^/read-/\n"
		"ls /w/many | sort -n | uniq | tail -n 1 | sed s/^/last-/\n"
		"ls /w/many | wc -l | sed s/^/names-/\n"
		"cp -r /w/in /w/out && sync && echo written\n"
		"cd /r/in && md5sum -c ../sums | grep -c OK | sed s/^/also-/\n"
		"touch /r/x 2>&1; rm /r/sums 2>&1; echo x >>/r/sums\n"
		"cd /; echo kill-it; read word </dev/console\n"
		"ls /w/in >/dev/null 2>&1 && exit 2\n"
		"umount /w && mount -t virtiofs work /w || exit 3\n"
		"cd /w/out && md5sum -c ../sums | grep -c OK | sed s/^/again-/; cd /\n"
		"umount /w; umount /r; echo over; exit 0\n");
	struct session *wisp, *work_end, *ro_end;
	char extra[1024];

	(void)state;
	mkdir(work, 0755);
	mkdir(ro, 0755);
	make_files(work);
	host("mount --bind %s %s && mount -o remount,bind,ro %s", work, ro, ro);
	work_end = start_virtiofsd(work_sock, work);
	ro_end = start_virtiofsd(ro_sock, ro);
	snprintf(extra, sizeof(extra),
		 ", \"shared-directories\": [{\"tag\": \"work\", \"socket\": \"%s\"}, "
		 "{\"tag\": \"ro\", \"socket\": \"%s\"}]",
		 work_sock, ro_sock);
	c.extra = extra;
	wisp = start_wisp(&c, fixture_path("api.sock"));
	session_expect(wisp, "read-301", LIMIT_S);
	session_expect(wisp, "last-5000", LIMIT_S);
	session_expect(wisp, "names-5000", LIMIT_S);
	session_expect(wisp, "written", LIMIT_S);
	host("diff -r %s/in %s/out", work, work);
	session_expect(wisp, "also-301", LIMIT_S);
	for (int i = 0; i < 3; i++)
		session_expect(wisp, "Read-only file system", LIMIT_S);
	session_expect(wisp, "kill-it", LIMIT_S);
	session_kill(work_end, SIGKILL);
	session_wait(work_end, LIMIT_S);
	session_end(work_end);
	work_end = start_virtiofsd(work_sock, work);
	session_send(wisp, "go on\n");
	session_expect(wisp, "again-301", LIMIT_S);
	session_expect(wisp, "over", LIMIT_S);
	expect_end(wisp);
	session_end(work_end);
	session_end(ro_end);
	host("umount %s", ro);
}

static long long allocated_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long long)st.st_blocks * 512;
}

static void wait_for_growth(const char *path, long long most)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_S * 1000000ull;

	while (allocated_bytes(path) < most) {
		if (clock_now_us() > deadline_us)
			fail_msg("%s does not grow to %lld bytes", path, most);
		usleep(RETRY_US);
	}
}

/* The daemon is killed with requests in flight, in any order; the guest's fio waits for
 * the next one, and verifies what it wrote to both. The image's tables are in place from
 * the start: qcow2 would lose those that it had not written. */
static void test_qcow2(void **state)
{
	const char *image = fixture_path("disk.qcow2"), *socket = fixture_path("disk.sock");
	const char *debian = fixture_path("debian.ext4");
	char blockdev[256], drive[256];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = CONSOLE,
		.disk = debian,
		.more_drives = drive,
		.vcpus = 2,
		.mem_mib = 512,
	};
	struct session *wisp, *end;
	long long before;

	(void)state;
	host("cp --sparse=always --reflink=auto %s %s", fixture_need_image("debian.ext4"), debian);
	host("qemu-img create -q -f qcow2 -o preallocation=metadata %s %dM", image, DISK_MIB);
	snprintf(blockdev, sizeof(blockdev),
		 "driver=qcow2,node-name=d,file.driver=file,file.filename=%s", image);
	snprintf(drive, sizeof(drive),
		 ", {\"drive_id\": \"q\", \"is_root_device\": false, \"socket\": \"%s\", "
		 "\"cache_type\": \"Writeback\"}",
		 socket);
	end = start_storage_daemon(socket, blockdev);
	before = allocated_bytes(image);
	wisp = start_wisp(&c, fixture_path("api.sock"));
	session_expect(wisp, "login:", LIMIT_S);
	session_send(wisp, "root\n");
	session_expect(wisp, "# ", LIMIT_S);
	session_send(wisp, "stty -echo; ls /sys/block/vdb/mq | wc -l | sed s/^/queues-/\n");
	session_expect(wisp, "queues-2", LIMIT_S);
	session_send(wisp, "fio --name=check --filename=/dev/vdb --numjobs=2 --size=8m "
			   "--offset_increment=8m --bs=4k --rw=randwrite --ioengine=libaio "
			   "--iodepth=16 --direct=1 --verify=crc32c --do_verify=1 "
			   "--verify_fatal=1 --minimal >/tmp/fio; echo fio-$?\n");
	for (int kills = 1; kills <= 2; kills++) {
		wait_for_growth(image, before + kills * CHECKED_MIB * 1024 * 1024 / 4);
		session_kill(end, SIGKILL);
		session_wait(end, LIMIT_S);
		session_end(end);
		assert_true(allocated_bytes(image) < before + CHECKED_MIB * 1024 * 1024 * 7 / 8);
		end = start_storage_daemon(socket, blockdev);
	}
	session_expect(wisp, "fio-0", LIMIT_S);
	session_send(wisp, "poweroff\n");
	expect_end(wisp);
	session_end(end);
	host("qemu-img check -q %s", image);
}

static void call(const char *api, const char *verb, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(api, verb, path, body, &reply);
	if (reply.status != 204)
		fail_msg("%s %s: %s", verb, path, reply.body);
}

/* A pattern goes to the other end of the network, from huge pages and across pauses. */
static void test_nbd(void **state)
{
	const char *raw = fixture_disk("nbd.raw", "", DISK_MIB * 1024 * 1024);
	const char *socket = fixture_path("disk.sock"), *nbd_sock = fixture_path("nbd.sock");
	const char *api = fixture_path("api.sock");
	const char *const nbd_argv[] = { "qemu-nbd", "-t", "-f", "raw", "-k", nbd_sock, raw, NULL };
	struct fixture_config c =
		script_guest("yes wisp | head -c 4194304 >/dev/vdb; sync; echo written\n"
			     "read word </dev/console; echo 3 >/proc/sys/vm/drop_caches\n"
			     "yes wisp | head -c 4194304 | cmp - /dev/vdb; echo compared\n"
			     "cat /sys/block/vdb/size | sed s/^/sectors-/; exit 0\n");
	struct session *nbd = session_start(nbd_argv), *end, *wisp;
	char blockdev[256], drive[256];

	(void)state;
	wait_for_file(nbd_sock);
	snprintf(blockdev, sizeof(blockdev),
		 "driver=nbd,node-name=d,server.type=unix,server.path=%s", nbd_sock);
	end = start_storage_daemon(socket, blockdev);
	snprintf(drive, sizeof(drive),
		 ", {\"drive_id\": \"n\", \"is_root_device\": false, \"socket\": \"%s\", "
		 "\"cache_type\": \"Writeback\"}",
		 socket);
	c.more_drives = drive;
	c.machine_extra = ", \"huge_pages\": \"2M\"";
	host("echo 160 > /proc/sys/vm/nr_hugepages");
	wisp = start_wisp(&c, api);
	wait_for_growth(raw, PATTERN_BYTES / 4);
	call(api, "PATCH", "/vm", "{\"state\": \"Paused\"}");
	call(api, "PATCH", "/vm", "{\"state\": \"Resumed\"}");
	session_expect(wisp, "written", LIMIT_S);
	host("yes wisp | head -c %d | cmp -n %d - %s", PATTERN_BYTES, PATTERN_BYTES, raw);
	call(api, "PATCH", "/vm", "{\"state\": \"Paused\"}");
	call(api, "PATCH", "/vm", "{\"state\": \"Resumed\"}");
	call(api, "PATCH", "/drives/n", "{\"drive_id\": \"n\"}");
	session_send(wisp, "go on\n");
	session_expect(wisp, "compared", LIMIT_S);
	assert_null(strstr(session_output(wisp), "differ"));
	session_expect(wisp, "sectors-131072", LIMIT_S);
	expect_end(wisp);
	session_end(end);
	session_end(nbd);
	host("echo 0 > /proc/sys/vm/nr_hugepages");
}

static void plug(const char *api, const char *path, const char *id, const char *socket)
{
	char body[512];

	snprintf(body, sizeof(body), "{%s, \"socket\": \"%s\"}", id, socket);
	call(api, "PUT", path, body);
}

static void unplug(const char *api, int events, const char *path)
{
	call(api, "DELETE", path, NULL);
	api_await_event(events, "device", "\"unplugged\"", LIMIT_S);
}

static const char *make_directory(const char *name, const char *word)
{
	const char *directory = fixture_path(name);

	host("mkdir %s && echo %s > %s/word", directory, word, directory);
	return directory;
}

/* A disk and a directory come while the guest runs, are used, and go. The directory that
 * is there from the start is why the guest's memory can be mapped. */
static void test_hotplug(void **state)
{
	const char *image = fixture_path("late.qcow2"), *socket = fixture_path("late.sock");
	const char *api = fixture_path("api.sock"), *first = fixture_path("first.sock");
	const char *second = fixture_path("second.sock");
	struct fixture_config c = script_guest(
		"mkdir /a /b /m; mount -t virtiofs first /a && cat /a/word || exit 1\n"
		"until head -c 1 /dev/vdb >/dev/null 2>&1; do sleep 0.1; done\n"
		"mke2fs -q /dev/vdb && mount /dev/vdb /m && seq 50000 >/m/numbers || exit 2\n"
		"umount /m; echo written\n"
		"until mount -t virtiofs second /b 2>/dev/null; do sleep 0.1; done\n"
		"cat /b/word; seq 50000 >/b/numbers; umount /b; echo let-go\n"
		"while [ -b /dev/vdb ]; do sleep 0.1; done\n"
		"mount -t virtiofs second /b 2>/dev/null && exit 3; echo over\n"
		"read line; exit 0\n"); /* what the API tells of the end is to be heard first */
	const char *const argv[] = {
		fixture_program("wisp"), "--enable-pci", "--api-sock", api, "--config-file", NULL,
		"--debug-exit-port",	 "0xf4",	 NULL,
	};
	const char *run[sizeof(argv) / sizeof(argv[0])];
	struct session *wisp, *ends[3];
	char extra[512], blockdev[256];
	int events;

	(void)state;
	ends[0] = start_virtiofsd(first, make_directory("first", "from-the-start"));
	ends[1] = start_virtiofsd(second, make_directory("second", "plugged-in"));
	host("qemu-img create -q -f qcow2 %s %dM", image, DISK_MIB);
	snprintf(blockdev, sizeof(blockdev),
		 "driver=qcow2,node-name=d,file.driver=file,file.filename=%s", image);
	ends[2] = start_storage_daemon(socket, blockdev);
	snprintf(extra, sizeof(extra),
		 ", \"shared-directories\": [{\"tag\": \"first\", \"socket\": \"%s\"}]", first);
	c.extra = extra;
	memcpy(run, argv, sizeof(argv));
	run[5] = fixture_config("vhost.json", &c);
	wisp = session_start(run);
	session_expect(wisp, "from-the-start", LIMIT_S);
	events = api_listen(api);
	plug(api, "/drives/late",
	     "\"drive_id\": \"late\", \"is_root_device\": false, \"cache_type\": \"Writeback\"",
	     socket);
	session_expect(wisp, "written", LIMIT_S);
	plug(api, "/shared-directories/second", "\"tag\": \"second\"", second);
	session_expect(wisp, "plugged-in", LIMIT_S);
	session_expect(wisp, "let-go", LIMIT_S);
	unplug(api, events, "/shared-directories/second");
	unplug(api, events, "/drives/late");
	session_expect(wisp, "over", LIMIT_S);
	session_send(wisp, "\n");
	expect_end(wisp);
	close(events);
	/* In order, so that the image is complete. */
	session_kill(ends[2], SIGTERM);
	session_wait(ends[2], LIMIT_S);
	for (unsigned i = 0; i < 3; i++)
		session_end(ends[i]);
	host("seq 50000 | cmp - %s/numbers", fixture_path("second"));
	host("cd %s && qemu-img convert -O raw late.qcow2 late.raw && e2fsck -fn late.raw "
	     ">/dev/null 2>&1 && debugfs -R 'cat /numbers' late.raw 2>/dev/null | "
	     "cmp - second/numbers",
	     fixture_dir());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_qcow2),
		cmocka_unit_test(test_nbd),
		cmocka_unit_test(test_hotplug),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
