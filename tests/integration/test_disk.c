/* test_disk.c - real guests' disks while something happens to them.
 *
 * A guest reads its script from /dev/vda; the disks of the test are /dev/vdb and so
 * on, "disk1" in the API. What the script prints says how far it is. Runs where
 * test_boot runs.
 *
 *   test_disk [CASE]    only the named case
 */
#include <fcntl.h>
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

enum { LIMIT_S = 240, SKIPPED = 77, SCRIPT_BYTES = 8192, MIB = 1024 * 1024 };

struct guest {
	struct session *wisp;
	const char *socket;
};

/* Drives behind the script's: /dev/vdb and so on. */
struct disk {
	const char *path;
	const char *engine; /* NULL: read-only */
};

enum { MAX_DISKS = 4 };

/* Runs a command of this machine; what it needs is in packages-test.txt. */
static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* A file system of this size that has one file, "word", with this word in it. */
static const char *make_ext4(const char *name, unsigned mib, const char *word)
{
	const char *path = fixture_path(name), *dir = fixture_path("tree");

	run("mkdir -p %s && echo %s >%s/word && mke2fs -q -F -t ext4 -d %s %s %uM", dir, word, dir,
	    dir, path, mib);
	return path;
}

/* More members of the configuration file. */
static void add_drives(char *text, size_t len, const char *script, const struct disk *disks)
{
	size_t n = 0;

	n += (size_t)snprintf(text, len,
			      ", \"entropy\": {}, \"drives\": [{\"drive_id\": \"script\","
			      " \"path_on_host\": \"%s\", \"is_root_device\": false,"
			      " \"is_read_only\": true}",
			      fixture_disk("script", script, SCRIPT_BYTES));
	for (unsigned i = 0; i < MAX_DISKS && disks[i].path; i++)
		n += (size_t)snprintf(text + n, len - n,
				      ", {\"drive_id\": \"disk%u\", \"path_on_host\": \"%s\","
				      " \"is_root_device\": false, \"is_read_only\": %s,"
				      " \"cache_type\": \"Writeback\", \"io_engine\": \"%s\"}",
				      i + 1, disks[i].path, disks[i].engine ? "false" : "true",
				      disks[i].engine ? disks[i].engine : "Sync");
	n += (size_t)snprintf(text + n, len - n, "]");
	assert_true(n < len);
}

static struct guest boot_with(const char *kernel, const char *initrd, const char *script,
			      const struct disk *disks)
{
	char drives[4096];
	struct fixture_config c = {
		.kernel = fixture_need_image(kernel),
		.initrd = fixture_need_image(initrd),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.mem_mib = 256,
		.vcpus = 2,
		.extra = drives,
	};
	struct guest g = { .socket = fixture_path("disk.sock") };

	add_drives(drives, sizeof(drives), script, disks);

	const char *const argv[] = {
		fixture_program("wisp"),
		"--api-sock",
		g.socket,
		"--config-file",
		fixture_config("disk.json", &c),
		"--debug-exit-port",
		"0xf4",
		"--report",
		fixture_path("disk-report.json"),
		NULL,
	};

	g.wisp = session_start(argv);
	return g;
}

static struct guest boot(const char *script, const struct disk *disks)
{
	return boot_with("vmlinux-minimal", "initramfs.cpio", script, disks);
}

static void expect_end(struct guest *g)
{
	int got = session_wait(g->wisp, LIMIT_S);

	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(g->wisp));
	session_end(g->wisp);
}

/* The reply to a change of the test's drive. */
static struct api_reply patch(const struct guest *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static struct api_reply patch(const struct guest *g, const char *fmt, ...)
{
	char members[1024], body[1100];
	struct api_reply reply;
	va_list args;

	va_start(args, fmt);
	vsnprintf(members, sizeof(members), fmt, args);
	va_end(args);
	snprintf(body, sizeof(body), "{\"drive_id\": \"disk1\", %s}", members);
	api_call(g->socket, "PATCH", "/drives/disk1", body, &reply);
	return reply;
}

static void expect_patched(const struct api_reply *reply)
{
	if (reply->status != 204)
		fail_msg("PATCH /drives: %d %s", reply->status, reply->body);
}

/* --- another file, another size --- */

static void set_state(const struct guest *g, const char *state)
{
	struct api_reply reply;
	char body[64];

	snprintf(body, sizeof(body), "{\"state\": \"%s\"}", state);
	api_call(g->socket, "PATCH", "/vm", body, &reply);
	assert_int_equal(reply.status, 204);
}

/* At once, or during a pause: what the guest sees is the same. */
static void give_file(const struct guest *g, const char *path, bool paused)
{
	struct api_reply reply;

	if (paused)
		set_state(g, "Paused");
	reply = patch(g, "\"path_on_host\": \"%s\"", path);
	expect_patched(&reply);
	if (paused)
		set_state(g, "Resumed");
}

/* Grows under a mounted file system, which then grows into it; is exchanged for
 * another file, which has another file system. */
static void change_file(const char *engine, bool paused)
{
	static const char script[] =
		"size() { cat /sys/block/vdb/size; }\n"
		"mkdir /m; mount -t ext4 /dev/vdb /m; cat /m/word\n"
		"echo armed; while [ $(size) = 32768 ]; do sleep 0.1; done\n"
		"echo size-$(size); dd if=/dev/vdb of=/tail bs=1M skip=16 2>/dev/null\n"
		"wc -c </tail; cat /m/word | sed s/^/still-/; umount /m\n"
		"echo grown; while [ $(size) != 49152 ]; do sleep 0.1; done\n"
		"mount -t ext4 /dev/vdb /m && cat /m/word && echo written >/m/new && sync\n"
		"umount /m; echo done\n";
	struct disk disk[MAX_DISKS] = { { make_ext4("first.ext4", 16, "first-word"), engine } };
	const char *second = make_ext4("second.ext4", 24, "second-word");
	struct guest g = boot(script, disk);

	session_expect(g.wisp, "first-word", LIMIT_S);
	session_expect(g.wisp, "armed", LIMIT_S);
	assert_int_equal(truncate(disk[0].path, 20 * MIB), 0);
	give_file(&g, disk[0].path, paused);
	session_expect(g.wisp, "size-40960", LIMIT_S);
	session_expect(g.wisp, "4194304", LIMIT_S);
	session_expect(g.wisp, "still-first-word", LIMIT_S);
	session_expect(g.wisp, "grown", LIMIT_S);
	give_file(&g, second, paused);
	session_expect(g.wisp, "second-word", LIMIT_S);
	session_expect(g.wisp, "done", LIMIT_S);
	expect_end(&g);
	run("debugfs -R 'cat new' %s 2>/dev/null | grep -q written", second);
}

static void test_change_file(void **state)
{
	(void)state;
	change_file("Sync", false);
}

static void test_change_file_async(void **state)
{
	(void)state;
	change_file("Async", true);
}

/* What cannot be done is refused with a reason, and the guest notices nothing. */
static void test_refused(void **state)
{
	static const struct {
		const char *members, *fault;
	} bad[] = {
		{ "\"path_on_host\": \"/nowhere\"",
		  "Unable to patch the block device: cannot open drive '/nowhere'" },
		{ "\"path_on_host\": \"/dev/null\"", "is a character device" },
		{ "\"rate_limiter\": null", "Running method expected different backend." },
	};
	static const char script[] = "mkdir /m; mount -t ext4 /dev/vdb /m; echo armed\n"
				     "read line </dev/console; cat /m/word\n";
	struct disk disk[MAX_DISKS] = { { make_ext4("refused.ext4", 16, "kept-word"), "Sync" } };
	struct guest g = boot(script, disk);
	struct api_reply reply;

	(void)state;
	session_expect(g.wisp, "armed", LIMIT_S);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		reply = patch(&g, "%s", bad[i].members);
		assert_int_equal(reply.status, 400);
		if (!strstr(reply.body, bad[i].fault))
			fail_msg("%s: %s", bad[i].members, reply.body);
	}
	api_call(g.socket, "PATCH", "/drives/none",
		 "{\"drive_id\": \"none\", \"path_on_host\": \"/x\"}", &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "there is no drive"));
	api_call(g.socket, "GET", "/vm/config", NULL, &reply);
	assert_non_null(strstr(reply.body, disk[0].path));
	session_send(g.wisp, "go on\n");
	session_expect(g.wisp, "kept-word", LIMIT_S);
	expect_end(&g);
}

/* A limit that lets nothing through for an hour, put and lifted while a guest reads. */
static void test_limits(void **state)
{
	static const char script[] =
		"echo armed; read line </dev/console\n"
		"dd if=/dev/vdb of=/dev/null bs=64k iflag=direct 2>/dev/null && echo all-read\n";
	struct disk disk[MAX_DISKS] = { { make_ext4("limits.ext4", 16, "word"), "Async" } };
	struct guest g = boot(script, disk);
	struct api_reply reply;

	(void)state;
	session_expect(g.wisp, "armed", LIMIT_S);
	reply = patch(&g, "\"rate_limiter\": {\"ops\": {\"size\": 8, \"refill_time\": 3600000}}");
	expect_patched(&reply);
	session_send(g.wisp, "go on\n");
	assert_false(session_sees(g.wisp, "all-read", 2));
	reply = patch(&g, "\"rate_limiter\": {\"ops\": {\"size\": 0, \"refill_time\": 0}}");
	expect_patched(&reply);
	session_expect(g.wisp, "all-read", LIMIT_S);
	expect_end(&g);
}

/* What the guest says behind a key that is its own line's beginning. */
static long said(struct guest *g, const char *key)
{
	const char *at;

	session_expect(g->wisp, key, LIMIT_S);
	session_expect(g->wisp, "=", LIMIT_S);
	at = strstr(session_output(g->wisp), key);
	assert_non_null(at);
	return strtol(at + strlen(key), NULL, 10);
}

/* Within 5 %: hundredths of a second that the guest needs for what a limit allows in want. */
static void expect_time(struct guest *g, const char *key, long want)
{
	long got = said(g, key);

	if (got * 100 < want * 95 || got * 100 > want * 105)
		fail_msg("%s: %ld hundredths of a second instead of %ld", key, got, want);
}

/* How exact a limit is, by the guest's clock: where time is deterministic. Buckets are of
 * 20 ms, so that their being full at first does not count. */
static void test_rates(void **state)
{
	static const char script[] =
		"now() { awk '{ print int($1 * 100) }' /proc/uptime; }\n"
		"read_all() { a=$(now); dd if=/dev/vdb of=/dev/null iflag=direct $2 2>/dev/null\n"
		"echo \"$1-took:$(($(now) - a))=\"; }\n"
		"echo armed; read line </dev/console; read_all bytes 'bs=64k count=256'\n"
		"echo armed; read line </dev/console; read_all ops 'bs=4k count=1000'\n";
	struct disk disk[MAX_DISKS] = { { make_ext4("rates.ext4", 16, "word"), "Async" } };
	struct api_reply reply;
	struct guest g;

	(void)state;
	fixture_read_ahead(fixture_program("wisp"));
	fixture_read_ahead(fixture_need_image("vmlinux-minimal"));
	fixture_read_ahead(fixture_need_image("initramfs.cpio"));
	g = boot(script, disk);
	session_expect(g.wisp, "armed", LIMIT_S);
	reply = patch(&g, "\"rate_limiter\": {\"bandwidth\": {\"size\": 160000, "
			  "\"refill_time\": 20}}");
	expect_patched(&reply);
	session_send(g.wisp, "go on\n");
	expect_time(&g, "bytes-took:", 16 * MIB / 80000);
	session_expect(g.wisp, "armed", LIMIT_S);
	reply = patch(&g, "\"rate_limiter\": {\"ops\": {\"size\": 10, \"refill_time\": 20}, "
			  "\"bandwidth\": {\"size\": 0, \"refill_time\": 0}}");
	expect_patched(&reply);
	session_send(g.wisp, "go on\n");
	expect_time(&g, "ops-took:", 1000 / 5);
	expect_end(&g);
}

/* --- a block device of the host --- */

static void read_line(const char *command, char *line, int len)
{
	FILE *f = popen(command, "re");

	assert_non_null(f);
	assert_non_null(fgets(line, len, f));
	assert_int_equal(pclose(f), 0);
	line[strcspn(line, "\n")] = '\0';
}

static long long allocated_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long long)st.st_blocks * 512;
}

/* A loop device: its size, its trims, its growth; and that its word counts when it
 * says that it is read-only. */
static void block_device(const char *io_engine)
{
	static const char script[] =
		"mkdir /m; mount -t ext4 /dev/vdb /m; cat /m/word\n"
		"echo size-$(cat /sys/block/vdb/size)\n"
		"dd if=/dev/urandom of=/m/big bs=1M count=12 2>/dev/null; sync\n"
		"echo written; read line </dev/console; rm /m/big; sync; fstrim /m\n"
		"echo trimmed-$?; while [ $(cat /sys/block/vdb/size) = 65536 ]; do sleep 0.1; done\n"
		"echo size-$(cat /sys/block/vdb/size); cat /m/word; umount /m\n";
	const char *file = make_ext4("loop.ext4", 32, "loop-word");
	char device[64], command[256];
	struct disk disk[MAX_DISKS] = { { device, io_engine } };
	struct api_reply reply;
	struct guest g;
	long long before;

	snprintf(command, sizeof(command), "losetup --find --show %s", file);
	read_line(command, device, sizeof(device));
	g = boot(script, disk);
	session_expect(g.wisp, "loop-word", LIMIT_S);
	session_expect(g.wisp, "size-65536", LIMIT_S);
	session_expect(g.wisp, "written", LIMIT_S);
	before = allocated_bytes(file);
	session_send(g.wisp, "go on\n");
	session_expect(g.wisp, "trimmed-0", LIMIT_S);
	assert_true(allocated_bytes(file) < before - 8 * MIB);
	assert_int_equal(truncate(file, 48 * MIB), 0);
	run("losetup -c %s", device);
	reply = patch(&g, "\"path_on_host\": \"%s\"", device);
	expect_patched(&reply);
	session_expect(g.wisp, "size-98304", LIMIT_S);
	session_expect(g.wisp, "loop-word", LIMIT_S);
	expect_end(&g);

	run("blockdev --setro %s", device);
	g = boot(script, disk);
	session_expect(g.wisp, "cannot open drive", LIMIT_S);
	assert_int_not_equal(session_wait(g.wisp, LIMIT_S), 0);
	session_end(g.wisp);
	run("losetup -d %s", device);
}

static void test_block_device(void **state)
{
	(void)state;
	block_device("Async");
}

/* Files are where no page cache can be passed by: the test host's are in memory. */
static void test_direct(void **state)
{
	(void)state;
	block_device("Direct");
}

/* The guest is told of the host's blocks, and keeps to them. */
static void test_large_blocks(void **state)
{
	static const char script[] =
		"set -e; cat /sys/block/vdb/queue/logical_block_size | sed s/^/block-/\n"
		"mkdir /m; mke2fs -b 4096 /dev/vdb >/dev/null; mount -t ext4 /dev/vdb /m\n"
		"seq 100000 >/m/numbers; umount /m; mount -t ext4 /dev/vdb /m\n"
		"seq 100000 | cmp - /m/numbers; echo same; umount /m\n";
	const char *file = fixture_disk("large.raw", "", 32 * MIB);
	char device[64], command[256];
	struct disk disk[MAX_DISKS] = { { device, "Direct" } };
	struct guest g;

	(void)state;
	snprintf(command, sizeof(command), "losetup --find --show --sector-size 4096 %s", file);
	read_line(command, device, sizeof(device));
	g = boot(script, disk);
	session_expect(g.wisp, "block-4096", LIMIT_S);
	session_expect(g.wisp, "same", LIMIT_S);
	expect_end(&g);
	run("losetup -d %s", device);
}

/* --- a driver that breaks the rules --- */

/* The guest sets up a queue of 3 entries on one disk, by hand. That disk fails, says so
 * and counts it; the others go on; a reset by its real driver cures it. */
static void test_isolation(void **state)
{
	static const char script[] =
		"at=$(tr ' ' '\\n' </proc/cmdline | sed -n 's/.*@\\(0x[0-9a-f]*\\):.*/\\1/p' | sed -n 2p)\n"
		"put() { devmem $((at + $1)) 32 $2; }\n"
		"mkdir /m /n; mount -t ext4 /dev/vdc /m\n"
		"d=$(basename $(readlink -f /sys/block/vdb/device))\n"
		"for i in 1 2 3 4 5 6 7 8; do\n"
		"put 0x70 0; put 0x70 1; put 0x70 3; put 0x24 1; put 0x20 1; put 0x70 11\n"
		"put 0x30 0; put 0x38 3; put 0x44 1; done\n"
		"echo status-$(devmem $((at + 0x70)))\n"
		"echo 3 >/proc/sys/vm/drop_caches; cat /m/word; echo x >/m/new && sync && echo wrote\n"
		"head -c 32 /dev/hwrng | wc -c | sed s/^/random-/\n"
		"cd /sys/bus/virtio/drivers/virtio_blk; echo $d >unbind; echo $d >bind\n"
		"mount -t ext4 /dev/vdb /n; cat /n/word; umount /m /n; sync\n";
	struct disk disk[MAX_DISKS] = { { make_ext4("broken.ext4", 16, "cured-word"), "Async" },
					{ make_ext4("whole.ext4", 16, "other-word"), "Sync" } };
	struct guest g = boot(script, disk);

	(void)state;
	session_expect(g.wisp, "the device waits for a reset", LIMIT_S);
	session_expect(g.wisp, "status-0x0000004B", LIMIT_S);
	session_expect(g.wisp, "other-word", LIMIT_S);
	session_expect(g.wisp, "wrote", LIMIT_S);
	session_expect(g.wisp, "random-32", LIMIT_S);
	session_expect(g.wisp, "cured-word", LIMIT_S);
	expect_end(&g);
	run("tr -d ' \\n' <%s | grep -q '\"disk1\".*\"violations\":8.*\"disk2\".*\"violations\":0'",
	    fixture_path("disk-report.json"));
}

/* --- resets and pauses in the midst of it --- */

/* For one file system: fio writes and verifies a file while the machine is paused and
 * resumed; another fio writes without end while its disk's driver is taken away; then
 * the file that was whole before is read again, and verified again. */
#define SCRIPT_FIO                                                                                     \
	"mount -t ext4 -o ro,noload /dev/vdb /d; for i in proc dev; do mount --bind /$i /d/$i; done\n" \
	"cd /sys/bus/virtio/drivers/virtio_blk\n"                                                      \
	"io() { chroot /d fio --directory=/mnt --size=4m --bs=4k --rw=randwrite "                      \
	"--ioengine=libaio --iodepth=16 --direct=1 --verify_state_save=0 --minimal \"$@\" "            \
	">/dev/null 2>&1; }\n"                                                                         \
	"kept() { io --name=kept --verify=crc32c --verify_fatal=1 \"$@\"; }\n"                         \
	"writes() { awk '{ print $5 }' /sys/block/$1/stat; }\n"                                        \
	"check() { d=$(basename $(readlink -f /sys/block/$2/device))\n"                                \
	"mount -t $1 /dev/$2 /d/mnt; echo begin-$1\n"                                                  \
	"kept --do_verify=1 --end_fsync=1; echo $1-kept-$?; sync\n"                                    \
	"n=$(writes $2); io --name=loud --time_based --runtime=1000 & w=$!\n"                          \
	"until [ $(writes $2) -gt $((n + 50)) ]; do sleep 0.05; done\n"                                \
	"echo $d >unbind; wait $w; umount /d/mnt; echo $d >bind\n"                                     \
	"mount -t $1 /dev/$(ls /sys/bus/virtio/devices/$d/block) /d/mnt\n"                             \
	"kept --verify_only=1; echo $1-again-$?; umount /d/mnt; }\n"

static void expect_checked(const struct guest *g, const char *type)
{
	enum { PAUSES = 10 };
	struct api_reply reply;
	char text[32];

	snprintf(text, sizeof(text), "begin-%s", type);
	session_expect(g->wisp, text, LIMIT_S);
	for (int i = 0; i < PAUSES; i++) {
		api_call(g->socket, "PATCH", "/vm", "{\"state\": \"Paused\"}", &reply);
		assert_int_equal(reply.status, 204);
		api_call(g->socket, "PATCH", "/vm", "{\"state\": \"Resumed\"}", &reply);
		assert_int_equal(reply.status, 204);
	}
	snprintf(text, sizeof(text), "%s-kept-0", type);
	session_expect(g->wisp, text, LIMIT_S);
	snprintf(text, sizeof(text), "%s-again-0", type);
	session_expect(g->wisp, text, LIMIT_S);
}

static void test_fio(void **state)
{
	static const char script[] = "mkdir /d\n" SCRIPT_FIO "check ext4 vdc; check xfs vdd\n";
	struct disk disk[MAX_DISKS] = {
		{ fixture_need_image("debian.ext4"), NULL },
		{ make_ext4("fio.ext4", 32, "word"), "Sync" },
		{ fixture_disk("fio.xfs", "", 320LL * MIB), "Async" },
	};
	struct guest g;

	(void)state;
	run("mkfs.xfs -q %s", disk[2].path);
	g = boot_with("vmlinuz-cloud", "initrd-cloud", script, disk);
	expect_checked(&g, "ext4");
	expect_checked(&g, "xfs");
	expect_end(&g);
	run("e2fsck -fn %s >/dev/null 2>&1", disk[1].path);
	run("xfs_repair -n %s >/dev/null 2>&1", disk[2].path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_change_file), cmocka_unit_test(test_change_file_async),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_rates),	    cmocka_unit_test(test_block_device),
		cmocka_unit_test(test_isolation),   cmocka_unit_test(test_fio),
		cmocka_unit_test(test_direct),	    cmocka_unit_test(test_large_blocks),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
