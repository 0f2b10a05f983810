/* test_files.c - which of the host's files a running microVM can still open: by Landlock's
 * rules, and none at all where everything is passed as a descriptor.
 *
 * Tiny guests on the KVM of this machine.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "vmm/base/landlock.h"

enum { LIMIT_S = 60, SKIPPED = 77, MIB = 1 << 20 };

enum { CONFIG_FD = 60, KERNEL_FD, DISK_FD, LOG_FD, API_FD, OTHER_FD };

#ifdef __SANITIZE_ADDRESS__
#define NO_RULES "Landlock: 2 rules" /* for its leak check, and what goes with any */
#else
#define NO_RULES "Landlock: 0 rules"
#endif
#define SOCKET	  "sockets/api.sock"
#define HINT	  "allow the folder by --allow-path"
#define DISK_BODY "{\"drive_id\": \"disk\", \"is_root_device\": false, \"path_on_host\": \"%s\"}"

/* clang-format off */
#define ARGS(...) ((const char *const[]){ fixture_program("wisp"), __VA_ARGS__, NULL })
/* clang-format on */

/* Inherited by what is started from now on. */
static void pass(const char *path, int flags, int number)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, number), number);
	close(fd);
}

static void pass_listening(const char *path, int number)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(dup2(fd, number), number);
	close(fd);
}

static const char *config_by_descriptor(const char *guest)
{
	const struct fixture_config config = {
		.kernel = "fd:61", .boot_args = "", .disk = "fd:62", .disk_not_root = true
	};

	pass(fixture_guest(guest), O_RDONLY, KERNEL_FD);
	pass(fixture_disk("passed.raw", "WISPDISK", MIB), O_RDWR, DISK_FD);
	return fixture_config("passed.json", &config);
}

static void end_passing(void)
{
	for (int fd = CONFIG_FD; fd <= OTHER_FD; fd++)
		close(fd);
}

/* The guest reads and writes its disk, and wisp can open nothing: there is no rule. */
static void test_nothing(void **state)
{
	struct session *s;
	int status;

	(void)state;
	pass(config_by_descriptor("virtio-evil"), O_RDONLY, CONFIG_FD);
	pass(fixture_path("passed.log"), O_WRONLY | O_CREAT, LOG_FD);
	s = session_start(ARGS("--no-api", "--config-file", "fd:60", "--log-path", "fd:63",
			       "--debug-exit-port", "0xf4", "--level", "Debug"));
	end_passing();
	status = session_wait(s, LIMIT_S);
	if (status != 0)
		fail_msg("ended with %d: %s", status, session_output(s));
	session_end(s);
	assert_int_equal(system("grep -q '" NO_RULES "' passed.log"), 0);
}

static void expect(const char *socket, const char *verb, const char *path, const char *body,
		   int status, const char *words)
{
	struct api_reply reply;

	api_call(socket, verb, path, body, &reply);
	if (reply.status != status || !strstr(reply.body, words))
		fail_msg("%s %s %s: %d %s\nwanted %d, \"%s\"", verb, path, body, reply.status,
			 reply.body, status, words);
}

static void expect_disk(const char *verb, const char *path_on_host, int status, const char *words)
{
	char body[512];

	snprintf(body, sizeof(body), DISK_BODY, path_on_host);
	expect(SOCKET, verb, "/drives/disk", body, status, words);
}

static void expect_snapshot(const char *state, int status, const char *words)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"snapshot_path\": \"%s\", \"mem_file_path\": \"%s.mem\"}",
		 state, state);
	expect(SOCKET, "PUT", "/snapshot/create", body, status, words);
}

static struct session *start_idle(const char *const argv[])
{
	char body[512];
	struct session *s = session_start(argv);

	api_wait(SOCKET, LIMIT_S);
	snprintf(body, sizeof(body), "{\"kernel_image_path\": \"%s\"}", fixture_guest("hlt-loop"));
	expect(SOCKET, "PUT", "/boot-source", body, 204, "");
	return s;
}

/* What requests name after the start is opened below the allowed folder, or not at all. */
static void test_requests(void **state)
{
	struct session *s;

	(void)state;
	s = start_idle(ARGS("--api-sock", SOCKET, "--allow-path", "allowed", "--enable-pci"));
	expect_disk("PUT", "disk", 204, "");
	expect(SOCKET, "PUT", "/vsock", "{\"guest_cid\": 3, \"uds_path\": \"sockets/v.sock\"}", 204,
	       "");
	expect(SOCKET, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", 204, "");
	/* The same file, when it has grown; another. */
	expect(SOCKET, "PATCH", "/drives/disk",
	       "{\"drive_id\": \"disk\", \"path_on_host\": \"disk\"}", 204, "");
	expect(SOCKET, "PATCH", "/drives/disk",
	       "{\"drive_id\": \"disk\", \"path_on_host\": \"allowed/disk\"}", 204, "");
	expect(SOCKET, "PATCH", "/drives/disk",
	       "{\"drive_id\": \"disk\", \"path_on_host\": \"other/disk\"}", 400, HINT);
	/* One more. */
	expect(SOCKET, "PUT", "/drives/more",
	       "{\"drive_id\": \"more\", \"is_root_device\": false,"
	       " \"path_on_host\": \"other/disk\"}",
	       400, HINT);
	expect(SOCKET, "PUT", "/drives/more",
	       "{\"drive_id\": \"more\", \"is_root_device\": false,"
	       " \"path_on_host\": \"allowed/more\"}",
	       204, "");
	/* A copy of all. */
	expect(SOCKET, "PATCH", "/vm", "{\"state\": \"Paused\"}", 204, "");
	expect_snapshot("other/state", 400, HINT);
	expect_snapshot("allowed/state", 204, "");
	expect_snapshot("allowed/state", 204, "");
	assert_int_equal(access("allowed/state.mem", F_OK), 0);
	assert_int_equal(access("other/state", F_OK), -1);
	/* What wisp made it removes. */
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, LIMIT_S), 128 + SIGTERM);
	session_end(s);
	assert_int_equal(access(SOCKET, F_OK), -1);
	assert_int_equal(access("sockets/v.sock", F_OK), -1);
}

/* A file that was named read-only cannot be had to write, though it is the user's own. */
static void test_read_only(void **state)
{
	struct session *s = start_idle(ARGS("--api-sock", SOCKET, "--landlock", "on"));

	(void)state;
	expect(SOCKET, "PUT", "/drives/disk",
	       "{\"drive_id\": \"disk\", \"is_root_device\": false, \"is_read_only\": true,"
	       " \"path_on_host\": \"disk\"}",
	       204, "");
	expect(SOCKET, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", 204, "");
	expect(SOCKET, "PATCH", "/vm", "{\"state\": \"Paused\"}", 204, "");
	expect(SOCKET, "PUT", "/snapshot/create",
	       "{\"snapshot_path\": \"disk\", \"mem_file_path\": \"disk2\"}", 400, HINT);
	session_end(s);
	unlink(SOCKET);
}

/* Without a word about it the API's clients may name files as before. */
static void test_off(void **state)
{
	struct session *s = start_idle(ARGS("--api-sock", SOCKET));

	(void)state;
	expect_disk("PUT", "disk", 204, "");
	expect(SOCKET, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", 204, "");
	expect(SOCKET, "PATCH", "/drives/disk",
	       "{\"drive_id\": \"disk\", \"path_on_host\": \"other/disk\"}", 204, "");
	session_end(s);
	unlink(SOCKET);
}

/* Whether somebody keeps others from writing to it. */
static bool is_locked(const char *path)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool locked = fcntl(fd, F_OFD_SETLK, &whole) < 0;

	close(fd);
	return locked;
}

/* The API on a descriptor, a device on each, and nothing else that can be opened. */
static void test_descriptors(void **state)
{
	struct session *s;

	(void)state;
	config_by_descriptor("hlt-loop");
	pass("disk", O_RDONLY, OTHER_FD);
	pass_listening("passed.sock", API_FD);
	s = session_start(ARGS("--api-sock", "fd:64", "--landlock", "on", "--level", "Debug"));
	end_passing();
	expect("passed.sock", "PUT", "/boot-source", "{\"kernel_image_path\": \"fd:61\"}", 204, "");
	expect("passed.sock", "PUT", "/drives/a",
	       "{\"drive_id\": \"a\", \"is_root_device\": false, \"path_on_host\": \"fd:62\"}", 204,
	       "");
	expect("passed.sock", "PUT", "/drives/a",
	       "{\"drive_id\": \"a\", \"is_root_device\": false, \"path_on_host\": \"fd:62\"}", 204,
	       "");
	expect("passed.sock", "PUT", "/drives/b",
	       "{\"drive_id\": \"b\", \"is_root_device\": false, \"path_on_host\": \"fd:62\"}", 400,
	       "The descriptor fd:62 is another device's");
	expect("passed.sock", "PUT", "/pmem/b", "{\"id\": \"b\", \"path_on_host\": \"fd:62\"}", 400,
	       "The descriptor fd:62 is another device's");
	expect("passed.sock", "PUT", "/drives/b",
	       "{\"drive_id\": \"b\", \"is_root_device\": false, \"path_on_host\": \"fd:65\"}", 400,
	       "Bad file descriptor");
	expect("passed.sock", "PUT", "/drives/b",
	       "{\"drive_id\": \"b\", \"is_root_device\": false, \"is_read_only\": true,"
	       " \"path_on_host\": \"fd:65\"}",
	       204, "");
	expect("passed.sock", "PUT", "/drives/c",
	       "{\"drive_id\": \"c\", \"is_root_device\": false, \"path_on_host\": \"fd:3\"}", 400,
	       "Bad file descriptor");
	expect("passed.sock", "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", 204, "");
	expect("passed.sock", "PATCH", "/drives/a",
	       "{\"drive_id\": \"a\", \"path_on_host\": \"fd:62\"}", 204, "");
	assert_true(is_locked("passed.raw"));
	expect("passed.sock", "PATCH", "/drives/a",
	       "{\"drive_id\": \"a\", \"path_on_host\": \"disk\"}", 400, HINT);
	session_end(s);
}

static int make_files(void **state)
{
	(void)state;
	assert_int_equal(chdir(fixture_dir()), 0);
	assert_int_equal(mkdir("allowed", 0700), 0);
	assert_int_equal(mkdir("other", 0700), 0);
	assert_int_equal(mkdir("sockets", 0700), 0);
	fixture_disk("disk", "WISPDISK", MIB);
	fixture_disk("allowed/disk", "WISPDISK", MIB);
	fixture_disk("allowed/more", "WISPDISK", MIB);
	fixture_disk("other/disk", "WISPDISK", MIB);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),	    cmocka_unit_test(test_requests),
		cmocka_unit_test(test_read_only),   cmocka_unit_test(test_off),
		cmocka_unit_test(test_descriptors),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (landlock_abi() < 0) {
		puts("skipped: this kernel has no Landlock");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, make_files, NULL);
}
