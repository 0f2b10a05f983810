/* test_disk.c - real guests' disks while something happens to them.
 *
 * A guest reads its script from /dev/vda; the disk of the test is /dev/vdb. What the
 * script prints says how far it is. Runs where test_boot runs.
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

struct disk {
	const char *path;
	const char *engine;
	const char *more; /* members of the drive, ", ..." */
};

static const char *need_image(const char *name)
{
	const char *path = fixture_image(name);

	if (!path) {
		print_message("image %s was not built: guest-images/build all\n", name);
		skip();
	}
	return path;
}

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

static struct guest boot(const char *script, const struct disk *disk)
{
	char drives[2048];
	struct fixture_config c = {
		.kernel = need_image("vmlinux-minimal"),
		.initrd = need_image("initramfs.cpio"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.mem_mib = 128,
		.vcpus = 2,
		.extra = drives,
	};
	struct guest g = { .socket = fixture_path("disk.sock") };

	snprintf(drives, sizeof(drives),
		 ", \"drives\": [{\"drive_id\": \"script\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": true},"
		 " {\"drive_id\": \"data\", \"path_on_host\": \"%s\", \"is_root_device\": false,"
		 " \"io_engine\": \"%s\"%s}]",
		 fixture_disk("script", script, SCRIPT_BYTES), disk->path, disk->engine,
		 disk->more ? disk->more : "");

	const char *const argv[] = {
		fixture_program("wisp"),	 "--api-sock",	      g.socket, "--config-file",
		fixture_config("disk.json", &c), "--debug-exit-port", "0xf4",	NULL,
	};

	g.wisp = session_start(argv);
	return g;
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
	snprintf(body, sizeof(body), "{\"drive_id\": \"data\", %s}", members);
	api_call(g->socket, "PATCH", "/drives/data", body, &reply);
	return reply;
}

static void expect_patched(const struct api_reply *reply)
{
	if (reply->status != 204)
		fail_msg("PATCH /drives: %d %s", reply->status, reply->body);
}

/* --- another file, another size --- */

/* Grows under a mounted file system, which then grows into it; is exchanged for
 * another file, which has another file system. */
static void change_file(const char *engine)
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
	struct disk disk = { .path = make_ext4("first.ext4", 16, "first-word"), .engine = engine };
	const char *second = make_ext4("second.ext4", 24, "second-word");
	struct guest g = boot(script, &disk);
	struct api_reply reply;

	session_expect(g.wisp, "first-word", LIMIT_S);
	session_expect(g.wisp, "armed", LIMIT_S);
	assert_int_equal(truncate(disk.path, 20 * MIB), 0);
	reply = patch(&g, "\"path_on_host\": \"%s\"", disk.path);
	expect_patched(&reply);
	session_expect(g.wisp, "size-40960", LIMIT_S);
	session_expect(g.wisp, "4194304", LIMIT_S);
	session_expect(g.wisp, "still-first-word", LIMIT_S);
	session_expect(g.wisp, "grown", LIMIT_S);
	reply = patch(&g, "\"path_on_host\": \"%s\"", second);
	expect_patched(&reply);
	session_expect(g.wisp, "second-word", LIMIT_S);
	session_expect(g.wisp, "done", LIMIT_S);
	expect_end(&g);
	run("debugfs -R 'cat new' %s 2>/dev/null | grep -q written", second);
}

static void test_change_file(void **state)
{
	(void)state;
	change_file("Sync");
}

static void test_change_file_async(void **state)
{
	(void)state;
	change_file("Async");
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
	struct disk disk = { .path = make_ext4("refused.ext4", 16, "kept-word"), .engine = "Sync" };
	struct guest g = boot(script, &disk);
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
	assert_non_null(strstr(reply.body, disk.path));
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
	struct disk disk = { .path = make_ext4("limits.ext4", 16, "word"), .engine = "Async" };
	struct guest g = boot(script, &disk);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_change_file),
		cmocka_unit_test(test_change_file_async),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
