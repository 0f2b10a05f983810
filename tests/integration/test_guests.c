/* test_guests.c - tiny guests, one behaviour each, against the real wisp and KVM.
 *
 * A guest ends through the debug exit port with 0, or with the number of the
 * check of its own that failed (tests/guests). They are short enough for a KVM
 * that interprets them, so this runs wherever /dev/kvm opens.
 */
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
	bool disk;
	int status;
	const char *says; /* NULL: whatever */
};

static const struct guest_case cases[] = {
	{ "exit", "5", .status = 5 },
	{ "hello", .status = 0, .says = "hello" },
	{ "pvh", .status = 0 },
	{ "linux64", .status = 0 },
	{ "triple-fault", .status = 0 },
	{ "reset-i8042", .status = 0 },
	{ "reset-acpi", .status = 0 },
	{ "power-off", .status = 0 },
	{ "boot-timer", .status = 0 },
	{ "cpuid", .status = 0 },
	{ "smp", "wisp.cpus=1", .vcpus = 1, .status = 0 },
	{ "smp", "wisp.cpus=2", .vcpus = 2, .status = 0 },
	{ "smp", "wisp.cpus=8", .vcpus = 8, .status = 0 },
	{ "smp", "wisp.cpus=32", .vcpus = 32, .status = 0 },
	{ "memory", .mem_mib = 2, .status = 0 },
	{ "memory", .mem_mib = 512, .status = 0 },
	{ "memory", .mem_mib = 4096, .status = 0 },
	{ "unhandled", .status = 0 },
	{ "virtio-probe", .disk = true, .status = 0 },
	{ "virtio-evil", .disk = true, .status = 0 },
	{ "serial-flood", .status = 0 },
};

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
		NULL,
	};

	return session_start(argv);
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
	session_end(s);
}

static void test_guests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("guest %s\n", cases[i].guest);
		run_case(&cases[i]);
	}
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
	static const struct guest_case spin = { "spin", .vcpus = 2 };
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
		cmocka_unit_test(test_guests),
		cmocka_unit_test(test_serial_echo),
		cmocka_unit_test(test_signal_ends),
		cmocka_unit_test(test_spin_is_stopped),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
