/* test_wispd_restored.c - a ledger of before is put in the place of the one that was lost, while
 * VMMs of after it run.
 *
 * What the copy knows and what lives is taken over; what it knows otherwise, or not at all, is
 * ended: no VMM is in nobody's books, none is two instances', none is taken for a blank that it
 * was. Tiny guests on KVM.
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
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, LIMIT_MS = 120000, POLL_MS = 5 };

#define expect(h, wanted, ...) \
	wispd_host_expect(h, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static void put_shape(struct wispd_host *h, const char *path, const char *shape)
{
	assert_int_equal(wispd_host_call(h, "PUT", path, shape, NULL), 200);
}

static json_int_t ready(struct wispd_host *h)
{
	json_t *j = NULL;
	json_int_t n;

	assert_int_equal(wispd_host_call(h, "GET", "/pools/warm", NULL, &j), 200);
	n = json_integer_value(json_object_get(j, "ready"));
	json_decref(j);
	return n;
}

/* One blank, and what instances have. */
static void await_pool(struct wispd_host *h, unsigned instances, unsigned jails)
{
	for (int waited = 0; ready(h) != 1 || wispd_host_jails(h) != jails + 1 ||
			     wispd_host_jailers(h, NULL) != instances + 1;
	     waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("%u jails, %u VMMs\n%s", wispd_host_jails(h),
				 wispd_host_jailers(h, NULL), wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static void await_state(struct wispd_host *h, const char *name, const char *state)
{
	char path[64], now[32] = "";

	snprintf(path, sizeof(path), "/instances/%s", name);
	for (int waited = 0; strcmp(now, state) != 0; waited += POLL_MS) {
		json_t *j = NULL;

		assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
		snprintf(now, sizeof(now), "%s", json_string_value(json_object_get(j, "state")));
		json_decref(j);
		if (waited > LIMIT_MS)
			fail_msg("%s is %s, not %s\n%s", name, now, state, wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static void run(struct wispd_host *h, const char *name, const char *shape)
{
	expect(h, 0, "run", "--name", name, "--shape", shape, "hlt-loop");
}

/* One that stays, one that is started again, one that goes, and what comes then. */
static void live_on(struct wispd_host *h, const char *copy)
{
	run(h, "kept", "test");
	run(h, "moved", "test");
	run(h, "gone", "test");
	expect(h, 0, "pool", "create", "warm", "hlt-loop", "--shape", "pooled", "--min", "1",
	       "--max", "1");
	await_pool(h, 3, 3);
	expect(h, 0, "ledger", "backup", copy);
	run(h, "late", "pooled");
	await_pool(h, 4, 4);
	run(h, "new", "test");
	expect(h, 0, "reboot", "--timeout", "0", "moved");
	expect(h, 0, "rm", "gone");
	expect(h, 0, "volume", "create", "data", "--size", "4");
	expect(h, 0, "run", "--name", "work", "--shape", "test", "disk");
}

/* A tiny guest with a disk of its own. */
static void add_image_with_disk(struct wispd_host *h)
{
	char body[800];

	snprintf(body, sizeof(body), "{\"name\": \"disk\", \"kernel\": \"%s\", \"rootfs\": \"%s\"}",
		 fixture_guest("hlt-loop"), fixture_disk("disk", "somebody's work", 1 << 20));
	assert_string_equal(wispd_host_do(h, "POST", "/images", body), "done");
}

/* What the ledger does not know is not what nobody wants: a volume, a disk. */
static void check_unknown(struct wispd_host *h)
{
	char command[600];

	assert_int_equal(wispd_host_files(h, "state/volumes"), 0);
	assert_int_equal(wispd_host_files(h, "state/unknown"), 2);
	snprintf(command, sizeof(command), "grep -q \"somebody's work\" %s/vm-*.disk",
		 wispd_host_path(h, "state/unknown"));
	assert_int_equal(system(command), 0);
	/* The next start is one like any other. */
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	assert_int_equal(wispd_host_files(h, "state/unknown"), 2);
}

static void restore(struct wispd_host *h, const char *copy)
{
	char config[256];

	snprintf(config, sizeof(config), "%s", wispd_host_path(h, "json"));
	wispd_host_stop(h, SIGKILL);
	expect(h, 0, "ledger", "restore", "--config", config, copy);
	assert_true(wispd_host_start(h, 0));
	expect(h, 0, "runbook", "restored-ledger");
}

static void test_restored(void **state)
{
	struct wispd_host *h = wispd_host_make("");
	char copy[256];
	pid_t kept;

	(void)state;
	snprintf(copy, sizeof(copy), "%s", fixture_path("copy"));
	assert_true(wispd_host_start(h, 0));
	put_shape(h, "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}");
	put_shape(h, "/shapes/pooled", "{\"vcpus\": 1, \"mem_mib\": 48}");
	wispd_host_add_image(h, "hlt-loop");
	add_image_with_disk(h);
	live_on(h, copy);
	kept = wispd_host_jailer(h, "kept");
	restore(h, copy);
	await_state(h, "kept", "running");
	assert_int_equal(wispd_host_jailer(h, "kept"), kept);
	assert_int_equal(kill(kept, 0), 0);
	await_state(h, "moved", "stopped");
	await_state(h, "gone", "stopped");
	assert_int_equal(wispd_host_call(h, "GET", "/instances/new", NULL, NULL), 404);
	assert_int_equal(wispd_host_call(h, "GET", "/instances/late", NULL, NULL), 404);
	/* Of the three there are only two have folders. */
	await_pool(h, 1, 2);
	expect(h, 0, "doctor");
	check_unknown(h);
	await_pool(h, 1, 2);
	/* What is taken is a blank, and nobody's guest. */
	run(h, "next", "pooled");
	expect(h, 0, "logs", "next");
	expect(h, 0, "start", "moved");
	/* What was deleted after the copy has nothing; it can be made anew. */
	expect(h, 1, "start", "gone");
	expect(h, 0, "rebuild", "gone");
	expect(h, 0, "start", "gone");
	await_pool(h, 4, 4);
	expect(h, 0, "rm", "kept", "moved", "gone", "next");
	expect(h, 0, "pool", "rm", "warm");
	for (int waited = 0; wispd_host_jails(h) && waited < LIMIT_MS; waited += POLL_MS)
		poll(NULL, 0, POLL_MS);
	assert_int_equal(wispd_host_jails(h), 0);
	expect(h, 0, "doctor");
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_restored) };

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_restored needs /dev/kvm and root\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
