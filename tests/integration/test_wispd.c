/* test_wispd.c - wispd and wispctl with real VMMs: lives, ends, tenants, coming back.
 *
 * Tiny guests on KVM; test_linux, which wants the test host, boots a real one.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_S = 60,
	LINUX_LIMIT_S = 300,
	POLL_MS = 5,
	OPERATOR = 61234,
	PARALLEL = 64
};

static struct wispd_host *make_host(const char *more)
{
	struct wispd_host *h = wispd_host_make(more);

	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	return h;
}

#define ctl(h, output, ...) wispd_host_ctl(h, output, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

/* Waits until an instance is in this state; the cause is left in cause, if it is wanted. */
static void await_state(struct wispd_host *h, const char *name, const char *state, char cause[256])
{
	char path[96], now[256] = "";

	snprintf(path, sizeof(path), "/instances/%s", name);
	for (int waited = 0; waited < LIMIT_S * 1000; waited += POLL_MS) {
		json_t *j = NULL;

		wispd_host_call(h, "GET", path, NULL, &j);
		snprintf(now, sizeof(now), "%s", json_string_value(json_object_get(j, "state")));
		if (cause)
			snprintf(cause, 256, "%s", json_string_value(json_object_get(j, "cause")));
		json_decref(j);
		if (strcmp(now, state) == 0)
			return;
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("%s is %s, not %s", name, now, state);
}

static unsigned count_instances(struct wispd_host *h)
{
	json_t *j = NULL;
	unsigned n;

	assert_int_equal(wispd_host_call(h, "GET", "/instances", NULL, &j), 200);
	n = (unsigned)json_array_size(json_object_get(j, "instances"));
	json_decref(j);
	return n;
}

static void check_healthy(struct wispd_host *h)
{
	const char *output;

	if (ctl(h, &output, "doctor") != 0)
		fail_msg("%s", output);
}

/* --- lives --- */

/* What a program says; static storage. */
static const char *say(const char *command)
{
	static char text[1 << 16];
	FILE *f = popen(command, "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(pclose(f), 0);
	return text;
}

/* One file with all that is known of an instance, but for what it calls a secret. */
static void check_bundle(struct wispd_host *h, const char *which)
{
	static const char *const files[] = { "/instance.json", "/trace.json",	"/image.json",
					     "/events.json",   "/invoice.json", "/doctor.json",
					     "/console.log",   "/manifest.json" };
	char path[PATH_MAX], command[PATH_MAX + 32];
	const char *output, *text;

	snprintf(path, sizeof(path), "%s", wispd_host_path(h, "bundle.tar"));
	assert_int_equal(ctl(h, &output, "support-bundle", which, "-o", path), 0);
	assert_int_equal(ctl(h, &output, "support-bundle", which, "-o", path), 1);
	expect_in(output, "File exists");
	snprintf(command, sizeof(command), "tar -tf %s", path);
	text = say(command);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		expect_in(text, files[i]);
	snprintf(command, sizeof(command), "tar -xOf %s", path);
	text = say(command);
	expect_in(text, "instance.spawned");
	expect_in(text, "halted");
	assert_null(strstr(text, "s3cret"));
}

static void test_life(void **state)
{
	struct wispd_host *h = make_host("");
	const char *output;

	(void)state;
	assert_int_equal(
		ctl(h, NULL, "image", "add", "idle", "--kernel", fixture_guest("hlt-loop")), 0);
	assert_int_equal(ctl(h, &output, "image", "ls"), 0);
	expect_in(output, "idle");
	assert_int_equal(ctl(h, NULL, "run", "idle", "--name", "one", "--shape", "test", "--label",
			     "team=red", "--label", "db-token=s3cret"),
			 0);
	assert_int_equal(ctl(h, &output, "ps"), 0);
	expect_in(output, "running");
	assert_int_equal(ctl(h, &output, "logs", "one"), 0);
	assert_string_equal(output, "halted\n");
	assert_int_equal(ctl(h, &output, "inspect", "one"), 0);
	expect_in(output, "\"team\": \"red\"");
	assert_int_equal(ctl(h, &output, "trace", "one"), 0);
	expect_in(output, "boot");
	assert_int_equal(ctl(h, NULL, "pause", "one"), 0);
	assert_int_equal(ctl(h, &output, "pause", "one"), 1);
	expect_in(output, "(running)");
	assert_int_equal(ctl(h, NULL, "resume", "one"), 0);
	assert_int_equal(ctl(h, NULL, "reboot", "--timeout", "0", "one"), 0);
	assert_int_equal(ctl(h, &output, "inspect", "one"), 0);
	expect_in(output, "\"incarnation\": 2");
	expect_in(output, "\"state\": \"running\"");
	assert_int_equal(ctl(h, NULL, "stop", "--timeout", "0", "one"), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	assert_int_equal(ctl(h, NULL, "start", "one"), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), 1);
	assert_int_equal(ctl(h, &output, "image", "rm", "idle"), 1);
	check_bundle(h, "one");
	assert_int_equal(ctl(h, NULL, "rm", "one"), 0);
	assert_int_equal(ctl(h, NULL, "image", "rm", "idle"), 0);
	assert_int_equal(ctl(h, &output, "events"), 0);
	expect_in(output, "instance.deleted");
	assert_int_equal(ctl(h, NULL, "ledger", "verify"), 0);
	check_healthy(h);
	assert_int_equal(wispd_host_jails(h), 0);
	wispd_host_end(h);
}

/* A guest's own end, one that is followed, and one that time brings. */
static void test_ends(void **state)
{
	struct wispd_host *h = make_host("");
	char cause[256];

	(void)state;
	wispd_host_add_image(h, "power-off");
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(ctl(h, NULL, "run", "power-off", "--name", "off", "--shape", "test"), 0);
	await_state(h, "off", "stopped", cause);
	assert_string_equal(cause, "the VMM ended: exit 0");
	assert_int_equal(ctl(h, NULL, "run", "power-off", "--shape", "test", "--rm", "--follow"),
			 0);
	assert_int_equal(ctl(h, NULL, "rm", "off"), 0);
	assert_int_equal(ctl(h, NULL, "run", "hlt-loop", "--shape", "test", "--ttl", "1"), 0);
	while (count_instances(h) > 0)
		poll(NULL, 0, POLL_MS);
	assert_int_equal(wispd_host_jails(h), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	wispd_host_end(h);
}

/* A VMM that dies, and one that does not listen. */
static void test_bad_days(void **state)
{
	struct wispd_host *h = make_host("");
	char cause[256];

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(ctl(h, NULL, "run", "hlt-loop", "--name", "one", "--shape", "test"), 0);
	kill(wispd_host_jailer(h, "one"), SIGKILL);
	await_state(h, "one", "failed", cause);
	assert_string_equal(cause, "the VMM ended: signal 9");
	assert_int_equal(ctl(h, NULL, "start", "one"), 0);
	/* The guest has no ear for a power button. */
	assert_string_equal(wispd_host_do(h, "POST", "/instances/one/stop", "{\"timeout_ms\": 50}"),
			    "done");
	await_state(h, "one", "stopped", cause);
	expect_in(cause, "was killed");
	check_healthy(h);
	wispd_host_end(h);
}

/* A VMM that has ended before it was let go, which is when wispd writes to it: no jailer that
 * does anything is as fast. */
static void test_gone_early(void **state)
{
	struct wispd_host *h = make_host(", \"wisp_jailer\": \"/bin/false\"");

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	for (int i = 0; i < 5; i++) {
		assert_int_not_equal(
			ctl(h, NULL, "run", "hlt-loop", "--name", "one", "--shape", "test"), 0);
		assert_true(wispd_host_runs(h));
		assert_int_equal(ctl(h, NULL, "rm", "one"), 0);
	}
	wispd_host_end(h);
}

/* --- who may --- */

#define as(h, uid, ...) wispd_host_ctl_as(h, uid, (const char *const[]){ __VA_ARGS__, NULL })

static void test_roles(void **state)
{
	struct wispd_host *h = make_host(
		", \"principals\": [{\"uid\": 61234, \"role\": \"operator\", \"tenant\": \"a\"},"
		" {\"gid\": 61235, \"role\": \"viewer\", \"tenant\": \"b\"}]");

	(void)state;
	/* The test's folder is root's alone. */
	assert_int_equal(chmod(fixture_dir(), 0711), 0);
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(ctl(h, NULL, "tenant", "set", "a"), 0);
	assert_int_equal(ctl(h, NULL, "tenant", "set", "b"), 0);
	assert_int_equal(as(h, OPERATOR, "run", "hlt-loop", "--name", "mine", "--shape", "test"),
			 0);
	assert_int_equal(as(h, OPERATOR, "inspect", "mine"), 0);
	assert_int_equal(as(h, OPERATOR, "ledger", "verify"), 1);
	assert_int_equal(as(h, OPERATOR, "--tenant", "b", "ps"), 1);
	/* Another tenant's, and a stranger. */
	assert_int_equal(as(h, OPERATOR + 1, "ps"), 0);
	assert_int_equal(as(h, OPERATOR + 1, "inspect", "mine"), 1);
	assert_int_equal(as(h, OPERATOR + 1, "rm", "mine"), 1);
	assert_int_equal(as(h, OPERATOR + 2, "ps"), 1);
	assert_int_equal(as(h, OPERATOR, "rm", "mine"), 0);
	wispd_host_end(h);
}

/* 64 at once, and room for 10. */
static void test_quota(void **state)
{
	static const char *const words[] = { "create", "hlt-loop", "--shape", "test", NULL };
	struct wispd_host *h = make_host("");
	unsigned made = 0, refused = 0;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(ctl(h, NULL, "tenant", "set", "default", "--instances", "10"), 0);
	for (unsigned i = 0; i < PARALLEL; i++)
		if (fork() == 0)
			_exit(wispd_host_ctl_as(h, 0, words));
	for (unsigned i = 0; i < PARALLEL; i++) {
		int status;

		assert_true(wait(&status) > 0);
		made += WEXITSTATUS(status) == 0;
		refused += WEXITSTATUS(status) == 1;
	}
	assert_int_equal(made, 10);
	assert_int_equal(refused, PARALLEL - 10);
	assert_int_equal(count_instances(h), 10);
	check_healthy(h);
	wispd_host_end(h);
}

/* Room for one at a time; a drain, and the way back. */
static void test_queue(void **state)
{
	struct wispd_host *h = make_host(", \"vcpus\": 1");
	const char *output;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(ctl(h, NULL, "run", "hlt-loop", "--name", "one", "--shape", "test"), 0);
	assert_int_equal(ctl(h, &output, "run", "hlt-loop", "--name", "no", "--shape", "test"), 1);
	expect_in(output, "The host is full");
	assert_int_equal(wispd_host_call(h, "POST", "/instances",
					 "{\"image\": \"hlt-loop\", \"name\": \"two\", \"shape\": "
					 "\"test\", \"start\": true, \"wait_ms\": 600000}",
					 NULL),
			 202);
	await_state(h, "two", "queued", NULL);
	assert_int_equal(ctl(h, &output, "queue"), 0);
	expect_in(output, "two");
	/* Who waits is written down. */
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	await_state(h, "two", "queued", NULL);
	assert_int_equal(ctl(h, NULL, "rm", "one"), 0);
	await_state(h, "two", "running", NULL);
	/* One that does not get its turn in time. */
	assert_int_equal(ctl(h, &output, "run", "hlt-loop", "--name", "late", "--shape", "test",
			     "--wait", "1", "--rm"),
			 1);
	expect_in(output, "no_capacity");
	assert_int_equal(ctl(h, &output, "drain", "--timeout", "0", "new kernel"), 0);
	await_state(h, "two", "stopped", NULL);
	assert_int_equal(ctl(h, &output, "run", "hlt-loop", "--shape", "test"), 1);
	expect_in(output, "new kernel");
	assert_int_equal(ctl(h, NULL, "uncordon", "--restart"), 0);
	await_state(h, "two", "running", NULL);
	check_healthy(h);
	wispd_host_end(h);
}

/* --- coming back --- */

static void test_returns(void **state)
{
	struct wispd_host *h = make_host("");
	const char *output;
	char cause[256];
	pid_t lost;

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(ctl(h, NULL, "run", "hlt-loop", "--name", "kept", "--shape", "test"), 0);
	assert_int_equal(ctl(h, NULL, "run", "hlt-loop", "--name", "lost", "--shape", "test"), 0);
	assert_int_equal(ctl(h, NULL, "run", "hlt-loop", "--name", "still", "--shape", "test"), 0);
	assert_int_equal(ctl(h, NULL, "pause", "still"), 0);
	lost = wispd_host_jailer(h, "lost");
	wispd_host_stop(h, SIGKILL);
	assert_int_equal(wispd_host_jailers(h, NULL), 3);
	kill(lost, SIGKILL);
	while (wispd_host_jailers(h, NULL) > 2)
		poll(NULL, 0, POLL_MS);
	/* What nobody has: a folder that looks like a jail. */
	assert_int_equal(mkdir(wispd_host_path(h, "jails/wisp/vm-nobody"), 0755), 0);
	assert_true(wispd_host_start(h, 0));
	await_state(h, "kept", "running", NULL);
	await_state(h, "lost", "stopped", cause);
	expect_in(cause, "while wispd was away");
	await_state(h, "still", "paused", NULL);
	assert_int_equal(wispd_host_jails(h), 3);
	assert_int_equal(ctl(h, &output, "events", "--tail", "3"), 0);
	expect_in(output, "\"adopted\":2");
	expect_in(output, "\"lost\":1");
	/* It has them in its hand again. */
	assert_int_equal(ctl(h, NULL, "resume", "still"), 0);
	assert_int_equal(ctl(h, NULL, "start", "lost"), 0);
	kill(wispd_host_jailer(h, "kept"), SIGKILL);
	await_state(h, "kept", "stopped", NULL);
	assert_int_equal(ctl(h, NULL, "rm", "kept", "lost", "still"), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	check_healthy(h);
	wispd_host_end(h);
}

/* A second one, and a database that cannot be read, are refused with the remedy. */
static void test_refuses(void **state)
{
	struct wispd_host *h = make_host("");
	const char *argv[] = { fixture_program("wispd"), "--config", wispd_host_path(h, "json"),
			       NULL };
	struct session *s = session_start(argv);
	FILE *f;

	(void)state;
	assert_int_equal(session_wait(s, LIMIT_S), 1);
	expect_in(session_output(s), "Another wispd works in");
	session_end(s);
	wispd_host_stop(h, SIGTERM);
	f = fopen(wispd_host_path(h, "state/wispd.db"), "we");
	assert_non_null(f);
	fputs("This was a database, and it is long enough to be taken for one at first sight, "
	      "which is more than a hundred bytes.",
	      f);
	fclose(f);
	s = session_start(argv);
	assert_int_equal(session_wait(s, LIMIT_S), 1);
	expect_in(session_output(s), "back-up");
	session_end(s);
	wispd_host_end(h);
}

/* --- a real guest --- */

static const char pressed[] =
	"console=ttyS0 reboot=k panic=-1 quiet -- echo armed; "
	"until grep ACPI:Ged /proc/interrupts | grep -q ' [1-9][0-9]* '; do sleep 0.1; done; "
	"echo pressed";

static void test_linux(void **state)
{
	const char *kernel = fixture_image("vmlinuz-cloud");
	const char *initrd = fixture_image("initrd-cloud");
	struct wispd_host *h;
	const char *output = "";
	char cause[256];

	(void)state;
	if (!kernel || !initrd) {
		skip();
		return;
	}
	h = make_host(", \"cgroup\": \"wispd-test\", \"stop_timeout_ms\": 200000");
	assert_int_equal(ctl(h, NULL, "image", "add", "cloud", "--kernel", kernel, "--initrd",
			     initrd, "--cmdline", pressed),
			 0);
	assert_int_equal(ctl(h, NULL, "run", "cloud", "--name", "vm", "--shape", "small"), 0);
	for (int waited = 0; !strstr(output, "armed") && waited < LINUX_LIMIT_S; waited++) {
		assert_int_equal(ctl(h, &output, "logs", "vm"), 0);
		sleep(1);
	}
	expect_in(output, "armed");
	/* wispd dies; the guest does not notice, and obeys the next one. */
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	assert_int_equal(ctl(h, NULL, "stop", "vm"), 0);
	await_state(h, "vm", "stopped", cause);
	expect_in(cause, "while wispd was away");
	assert_int_equal(ctl(h, &output, "logs", "vm"), 0);
	expect_in(output, "pressed");
	/* And once more, by one wispd all along. */
	assert_int_equal(ctl(h, NULL, "start", "vm"), 0);
	assert_int_equal(ctl(h, NULL, "rm", "vm"), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	assert_int_not_equal(access("/sys/fs/cgroup/wispd-test/vm", F_OK), 0);
	check_healthy(h);
	wispd_host_end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tiny[] = {
		cmocka_unit_test(test_life),	   cmocka_unit_test(test_ends),
		cmocka_unit_test(test_bad_days),   cmocka_unit_test(test_roles),
		cmocka_unit_test(test_quota),	   cmocka_unit_test(test_returns),
		cmocka_unit_test(test_refuses),	   cmocka_unit_test(test_queue),
		cmocka_unit_test(test_gone_early),
	};
	const struct CMUnitTest real[] = { cmocka_unit_test(test_linux) };

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc > 1 && strcmp(argv[1], "test_linux") == 0)
		return cmocka_run_group_tests(real, NULL, NULL);
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tiny, NULL, NULL);
}
