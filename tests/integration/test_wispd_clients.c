/* test_wispd_clients.c - clients that are killed, wispd that is not there yet, or not any more, and
 * words that it does not know.
 *
 * Tiny guests on KVM. Every wait is for something to be so.
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, USAGE = 153, LIMIT_S = 120, POLL_MS = 5 };

/* Longer than anything here takes; and what it is replaced by, where nobody is to come. */
#define LONG_GRACE  "\"client_grace_ms\": 3599000"
#define SHORT_GRACE "\"client_grace_ms\": 100"

#define expect(h, wanted, ...) \
	wispd_host_expect(h, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static struct wispd_host *make_host(void)
{
	struct wispd_host *h = wispd_host_make(", " LONG_GRACE);

	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	wispd_host_add_image(h, "hlt-loop");
	return h;
}

static struct session *run(struct wispd_host *h, const char *name)
{
	const char *const argv[] = { fixture_program("wispctl"),
				     "--socket",
				     wispd_host_socket(h),
				     "run",
				     "--rm",
				     "--follow",
				     "--shape",
				     "test",
				     "--name",
				     name,
				     "hlt-loop",
				     NULL };

	return session_start(argv);
}

/* Whether it runs, and so many attend it. */
static bool is_attended(struct wispd_host *h, const char *name, json_int_t clients)
{
	char path[64];
	json_t *j = NULL;
	bool is;

	snprintf(path, sizeof(path), "/instances/%s", name);
	is = wispd_host_call(h, "GET", path, NULL, &j) == 200 &&
	     strcmp(json_string_value(json_object_get(j, "state")), "running") == 0 &&
	     json_is_integer(json_object_get(j, "attended")) &&
	     json_integer_value(json_object_get(j, "attended")) == clients;
	json_decref(j);
	return is;
}

static void await_attended(struct wispd_host *h, const char *name, json_int_t clients)
{
	for (int waited = 0; !is_attended(h, name, clients); waited += POLL_MS) {
		if (waited > LIMIT_S * 1000)
			fail_msg("%s is not attended by %lld\n%s", name, (long long)clients,
				 wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static void await_gone(struct wispd_host *h, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/instances/%s", name);
	for (int waited = 0; wispd_host_call(h, "GET", path, NULL, NULL) != 404;
	     waited += POLL_MS) {
		if (waited > LIMIT_S * 1000)
			fail_msg("%s is still there\n%s", name, wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
	assert_int_equal(wispd_host_jails(h), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	expect(h, 0, "doctor");
}

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

static void end_client(struct session *s)
{
	session_kill(s, SIGKILL);
	session_end(s);
}

static void shorten_grace(struct wispd_host *h)
{
	char command[640];

	snprintf(command, sizeof(command), "sed -i 's/%s/%s/' %s", LONG_GRACE, SHORT_GRACE,
		 wispd_host_path(h, "json"));
	assert_int_equal(system(command), 0);
}

/* What --rm promises holds for a client that cannot keep it, and whoever dies. */
static void test_killed_client(void **state)
{
	static const char unattended[] =
		"{\"image\": \"hlt-loop\", \"shape\": \"test\", \"name\": \"four\", \"start\": true,"
		" \"attended\": true}";
	struct wispd_host *h = make_host();
	struct session *s = run(h, "one");

	(void)state;
	await_attended(h, "one", 1);
	end_client(s);
	await_gone(h, "one");
	expect_in(expect(h, 0, "events", "--tail", "20"), "its client is gone");
	/* It comes back when wispd does. */
	s = run(h, "two");
	await_attended(h, "two", 1);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	await_attended(h, "two", 1);
	end_client(s);
	await_gone(h, "two");
	/* Or it does not. */
	s = run(h, "three");
	await_attended(h, "three", 1);
	wispd_host_stop(h, SIGKILL);
	end_client(s);
	shorten_grace(h);
	assert_true(wispd_host_start(h, 0));
	await_gone(h, "three");
	assert_int_equal(wispd_host_call(h, "POST", "/instances", unattended, NULL), 202);
	await_gone(h, "four");
	/* Others do not need anybody. */
	expect(h, 0, "run", "--shape", "test", "--name", "five", "hlt-loop");
	assert_int_equal(wispd_host_call(h, "POST", "/instances/five/attend", NULL, NULL), 400);
	expect(h, 0, "rm", "five");
	wispd_host_end(h);
}

static void test_waits(void **state)
{
	struct wispd_host *h = wispd_host_make("");
	const char *const argv[] = { fixture_program("wispctl"), "--socket", wispd_host_socket(h),
				     "ps", NULL };
	struct session *s = session_start(argv);

	(void)state;
	expect_in(expect(h, 2, "--no-wait", "ps"), "no such socket");
	session_expect(s, "waiting for wispd", LIMIT_S);
	assert_true(wispd_host_start(h, 0));
	assert_int_equal(session_wait(s, LIMIT_S), 0);
	session_end(s);
	/* Its socket is there, and nobody. */
	wispd_host_stop(h, SIGKILL);
	expect(h, 2, "--no-wait", "ps");
	s = session_start(argv);
	session_expect(s, "waiting for wispd", LIMIT_S);
	assert_true(wispd_host_start(h, 0));
	assert_int_equal(session_wait(s, LIMIT_S), 0);
	session_end(s);
	wispd_host_end(h);
}

/* What is typed wrong is told from what would be right. */
static void test_unknown(void **state)
{
	struct wispd_host *h = wispd_host_make("");

	(void)state;
	expect_in(expect(h, USAGE, "frob", "vm"), "no command frob; wispctl --help");
	expect_in(expect(h, USAGE, "volume", "crate", "data"),
		  "no command volume crate; there is volume ");
	expect_in(expect(h, USAGE, "volume"), "no command volume; there is volume ");
	wispd_host_end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_client),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_unknown),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_clients needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
