/* test_paused.c - what is done to a machine while it is paused, with tiny guests.
 *
 * A guest that asks for a reset at the moment of a pause is booted again, and waits like
 * the one before. Each round has its moments a little apart, so that both come first.
 * All files lie in the test's folder, which is the working directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, SKIPPED = 77, ROUNDS = 30, MIB = 1 << 20 };

#define SOCKET "paused.sock"

static int enter_folder(void **state)
{
	(void)state;
	assert_int_equal(chdir(fixture_dir()), 0);
	return symlink(fixture_guest("reboot"), "reboot");
}

static void call(const char *verb, const char *path, const char *body)
{
	struct api_reply reply;

	api_call(SOCKET, verb, path, body, &reply);
	if (reply.status != 204)
		fail_msg("%s %s: %d %s", verb, path, reply.status, reply.body);
}

static void expect_answer(const char *path, const char *words)
{
	struct api_reply reply;

	api_call(SOCKET, "GET", path, NULL, &reply);
	if (!strstr(reply.body, words))
		fail_msg("%s: no %s in %s", path, words, reply.body);
}

static void pause_machine(void)
{
	call("PATCH", "/vm", "{\"state\": \"Paused\"}");
	expect_answer("/", "\"Paused\"");
}

static void resume(void)
{
	call("PATCH", "/vm", "{\"state\": \"Resumed\"}");
}

/* Another file and other limits, which are those of the next machine, too. */
static void change_drive(unsigned round)
{
	char body[256], words[64];
	unsigned burst = 1000 + round;

	snprintf(body, sizeof(body),
		 "{\"drive_id\": \"d\", \"path_on_host\": \"%s\", \"rate_limiter\": {\"ops\": "
		 "{\"size\": 10, \"one_time_burst\": %u, \"refill_time\": 100}}}",
		 round % 2 ? "odd" : "even", burst);
	call("PATCH", "/drives/d", body);
	snprintf(words, sizeof(words), "\"path_on_host\":\"%s\"", round % 2 ? "odd" : "even");
	expect_answer("/vm/config", words);
	snprintf(words, sizeof(words), "\"one_time_burst\":%u", burst);
	expect_answer("/vm/config", words);
}

static void restart_paused(const char *option)
{
	static const char *const resets[] = { "i", "a", "t" };
	const char *const argv[] = { fixture_program("wisp"), "--api-sock", SOCKET,
				     "--on-reboot",	      "restart",    "--report",
				     "report.json",	      option,	    NULL };
	char report[4096] = "", words[64];
	struct session *s;
	FILE *f;

	fixture_disk("even", "", MIB);
	fixture_disk("odd", "", 2 * MIB);
	s = session_start(argv);
	api_wait(SOCKET, LIMIT_S);
	call("PUT", "/boot-source", "{\"kernel_image_path\": \"reboot\", \"boot_args\": \"\"}");
	call("PUT", "/machine-config", "{\"vcpu_count\": 1, \"mem_size_mib\": 32}");
	call("PUT", "/drives/d",
	     "{\"drive_id\": \"d\", \"path_on_host\": \"even\", "
	     "\"is_root_device\": false}");
	call("PUT", "/actions", "{\"action_type\": \"InstanceStart\"}");
	for (unsigned i = 0; i < ROUNDS; i++) {
		session_expect(s, "ready", LIMIT_S);
		pause_machine();
		session_send(s, resets[i % 3]);
		change_drive(i + 1);
		resume();
		pause_machine();
		expect_answer("/vm/config", i % 2 ? "\"even\"" : "\"odd\"");
		resume();
	}
	session_expect(s, "ready", LIMIT_S);
	session_send(s, "o");
	if (session_wait(s, LIMIT_S) != 0)
		fail_msg("%s", session_output(s));
	session_end(s);
	f = fopen("report.json", "re");
	assert_non_null(f);
	report[fread(report, 1, sizeof(report) - 1, f)] = '\0';
	fclose(f);
	snprintf(words, sizeof(words), "\"restarts\": %d,", ROUNDS);
	assert_non_null(strstr(report, words));
}

static void test_restart(void **state)
{
	(void)state;
	restart_paused(NULL);
}

static void test_restart_pci(void **state)
{
	(void)state;
	restart_paused("--enable-pci");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_pci),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, enter_folder, NULL);
}
