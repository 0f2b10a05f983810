/* test_wispd_snapshots.c - instances saved, restored and forked by wispd.
 *
 * With tiny guests what the books say and what is left; with real ones, in the test host,
 * that a copy goes on from where its original was, with a disk, a name and addresses of its
 * own, and that both go their own ways from there.
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

enum { SKIPPED = 77, LIMIT_MS = 200000, POLL_MS = 20, FORKS = 3 };

#define SHAPE	   "{\"vcpus\": 1, \"mem_mib\": 32}"
#define PRINCIPALS ", \"disk_reserve_mib\": 0, \"agent_timeout_ms\": 240000"

static void done(struct wispd_host *h, const char *verb, const char *path, const char *body)
{
	const char *outcome = wispd_host_do(h, verb, path, body);

	if (strcmp(outcome, "done") != 0)
		fail_msg("%s %s: %s\n%s", verb, path, outcome, wispd_host_log(h));
}

static void status(struct wispd_host *h, const char *verb, const char *path, const char *body,
		   int expected)
{
	assert_int_equal(wispd_host_call(h, verb, path, body, NULL), expected);
}

/* A member of what a path tells. Static storage. */
static const char *text_of(struct wispd_host *h, const char *path, const char *member)
{
	static char text[256];
	json_t *j = NULL;
	const char *said;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	said = json_string_value(json_object_get(j, member));
	snprintf(text, sizeof(text), "%s", said ? said : "");
	json_decref(j);
	return text;
}

static size_t count(struct wispd_host *h, const char *path, const char *member)
{
	json_t *j = NULL;
	size_t n;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	n = json_array_size(json_object_get(j, member));
	json_decref(j);
	return n;
}

/* Files go a moment after what needed them. */
static void await_count(struct wispd_host *h, const char *path, const char *member, size_t wanted)
{
	for (int waited = 0; count(h, path, member) != wanted; waited += POLL_MS) {
		if (waited > LIMIT_MS)
			fail_msg("%s: %zu, not %zu\n%s", path, count(h, path, member), wanted,
				 wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static void await_state(struct wispd_host *h, const char *path, const char *wanted)
{
	for (int waited = 0; strcmp(text_of(h, path, "state"), wanted) != 0; waited += POLL_MS) {
		if (waited > LIMIT_MS || strcmp(text_of(h, path, "state"), "failed") == 0)
			fail_msg("%s is %s: %s\n%s", path, text_of(h, path, "state"),
				 text_of(h, path, "cause"), wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
}

static json_int_t held(struct wispd_host *h, const char *resource)
{
	json_t *j = NULL, *quota;
	json_int_t used;

	assert_int_equal(wispd_host_call(h, "GET", "/tenants", NULL, &j), 200);
	quota = json_object_get(json_array_get(json_object_get(j, "tenants"), 0), "quota");
	used = json_integer_value(json_object_get(json_object_get(quota, resource), "used"));
	json_decref(j);
	return used;
}

static struct wispd_host *make_host(void)
{
	struct wispd_host *h = wispd_host_make(PRINCIPALS);

	assert_true(wispd_host_start(h, 0));
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/test", SHAPE, NULL), 200);
	return h;
}

/* --- tiny guests --- */

static void test_books(void **state)
{
	struct wispd_host *h = make_host();

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	done(h, "POST", "/instances",
	     "{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\"}");
	status(h, "POST", "/instances/vm/snapshot", NULL, 409);
	done(h, "POST", "/instances/vm/start", NULL);
	done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}");
	await_state(h, "/instances/vm", "running");
	assert_string_equal(text_of(h, "/snapshots/shot", "state"), "ready");
	assert_int_equal(held(h, "disk_mib"), 33);
	status(h, "POST", "/instances/vm/snapshot", "{\"name\": \"shot\"}", 409);
	status(h, "DELETE", "/images/hlt-loop", NULL, 409);
	/* A paused one stays so. */
	done(h, "POST", "/instances/vm/pause", NULL);
	done(h, "POST", "/instances/vm/snapshot", "{\"name\": \"still\"}");
	await_state(h, "/instances/vm", "paused");
	/* The original is not needed, nor what runs the snapshot. */
	done(h, "DELETE", "/instances/vm", NULL);
	done(h, "POST", "/snapshots/shot/restore", "{\"name\": \"again\", \"remove\": true}");
	assert_string_equal(text_of(h, "/instances/again", "state"), "running");
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 2);
	done(h, "DELETE", "/snapshots/shot", NULL);
	done(h, "DELETE", "/snapshots/still", NULL);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_string_equal(text_of(h, "/instances/again", "state"), "running");
	status(h, "POST", "/snapshots/shot/restore", NULL, 404);
	/* From now on it boots. */
	done(h, "POST", "/instances/again/reboot", "{\"timeout_ms\": 0}");
	assert_int_equal(wispd_host_jails(h), 1);
	done(h, "DELETE", "/instances/again", NULL);
	assert_int_equal(held(h, "disk_mib"), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	wispd_host_end(h);
}

static void test_forks(void **state)
{
	struct wispd_host *h = make_host();
	char path[64];

	(void)state;
	wispd_host_add_image(h, "hlt-loop");
	done(h, "POST", "/instances",
	     "{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true}");
	status(h, "POST", "/instances/vm/fork", "{\"count\": 65}", 400);
	status(h, "POST", "/instances/vm/fork", "{\"count\": 3, \"name\": \"c\"}", 202);
	for (unsigned n = 1; n <= FORKS; n++) {
		snprintf(path, sizeof(path), "/instances/c-%u", n);
		await_state(h, path, "running");
	}
	await_state(h, "/instances/vm", "running");
	/* What was made for them has gone with its last use. */
	await_count(h, "/snapshots", "snapshots", 0);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_int_equal(wispd_host_jailers(h, NULL), FORKS + 1);
	assert_int_equal(held(h, "disk_mib"), 0);
	/* Those that are deleted before they begin let it go, too. */
	done(h, "POST", "/instances/vm/pause", NULL);
	status(h, "POST", "/instances/vm/fork", "{\"count\": 1, \"name\": \"d\"}", 202);
	done(h, "DELETE", "/instances/d-1", NULL);
	await_count(h, "/snapshots", "snapshots", 0);
	await_state(h, "/instances/vm", "paused");
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_books),
		cmocka_unit_test(test_forks),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_snapshots needs /dev/kvm and root\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
