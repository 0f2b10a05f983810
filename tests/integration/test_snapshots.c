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

enum { LIMIT_S = 60, SKIPPED = 77, SCRIPT_BYTES = 8192, GENERATIONS = 5, MIB = 1024 * 1024 };

struct machine {
	struct session *wisp;
	char socket[108];
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

/* option: one more of the command line, or NULL. */
static struct machine start(const char *socket, const char *config, const char *option)
{
	struct machine m = { 0 };
	const char *argv[] = {
		fixture_program("wisp"),
		"--api-sock",
		m.socket,
		"--debug-exit-port",
		"0xf4",
		NULL,
		NULL,
		NULL,
		NULL,
	};
	unsigned n = 5;

	snprintf(m.socket, sizeof(m.socket), "%s", fixture_path(socket));
	unlink(m.socket);
	unlink(fixture_path("v.sock"));
	unlink(fixture_path("c.sock"));
	if (config) {
		argv[n++] = "--config-file";
		argv[n++] = config;
	}
	if (option)
		argv[n++] = option;
	m.wisp = session_start(argv);
	api_wait(m.socket, LIMIT_S);
	return m;
}

static void call(const struct machine *m, const char *verb, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(m->socket, verb, path, body, &reply);
	if (reply.status != 204)
		fail_msg("%s %s: %d %s\n%s", verb, path, reply.status, reply.body,
			 session_output(m->wisp));
}

static void pause_machine(const struct machine *m)
{
	call(m, "PATCH", "/vm", "{\"state\": \"Paused\"}");
}

static void resume(const struct machine *m)
{
	call(m, "PATCH", "/vm", "{\"state\": \"Resumed\"}");
}

static void create(const struct machine *m, const char *state, const char *memory, const char *type)
{
	char body[512];

	snprintf(
		body, sizeof(body),
		"{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s\", \"snapshot_type\": \"%s\"}",
		fixture_path(state), fixture_path(memory), type);
	call(m, "PUT", "/snapshot/create", body);
}

/* The body of a load; more: ", ..." */
static const char *load_body(const char *state, const char *memory, const char *more)
{
	static char body[2048];

	snprintf(body, sizeof(body),
		 "{\"snapshot_path\": \"%s\", \"mem_backend\": {\"backend_type\": \"File\","
		 " \"backend_path\": \"%s\"}%s}",
		 fixture_path(state), fixture_path(memory), more);
	return body;
}

static void load(const struct machine *m, const char *state, const char *memory, const char *more)
{
	call(m, "PUT", "/snapshot/load", load_body(state, memory, more));
}

static void kill_machine(struct machine *m)
{
	session_kill(m->wisp, SIGKILL);
	session_wait(m->wisp, LIMIT_S);
	session_end(m->wisp);
}

/* --- tiny guests --- */

static const char *tiny_config(const char *extra)
{
	struct fixture_config c = {
		.kernel = fixture_guest("serial-echo"),
		.boot_args = "",
		.vcpus = 2,
		.mem_mib = 64,
		.extra = extra,
	};

	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		skip();
	}
	return fixture_config("tiny.json", &c);
}

static void say(const struct machine *m, const char *text)
{
	session_send(m->wisp, text);
	session_expect(m->wisp, text, LIMIT_S);
}

static void quit(struct machine *m)
{
	session_send(m->wisp, "q");
	assert_int_equal(session_wait(m->wisp, LIMIT_S), 0);
	session_end(m->wisp);
}

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
	m = start("tiny.sock", tiny_config(extra), option);
	say(&m, "first");
	for (int i = 0; i < GENERATIONS; i++) {
		char word[32], vsock[32];

		snprintf(word, sizeof(word), "generation-%d", i);
		snprintf(vsock, sizeof(vsock), "v%d.sock", i);
		unlink(fixture_path(vsock));
		pause_machine(&m);
		create(&m, "state", "memory", "Full");
		/* The source goes on as if nothing had happened. */
		resume(&m);
		say(&m, "still-here");
		kill_machine(&m);
		m = start("tiny.sock", NULL, NULL);
		snprintf(more, sizeof(more),
			 ", \"resume_vm\": true, \"vsock_override\": {\"uds_path\": \"%s\"}",
			 fixture_path(vsock));
		load(&m, "state", "memory", more);
		say(&m, word);
	}
	quit(&m);
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
	struct machine m = start("tiny.sock", tiny_config(NULL), NULL);
	struct api_reply reply;

	(void)state;
	say(&m, "one");
	pause_machine(&m);
	create(&m, "state", "memory", "Full");
	kill_machine(&m);
	m = start("tiny.sock", NULL, NULL);
	load(&m, "state", "memory", "");
	api_call(m.socket, "GET", "/", NULL, &reply);
	assert_non_null(strstr(reply.body, "Paused"));
	resume(&m);
	say(&m, "two");
	quit(&m);
}

/* Pages that a file cannot be mapped over are copied. */
static void test_huge_pages(void **state)
{
	struct machine m = start("tiny.sock", tiny_config(NULL), NULL);

	(void)state;
	say(&m, "one");
	pause_machine(&m);
	create(&m, "state", "memory", "Full");
	for (int i = 0; i < 2; i++) {
		kill_machine(&m);
		m = start("tiny.sock", NULL, NULL);
		load(&m, "state", "memory",
		     ", \"resume_vm\": true, \"huge_pages\": \"Transparent\"");
		say(&m, "two");
		pause_machine(&m);
		create(&m, "state", "memory", "Full");
	}
	resume(&m);
	quit(&m);
}

/* Differences: put over the file of the snapshot before, or beside it and then not to be
 * loaded alone. */
static void test_diff(void **state)
{
	struct machine m = start("tiny.sock", tiny_config(NULL), NULL);
	struct api_reply reply;

	(void)state;
	say(&m, "one");
	pause_machine(&m);
	create(&m, "state", "memory", "Full");
	resume(&m);
	say(&m, "two");
	pause_machine(&m);
	create(&m, "state", "memory", "Diff");
	create(&m, "state2", "memory2", "Diff");
	kill_machine(&m);
	m = start("tiny.sock", NULL, NULL);
	api_call(m.socket, "PUT", "/snapshot/load", load_body("state2", "memory2", ""), &reply);
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "only what changed"));
	for (int i = 0; i < GENERATIONS; i++) {
		load(&m, "state", "memory", ", \"resume_vm\": true");
		say(&m, "three");
		pause_machine(&m);
		create(&m, "state", "memory", "Diff");
		kill_machine(&m);
		m = start("tiny.sock", NULL, NULL);
	}
	load(&m, "state", "memory", ", \"resume_vm\": true");
	quit(&m);
}

/* Runs wisp-snapshot; its exit status. */
static int tool(const char *command, const char *a, const char *b)
{
	const char *const argv[] = { fixture_program("wisp-snapshot"), command, fixture_path(a),
				     b ? fixture_path(b) : NULL, NULL };
	struct session *s = session_start(argv);
	int status = session_wait(s, LIMIT_S);

	session_end(s);
	return status;
}

/* A chain of differences, each in files of its own, laid over the first one by one. */
static void test_rebase(void **state)
{
	struct machine m = start("tiny.sock", tiny_config(NULL), NULL);

	(void)state;
	say(&m, "one");
	pause_machine(&m);
	create(&m, "state", "memory", "Full");
	assert_int_equal(tool("verify", "state", "memory"), 0);
	for (int i = 0; i < GENERATIONS; i++) {
		char files[2][16];

		snprintf(files[0], sizeof(files[0]), "state-%d", i);
		snprintf(files[1], sizeof(files[1]), "memory-%d", i);
		resume(&m);
		say(&m, "more");
		pause_machine(&m);
		create(&m, files[0], files[1], "Diff");
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
		kill_machine(&m);
		m = start("tiny.sock", NULL, NULL);
		load(&m, files[0], "memory", ", \"resume_vm\": true");
		say(&m, "two");
	}
	assert_int_equal(tool("info", "state", NULL), 0);
	assert_int_equal(tool("info", "memory", NULL), 1);
	quit(&m);
}

/* --- what is wrong with the files --- */

static char *read_file(const char *name, size_t *len)
{
	int fd = open(fixture_path(name), O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *bytes;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	bytes = malloc(*len);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, *len), (ssize_t)*len);
	close(fd);
	return bytes;
}

static void write_file(const char *name, const char *bytes, size_t len)
{
	int fd = open(fixture_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

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

	expect_refused(m, load_body("state", "missing", ""), "cannot be opened");
	expect_refused(m, load_body("state", "memory2", ""), "another snapshot");
	expect_refused(m, load_body("state", "state", ""), "and should have");
	assert_int_equal(mkfifo(other, 0600), 0);
	expect_refused(m, load_body("state", "other", ""), "no regular file");
	unlink(other);
	assert_int_equal(truncate(fixture_path("memory2"), 64 * MIB), 0);
	expect_refused(m, load_body("state", "memory2", ""), "and should have");
	assert_int_equal(truncate(fixture_path("memory2"), 64 * MIB + 4096), 0);
	expect_refused(m, load_body("state", "memory2", ""), "no label");
}

/* A bit of every so many bytes: each is refused, and never more than that. */
static void try_states(const struct machine *m)
{
	size_t len;
	char *bytes = read_file("state", &len);

	for (size_t i = 0; i < len; i += 1 + len / 100) {
		bytes[i] ^= 0x10;
		write_file("bad", bytes, len);
		expect_refused(m, load_body("bad", "memory", ""), "state");
		bytes[i] ^= 0x10;
	}
	write_file("bad", bytes, len / 2);
	expect_refused(m, load_body("bad", "memory", ""), "should have");
	write_file("bad", bytes, 0);
	expect_refused(m, load_body("bad", "memory", ""), "no saved state");
	expect_refused(m, load_body("missing", "memory", ""), "cannot be opened");
	free(bytes);
}

static void try_overrides(const struct machine *m)
{
	expect_refused(m,
		       load_body("state", "memory",
				 ", \"drive_overrides\": [{\"drive_id\": \"x\","
				 " \"path_on_host\": \"/dev/null\"}]"),
		       "has no drive");
	expect_refused(m,
		       load_body("state", "memory",
				 ", \"network_overrides\": [{\"iface_id\": \"x\","
				 " \"host_dev_name\": \"t\"}]"),
		       "has no network interface");
	expect_refused(m,
		       load_body("state", "memory", ", \"vsock_override\": {\"uds_path\": \"v\"}"),
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
	m = start("tiny.sock", tiny_config(extra), NULL);
	say(&m, "one");
	pause_machine(&m);
	create(&m, "state", "memory", "Full");
	create(&m, "state2", "memory2", "Full");
	kill_machine(&m);
	m = start("tiny.sock", NULL, NULL);
	try_states(&m);
	try_memory_files(&m);
	try_overrides(&m);
	assert_int_equal(truncate(fixture_path("tiny-disk"), 2 * MIB), 0);
	expect_refused(&m, load_body("state", "memory", ""), "another size");
	assert_int_equal(truncate(fixture_path("tiny-disk"), MIB), 0);
	load(&m, "state", "memory", ", \"resume_vm\": true");
	say(&m, "two");
	quit(&m);
}

/* A create that cannot be finished leaves what was there. */
static void test_create_refused(void **state)
{
	struct machine m = start("tiny.sock", tiny_config(NULL), NULL);
	struct api_reply reply;
	char body[512];

	(void)state;
	say(&m, "one");
	pause_machine(&m);
	create(&m, "state", "memory", "Full");
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
	kill_machine(&m);
	m = start("tiny.sock", NULL, NULL);
	load(&m, "state", "memory", ", \"resume_vm\": true");
	quit(&m);
}

/* --- real guests --- */

/* Both processors have something to do, files come from the disk and not from memory, and
 * each round ends in a line. */
#define ROUNDS "60"
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
	const char *kernel, *initrd, *option, *engine;
};

static const char *linux_config(const struct linux_case *c)
{
	static char extra[2048];
	struct fixture_config config = {
		.kernel = need_image(c->kernel),
		.initrd = need_image(c->initrd),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- "
			     "sh /dev/vda",
		.mem_mib = 256,
		.vcpus = 2,
		.extra = extra,
	};

	make_disk("work");
	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"balloon\": {\"amount_mib\": 0, \"deflate_on_oom\": true,"
		 " \"stats_polling_interval_s\": 1},"
		 " \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"drives\": [{\"drive_id\": \"script\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"is_read_only\": true},"
		 " {\"drive_id\": \"work\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false, \"cache_type\": \"Writeback\","
		 " \"io_engine\": \"%s\"}]",
		 fixture_path("v.sock"), fixture_disk("script", WORK, SCRIPT_BYTES),
		 fixture_path("work"), c->engine);
	return fixture_config("linux.json", &config);
}

static void save_and_kill(struct machine *m)
{
	pause_machine(m);
	create(m, "state", "memory", "Full");
	kill_machine(m);
}

/* Saved three times in the middle of its work; the last process sees it through. */
static void work(const struct linux_case *c)
{
	static const char *const after[] = { "round 10.", "round 20.", "round 30." };
	struct machine m = start("linux.sock", linux_config(c), c->option);
	int got;

	for (unsigned i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		session_expect(m.wisp, after[i], LIMIT_S);
		save_and_kill(&m);
		m = start("linux.sock", NULL, NULL);
		load(&m, "state", "memory", ", \"resume_vm\": true, \"clock_realtime\": true");
	}
	session_expect(m.wisp, "round " ROUNDS ".", LIMIT_S);
	got = session_wait(m.wisp, LIMIT_S);
	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(m.wisp));
	session_end(m.wisp);
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

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tiny),	   cmocka_unit_test(test_tiny_pci),
		cmocka_unit_test(test_paused),	   cmocka_unit_test(test_diff),
		cmocka_unit_test(test_huge_pages), cmocka_unit_test(test_rebase),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_create_refused),
	};
	const struct CMUnitTest boots[] = {
		cmocka_unit_test(test_linux),
		cmocka_unit_test(test_linux_pci),
	};

	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
		return cmocka_run_group_tests(boots, NULL, NULL);
	}
	if (!fixture_has_kvm()) {
		print_message("no /dev/kvm here\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
