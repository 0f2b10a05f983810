/* test_guests.c - tiny guests, one behaviour each, against the real wisp and KVM.
 *
 * A guest ends through the debug exit port with 0, or with the number of the
 * check of its own that failed (tests/guests). They are short enough for a KVM
 * that interprets them, so this runs wherever /dev/kvm opens. A crash of a guest
 * is a reset, which has status 0, too: how the guest ended is read from the log.
 */
#include <dirent.h>
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

enum { LIMIT_S = 60, SKIPPED = 77 };

struct guest_case {
	const char *guest;
	const char *boot_args;
	unsigned vcpus, mem_mib;
	bool disk, pci;
	int status;
	const char *says; /* NULL: whatever */
	const char *end;  /* as the log calls it; NULL: debug exit */
};

/* clang-format off */
static const struct guest_case cases[] = {
	{ .guest = "exit", .boot_args = "5", .status = 5 },
	{ .guest = "hello", .says = "hello\n" },
	{ .guest = "pvh", .boot_args = "pvh-test" },
	{ .guest = "linux64", .boot_args = "linux64" },
	{ .guest = "triple-fault", .end = "reset" },
	{ .guest = "reset-i8042", .end = "reset" },
	{ .guest = "reset-acpi", .end = "reset" },
	{ .guest = "power-off", .end = "power off" },
	{ .guest = "boot-timer" },
	{ .guest = "cpuid" },
	{ .guest = "smp", .boot_args = "wisp.cpus=1", .vcpus = 1 },
	{ .guest = "smp", .boot_args = "wisp.cpus=2", .vcpus = 2 },
	{ .guest = "smp", .boot_args = "wisp.cpus=8", .vcpus = 8 },
	{ .guest = "smp", .boot_args = "wisp.cpus=32", .vcpus = 32 },
	{ .guest = "memory", .boot_args = "wisp.mib=2", .mem_mib = 2 },
	{ .guest = "memory", .boot_args = "wisp.mib=512", .mem_mib = 512 },
	{ .guest = "memory", .boot_args = "wisp.mib=4096", .mem_mib = 4096 },
	{ .guest = "unhandled" },
	{ .guest = "virtio-probe", .disk = true },
	{ .guest = "virtio-evil", .disk = true },
	{ .guest = "virtio-evil-pci", .disk = true, .pci = true },
	{ .guest = "serial-flood" },
	{ .guest = "serial-lines", .boot_args = "wisp.lines=300" },
};
/* clang-format on */

static struct session *start(const struct guest_case *c, const char *report)
{
	struct fixture_config config = {
		.kernel = fixture_guest(c->guest),
		.boot_args = c->boot_args ? c->boot_args : "",
		.vcpus = c->vcpus,
		.mem_mib = c->mem_mib,
	};

	if (c->disk) {
		config.disk = fixture_disk("disk.raw", "WISPDISK", 1024 * 1024);
		config.disk_not_root = true;
	}

	const char *const argv[] = {
		fixture_program("wisp"),
		"--no-api",
		"--config-file",
		fixture_config("guest.json", &config),
		"--debug-exit-port",
		"0xf4",
		"--boot-timer",
		"--report",
		report,
		c->pci ? "--enable-pci" : NULL,
		NULL,
	};

	return session_start(argv);
}

/* "debug exit" in "... the guest ended: debug exit". */
static void check_end(const struct guest_case *c, const char *output)
{
	char line[64];

	snprintf(line, sizeof(line), "the guest ended: %s\n", c->end ? c->end : "debug exit");
	if (!strstr(output, line))
		fail_msg("guest %s: no \"%s\" in the output:\n%s", c->guest, line, output);
}

static void run_case(const struct guest_case *c)
{
	struct session *s = start(c, fixture_path("report.json"));
	int status = session_wait(s, LIMIT_S);

	if (status != c->status)
		fail_msg("guest %s ended with %d, not %d:\n%s", c->guest, status, c->status,
			 session_output(s));
	if (c->says && !strstr(session_output(s), c->says))
		fail_msg("guest %s did not say \"%s\":\n%s", c->guest, c->says, session_output(s));
	check_end(c, session_output(s));
	session_end(s);
}

/* What the last run_case() left. */
static void read_report(char *text, size_t len)
{
	FILE *f = fopen(fixture_path("report.json"), "re");

	assert_non_null(f);
	text[fread(text, 1, len - 1, f)] = '\0';
	fclose(f);
}

static void test_guests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("guest %s %s\n", cases[i].guest,
			      cases[i].boot_args ? cases[i].boot_args : "");
		run_case(&cases[i]);
	}
}

/* The report has the moment at which the guest said that it was up. */
static void test_boot_timer(void **state)
{
	static const struct guest_case timer = { .guest = "boot-timer" };
	static const struct guest_case other = { .guest = "hello" };
	char text[1024] = "";

	(void)state;
	run_case(&timer);
	read_report(text, sizeof(text));
	assert_null(strstr(text, "\"init\": null"));
	run_case(&other);
	read_report(text, sizeof(text));
	assert_non_null(strstr(text, "\"init\": null"));
}

/* The report has what each device did: the guest reads and writes its disk. */
static void test_device_counters(void **state)
{
	static const struct guest_case probe = { .guest = "virtio-probe", .disk = true };
	char text[2048] = "";
	const char *device;

	(void)state;
	run_case(&probe);
	read_report(text, sizeof(text));
	device = strstr(text, "\"kind\": \"drives\"");
	assert_non_null(device);
	assert_non_null(strstr(device, "\"requests\": "));
	assert_null(strstr(device, "\"requests\": 0,"));
	assert_non_null(strstr(device, "\"violations\": 0,"));
}

/* Input goes in, output comes back, byte by byte. */
static void test_serial_echo(void **state)
{
	static const struct guest_case echo = { .guest = "serial-echo" };
	struct session *s = start(&echo, fixture_path("report.json"));

	(void)state;
	session_send(s, "ping-pong");
	session_expect(s, "ping-pong", LIMIT_S);
	session_send(s, "q");
	assert_int_equal(session_wait(s, LIMIT_S), 0);
	session_end(s);
}

static unsigned count_descriptors(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* By each way to reset, four times; then it powers off. Every device is there in every
 * life, and nothing is left of it: under ASan that goes for memory, too. */
static void restart_often(const char *transport)
{
	static const char *const resets[] = { "i", "a", "t" };
	char extra[512], text[4096] = "";
	struct fixture_config config = {
		.kernel = fixture_guest("reboot"),
		.disk = fixture_disk("disk.raw", "WISPDISK", 1024 * 1024),
		.disk_async = true,
		.extra = extra,
	};
	const char *argv[] = {
		fixture_program("wisp"),     "--no-api",    "--config-file", NULL,	"--report",
		fixture_path("report.json"), "--on-reboot", "restart",	     transport, NULL,
	};
	unsigned descriptors = 0;
	struct session *s;

	snprintf(extra, sizeof(extra),
		 ", \"entropy\": {}, \"balloon\": {\"amount_mib\": 1, \"deflate_on_oom\": true}, "
		 "\"console\": {\"uds_path\": \"%s\"}, "
		 "\"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"}",
		 fixture_path("restart.sock"), fixture_path("restart.vsock"));
	argv[3] = fixture_config("guest.json", &config);
	s = session_start(argv);
	for (unsigned i = 0; i < 12; i++) {
		session_expect(s, "ready", LIMIT_S);
		if (i == 1)
			descriptors = count_descriptors(session_pid(s));
		session_send(s, resets[i % 3]);
	}
	session_expect(s, "ready", LIMIT_S);
	assert_int_equal(count_descriptors(session_pid(s)), descriptors);
	session_send(s, "o");
	if (session_wait(s, LIMIT_S) != 0)
		fail_msg("%s", session_output(s));
	session_end(s);
	read_report(text, sizeof(text));
	assert_non_null(strstr(text, "\"restarts\": 12,"));
}

static void test_restart(void **state)
{
	(void)state;
	restart_often(NULL);
	restart_often("--enable-pci");
}

/* A guest that never ends is ended by a signal, in order: the report is there. */
static void test_signal_ends(void **state)
{
	static const struct guest_case hello = { .guest = "hlt-loop" };
	const char *report = fixture_path("signal-report.json");
	struct session *s = start(&hello, report);

	(void)state;
	session_expect(s, "\n", LIMIT_S);
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, LIMIT_S), 128 + SIGTERM);
	assert_int_equal(access(report, R_OK), 0);
	session_end(s);
}

/* Two vCPUs in tight loops: stopping must not wait for the guest's goodwill. */
static void test_spin_is_stopped(void **state)
{
	static const struct guest_case spin = { .guest = "spin", .vcpus = 2 };
	struct session *s = start(&spin, fixture_path("report.json"));

	(void)state;
	assert_false(session_sees(s, "never", 1));
	session_kill(s, SIGTERM);
	assert_int_equal(session_wait(s, LIMIT_S), 128 + SIGTERM);
	session_end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guests),		cmocka_unit_test(test_boot_timer),
		cmocka_unit_test(test_device_counters), cmocka_unit_test(test_serial_echo),
		cmocka_unit_test(test_restart),		cmocka_unit_test(test_signal_ends),
		cmocka_unit_test(test_spin_is_stopped),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
