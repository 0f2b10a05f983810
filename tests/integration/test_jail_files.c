/* test_jail_files.c - jails in which there are no files: what a microVM needs is passed to it
 * as open descriptors, and it can write to one folder at most.
 *
 * Needs root and KVM; tiny guests.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/jail_kit.h"
#include "vmm/base/landlock.h"

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

/* Inherited by what is started from now on. */
static void pass(const char *path, int flags, int number)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, number), number);
	close(fd);
}

/* A jail in which there is nothing but the VMM, and of which Landlock lets it open nothing
 * once the guest runs: the guest has its kernel, its disk and KVM. */
static void test_descriptors(void **state)
{
	const struct fixture_config config = {
		.kernel = "fd:81", .boot_args = "", .disk = "fd:82", .disk_not_root = true
	};
	static const char *const more[] = {
		"--read-only-root", "--user-ns",    "--device=null", "--pass-fd=80",
		"--pass-fd=81",	    "--pass-fd=82", "--pass-fd=83",  NULL,
	};
	static const char *const rest[] = {
		"--no-api",	 "--config-file=fd:80", "--debug-exit-port=0xf4",
		"--level=Debug", "--kvm=fd:83",		NULL,
	};
	struct session *s;
	int status;

	(void)state;
	pass(fixture_config("passed.json", &config), O_RDONLY, 80);
	pass(fixture_guest("virtio-evil"), O_RDONLY, 81);
	pass(fixture_disk("passed.raw", "WISPDISK", 1 << 20), O_RDWR, 82);
	pass("/dev/kvm", O_RDWR, 83);
	s = jail_start("passed", more, rest);
	for (int fd = 80; fd <= 83; fd++)
		close(fd);
	status = session_wait(s, JAIL_LIMIT_S);
	if (status != 0)
		fail_msg("%d: %s", status, session_output(s));
	if (landlock_abi() > 0)
		expect_in(session_output(s), "Landlock: 0 rules");
	session_end(s);
	jail_shell("test \"$(ls -A %s)\" = \"$(printf 'dev\nrun\nwisp\nwisp.pid')\"",
		   jail_path("passed", "root"));
}

/* A way out, or nothing. */
static void test_not_passed(void **state)
{
	static const struct {
		const char *path; /* NULL: nothing is open there */
		int flags;
	} rows[] = { { "/", O_RDONLY }, { "/", O_PATH }, { "/dev/null", O_PATH }, { NULL, 0 } };
	static const char *const more[] = { "--pass-fd", "80", NULL }, *const none[] = { NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct session *s;

		if (rows[i].path)
			pass(rows[i].path, rows[i].flags, 80);
		s = jail_start("not-passed", more, none);
		close(80);
		assert_int_equal(session_wait(s, JAIL_LIMIT_S), 1);
		expect_in(session_output(s), "Descriptor 80 ");
		session_end(s);
		assert_int_equal(access(jail_path("not-passed", ""), F_OK), -1);
	}
}

/* --- the same with an API --- */

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

static void call(const char *verb, const char *path, const char *body, int status,
		 const char *words)
{
	struct api_reply reply;

	api_call(fixture_path("passed.sock"), verb, path, body, &reply);
	if (reply.status != status || !strstr(reply.body, words))
		fail_msg("%s %s %s: %d %s", verb, path, body, reply.status, reply.body);
}

/* Its client outside opens what it needs to be told of; a snapshot goes to the one folder
 * that can be written to, which Landlock knows of, too. */
static void test_api(void **state)
{
	static const char *const more[] = {
		"--read-only-root", "--user-ns",    "--device=kvm", "--device=null",
		"--pass-fd=80",	    "--pass-fd=81", "--pass-fd=82", NULL,
	};
	static const char *const rest[] = {
		"--api-sock=fd:80",
		"--landlock=on",
		"--allow-path=/run",
		NULL,
	};
	struct session *s;

	(void)state;
	if (landlock_abi() < 0)
		skip();
	pass_listening(fixture_path("passed.sock"), 80);
	pass(fixture_guest("hlt-loop"), O_RDONLY, 81);
	pass(fixture_disk("passed.raw", "WISPDISK", 1 << 20), O_RDWR, 82);
	s = jail_start("api", more, rest);
	for (int fd = 80; fd <= 82; fd++)
		close(fd);
	call("PUT", "/boot-source", "{\"kernel_image_path\": \"fd:81\"}", 204, "");
	call("PUT", "/drives/a",
	     "{\"drive_id\": \"a\", \"is_root_device\": false, \"path_on_host\": \"fd:82\"}", 204,
	     "");
	call("PUT", "/vsock", "{\"guest_cid\": 3, \"uds_path\": \"/v.sock\"}", 400,
	     "Read-only file system");
	call("PUT", "/vsock", "{\"guest_cid\": 3, \"uds_path\": \"/run/v.sock\"}", 204, "");
	call("PUT", "/actions", "{\"action_type\": \"InstanceStart\"}", 204, "");
	call("PATCH", "/vm", "{\"state\": \"Paused\"}", 204, "");
	call("PATCH", "/drives/a", "{\"drive_id\": \"a\", \"path_on_host\": \"/dev/kvm\"}", 400,
	     "--allow-path");
	call("PUT", "/snapshot/create",
	     "{\"snapshot_path\": \"/state\", \"mem_file_path\": \"/run/memory\"}", 400,
	     "Read-only file system");
	call("PUT", "/snapshot/create",
	     "{\"snapshot_path\": \"/run/state\", \"mem_file_path\": \"/run/memory\"}", 204, "");
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, JAIL_LIMIT_S), 128 + SIGTERM);
	session_end(s);
	jail_shell("cd %s && test -s state -a -s memory -a ! -e v.sock",
		   jail_path("api", "root/run"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_not_passed),
		cmocka_unit_test(test_api),
	};
	int missing = jail_missing();

	return missing ? missing : cmocka_run_group_tests(tests, jail_make_base, NULL);
}
