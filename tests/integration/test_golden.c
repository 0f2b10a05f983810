/* test_golden.c - wispd is killed while a pool comes to its golden snapshot.
 *
 * For each N wispd is killed before the N-th thing that it does (crash_at.c) from the making of a
 * pool on: an instance of the pool's own boots, is saved and deleted, and a blank goes on from
 * there. The next wispd comes to the same: one snapshot, one blank with its interface, and
 * nothing else. And it is killed while a guest boots whose pool's snapshot is no good; one that is
 * not killed then makes another.
 *
 * Real guests, in the test host. WISPD_CRASH_STEP=1 tries every N; by default each
 * 233rd.
 */
#include <dirent.h>
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

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	LIMIT_MS = 240000,
	POLL_MS = 20,
	STEP = 233,
	FEWEST = 10,
	ID_BYTES = 32,
	WORDS_BYTES = 96
};

#define POOL                                                                         \
	"{\"name\": \"warm\", \"image\": \"box\", \"shape\": \"tiny\", \"min\": 1, " \
	"\"networks\": [\"lan\"]}"
#define VM                                                                               \
	"{\"image\": \"box\", \"shape\": \"tiny\", \"start\": true, \"name\": \"late\"," \
	" \"interfaces\": [{\"network\": \"lan\"}]}"
#define ctl(h, output, ...) wispd_host_ctl(h, output, (const char *const[]){ __VA_ARGS__, NULL })
#define expect(h, ...)	    wispd_host_expect(h, 0, (const char *const[]){ __VA_ARGS__, NULL })

static bool is_golden(struct wispd_host *h)
{
	json_t *j = NULL;
	bool golden = wispd_host_call(h, "GET", "/pools/warm", NULL, &j) == 200 &&
		      strcmp(json_string_value(json_object_get(j, "golden")), "ready") == 0 &&
		      json_integer_value(json_object_get(j, "ready")) == 1;

	json_decref(j);
	return golden;
}

/* false: wispd died on the way. */
static bool await_golden(struct wispd_host *h)
{
	for (int waited = 0; !is_golden(h); waited += POLL_MS) {
		if (!wispd_host_runs(h))
			return false;
		if (waited > LIMIT_MS)
			fail_msg("there is no golden snapshot: %s", wispd_host_log(h));
		poll(NULL, 0, POLL_MS);
	}
	return true;
}

/* Whom it was made of has gone. */
static void await_nobody(struct wispd_host *h)
{
	size_t left = 1;

	for (int waited = 0; left && waited < LIMIT_MS; waited += POLL_MS) {
		json_t *j = NULL;

		assert_int_equal(wispd_host_call(h, "GET", "/instances", NULL, &j), 200);
		left = json_array_size(json_object_get(j, "instances"));
		json_decref(j);
		poll(NULL, 0, POLL_MS);
	}
	assert_int_equal(left, 0);
}

static void await_jails(struct wispd_host *h, unsigned n)
{
	for (int waited = 0; wispd_host_jails(h) != n && waited < LIMIT_MS; waited += POLL_MS)
		poll(NULL, 0, POLL_MS);
	assert_int_equal(wispd_host_jails(h), n);
}

static void await_no_snapshot(struct wispd_host *h)
{
	for (int waited = 0; wispd_host_files(h, "state/snapshots") && waited < LIMIT_MS;
	     waited += POLL_MS)
		poll(NULL, 0, POLL_MS);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
}

static void remove_pool(struct wispd_host *h)
{
	expect(h, "pool", "rm", "warm");
	await_jails(h, 0);
	await_no_snapshot(h);
	await_nobody(h);
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	assert_int_equal(wispd_host_taps(), 0);
	expect(h, "doctor");
}

/* Killed while a pool comes to its golden snapshot, and to a blank that goes on from there. */
static bool crash_golden(struct wispd_host *h, long n)
{
	bool survived = wispd_host_start(h, n) &&
			wispd_host_call(h, "POST", "/pools", POOL, NULL) == 201 && await_golden(h);

	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	if (wispd_host_call(h, "GET", "/pools/warm", NULL, NULL) != 200)
		assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL, NULL), 201);
	assert_true(await_golden(h));
	await_nobody(h);
	await_jails(h, 1);
	assert_int_equal(wispd_host_jailers(h, NULL), 1);
	assert_int_equal(wispd_host_taps(), 1);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 1);
	expect(h, "doctor");
	remove_pool(h);
	wispd_host_stop(h, SIGKILL);
	return survived;
}

/* Of the one that there is, if there is one. */
static void find_snapshot(const struct wispd_host *h, char id[ID_BYTES])
{
	DIR *dir = opendir(wispd_host_path(h, "state/snapshots"));
	struct dirent *entry;

	assert_non_null(dir);
	id[0] = '\0';
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			snprintf(id, ID_BYTES, "%.*s", ID_BYTES - 1, entry->d_name);
	closedir(dir);
}

/* Its state is a file that all blanks share. */
static void spoil_snapshot(const struct wispd_host *h, char id[ID_BYTES])
{
	char path[320];

	find_snapshot(h, id);
	snprintf(path, sizeof(path), "state/snapshots/%s/state", id);
	assert_int_equal(truncate(wispd_host_path(h, path), 100), 0);
}

/* words: what is logged if it boots. */
static void take_one(struct wispd_host *h, char words[WORDS_BYTES], char operation[ID_BYTES])
{
	json_t *j = NULL;

	assert_int_equal(wispd_host_call(h, "POST", "/instances", VM, &j), 202);
	assert_true(json_is_true(json_object_get(json_object_get(j, "pool"), "taken")));
	snprintf(words, WORDS_BYTES, "%s boots",
		 json_string_value(json_object_get(json_object_get(j, "instance"), "id")));
	snprintf(operation, ID_BYTES, "%s", json_string_value(json_object_get(j, "operation")));
	json_decref(j);
}

/* A snapshot that is no good costs time: the guest boots, whichever wispd sees the end of it. */
static void die_while_it_boots(struct wispd_host *h)
{
	char words[WORDS_BYTES], operation[ID_BYTES];

	take_one(h, words, operation);
	for (int waited = 0; !strstr(wispd_host_log(h), words); waited += POLL_MS) {
		assert_true(waited < LIMIT_MS);
		poll(NULL, 0, POLL_MS);
	}
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	assert_string_equal(wispd_host_await(h, operation), "done");
	expect(h, "exec", "late", "true");
	expect(h, "rm", "late");
}

/* The first that boots under a wispd that lives is the last one. */
static void make_another(struct wispd_host *h, const char *spoilt)
{
	char words[WORDS_BYTES], operation[ID_BYTES], now[ID_BYTES];

	assert_true(await_golden(h));
	take_one(h, words, operation);
	assert_string_equal(wispd_host_await(h, operation), "done");
	assert_non_null(strstr(wispd_host_log(h), words));
	expect(h, "rm", "late");
	for (int waited = 0; find_snapshot(h, now), !now[0] || strcmp(now, spoilt) == 0;
	     waited += POLL_MS) {
		assert_true(waited < LIMIT_MS);
		poll(NULL, 0, POLL_MS);
	}
	assert_true(await_golden(h));
	take_one(h, words, operation);
	assert_string_equal(wispd_host_await(h, operation), "done");
	assert_null(strstr(wispd_host_log(h), words));
	expect(h, "exec", "late", "true");
	expect(h, "rm", "late");
}

static void test_golden(void **state)
{
	const char *kernel = fixture_need_image("vmlinux-minimal");
	const char *initrd = fixture_need_image("initramfs.cpio");
	struct wispd_host *h = wispd_host_make(", \"agent_timeout_ms\": 240000");
	const char *every = getenv("WISPD_CRASH_STEP");
	char spoilt[ID_BYTES];
	long n = 1, step = every ? strtol(every, NULL, 10) : STEP;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	assert_true(wispd_host_start(h, 0));
	expect(h, "image", "add", "--agent", "--kernel", kernel, "--initrd", initrd, "--cmdline",
	       "console=ttyS0 reboot=k panic=-1 quiet", "box");
	expect(h, "net", "create", "lan", "--prefix4", "10.64.0.0/24");
	wispd_host_stop(h, SIGKILL);
	while (!crash_golden(h, n))
		n += step;
	printf("killed up to %ld\n", n);
	assert_true(n > FEWEST);
	assert_true(wispd_host_start(h, 0));
	assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL, NULL), 201);
	assert_true(await_golden(h));
	spoil_snapshot(h, spoilt);
	die_while_it_boots(h);
	make_another(h, spoilt);
	remove_pool(h);
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_golden) };

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_golden needs /dev/kvm and root\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
