/* test_pmem.c - real guests with files as persistent memory.
 *
 * A guest reads its script from /dev/vda. Runs where test_boot runs.
 *
 *   test_pmem [CASE]    only the named case
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 240, SKIPPED = 77, SCRIPT_BYTES = 65536 };

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

/* A file system of this size, of blocks that DAX can map, with what is in the tree. */
static const char *make_ext4(const char *name, const char *tree, unsigned mib)
{
	const char *path = fixture_path(name);

	run("mke2fs -q -F -t ext4 -b 4096 -d %s %s %uM", tree, path, mib);
	return path;
}

static struct session *boot(const struct fixture_config *c)
{
	const char *const argv[] = {
		fixture_program("wisp"),	"--api-sock",
		fixture_path("pmem.sock"),	"--config-file",
		fixture_config("pmem.json", c), NULL,
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

#define DRIVE                                                                          \
	"{\"drive_id\": \"%s\", \"path_on_host\": \"%s\", \"is_root_device\": false, " \
	"\"is_read_only\": true}"

/* A machine that runs a script, with a file as pmem. The tool is in /dev/vdb. */
static struct session *boot_script(const char *script, const char *pmem, bool read_only)
{
	const char *tool = fixture_path("tool");
	char members[4096];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet -- sh /dev/vda",
		.mem_mib = 256,
		.extra = members,
	};

	/* Whole sectors. */
	run("cp %s %s && truncate -s %%4096 %s", fixture_program("dax_read"), tool, tool);
	snprintf(members, sizeof(members),
		 ", \"drives\": [" DRIVE ", " DRIVE "], \"pmem\": [{\"id\": \"data\", "
		 "\"path_on_host\": \"%s\", \"read_only\": %s}]",
		 "script", fixture_disk("script", script, SCRIPT_BYTES), "tool", tool, pmem,
		 read_only ? "true" : "false");
	return boot(&c);
}

/* What the guest writes through the mapping is in the host's file, and what another
 * device is asked to read straight into the file's memory gets there, too. */
static void test_dax(void **state)
{
	static const char script[] =
		"mkdir /m; mount -t ext4 -o dax=always /dev/pmem0 /m && grep -o dax=always "
		"/proc/mounts\n"
		"cat /m/word; echo size-$(cat /sys/block/pmem0/size)\n"
		"echo changed-word >/m/word; sync /m/word && echo synced\n"
		"read go </dev/console\n"
		"cp /dev/vda /m/copy; sync; cat </dev/vdb >/tool; chmod 755 /tool\n"
		"/tool /dev/vda /m/direct && cmp -n 4096 /dev/vda /m/direct && echo direct-right\n"
		"umount /m; echo done; exit\n";
	const char *tree = fixture_path("tree");
	struct api_reply reply;
	struct session *s;
	const char *path;

	(void)state;
	run("mkdir -p %s && echo first-word >%s/word", tree, tree);
	path = make_ext4("data.ext4", tree, 15);
	s = boot_script(script, path, false);
	session_expect(s, "dax=always", LIMIT_S);
	session_expect(s, "first-word", LIMIT_S);
	session_expect(s, "size-32768", LIMIT_S); /* 16 MiB */
	session_expect(s, "synced", LIMIT_S);
	run("grep -q changed-word %s", path);
	api_call(fixture_path("pmem.sock"), "PATCH", "/pmem/data",
		 "{\"id\": \"data\", \"rate_limiter\": {\"ops\": {\"size\": 1, \"refill_time\": "
		 "300}}}",
		 &reply);
	assert_int_equal(reply.status, 204);
	session_send(s, "go\n");
	session_expect(s, "direct-right", LIMIT_S);
	session_expect(s, "done", LIMIT_S);
	expect_end(s);
	run("e2fsck -fn %s", path);
	run("debugfs -R 'cat word' %s 2>/dev/null | grep -q changed-word", path);
}

/* The driver does not know; what it stores changes nothing. */
static void test_read_only(void **state)
{
	static const char script[] =
		"mkdir /m; mount -t ext4 -o ro,dax=always /dev/pmem0 /m && cat /m/word\n"
		"umount /m; tr '\\0' x </dev/zero | dd of=/dev/pmem0 bs=4k count=8 oflag=direct "
		"2>/dev/null\n"
		"mount -t ext4 -o ro /dev/pmem0 /m && sed s/^/still-/ /m/word; echo done; exit\n";
	const char *tree = fixture_path("tree");
	struct session *s;
	const char *path;

	(void)state;
	run("mkdir -p %s && echo first-word >%s/word", tree, tree);
	path = make_ext4("data.ext4", tree, 16);
	run("cp %s %s.before", path, path);
	s = boot_script(script, path, true);
	session_expect(s, "first-word", LIMIT_S);
	session_expect(s, "still-first-word", LIMIT_S);
	session_expect(s, "done", LIMIT_S);
	expect_end(s);
	run("cmp %s %s.before", path, path);
}

/* The root file system, writable and not: no disk at all. */
static void boot_root(bool read_only)
{
	const char *tree = fixture_path("root");
	char members[2048];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet rootflags=dax=always",
		.mem_mib = 256,
		.extra = members,
	};
	const char *path;
	struct session *s;

	run("mkdir -p %s && cd %s && cpio -idm --quiet <%s && rm -f init && mkdir -p sbin proc",
	    tree, tree, fixture_need_image("initramfs.cpio"));
	run("rm -f %s/sbin/init && printf '%%s\\n' '#!/bin/sh' 'mount -t proc p /proc' "
	    "'grep \" / ext4\" /proc/mounts | cut -c1-20' 'touch /new; echo touch-$?' 'sync' "
	    "'echo o >/proc/sysrq-trigger; sleep 100' >%s/sbin/init && chmod 755 %s/sbin/init",
	    tree, tree, tree);
	path = make_ext4("root.ext4", tree, 32);
	snprintf(members, sizeof(members),
		 ", \"pmem\": [{\"id\": \"root\", \"path_on_host\": \"%s\", \"root_device\": true, "
		 "\"read_only\": %s}]",
		 path, read_only ? "true" : "false");
	s = boot(&c);
	session_expect(s, read_only ? "/dev/pmem0 / ext4 ro" : "/dev/pmem0 / ext4 rw", LIMIT_S);
	session_expect(s, read_only ? "touch-1" : "touch-0", LIMIT_S);
	expect_end(s);
}

static void test_root(void **state)
{
	(void)state;
	boot_root(false);
	boot_root(true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dax),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_root),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
