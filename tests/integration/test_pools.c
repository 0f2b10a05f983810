/* test_pools.c - warm pools: kept, taken from, resized, survived, removed.
 *
 * Tiny guests on KVM. Every wait is for a pool or an instance to say that it is there. Pools
 * with networks are tried in the test host (test_networks), whose kernel has all that they need.
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

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, LIMIT_MS = 60000, POLL_MS = 5, CRASH_STEP = 4, WIRED_STEP = 37, FEWEST = 10 };

#define POOL "{\"name\": \"warm\", \"image\": \"hlt-loop\", \"shape\": \"test\", "
#define VM   "{\"image\": \"hlt-loop\", \"shape\": \"test\", \"start\": true}"
#define WIRED                                                              \
	"{\"image\": \"hlt-loop\", \"shape\": \"test\", \"start\": true, " \
	"\"interfaces\": [{\"network\": \"lan\"}, {\"network\": \"far\", " \
	"\"publish\": [\"8080:80\"], \"egress\": [\"198.51.100.0/24 tcp 80\"]}]}"
#define ctl(h, output, ...) wispd_host_ctl(h, output, (const char *const[]){ __VA_ARGS__, NULL })

static struct wispd_host *make_host(void)
{
	struct wispd_host *h = wispd_host_make("");

	if (!wispd_host_start(h, 0))
		fail_msg("%s", wispd_host_log(h));
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 32}", NULL),
		200);
	wispd_host_add_image(h, "hlt-loop");
	return h;
}

static int64_t pool_number(struct wispd_host *h, const char *name)
{
	json_t *j = NULL;
	int64_t n;

	assert_int_equal(wispd_host_call(h, "GET", "/pools/warm", NULL, &j), 200);
	n = json_integer_value(json_object_get(j, name));
	json_decref(j);
	return n;
}

/* Until so many are ready, none is under way, and no jail is left of what went. */
static void await_ready(struct wispd_host *h, int64_t n, unsigned jails)
{
	for (int waited = 0; waited < LIMIT_MS; waited += POLL_MS) {
		if (pool_number(h, "ready") == n && pool_number(h, "making") == 0 &&
		    wispd_host_jails(h) == jails)
			return;
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("%lld are ready, not %lld, and %u jails are there, not %u: %s",
		 (long long)pool_number(h, "ready"), (long long)n, wispd_host_jails(h), jails,
		 wispd_host_log(h));
}

static void await_no_jail(struct wispd_host *h)
{
	for (int waited = 0; wispd_host_jails(h) && waited < LIMIT_MS; waited += POLL_MS)
		poll(NULL, 0, POLL_MS);
	assert_int_equal(wispd_host_jails(h), 0);
}

/* Makes one and waits until it runs: whether it was taken from the pool. */
static bool run(struct wispd_host *h, const char *vm, char id[32])
{
	json_t *j = NULL;
	char path[96];
	bool taken;

	assert_int_equal(wispd_host_call(h, "POST", "/instances", vm, &j), 202);
	taken = json_is_true(json_object_get(json_object_get(j, "pool"), "taken"));
	snprintf(id, 32, "%s",
		 json_string_value(json_object_get(json_object_get(j, "instance"), "id")));
	snprintf(path, sizeof(path), "/operations/%s?wait_ms=30000",
		 json_string_value(json_object_get(j, "operation")));
	json_decref(j);
	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	assert_string_equal(json_string_value(json_object_get(j, "state")), "done");
	json_decref(j);
	return taken;
}

static bool run_one(struct wispd_host *h, char id[32])
{
	return run(h, VM, id);
}

static void check_healthy(struct wispd_host *h)
{
	const char *output;

	if (ctl(h, &output, "doctor") != 0)
		fail_msg("%s", output);
}

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

/* What comes of a blank is an instance like any other, from its first start on. */
static void test_take(void **state)
{
	struct wispd_host *h = make_host();
	const char *output;
	char id[32], other[32];

	(void)state;
	assert_int_equal(ctl(h, NULL, "pool", "create", "warm", "hlt-loop", "--shape", "test",
			     "--min", "2", "--max", "3"),
			 0);
	await_ready(h, 2, 2);
	assert_int_equal(wispd_host_jailers(h, NULL), 2);
	assert_true(run_one(h, id));
	assert_int_equal(wispd_host_jailers(h, id), 1);
	assert_int_equal(ctl(h, &output, "trace", id), 0);
	expect_in(output, "take");
	assert_int_equal(ctl(h, &output, "logs", id), 0);
	assert_string_equal(output, "halted\n");
	await_ready(h, 2, 3);
	assert_int_equal(pool_number(h, "takes"), 1);
	/* It can be ended and started again, without the pool. */
	assert_int_equal(ctl(h, NULL, "reboot", "--timeout", "0", id), 0);
	assert_int_equal(ctl(h, &output, "inspect", id), 0);
	expect_in(output, "\"incarnation\": 2");
	assert_true(run_one(h, other));
	assert_int_equal(ctl(h, NULL, "rm", id, other), 0);
	await_ready(h, 2, 2);
	check_healthy(h);
	/* Another one under its name is not what they are of. */
	assert_int_equal(ctl(h, &output, "pool", "ls"), 0);
	expect_in(output, "warm");
	assert_int_equal(ctl(h, NULL, "pool", "rm", "warm"), 0);
	await_no_jail(h);
	assert_int_equal(ctl(h, &output, "pool", "inspect", "warm"), 1);
	check_healthy(h);
	wispd_host_end(h);
}

/* An empty pool keeps nobody waiting; a new version of its shape replaces what is in it. */
static void test_sizes(void **state)
{
	struct wispd_host *h = make_host();
	const char *output;
	char id[32];

	(void)state;
	assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL "\"min\": 0, \"max\": 2}", NULL),
			 201);
	assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL "\"min\": 0}", NULL), 409);
	assert_false(run_one(h, id));
	assert_int_equal(ctl(h, &output, "trace", id), 0);
	expect_in(output, "no_blank");
	/* It was asked for one: it is ready for the next. */
	await_ready(h, 1, 2);
	assert_int_equal(pool_number(h, "misses"), 1);
	assert_int_equal(ctl(h, NULL, "rm", id), 0);
	assert_int_equal(ctl(h, NULL, "pool", "resize", "warm", "--min", "2"), 0);
	await_ready(h, 2, 2);
	assert_int_equal(
		wispd_host_call(h, "PUT", "/shapes/test", "{\"vcpus\": 1, \"mem_mib\": 48}", NULL),
		200);
	/* None of the old ones is taken any more. */
	for (int n = 0; n < 3; n++) {
		json_t *j = NULL;
		char path[64];

		run_one(h, id);
		snprintf(path, sizeof(path), "/instances/%s", id);
		assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
		assert_int_equal(json_integer_value(json_object_get(j, "mem_mib")), 48);
		json_decref(j);
		assert_int_equal(ctl(h, NULL, "rm", id), 0);
	}
	await_ready(h, 2, 2);
	/* On a cordoned host nothing is made, and what is there is not taken. */
	assert_int_equal(ctl(h, NULL, "cordon", "maintenance"), 0);
	assert_int_equal(wispd_host_call(h, "POST", "/instances", VM, NULL), 503);
	assert_int_equal(pool_number(h, "ready"), 2);
	assert_int_equal(ctl(h, NULL, "uncordon"), 0);
	assert_true(run_one(h, id));
	assert_int_equal(ctl(h, NULL, "rm", id), 0);
	assert_int_equal(ctl(h, NULL, "pool", "resize", "warm", "--min", "0", "--max", "0"), 0);
	await_ready(h, 0, 0);
	check_healthy(h);
	wispd_host_end(h);
}

/* A wispd that dies leaves its blanks to the next one, which takes up those that live. */
static void test_returns(void **state)
{
	struct wispd_host *h = make_host();
	char id[32];

	(void)state;
	assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL "\"min\": 3}", NULL), 201);
	await_ready(h, 3, 3);
	wispd_host_stop(h, SIGKILL);
	assert_int_equal(wispd_host_jailers(h, NULL), 3);
	assert_true(wispd_host_start(h, 0));
	await_ready(h, 3, 3);
	assert_int_equal(wispd_host_jailers(h, NULL), 3);
	assert_true(run_one(h, id));
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	await_ready(h, 3, 4);
	assert_int_equal(wispd_host_jailers(h, id), 1);
	check_healthy(h);
	assert_int_equal(ctl(h, NULL, "rm", id), 0);
	/* A blank that dies is replaced. */
	wispd_host_end_jailers(h);
	await_ready(h, 3, 3);
	assert_int_equal(ctl(h, NULL, "pool", "rm", "warm"), 0);
	await_no_jail(h);
	check_healthy(h);
	wispd_host_end(h);
}

/* Memory may come to what is taken, too. Its guest has no driver for that: it stays as it is. */
static void test_elastic(void **state)
{
	static const char elastic[] = "{\"vcpus\": 1, \"mem_mib\": 32, \"mem_max_mib\": 64}";
	struct wispd_host *h = make_host();
	const char *output;
	char id[32], path[64];

	(void)state;
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/test", elastic, NULL), 200);
	assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL "\"min\": 1}", NULL), 201);
	await_ready(h, 1, 1);
	assert_true(run_one(h, id));
	assert_int_equal(ctl(h, &output, "inspect", id), 0);
	expect_in(output, "\"mem_max_mib\": 64");
	await_ready(h, 1, 2);
	snprintf(path, sizeof(path), "/instances/%s/resize", id);
	assert_string_equal(
		wispd_host_do(h, "POST", path, "{\"mem_mib\": 48, \"timeout_ms\": 100}"), "failed");
	assert_int_equal(ctl(h, &output, "inspect", id), 0);
	expect_in(output, "\"state\": \"running\"");
	expect_in(output, "\"mem_mib\": 32");
	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	await_ready(h, 1, 2);
	assert_int_equal(ctl(h, NULL, "reboot", "--timeout", "0", id), 0);
	assert_int_equal(ctl(h, NULL, "rm", id), 0);
	check_healthy(h);
	wispd_host_end(h);
}

/* --- crashes --- */

static const char *state_of(const json_t *instance)
{
	return json_string_value(json_object_get(instance, "state"));
}

/* All instances, once each runs or has ended. */
static json_t *at_rest(struct wispd_host *h, long n)
{
	for (int waited = 0; waited < LIMIT_MS; waited += POLL_MS) {
		json_t *j = NULL, *list, *i;
		bool rest = true;
		size_t at;

		assert_int_equal(wispd_host_call(h, "GET", "/instances", NULL, &j), 200);
		list = json_incref(json_object_get(j, "instances"));
		json_decref(j);
		json_array_foreach(list, at, i) rest =
			rest &&
			(strcmp(state_of(i), "running") == 0 || strcmp(state_of(i), "failed") == 0);
		if (rest)
			return list;
		json_decref(list);
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("N = %ld: the instances do not come to rest", n);
	return NULL;
}

static unsigned count_running(const json_t *instances)
{
	unsigned n = 0;
	json_t *i;
	size_t at;

	json_array_foreach(instances, at, i) n += strcmp(state_of(i), "running") == 0;
	return n;
}

static void remove_all(struct wispd_host *h, const json_t *instances)
{
	json_t *i;
	size_t at;

	json_array_foreach(instances, at, i)
	{
		char path[96];

		snprintf(path, sizeof(path), "/instances/%s",
			 json_string_value(json_object_get(i, "id")));
		assert_string_equal(wispd_host_do(h, "DELETE", path, NULL), "done");
	}
}

/* What a command prints. Static storage. */
static const char *output_of(const char *command)
{
	static char output[65536];
	FILE *f = popen(command, "re");
	size_t n = f ? fread(output, 1, sizeof(output) - 1, f) : 0;

	output[n] = '\0';
	if (!f || pclose(f) != 0)
		fail_msg("failed: %s", command);
	return output;
}

/* What it may beyond its networks holds for each that runs, and for no blank. */
static void check_rules(unsigned running)
{
	const char *rules = output_of("nft list ruleset");

	assert_true(running <= 1);
	assert_int_equal(strstr(rules, "tcp . 8080 : 10.65.0.") != NULL, running);
	assert_int_equal(strstr(rules, "goto egress_") != NULL, running);
}

/* One life; false: wispd died on the way. taps: of each instance and blank. */
static bool crash_once(struct wispd_host *h, const char *vm, unsigned taps, long n)
{
	bool survived = wispd_host_start(h, n) &&
			strcmp(wispd_host_do(h, "POST", "/instances", vm), "done") == 0;
	json_t *instances;

	wispd_host_stop(h, SIGKILL);
	assert_true(wispd_host_start(h, 0));
	instances = at_rest(h, n);
	await_ready(h, 1, 1 + (unsigned)json_array_size(instances));
	assert_int_equal(wispd_host_jailers(h, NULL), 1 + count_running(instances));
	assert_int_equal(wispd_host_taps(), taps * (1 + count_running(instances)));
	if (taps)
		check_rules(count_running(instances));
	check_healthy(h);
	remove_all(h, instances);
	json_decref(instances);
	await_ready(h, 1, 1);
	assert_int_equal(wispd_host_taps(), taps);
	wispd_host_stop(h, SIGKILL);
	return survived;
}

/* Killed before each fourth thing that wispd does from a take to its instance's run: the blank was
 * one instance's, or nobody's, and nothing is left of either. */
static void test_crashes(void **state)
{
	struct wispd_host *h = make_host();
	long n = 1;

	(void)state;
	assert_int_equal(wispd_host_call(h, "POST", "/pools", POOL "\"min\": 1}", NULL), 201);
	await_ready(h, 1, 1);
	wispd_host_stop(h, SIGKILL);
	while (!crash_once(h, VM, 0, n))
		n += CRASH_STEP;
	assert_true(n > FEWEST);
	wispd_host_end(h);
}

/* --- networks --- */

static struct wispd_host *make_networked(void)
{
	struct wispd_host *h;

	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	h = make_host();
	assert_int_equal(ctl(h, NULL, "net", "create", "lan", "--prefix4", "10.64.0.0/24"), 0);
	assert_int_equal(ctl(h, NULL, "net", "create", "far", "--prefix4", "10.65.0.0/24",
			     "--prefix6", "fd65::/64", "--mode", "routed"),
			 0);
	assert_int_equal(ctl(h, NULL, "pool", "create", "warm", "hlt-loop", "--shape", "test",
			     "--net", "lan,far"),
			 0);
	await_ready(h, 1, 1);
	return h;
}

/* What a blank waits with is what its instance has, and guarded from the first moment on. */
static void check_wires(struct wispd_host *h)
{
	const char *output;
	char id[32];

	assert_int_equal(wispd_host_taps(), 2);
	expect_in(output_of("nft list ruleset"), "06:00:0a:40:00:02 . 10.64.0.2");
	expect_in(output_of("ip route"), "10.65.0.2 dev wt");
	expect_in(output_of("bridge link"), "master wb");
	assert_int_equal(ctl(h, NULL, "net", "rm", "lan"), 1);
	assert_true(run(h, WIRED, id));
	assert_int_equal(ctl(h, &output, "inspect", id), 0);
	expect_in(output, "\"address4\": \"10.64.0.2\"");
	expect_in(output, "\"address6\": \"fd65::2\"");
	await_ready(h, 1, 2);
	check_rules(1);
	assert_int_equal(wispd_host_taps(), 4);
	/* It has its addresses for life. */
	assert_int_equal(ctl(h, NULL, "reboot", "--timeout", "0", id), 0);
	assert_int_equal(ctl(h, &output, "inspect", id), 0);
	expect_in(output, "\"address4\": \"10.64.0.2\"");
	assert_int_equal(ctl(h, NULL, "rm", id), 0);
	await_ready(h, 1, 1);
	assert_int_equal(wispd_host_taps(), 2);
	check_rules(0);
	assert_false(run_one(h, id));
	assert_int_equal(ctl(h, NULL, "rm", id), 0);
	await_ready(h, 1, 1);
	check_healthy(h);
}

static void test_networks(void **state)
{
	struct wispd_host *h = make_networked();
	long n = 1;

	(void)state;
	check_wires(h);
	wispd_host_stop(h, SIGKILL);
	while (!crash_once(h, WIRED, 2, n))
		n += WIRED_STEP;
	assert_true(n > FEWEST);
	assert_true(wispd_host_start(h, 0));
	assert_int_equal(ctl(h, NULL, "pool", "rm", "warm"), 0);
	await_no_jail(h);
	assert_int_equal(wispd_host_taps(), 0);
	assert_int_equal(ctl(h, NULL, "net", "rm", "lan"), 0);
	assert_int_equal(ctl(h, NULL, "net", "rm", "far"), 0);
	assert_string_equal(output_of("nft list ruleset"), "");
	wispd_host_end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest networks[] = { cmocka_unit_test(test_networks) };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),	cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_returns), cmocka_unit_test(test_elastic),
		cmocka_unit_test(test_crashes),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_pools needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc > 1 && strcmp(argv[1], "test_networks") == 0) {
		if (getenv("WISP_TESTHOST"))
			return cmocka_run_group_tests(networks, NULL, NULL);
		fprintf(stderr, "test_networks needs the test host\n");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
