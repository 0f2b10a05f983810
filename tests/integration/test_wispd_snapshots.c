/* test_wispd_snapshots.c - instances saved, restored and forked by wispd.
 *
 * With tiny guests what the books say and what is left; with real ones, in the test host,
 * that a copy goes on from where its original was, with a disk, a name and addresses of its
 * own, and that both go their own ways from there.
 */
#include <poll.h>
#include <sched.h>
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

#include "tests/integration/asks.h"
#include "tests/integration/fixture.h"

enum { SKIPPED = 77, FORKS = 3, DISK_MIB = 24 };

/* --- tiny guests --- */

static void test_books(void **state)
{
	struct wispd_host *h = asks_host();

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	asks_done(h, "POST", "/instances",
		  "{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\"}");
	asks_status(h, "POST", "/instances/vm/snapshot", NULL, 409);
	asks_done(h, "POST", "/instances/vm/start", NULL);
	asks_done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}");
	asks_await_state(h, "/instances/vm", "running");
	assert_string_equal(asks_text(h, "/snapshots/shot", "state"), "ready");
	assert_int_equal(asks_held(h, "disk_mib"), 33);
	asks_status(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 409);
	asks_status(h, "DELETE", "/images/hlt-loop", NULL, 409);
	/* A paused one stays so. */
	asks_done(h, "POST", "/instances/vm/pause", NULL);
	asks_done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"still\"}");
	asks_await_state(h, "/instances/vm", "paused");
	/* Back to where it was, once it does not run. */
	asks_status(h, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}", 409);
	asks_done(h, "POST", "/instances/vm/stop", "{\"timeout_ms\": 0}");
	asks_done(h, "POST", "/instances/vm/rollback", "{\"snapshot\": \"shot\"}");
	asks_status(h, "DELETE", "/snapshots/shot", NULL, 409);
	asks_done(h, "POST", "/instances/vm/start", NULL);
	asks_done(h, "POST", "/instances/vm/stop", "{\"timeout_ms\": 0}");
	asks_done(h, "POST", "/instances/vm/rebuild", NULL);
	asks_done(h, "POST", "/instances/vm/start", NULL);
	/* The original is not needed, nor what runs the snapshot. */
	asks_done(h, "DELETE", "/instances/vm", NULL);
	asks_done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\", \"remove\": true}");
	assert_string_equal(asks_text(h, "/instances/again", "state"), "running");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 2);
	asks_done(h, "DELETE", "/snapshots/shot", NULL);
	asks_done(h, "DELETE", "/snapshots/still", NULL);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_string_equal(asks_text(h, "/instances/again", "state"), "running");
	asks_status(h, "POST", "/snapshots/shot/restore", NULL, 404);
	/* From now on it boots. */
	asks_done(h, "POST", "/instances/again/reboot", "{\"timeout_ms\": 0}");
	assert_int_equal(wispd_host_jails(h), 1);
	asks_done(h, "DELETE", "/instances/again", NULL);
	assert_int_equal(asks_held(h, "disk_mib"), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	wispd_host_end(h);
}

static void test_forks(void **state)
{
	struct wispd_host *h = asks_host();
	char path[64];

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	asks_done(
		h, "POST", "/instances",
		"{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	asks_status(h, "POST", "/instances/vm/fork", "{\"count\": 65}", 400);
	asks_status(h, "POST", "/instances/vm/fork", "{\"count\": 3, \"name\": \"c\"}", 202);
	for (unsigned n = 1; n <= FORKS; n++) {
		snprintf(path, sizeof(path), "/instances/c-%u", n);
		asks_await_state(h, path, "running");
	}
	asks_await_state(h, "/instances/vm", "running");
	/* What was made for them has gone with its last use. */
	asks_await_count(h, "/snapshots", "snapshots", 0);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), FORKS + 1);
	assert_int_equal(asks_held(h, "disk_mib"), 0);
	/* Those that are deleted before they begin let it go, too. */
	asks_done(h, "POST", "/instances/vm/pause", NULL);
	asks_status(h, "POST", "/instances/vm/fork", "{\"count\": 1, \"name\": \"d\"}", 202);
	asks_done(h, "DELETE", "/instances/d-1", NULL);
	asks_await_count(h, "/snapshots", "snapshots", 0);
	asks_await_state(h, "/instances/vm", "paused");
	wispd_host_end(h);
}

/* --- real guests --- */

/* In memory and on the disk: what it was when it was saved, whatever the other did since. */
static void write_words(struct wispd_host *h, const char *name, const char *words)
{
	char line[200];

	snprintf(line, sizeof(line), "echo %s >/tmp/memory; echo %s >/root/disk; sync", words,
		 words);
	asks_ctl(h, EXEC(name, line));
}

static void check_words(struct wispd_host *h, const char *name, const char *words)
{
	char wanted[200];

	snprintf(wanted, sizeof(wanted), "%s\n%s\n%s\n", words, words, name);
	asks_expect(asks_ctl(h, EXEC(name, "cat /tmp/memory /root/disk; hostname")), wanted);
}

/* Its own address, with which it is heard: packets from any other are dropped. */
static void check_address(struct wispd_host *h, const char *name, const char *address)
{
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "inet %s/24\n", address);
	asks_expect(
		asks_ctl(h, EXEC(name, "ip -4 -o address show dev eth0 | grep -o 'inet [0-9./]*'")),
		wanted);
	asks_ctl(h, EXEC(name, "ping -c 1 -W 30 10.63.0.1 >/dev/null"));
}

/* Killed while a copy runs and another is being made: both are there afterwards. */
static void fork_across_a_crash(struct wispd_host *h)
{
	asks_status(h, "POST", "/instances/vm/fork",
		    "{\"count\": 2, \"name\": \"c\", \"live\": true}", 202);
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	asks_await_state(h, "/instances/c-1", "running");
	asks_await_state(h, "/instances/c-2", "running");
	asks_await_state(h, "/instances/vm", "running");
	check_words(h, "c-1", "second");
	check_words(h, "c-2", "second");
	asks_await_count(h, "/snapshots", "snapshots", 1);
}

/* Back to the snapshot in place, then a fresh disk; under another name. */
static void change(struct wispd_host *h)
{
	asks_ctl(h, "stop", "--timeout", "0", "vm");
	asks_ctl(h, "rollback", "vm", "shot");
	asks_ctl(h, "start", "vm");
	check_words(h, "vm", "first");
	check_address(h, "vm", "10.63.0.2");
	asks_ctl(h, "stop", "--timeout", "0", "vm");
	asks_ctl(h, "rebuild", "vm");
	asks_ctl(h, "rename", "vm", "other");
	asks_ctl(h, "label", "other", "a=b", "c=d");
	asks_ctl(h, "label", "other", "a-");
	asks_ctl(h, "resize", "other", "medium");
	asks_expect_in(asks_ctl(h, "inspect", "other"), "\"vcpus\": 2");
	asks_ctl(h, "resize", "other", "tiny");
	asks_ctl(h, "start", "other");
	asks_expect(asks_ctl(h, EXEC("other", "test -e /root/disk || echo fresh; hostname")),
		    "fresh\nother\n");
	/* Its new disk is as large as the old one was, and it knows. */
	asks_ctl(h, EXEC("other", "[ $(stat -f -c %b /) -gt 30000 ]"));
	asks_expect_in(asks_ctl(h, "inspect", "other"), "\"c\": \"d\"");
	asks_ctl(h, "rename", "other", "vm");
}

static json_int_t size_of(struct wispd_host *h, const char *path, const char *member)
{
	json_t *j = NULL;
	json_int_t mib;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	mib = json_integer_value(json_object_get(j, member));
	json_decref(j);
	return mib;
}

static const char fewer[] =
	"[ $(sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo) -lt 96000 ] && echo fewer";
static const char larger[] =
	"[ $(stat -f -c %b /) -gt 30000 ] && dd if=/dev/zero of=/root/big bs=1M count=26 2>/dev/null"
	" && rm /root/big && echo larger";

/* Memory goes and comes back, the disk grows under the file system. More than its RAM this
 * kernel cannot use: it has no driver for it. */
static void resize(struct wispd_host *h)
{
	asks_ctl(h, "resize", "--memory", "96", "vm");
	assert_int_equal(size_of(h, "/instances/vm", "mem_mib"), 96);
	assert_int_equal(asks_held(h, "memory_mib"), 96);
	assert_int_not_equal(
		wispd_host_ctl(h, NULL,
			       (const char *const[]){ "resize", "--memory", "160", "vm", NULL }),
		0);
	assert_int_equal(asks_held(h, "memory_mib"), 96);
	asks_expect(asks_ctl(h, EXEC("vm", fewer)), "fewer\n");
	asks_ctl(h, "resize", "--memory", "128", "vm");
	assert_int_equal(asks_held(h, "memory_mib"), 128);
	asks_ctl(h, "resize", "--disk", "40", "vm");
	assert_int_equal(asks_held(h, "disk_mib"), 40 - DISK_MIB);
	asks_expect(asks_ctl(h, EXEC("vm", larger)), "larger\n");
}

static void test_linux(void **state)
{
	struct wispd_host *h;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	h = asks_host();
	asks_add_box(h);
	asks_ctl(h, "net", "create", "net", "--prefix4", "10.63.0.0/24");
	asks_ctl(h, "shape", "set", "elastic", "1", "128", "192");
	asks_ctl(h, "run", "--detach", "--name", "vm", "--shape", "elastic", "--net", "net", "box");
	resize(h);
	write_words(h, "vm", "first");
	asks_expect(asks_ctl(h, "snapshot", "create", "--name", "shot", "vm"), "shot\n");
	write_words(h, "vm", "second");
	asks_expect(asks_ctl(h, "restore", "--name", "again", "shot"), "again\n");
	asks_ctl(h, "resize", "--memory", "120", "again");
	check_words(h, "again", "first");
	check_words(h, "vm", "second");
	check_address(h, "again", "10.63.0.3");
	check_address(h, "vm", "10.63.0.2");
	fork_across_a_crash(h);
	/* What it wrote stays on its disk; what it had in memory does not. */
	asks_ctl(h, "reboot", "again");
	asks_expect(asks_ctl(h, EXEC("again", "cat /root/disk; test -e /tmp/memory || echo gone")),
		    "first\ngone\n");
	change(h);
	asks_ctl(h, "rm", "vm", "c-1", "c-2");
	asks_ctl(h, "rm", "--wipe", "again");
	asks_expect_in(asks_ctl(h, "events", "--tail", "9"), "disk of instance");
	asks_ctl(h, "snapshot", "rm", "shot");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	asks_ctl(h, "doctor");
	wispd_host_end(h);
}

/* For the first argument: a case by its name. */
int main(int argc, char *argv[])
{
	const struct CMUnitTest linux_tests[] = { cmocka_unit_test(test_linux) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_books),
		cmocka_unit_test(test_forks),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_snapshots needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc > 1 && strcmp(argv[1], "test_linux") == 0) {
		if (getenv("WISP_TESTHOST") && fixture_image("vmlinux-minimal"))
			return cmocka_run_group_tests(linux_tests, NULL, NULL);
		fprintf(stderr, "test_linux needs the test host and guest images\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
