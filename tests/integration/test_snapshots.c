/* test_snapshots.c - machines that are saved in the middle of something and go on in
 * another process.
 *
 * Tiny guests on the KVM of this machine (tests/guests): serial-echo says what it is told.
 * Real guests where test_boot runs: one works on its disk with both processors, checks
 * what it reads, and counts. The first process is killed when the state is written, so
 * what goes on has nothing but the files.
 *
 *   test_snapshots [CASE]    only the named case
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

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum { SCRIPT_BYTES = 8192, GENERATIONS = 5, MIB = 1024 * 1024 };

/* --- tiny guests --- */

/* With every device that can be saved and needs nothing of the host; over and over, each
 * generation from the last one's files. */
static void go_on(const char *option)
{
	char extra[2048], more[512];
	struct machine m;

	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true},"
		 " \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"console\": {\"uds_path\": \"%s\"},"
		 " \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false}],"
		 " \"pmem\": [{\"id\": \"p\", \"path_on_host\": \"%s\"}]",
		 fixture_path("v.sock"), fixture_path("c.sock"), fixture_disk("tiny-disk", "", MIB),
		 fixture_disk("tiny-pmem", "", 2 * MIB));
	m = saved_start("tiny.sock", saved_tiny_config(extra), option);
	saved_say(&m, "first");
	for (int i = 0; i < GENERATIONS; i++) {
		char word[32], vsock[32];

		snprintf(word, sizeof(word), "generation-%d", i);
		snprintf(vsock, sizeof(vsock), "v%d.sock", i);
		unlink(fixture_path(vsock));
		saved_pause(&m);
		saved_create(&m, "state", "memory", "Full");
		/* The source goes on as if nothing had happened. */
		saved_resume(&m);
		saved_say(&m, "still-here");
		saved_kill(&m);
		m = saved_start("tiny.sock", NULL, NULL);
		snprintf(more, sizeof(more),
			 ", \"resume_vm\": true, \"vsock_override\": {\"uds_path\": \"%s\"}",
			 fixture_path(vsock));
		saved_load(&m, "state", "memory", more);
		saved_say(&m, word);
	}
	saved_quit(&m);
}

static void test_tiny(void **state)
{
	(void)state;
	go_on(NULL);
}

static void test_tiny_pci(void **state)
{
	(void)state;
	go_on("--enable-pci");
}

/* A load without resume_vm is paused. */
static void test_paused(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	struct api_reply reply;

	(void)state;
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state", "memory", "");
	api_call(m.socket, "GET", "/", NULL, &reply);
	assert_non_null(strstr(reply.body, "Paused"));
	saved_resume(&m);
	saved_say(&m, "two");
	saved_quit(&m);
}

/* Pages that a file cannot be mapped over are copied. */
static void test_huge_pages(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);

	(void)state;
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	for (int i = 0; i < 2; i++) {
		saved_kill(&m);
		m = saved_start("tiny.sock", NULL, NULL);
		saved_load(&m, "state", "memory",
			   ", \"resume_vm\": true, \"huge_pages\": \"Transparent\"");
		saved_say(&m, "two");
		saved_pause(&m);
		saved_create(&m, "state", "memory", "Full");
	}
	saved_resume(&m);
	saved_quit(&m);
}

/* Differences: put over the file of the snapshot before, or beside it and then not to be
 * loaded alone. */
static void test_diff(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	struct api_reply reply;

	(void)state;
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_resume(&m);
	saved_say(&m, "two");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Diff");
	saved_create(&m, "state2", "memory2", "Diff");
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	api_call(m.socket, "PUT", "/snapshot/load", saved_load_body("state2", "memory2", ""),
		 &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "only what changed"));
	for (int i = 0; i < GENERATIONS; i++) {
		saved_load(&m, "state", "memory", ", \"resume_vm\": true");
		saved_say(&m, "three");
		saved_pause(&m);
		saved_create(&m, "state", "memory", "Diff");
		saved_kill(&m);
		m = saved_start("tiny.sock", NULL, NULL);
	}
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	saved_quit(&m);
}

/* Runs wisp-snapshot; its exit status. */
static int tool(const char *command, const char *a, const char *b)
{
	const char *const argv[] = { fixture_program("wisp-snapshot"), command, fixture_path(a),
				     b ? fixture_path(b) : NULL, NULL };
	struct session *s = session_start(argv);
	int status = session_wait(s, SAVED_LIMIT_S);

	session_end(s);
	return status;
}

/* A chain of differences, each in files of its own, laid over the first one by one. */
static void test_rebase(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);

	(void)state;
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	assert_int_equal(tool("verify", "state", "memory"), 0);
	for (int i = 0; i < GENERATIONS; i++) {
		char files[2][16];

		snprintf(files[0], sizeof(files[0]), "state-%d", i);
		snprintf(files[1], sizeof(files[1]), "memory-%d", i);
		saved_resume(&m);
		saved_say(&m, "more");
		saved_pause(&m);
		saved_create(&m, files[0], files[1], "Diff");
		assert_int_equal(tool("verify", files[0], files[1]), 0);
		assert_int_equal(tool("verify", files[0], "memory"), 1);
	}
	/* The second does not go over the first one's base. */
	assert_int_equal(tool("rebase", "memory", "memory-1"), 1);
	for (int i = 0; i < GENERATIONS; i++) {
		char files[2][16];

		snprintf(files[0], sizeof(files[0]), "state-%d", i);
		snprintf(files[1], sizeof(files[1]), "memory-%d", i);
		assert_int_equal(tool("rebase", "memory", files[1]), 0);
		assert_int_equal(tool("verify", files[0], "memory"), 0);
		saved_kill(&m);
		m = saved_start("tiny.sock", NULL, NULL);
		saved_load(&m, files[0], "memory", ", \"resume_vm\": true");
		saved_say(&m, "two");
	}
	assert_int_equal(tool("info", "state", NULL), 0);
	assert_int_equal(tool("info", "memory", NULL), 1);
	saved_quit(&m);
}

/* --- what is wrong with the files --- */

static void expect_refused(const struct machine *m, const char *body, const char *says)
{
	struct api_reply reply;

	api_call(m->socket, "PUT", "/snapshot/load", body, &reply);
	if (reply.status != 400 || !strstr(reply.body, says))
		fail_msg("not refused with \"%s\": %d %s", says, reply.status, reply.body);
}

/* Memory files that do not belong to the state. */
static void try_memory_files(const struct machine *m)
{
	const char *other = fixture_path("other");

	expect_refused(m, saved_load_body("state", "missing", ""), "cannot be opened");
	expect_refused(m, saved_load_body("state", "memory2", ""), "another snapshot");
	expect_refused(m, saved_load_body("state", "state", ""), "and should have");
	assert_int_equal(mkfifo(other, 0600), 0);
	expect_refused(m, saved_load_body("state", "other", ""), "no regular file");
	unlink(other);
	assert_int_equal(truncate(fixture_path("memory2"), 64 * MIB), 0);
	expect_refused(m, saved_load_body("state", "memory2", ""), "and should have");
	assert_int_equal(truncate(fixture_path("memory2"), 64 * MIB + 4096), 0);
	expect_refused(m, saved_load_body("state", "memory2", ""), "no label");
}

/* A bit of every so many bytes: each is refused, and never more than that. */
static void try_states(const struct machine *m)
{
	size_t len;
	char *bytes = fixture_read("state", &len);

	for (size_t i = 0; i < len; i += 1 + len / 100) {
		bytes[i] ^= 0x10;
		fixture_write("bad", bytes, len);
		expect_refused(m, saved_load_body("bad", "memory", ""), "state");
		bytes[i] ^= 0x10;
	}
	fixture_write("bad", bytes, len / 2);
	expect_refused(m, saved_load_body("bad", "memory", ""), "should have");
	fixture_write("bad", bytes, 0);
	expect_refused(m, saved_load_body("bad", "memory", ""), "no saved state");
	expect_refused(m, saved_load_body("missing", "memory", ""), "cannot be opened");
	free(bytes);
}

static void try_overrides(const struct machine *m)
{
	expect_refused(m,
		       saved_load_body("state", "memory",
				       ", \"drive_overrides\": [{\"drive_id\": \"x\","
				       " \"path_on_host\": \"/dev/null\"}]"),
		       "has no drive");
	expect_refused(m,
		       saved_load_body("state", "memory",
				       ", \"network_overrides\": [{\"iface_id\": \"x\","
				       " \"host_dev_name\": \"t\"}]"),
		       "has no network interface");
	expect_refused(
		m,
		saved_load_body("state", "memory", ", \"vsock_override\": {\"uds_path\": \"v\"}"),
		"has no vsock");
}

/* After all of that the process can still load what is right. */
static void test_refused(void **state)
{
	char extra[512];
	struct machine m;

	(void)state;
	snprintf(extra, sizeof(extra),
		 ", \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false}]",
		 fixture_disk("tiny-disk", "", MIB));
	m = saved_start("tiny.sock", saved_tiny_config(extra), NULL);
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_create(&m, "state2", "memory2", "Full");
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	try_states(&m);
	try_memory_files(&m);
	try_overrides(&m);
	assert_int_equal(truncate(fixture_path("tiny-disk"), 2 * MIB), 0);
	expect_refused(&m, saved_load_body("state", "memory", ""), "another size");
	assert_int_equal(truncate(fixture_path("tiny-disk"), MIB), 0);
	expect_refused(&m, saved_load_body("state", "memory", ""), "was written to after");
	saved_load(&m, "state", "memory", ", \"resume_vm\": true, \"allow_changed_disks\": true");
	saved_say(&m, "two");
	saved_quit(&m);
}

/* Another file in the disk's place is somebody's copy; other sockets are taken; what the
 * metadata service is told before the load, it knows after it. */
static void test_overrides(void **state)
{
	struct api_reply reply;
	char extra[1024], more[1024];
	struct machine m;

	(void)state;
	snprintf(extra, sizeof(extra),
		 ", \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false}],"
		 " \"pmem\": [{\"id\": \"p\", \"path_on_host\": \"%s\"}],"
		 " \"console\": {\"uds_path\": \"%s\"}",
		 fixture_disk("tiny-disk", "", MIB), fixture_disk("tiny-pmem", "", 2 * MIB),
		 fixture_path("c.sock"));
	m = saved_start("tiny.sock", saved_tiny_config(extra), NULL);
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	assert_int_equal(unlink(fixture_path("tiny-disk")), 0);
	assert_int_equal(unlink(fixture_path("tiny-pmem")), 0);
	snprintf(more, sizeof(more),
		 ", \"resume_vm\": true,"
		 " \"pmem_overrides\": [{\"id\": \"p\", \"path_on_host\": \"%s\"}],"
		 " \"console_override\": {\"uds_path\": \"%s\"}",
		 fixture_disk("other-pmem", "", 2 * MIB), fixture_path("d.sock"));
	fixture_disk("tiny-disk", "a copy", MIB);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_call(&m, "PUT", "/mmds", "{\"name\": \"clone\"}");
	saved_load(&m, "state", "memory", more);
	saved_say(&m, "two");
	assert_int_equal(access(fixture_path("d.sock"), F_OK), 0);
	api_call(m.socket, "GET", "/mmds", NULL, &reply);
	assert_non_null(strstr(reply.body, "clone"));
	saved_quit(&m);
}

/* A create that cannot be finished leaves what was there. */
static void test_create_refused(void **state)
{
	struct machine m = saved_start("tiny.sock", saved_tiny_config(NULL), NULL);
	struct api_reply reply;
	char body[512];

	(void)state;
	saved_say(&m, "one");
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	snprintf(body, sizeof(body), "{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s\"}",
		 fixture_path("state"), "/dev/full");
	api_call(m.socket, "PUT", "/snapshot/create", body, &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "no regular file"));
	snprintf(body, sizeof(body), "{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s\"}",
		 fixture_path("state"), fixture_path("no/such/folder"));
	api_call(m.socket, "PUT", "/snapshot/create", body, &reply);
	assert_int_equal(reply.status, 400);
	assert_int_equal(access(fixture_path("state.new"), F_OK), -1);
	saved_kill(&m);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	saved_quit(&m);
}

/* --- real guests --- */

/* Both processors have something to do, files come from the disk and not from memory, and
 * each round ends in a line. */
#define ROUNDS "20"
#define WORK                                                                      \
	"mkdir -p /mnt; mount -t ext4 /dev/vdb /mnt || exit 9\n"                  \
	"(while :; do :; done) &\n"                                               \
	"i=0\n"                                                                   \
	"while [ $i -lt " ROUNDS " ]; do\n"                                       \
	"	i=$((i + 1))\n"                                                         \
	"	dd if=/dev/urandom of=/mnt/file bs=64k count=8 2>/dev/null || exit 2\n" \
	"	a=$(md5sum < /mnt/file)\n"                                              \
	"	sync; echo 3 > /proc/sys/vm/drop_caches\n"                              \
	"	b=$(md5sum < /mnt/file)\n"                                              \
	"	[ \"$a\" = \"$b\" ] || exit 3\n"                                        \
	"	sleep 0.01\n"                                                           \
	"	echo round $i.\n"                                                       \
	"done\n"                                                                  \
	"umount /mnt || exit 4\n"

static void make_disk(const char *name)
{
	char command[512];

	snprintf(command, sizeof(command), "mke2fs -q -F -t ext4 %s 32M", fixture_path(name));
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

struct linux_case {
	const char *kernel, *initrd, *option, *engine; /* engine NULL: a back end's disk */
};

/* qemu-storage-daemon, which has the disk "work" for whoever connects to work.sock. */
static struct session *serve_disk(void)
{
	char blockdev[512], export[512];
	const char *const argv[] = {
		"qemu-storage-daemon", "--blockdev", blockdev, "--export", export, NULL
	};
	struct session *s;

	snprintf(blockdev, sizeof(blockdev), "driver=file,node-name=d,filename=%s",
		 fixture_path("work"));
	snprintf(export, sizeof(export),
		 "vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path=%s,writable=on",
		 fixture_path("work.sock"));
	s = session_start(argv);
	while (access(fixture_path("work.sock"), F_OK) < 0)
		assert_false(session_sees(s, "qemu-storage-daemon:", 1));
	return s;
}

static const char *linux_config(const struct linux_case *c)
{
	static char extra[2048];
	char disk[512];
	struct fixture_config config = {
		.kernel = fixture_need_image(c->kernel),
		.initrd = fixture_need_image(c->initrd),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.mem_mib = 256,
		.vcpus = 2,
		.extra = extra,
	};

	make_disk("work");
	if (c->engine)
		snprintf(disk, sizeof(disk), "\"path_on_host\": \"%s\", \"io_engine\": \"%s\"",
			 fixture_path("work"), c->engine);
	else
		snprintf(disk, sizeof(disk), "\"socket\": \"%s\"", fixture_path("work.sock"));
	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true,"
		 " \"stats_polling_interval_s\": 1},"
		 " \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"drives\": [{\"drive_id\": \"script\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": true},"
		 " {\"drive_id\": \"work\", \"is_root_device\": false,"
		 " \"cache_type\": \"Writeback\", %s}]",
		 fixture_path("v.sock"), fixture_disk("script", WORK, SCRIPT_BYTES), disk);
	return fixture_config("linux.json", &config);
}

static void save_and_kill(struct machine *m)
{
	saved_pause(m);
	saved_create(m, "state", "memory", "Full");
	saved_kill(m);
}

/* Saved three times in the middle of its work; the last process sees it through. */
static void work(const struct linux_case *c)
{
	static const char *const after[] = { "round 4.", "round 8.", "round 12." };
	const char *config = linux_config(c);
	struct session *back_end = c->engine ? NULL : serve_disk();
	struct machine m = saved_start("linux.sock", config, c->option);
	int got;

	for (unsigned i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		session_expect(m.wisp, after[i], SAVED_LIMIT_S);
		save_and_kill(&m);
		m = saved_start("linux.sock", NULL, NULL);
		saved_load(&m, "state", "memory",
			   ", \"resume_vm\": true, \"clock_realtime\": true");
	}
	session_expect(m.wisp, "round " ROUNDS ".", SAVED_LIMIT_S);
	got = session_wait(m.wisp, SAVED_LIMIT_S);
	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(m.wisp));
	session_end(m.wisp);
	session_end(back_end);
}

static void test_linux(void **state)
{
	static const struct linux_case c = { "vmlinux-minimal", "initramfs.cpio", NULL, "Sync" };

	(void)state;
	work(&c);
}

static void test_linux_pci(void **state)
{
	static const struct linux_case c = { "vmlinuz-cloud", "initrd-cloud", "--enable-pci",
					     "Sync" };

	(void)state;
	work(&c);
}

/* The kernel finishes a killed process's requests when it likes. */
static void test_linux_async(void **state)
{
	static const struct linux_case c = { "vmlinux-minimal", "initramfs.cpio", NULL, "Async" };

	(void)state;
	work(&c);
}

static void test_linux_back_end(void **state)
{
	static const struct linux_case c = { "vmlinux-minimal", "initramfs.cpio", NULL, NULL };

	(void)state;
	work(&c);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny),	   cmocka_unit_test(test_tiny_pci),
		cmocka_unit_test(test_paused),	   cmocka_unit_test(test_diff),
		cmocka_unit_test(test_huge_pages), cmocka_unit_test(test_rebase),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_create_refused),
		cmocka_unit_test(test_overrides),
	};
	const struct CMUnitTest boots[] = {
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_linux_pci),
		cmocka_unit_test(test_linux_async),
		cmocka_unit_test(test_linux_back_end),
	};

	return saved_main(argc, argv, tests, boots);
}
