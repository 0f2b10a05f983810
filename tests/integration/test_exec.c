/* test_exec.c - real guests whose agent is asked by wisp-guest: commands, terminals, files,
 * health, and an orderly end. Runs where test_boot runs.
 *
 *   test_exec [CASE]    only the named case
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 240, SKIPPED = 77, MAX_ARGUMENTS = 32 };

struct guest {
	struct session *wisp;
	const char *uds;
};

/* wisp-guest with these arguments, up to NULL; its exit status. *ret: all that it said. */
static int ask(const struct guest *g, const char *input, const char **ret, const char *const args[])
{
	static char said[64 * 1024];
	const char *argv[MAX_ARGUMENTS] = { fixture_program("wisp-guest"), g->uds };
	struct session *s;
	int status;

	for (size_t i = 0; args[i]; i++)
		argv[2 + i] = args[i];
	s = session_start(argv);
	if (input)
		session_send(s, input);
	status = session_wait(s, LIMIT_S);
	snprintf(said, sizeof(said), "%s", session_output(s));
	session_end(s);
	if (ret)
		*ret = said;
	return status;
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct guest boot(const struct fixture_config *c)
{
	struct guest g = { .uds = fixture_path("v.sock") };
	struct fixture_config with_vsock = *c;
	char vsock[512];

	snprintf(vsock, sizeof(vsock), ", \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"}",
		 g.uds);
	with_vsock.extra = vsock;
	const char *const argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--config-file",
		fixture_config("agent.json", &with_vsock),
		NULL,
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

/* The agent says when it is there. */
static struct guest boot_initramfs(void)
{
	const struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.agent",
		.mem_mib = 256,
	};
	struct guest g = boot(&c);

	session_expect(g.wisp, "agent on port 1024", LIMIT_S);
	return g;
}

static void test_commands(void **state)
{
	struct guest g = boot_initramfs();
	const char *said;

	(void)state;
	assert_int_equal(ask(&g, NULL, &said,
			     ARGS("exec", "-e", "A=b c", "-w", "/tmp", "--", "sh", "-c",
				  "echo \"$A\"; pwd; cat; exit 3")),
			 3);
	assert_string_equal(said, "b c\n/tmp\n");
	assert_int_equal(
		ask(&g, "6\n7\n", &said,
		    ARGS("exec", "-i", "--", "sh", "-c", "read a; read b; echo $((a * b))")),
		0);
	assert_string_equal(said, "42\n");
	assert_int_equal(
		ask(&g, NULL, &said, ARGS("exec", "-t", "--", "sh", "-c", "tty; stty size")), 0);
	assert_non_null(strstr(said, "/dev/pts/"));
	assert_int_equal(ask(&g, NULL, &said, ARGS("exec", "-u", "1234:5678", "id")), 0);
	assert_non_null(strstr(said, "uid=1234 gid=5678"));
	assert_int_equal(ask(&g, NULL, &said, ARGS("exec", "-T", "1", "sleep", "1000")), 124);
	assert_int_equal(ask(&g, NULL, &said, ARGS("exec", "no-such-program")), 127);
	assert_non_null(strstr(said, "no-such-program"));
	assert_int_equal(ask(&g, NULL, &said, ARGS("health")), 0);
	assert_non_null(strstr(said, "memory_available_bytes="));
	assert_non_null(strstr(said, "hostname="));
	assert_int_equal(ask(&g, NULL, NULL, ARGS("stop")), 0);
	expect_end(&g);
}

/* A tree goes in and comes back, by way of two file systems. */
static void test_copies(void **state)
{
	struct guest g = boot_initramfs();
	const char *from = fixture_path("tree"), *back = fixture_path("back");
	char command[1024];

	(void)state;
	snprintf(
		command, sizeof(command),
		"mkdir -p %s/a/b && head -c 5000000 /dev/urandom >%s/a/big && ln -s big %s/a/link && "
		"for i in $(seq 200); do echo $i >%s/a/b/$i; done",
		from, from, from, from);
	assert_int_equal(system(command), 0);
	assert_int_equal(ask(&g, NULL, NULL, ARGS("cp", from, "guest:/tmp")), 0);
	assert_int_equal(ask(&g, NULL, NULL, ARGS("cp", "guest:/tmp/tree", back)), 0);
	snprintf(command, sizeof(command), "diff -r --no-dereference %s %s", from, back);
	assert_int_equal(system(command), 0);
	assert_int_equal(ask(&g, NULL, NULL, ARGS("cp", "guest:/no/such", back)), 125);
	assert_int_equal(ask(&g, NULL, NULL, ARGS("stop")), 0);
	expect_end(&g);
}

/* A distribution's own init, and the agent beside it. */
static void test_systemd(void **state)
{
	const struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet root=/dev/vda wisp.agent",
		.mem_mib = 512,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
	};
	struct guest g = boot(&c);
	const char *said;

	(void)state;
	session_expect(g.wisp, "login:", LIMIT_S);
	assert_int_equal(ask(&g, NULL, &said, ARGS("exec", "cat", "/proc/1/comm")), 0);
	assert_string_equal(said, "systemd\n");
	assert_int_equal(ask(&g, NULL, &said, ARGS("exec", "-u", "daemon", "id", "-un")), 0);
	assert_string_equal(said, "daemon\n");
	assert_int_equal(ask(&g, NULL, NULL, ARGS("stop")), 0);
	expect_end(&g);
}

/* An image's files, with wisp-init for its first process. */
static void test_stay(void **state)
{
	const struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args =
			"console=ttyS0 reboot=k panic=-1 quiet root=/dev/vda wisp.agent=99 wisp.stay",
		.mem_mib = 512,
		.disk = fixture_need_image("debian.ext4"),
		.disk_read_only = true,
	};
	struct guest g = boot(&c);
	char with_port[256];
	const char *said;

	(void)state;
	session_expect(g.wisp, "agent on port 99", LIMIT_S);
	snprintf(with_port, sizeof(with_port), "%s:99", g.uds);
	g.uds = with_port;
	assert_int_equal(ask(&g, NULL, &said,
			     ARGS("exec", "--", "sh", "-c",
				  "cat /etc/debian_version; test -d /sys/class && (sleep 1000 &)")),
			 0);
	assert_int_equal(strncmp(said, "12.", 3), 0);
	assert_int_equal(ask(&g, NULL, NULL, ARGS("stop")), 0);
	expect_end(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_systemd),
		cmocka_unit_test(test_stay),
	};

	if (!fixture_has_kvm()) {
		print_message("no usable /dev/kvm here\n");
		return SKIPPED;
	}
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
