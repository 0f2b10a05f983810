/* test_snapshot_tool.c - wisp-snapshot on snapshots of tiny guests, which are loaded
 * afterwards: compared, edited, packed up, unpacked; and on files that are none.
 *
 *   test_snapshot_tool [CASE]    only the named case, of those for the test host
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

#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum { MIB = 1024 * 1024, DIFFERENT = 3, OUTPUT_BYTES = 65536, MAX_ARGS = 8 };

static char output[OUTPUT_BYTES]; /* of the tool's last run */

/* Runs wisp-snapshot; its exit status. */
static int tool(const char *const args[])
{
	const char *argv[MAX_ARGS + 2] = { fixture_program("wisp-snapshot") };
	struct session *s;
	int status;

	for (unsigned i = 0; i < MAX_ARGS && args[i]; i++)
		argv[i + 1] = args[i];
	s = session_start(argv);
	status = session_wait(s, SAVED_LIMIT_S);
	snprintf(output, sizeof(output), "%s", session_output(s));
	session_end(s);
	return status;
}

#define TOOL(...) tool((const char *const[]){ __VA_ARGS__, NULL })

static void expect(const char *words)
{
	if (!strstr(output, words))
		fail_msg("not \"%s\": %s", words, output);
}

static const char *path(const char *name)
{
	return fixture_path(name);
}

static const char *config_with_disk(void)
{
	static char extra[1024];

	snprintf(extra, sizeof(extra),
		 ", \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"drives\": [{\"drive_id\": \"d\", \"path_on_host\": \"%s\","
		 " \"is_root_device\": false}]",
		 path("v.sock"), fixture_disk("tiny-disk", "", MIB));
	return saved_tiny_config(extra);
}

/* A machine that has said something, paused. */
static struct machine paused_machine(void)
{
	struct machine m = saved_start("tiny.sock", config_with_disk(), NULL);

	saved_say(&m, "one");
	saved_pause(&m);
	return m;
}

static void test_diff(void **state)
{
	struct machine m = paused_machine();

	(void)state;
	saved_create(&m, "state", "memory", "Full");
	saved_resume(&m);
	saved_say(&m, "two");
	saved_pause(&m);
	saved_create(&m, "state2", "memory2", "Full");
	saved_kill(&m);
	assert_int_equal(TOOL("diff", path("state"), path("state"), path("memory"), path("memory")),
			 0);
	assert_string_equal(output, "");
	assert_int_equal(TOOL("diff", path("state"), path("state2")), DIFFERENT);
	expect("manifest: created_ms: ");
	expect("machine 0: id: ");
	expect("vcpu 0: REGS: ");
	expect("clock 0: now: 0x");
	assert_int_equal(
		TOOL("diff", path("state"), path("state2"), path("memory"), path("memory2")),
		DIFFERENT);
	assert_int_equal(TOOL("diff", path("state"), path("state2"), path("memory")), 1);
	assert_int_equal(
		TOOL("diff", path("state"), path("state2"), path("memory2"), path("memory")), 1);
	expect("another snapshot");
}

/* A page of one of the files is written to: only that one is told. */
static void test_diff_memory(void **state)
{
	struct machine m = paused_machine();
	char command[512];
	int fd;

	(void)state;
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	snprintf(command, sizeof(command), "cp --sparse=always %s %s", path("memory"),
		 path("memory2"));
	assert_int_equal(system(command), 0);
	fd = open(path("memory2"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 0x2345678), 1);
	assert_int_equal(pwrite(fd, "x", 1, 0x2346000), 1);
	assert_int_equal(pwrite(fd, "x", 1, 0x3ffffff), 1);
	close(fd);
	assert_int_equal(
		TOOL("diff", path("state"), path("state"), path("memory"), path("memory2")),
		DIFFERENT);
	assert_string_equal(output, "memory: 2 pages from 0x2345000 on\n"
				    "memory: page 0x3fff000\n"
				    "memory: 3 of 16384 pages differ\n");
}

static void test_edit(void **state)
{
	static const struct {
		const char *setting, *says;
	} bad[] = {
		{ "drive.d", "sets nothing" },	     { "drive.d=", "sets nothing" },
		{ "drive.e=/x", "has no drive e" },  { "drive=/x", "has no drive" },
		{ "vsock.a=/x", "has no vsock a" },  { "tap.net0=t", "has no tap net0" },
		{ "color=red", "\"color\" cannot" }, { "mac.net0=x", "has no mac net0" },
		{ "vsock=\xff", "no text" },
	};
	struct machine m = paused_machine();
	char drive[256], vsock[256];

	(void)state;
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(TOOL("edit", path("state"), path("edited"), bad[i].setting), 1);
		expect(bad[i].says);
		assert_int_equal(access(path("edited"), F_OK), -1);
	}
	snprintf(drive, sizeof(drive), "drive.d=%s", fixture_disk("other-disk", "", MIB));
	snprintf(vsock, sizeof(vsock), "vsock=%s", path("w.sock"));
	assert_int_equal(TOOL("edit", path("state"), path("edited"), drive, vsock, "id=another"),
			 0);
	assert_int_equal(TOOL("verify", path("edited"), path("memory")), 0);
	assert_int_equal(TOOL("diff", path("state"), path("edited")), DIFFERENT);
	expect("manifest: config.vsock.uds_path: ");
	assert_null(strstr(output, "vcpu"));
	/* What it names now is all that it needs. */
	assert_int_equal(unlink(path("tiny-disk")), 0);
	unlink(path("w.sock"));
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "edited", "memory", ", \"resume_vm\": true");
	assert_int_equal(access(path("w.sock"), F_OK), 0);
	saved_say(&m, "two");
	saved_quit(&m);
}

/* --- packed up --- */

static long blocks_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path(name), &st), 0);
	return (long)st.st_blocks;
}

static void same_files(const char *a, const char *b)
{
	char command[512];

	snprintf(command, sizeof(command), "cmp %s %s", path(a), path(b));
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void test_packed(void **state)
{
	struct machine m = paused_machine();
	char command[2048], program[512];

	(void)state;
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	snprintf(program, sizeof(program), "%s", fixture_program("wisp-snapshot"));
	assert_int_equal(TOOL("export", path("state"), path("memory"), path("packed")), 0);
	assert_int_equal(TOOL("import", path("packed"), path("state2"), path("memory2")), 0);
	same_files("state", "state2");
	same_files("memory", "memory2");
	assert_true(blocks_of("memory2") <= blocks_of("memory"));
	snprintf(command, sizeof(command), "%s export %s %s - | %s import - %s %s", program,
		 path("state"), path("memory"), program, path("state3"), path("memory3"));
	assert_int_equal(system(command), 0);
	same_files("state", "state3");
	same_files("memory", "memory3");
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state3", "memory3", ", \"resume_vm\": true");
	saved_say(&m, "two");
	saved_quit(&m);
}

/* Zeros that a difference has written are not holes when it comes out again. */
static void test_packed_difference(void **state)
{
	struct machine m = paused_machine();

	(void)state;
	saved_create(&m, "state", "memory", "Full");
	saved_resume(&m);
	saved_say(&m, "two");
	saved_pause(&m);
	saved_create(&m, "state2", "difference", "Diff");
	saved_kill(&m);
	assert_int_equal(TOOL("export", path("state2"), path("difference"), path("packed")), 0);
	assert_int_equal(TOOL("import", path("packed"), path("state3"), path("difference3")), 0);
	same_files("difference", "difference3");
	assert_int_equal(blocks_of("difference"), blocks_of("difference3"));
	assert_int_equal(TOOL("rebase", path("memory"), path("difference3")), 0);
	m = saved_start("tiny.sock", NULL, NULL);
	saved_load(&m, "state3", "memory", ", \"resume_vm\": true");
	saved_say(&m, "three");
	saved_quit(&m);
}

/* Whether it was refused. What is there stays, and nothing is left aside. */
static bool refused(const char *name)
{
	const int status = TOOL("import", path(name), path("old"), path("older"));

	assert_in_range(status, 0, 1);
	assert_int_equal(access(path("old.new"), F_OK), -1);
	assert_int_equal(access(path("older.new"), F_OK), -1);
	same_files("old", "state");
	same_files("older", "memory");
	return status == 1;
}

/* Every byte of the compressed file, and every one of the stream inside. A few bits of the former
 * mean nothing (as padding does): with one of these changed, the very same may come out. */
static void test_damaged(void **state)
{
	struct machine m = paused_machine();
	char command[1024], *bytes;
	unsigned tried = 0, caught = 0;
	size_t len;

	(void)state;
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	assert_int_equal(TOOL("export", path("state"), path("memory"), path("packed")), 0);
	assert_int_equal(TOOL("import", path("packed"), path("old"), path("older")), 0);
	bytes = fixture_read("packed", &len);
	for (size_t i = 0; i < len; i += 1 + len / 50) {
		bytes[i] ^= 0x11;
		fixture_write("bad", bytes, len);
		tried++;
		caught += refused("bad");
		bytes[i] ^= 0x11;
		fixture_write("bad", bytes, i);
		assert_true(refused("bad"));
	}
	free(bytes);
	assert_true(caught * 10 > tried * 9);
	snprintf(command, sizeof(command), "zstd -q -d -c < %s > %s", path("packed"),
		 path("plain"));
	assert_int_equal(system(command), 0);
	bytes = fixture_read("plain", &len);
	for (size_t i = 0; i < len; i += 1 + len / 50) {
		bytes[i] ^= 0x11;
		fixture_write("plain", bytes, len);
		snprintf(command, sizeof(command), "zstd -q -f %s -o %s", path("plain"),
			 path("bad"));
		assert_int_equal(system(command), 0);
		assert_true(refused("bad"));
		bytes[i] ^= 0x11;
	}
	free(bytes);
	assert_true(refused("state"));
	assert_true(refused("missing"));
	assert_int_equal(mkfifo(path("fifo"), 0600), 0);
	assert_int_equal(TOOL("export", path("fifo"), path("memory"), path("bad")), 1);
	assert_int_equal(TOOL("export", path("state"), path("fifo"), path("bad")), 1);
	assert_int_equal(TOOL("import", path("packed"), path("old"), path("old")), 1);
	assert_int_equal(TOOL("export", path("state"), path("memory"), "/dev/full"), 1);
}

/* --- for the test host --- */

/* Made by earlier versions, on the processor that the test host has. */
static const char *const golden[] = { "snapshot-1.0.wsnap", "snapshot-1.1.wsnap" };

static void go_on_from(const char *name)
{
	char packed[512], drive[256], pmem[256], vsock[256], console[256];
	struct machine m;

	snprintf(packed, sizeof(packed), "%s/%s", WISP_GOLDEN, name);
	snprintf(drive, sizeof(drive), "drive.d=%s", fixture_disk("disk", "", MIB));
	snprintf(pmem, sizeof(pmem), "pmem.p=%s", fixture_disk("pmem", "", 2 * MIB));
	snprintf(vsock, sizeof(vsock), "vsock=%s", path("v.sock"));
	snprintf(console, sizeof(console), "console=%s", path("c.sock"));
	assert_int_equal(TOOL("import", packed, path("golden"), path("memory")), 0);
	assert_int_equal(TOOL("verify", path("golden"), path("memory")), 0);
	assert_int_equal(TOOL("edit", path("golden"), path("state"), drive, pmem, vsock, console),
			 0);
	m = saved_start("golden.sock", NULL, NULL);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	saved_say(&m, "still-here");
	saved_quit(&m);
}

/* One with plugged memory: a guest that looks at it (tests/guests/plug.S). */
static void go_on_with_blocks(const char *name)
{
	char packed[512];
	struct machine m;

	snprintf(packed, sizeof(packed), "%s/%s", WISP_GOLDEN, name);
	assert_int_equal(TOOL("import", packed, path("state"), path("memory")), 0);
	assert_int_equal(TOOL("verify", path("state"), path("memory")), 0);
	m = saved_start("golden.sock", NULL, NULL);
	saved_load(&m, "state", "memory", ", \"resume_vm\": true");
	session_send(m.wisp, "c");
	session_expect(m.wisp, "done.", SAVED_LIMIT_S);
	session_send(m.wisp, "pb");
	session_expect(m.wisp, "done.", SAVED_LIMIT_S);
	saved_quit(&m);
}

static void test_golden(void **state)
{
	(void)state;
	go_on_with_blocks("snapshot-1.2.wsnap");
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
		go_on_from(golden[i]);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_diff_memory),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_packed_difference),
		cmocka_unit_test(test_damaged),
	};
	const struct CMUnitTest boots[] = {
		cmocka_unit_test(test_golden),
	};

	return saved_main(argc, argv, tests, boots);
}
