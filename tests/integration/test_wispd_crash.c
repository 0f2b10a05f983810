/* test_wispd_crash.c - wispd is killed before everything that it does, one after the other.
 *
 * One life of an instance is the scenario: made, started, paused, resumed, stopped, started
 * again, deleted; that of a volume which it has: made, copied, grown, erased; that of another
 * whose disk is grown, and whose guest does not take memory; and those of two snapshots: one
 * made with a volume while the guest runs on, restored, and removed; one made, restored, gone
 * back to, removed. For each N wispd is killed before
 * the N-th thing that it does (crash_at.c),
 * wherever in the scenario that is; another one is started, and when it has come to rest:
 *
 *   - the ledger is whole, and no resource is held by nobody (the doctor's checks);
 *   - every instance is in a state of rest, and there is a VMM if, and only if, the state
 *     says so; there is a jail for each instance and for nothing else;
 *   - every volume is ready, and there is a file for each and for nothing else; so it is with
 *     snapshots and their folders;
 *   - what is held is what the instances and volumes that there are need, not more, not less;
 *   - what a budget has seen spent is what an invoice of the whole ledger comes to;
 *   - everything can be deleted, and then nothing is left.
 *
 * In the test host (test_networks) it is one life of an instance with interfaces, published ports and
 * a list of what it may send to: there are taps for those that run, addresses for those that there
 * are, and when networks have gone no rule is left.
 *
 * WISPD_CRASH_STEP=1 tries every N; by default it is each twenty-third, and in the test host, which
 * is slower, each 251st.
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum {
	SKIPPED = 77,
	REST_LIMIT_MS = 60000,
	POLL_MS = 5,
	N_MAX = 5000,
	STEP = 23,
	WIRED_STEP = 251,
	FIRST_MOVES = 2,
	FEWEST = 100,
	DISK_MIB = 1
};

#define SHAPE "{\"vcpus\": 1, \"mem_mib\": 32}"
#define VM                                                                                   \
	"{\"image\": \"hlt-loop\", \"name\": \"vm\", \"shape\": \"test\", \"start\": true, " \
	"\"volumes\": [\"data\"]}"
#define PRICE(meter)                             \
	"{\"meter\": \"" meter "\", \"per\": 1," \
	" \"tiers\": [{\"from\": 0, \"price_nano\": 7}]}"
#define TWIN	"{\"image\": \"disk\", \"name\": \"twin\", \"shape\": \"elastic\", \"start\": true}"
#define ELASTIC "{\"vcpus\": 1, \"mem_mib\": 32, \"mem_max_mib\": 64}"

/* A tiny guest with a disk of 1 MiB. */
static void add_image_with_disk(struct wispd_host *h)
{
	char body[800];

	snprintf(body, sizeof(body), "{\"name\": \"disk\", \"kernel\": \"%s\", \"rootfs\": \"%s\"}",
		 fixture_guest("hlt-loop"), fixture_disk("disk", "disk", DISK_MIB << 20));
	assert_string_equal(wispd_host_do(h, "POST", "/images", body), "done");
}

/* Whether it came to its end: wispd did not die on the way. */
static bool play(struct wispd_host *h)
{
	/* Its guest has no driver for it: undone, whenever. */
	static const char untaken[] = "{\"mem_mib\": 48}";
	static const struct {
		const char *verb, *path, *body;
	} steps[] = {
		{ "POST", "/volumes", "{\"name\": \"data\", \"size_mib\": 4}" },
		{ "POST", "/instances", VM },
		{ "POST", "/instances/vm/pause", NULL },
		{ "POST", "/instances/vm/resume", NULL },
		{ "POST", "/instances/vm/reboot", "{\"timeout_ms\": 0}" },
		{ "POST", "/instances/vm/stop", "{\"timeout_ms\": 0}" },
		{ "POST", "/instances/vm/start", NULL },
		{ "POST", "/instances/vm/snapshot", "{\"name\": \"live\", \"live\": true}" },
		{ "POST", "/snapshots/live/restore", "{\"name\": \"third\"}" },
		{ "DELETE", "/snapshots/live", NULL },
		{ "DELETE", "/instances/third", NULL },
		{ "POST", "/instances", TWIN },
		{ "POST", "/instances/twin/resize", "{\"disk_mib\": 3}" },
		{ "POST", "/instances/twin/resize", untaken },
		{ "POST", "/instances/twin/snapshot", "{\"name\": \"shot\"}" },
		{ "POST", "/snapshots/shot/restore", "{\"name\": \"again\"}" },
		{ "POST", "/instances/twin/stop", "{\"timeout_ms\": 0}" },
		{ "POST", "/instances/twin/rollback", "{\"snapshot\": \"shot\"}" },
		{ "POST", "/instances/twin/start", NULL },
		{ "DELETE", "/snapshots/shot", NULL },
		{ "POST", "/instances/twin/stop", "{\"timeout_ms\": 0}" },
		{ "POST", "/instances/twin/rebuild", NULL },
		{ "DELETE", "/instances/twin", "{\"wipe\": true}" },
		{ "DELETE", "/instances/vm", NULL },
		{ "POST", "/volumes", "{\"name\": \"copy\", \"from\": \"data\"}" },
		{ "POST", "/volumes/data/grow", "{\"size_mib\": 8}" },
		{ "DELETE", "/volumes/copy", "{\"erase\": true}" },
		{ "DELETE", "/volumes/data", NULL },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const char *wanted = steps[i].body == untaken ? "failed" : "done";

		if (strcmp(wispd_host_do(h, steps[i].verb, steps[i].path, steps[i].body), wanted) !=
		    0)
			return false;
	}
	return true;
}

static const char *state_of(const json_t *instance)
{
	return json_string_value(json_object_get(instance, "state"));
}

static bool is_one_of(const char *state, const char *const names[])
{
	for (; *names; names++)
		if (strcmp(state, *names) == 0)
			return true;
	return false;
}

/* One that is to start as soon as it is made does not rest as "created"; one that was made
 * anew does. */
static bool rests(const json_t *instance)
{
	static const char *const resting[] = { "running", "paused", "stopped", "failed", NULL };

	if (strcmp(state_of(instance), "created") == 0)
		return json_integer_value(json_object_get(instance, "generation")) > FIRST_MOVES;
	return is_one_of(state_of(instance), resting);
}

/* All instances, once none is on its way any more. */
static json_t *at_rest(struct wispd_host *h, long n)
{
	for (int waited = 0; waited < REST_LIMIT_MS; waited += POLL_MS) {
		json_t *j = NULL, *list, *i;
		bool rest = true;
		size_t at;

		assert_int_equal(wispd_host_call(h, "GET", "/instances", NULL, &j), 200);
		list = json_object_get(j, "instances");
		json_array_foreach(list, at, i) rest = rest && rests(i);
		if (rest) {
			json_incref(list);
			json_decref(j);
			return list;
		}
		json_decref(j);
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("N = %ld: the instances do not come to rest", n);
	return NULL;
}

/* All volumes, or snapshots, once nothing is being done to any. */
static json_t *things_at_rest(struct wispd_host *h, const char *name, long n)
{
	char path[32];

	snprintf(path, sizeof(path), "/%s", name);
	for (int waited = 0; waited < REST_LIMIT_MS; waited += POLL_MS) {
		json_t *j = NULL, *list, *v;
		bool rest = true;
		size_t at;

		assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
		list = json_incref(json_object_get(j, name));
		json_decref(j);
		json_array_foreach(list, at, v) rest = rest && strcmp(state_of(v), "ready") == 0;
		if (rest)
			return list;
		json_decref(list);
		poll(NULL, 0, POLL_MS);
	}
	fail_msg("N = %ld: the %s do not come to rest", n, name);
	return NULL;
}

static json_int_t held(struct wispd_host *h, const char *resource)
{
	json_t *j = NULL, *tenant;
	json_int_t used;

	assert_int_equal(wispd_host_call(h, "GET", "/tenants", NULL, &j), 200);
	tenant = json_array_get(json_object_get(j, "tenants"), 0);
	used = json_integer_value(json_object_get(
		json_object_get(json_object_get(tenant, "quota"), resource), "used"));
	json_decref(j);
	return used;
}

static void check_health(struct wispd_host *h, long n)
{
	json_t *j = NULL;

	assert_int_equal(wispd_host_call(h, "GET", "/doctor", NULL, &j), 200);
	if (!json_is_true(json_object_get(j, "healthy")))
		fail_msg("N = %ld: %s", n, json_dumps(j, 0));
	json_decref(j);
}

/* The books and the host say the same. */
static void check_truth(struct wispd_host *h, const json_t *instances, long n)
{
	static const char *const alive[] = { "running", "paused", NULL };
	unsigned live = 0;
	json_t *i;
	size_t at;

	json_array_foreach(instances, at, i)
	{
		const char *id = json_string_value(json_object_get(i, "id"));
		unsigned wanted = is_one_of(state_of(i), alive);

		if (wispd_host_jailers(h, id) != wanted)
			fail_msg("N = %ld: %s is %s, and has %u VMMs", n, id, state_of(i),
				 wispd_host_jailers(h, id));
		live += wanted;
	}
	if (wispd_host_jailers(h, NULL) != live)
		fail_msg("N = %ld: %u VMMs, %u in the books", n, wispd_host_jailers(h, NULL), live);
	assert_int_equal(wispd_host_jails(h), json_array_size(instances));
	assert_int_equal(held(h, "instances"), json_array_size(instances));
	assert_int_equal(held(h, "vcpus"), live);
	assert_int_equal(held(h, "memory_mib"), live * 32);
}

/* As many files as things. */
static void check_files(struct wispd_host *h, const json_t *things, const char *folder, long n)
{
	if (wispd_host_files(h, folder) != json_array_size(things))
		fail_msg("N = %ld: %u files in %s, not %zu", n, wispd_host_files(h, folder), folder,
			 json_array_size(things));
}

/* What the root disks were grown by. */
static json_int_t grown_mib(struct wispd_host *h, const json_t *instances)
{
	json_int_t grown = 0;
	json_t *i;
	size_t at;

	json_array_foreach(instances, at, i)
	{
		json_t *j = NULL;
		json_int_t size_mib;
		char path[96];

		snprintf(path, sizeof(path), "/instances/%s",
			 json_string_value(json_object_get(i, "id")));
		assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
		size_mib =
			json_integer_value(json_object_get(json_object_get(j, "size"), "disk_mib"));
		grown += size_mib ? size_mib - DISK_MIB : 0;
		json_decref(j);
	}
	return grown;
}

/* As much held as they have. */
static void check_disk(struct wispd_host *h, const json_t *instances, const json_t *volumes,
		       const json_t *snapshots, long n)
{
	json_int_t size_mib = grown_mib(h, instances);
	json_t *v;
	size_t at;

	json_array_foreach(volumes, at, v) size_mib +=
		json_integer_value(json_object_get(v, "size_mib"));
	json_array_foreach(snapshots, at, v) size_mib +=
		json_integer_value(json_object_get(v, "most_mib"));
	assert_int_equal(held(h, "disk_mib"), size_mib);
	check_files(h, volumes, "state/volumes", n);
	check_files(h, snapshots, "state/snapshots", n);
}

static void delete_things(struct wispd_host *h, const char *name, const json_t *things, long n)
{
	json_t *v;
	size_t at;

	json_array_foreach(things, at, v)
	{
		char path[96];

		snprintf(path, sizeof(path), "/%s/%s", name,
			 json_string_value(json_object_get(v, "id")));
		if (strcmp(wispd_host_do(h, "DELETE", path, NULL), "done") != 0)
			fail_msg("N = %ld: %s cannot be deleted", n, path);
	}
}

static void delete_all(struct wispd_host *h, const json_t *instances, long n)
{
	json_t *i;
	size_t at;

	json_array_foreach(instances, at, i)
	{
		char path[96];

		snprintf(path, sizeof(path), "/instances/%s",
			 json_string_value(json_object_get(i, "id")));
		if (strcmp(wispd_host_do(h, "DELETE", path, NULL), "done") != 0)
			fail_msg("N = %ld: %s cannot be deleted", n, path);
	}
	assert_int_equal(wispd_host_jailers(h, NULL), 0);
	assert_int_equal(wispd_host_jails(h), 0);
	assert_int_equal(held(h, "instances"), 0);
}

/* A plan of states, counters and holdings, and a budget that is far away. */
static void set_prices(struct wispd_host *h)
{
	assert_int_equal(
		wispd_host_call(
			h, "POST", "/plans",
			"{\"name\": \"p\", \"version\": 1, \"currency\": \"EUR\","
			" \"rounding_ms\": 100, \"minimum_ms\": 0, \"bill_boot\": true,"
			" \"prices\": [" PRICE("starts") ", " PRICE("vcpu_time") ", " PRICE(
				"memory_time") ", " PRICE("disk_read") ", " PRICE("volume_space") "]}",
			NULL),
		201);
	assert_int_equal(wispd_host_call(h, "PUT", "/tenants/default/plan",
					 "{\"plan\": \"p\", \"version\": 1}", NULL),
			 200);
	assert_int_equal(wispd_host_call(h, "PUT", "/tenants/default/budget",
					 "{\"limit_nano\": 1000000000000000000}", NULL),
			 200);
}

static int64_t number_of(struct wispd_host *h, const char *path, const char *member)
{
	json_t *j = NULL;
	int64_t value;

	assert_int_equal(wispd_host_call(h, "GET", path, NULL, &j), 200);
	assert_true(json_is_integer(json_object_get(j, member)));
	value = json_integer_value(json_object_get(j, member));
	json_decref(j);
	return value;
}

/* What was followed, by the wispd that died and this one, is what is rated anew: that. */
static int64_t check_money(struct wispd_host *h, long n)
{
	const time_t now = time(NULL);
	struct tm tm;
	char path[64];
	int64_t spent, rated;

	assert_non_null(gmtime_r(&now, &tm));
	strftime(path, sizeof(path), "/invoices/%Y-%m", &tm);
	rated = number_of(h, path, "total_nano");
	spent = number_of(h, "/tenants/default/budget", "spent_nano");
	if (spent != rated)
		fail_msg("N = %ld: %lld spent, and %lld to be paid", n, (long long)spent,
			 (long long)rated);
	return rated;
}

/* Whether wispd was still alive at the end of the scenario. */
static bool crash_once(struct wispd_host *h, long n)
{
	bool survived = wispd_host_start(h, n) && play(h);
	json_t *instances, *volumes, *snapshots;

	wispd_host_stop(h, SIGKILL);
	if (!wispd_host_start(h, 0))
		fail_msg("N = %ld: wispd does not come back: %s", n, wispd_host_log(h));
	instances = at_rest(h, n);
	check_truth(h, instances, n);
	check_health(h, n);
	volumes = things_at_rest(h, "volumes", n);
	snapshots = things_at_rest(h, "snapshots", n);
	check_disk(h, instances, volumes, snapshots, n);
	delete_all(h, instances, n);
	delete_things(h, "volumes", volumes, n);
	delete_things(h, "snapshots", snapshots, n);
	assert_int_equal(held(h, "disk_mib"), 0);
	assert_int_equal(wispd_host_files(h, "state/volumes"), 0);
	assert_int_equal(wispd_host_files(h, "state/snapshots"), 0);
	assert_true(check_money(h, n) > 0 || !survived);
	json_decref(snapshots);
	json_decref(volumes);
	json_decref(instances);
	wispd_host_stop(h, SIGTERM);
	return survived;
}

static long step(long usual)
{
	const char *text = getenv("WISPD_CRASH_STEP");
	long n = text ? strtol(text, NULL, 10) : 0;

	return n > 0 ? n : usual;
}

static void test_every_instant(void **state)
{
	struct wispd_host *h = wispd_host_make("");
	long n = 1, tried = 0;

	(void)state;
	assert_true(wispd_host_start(h, 0));
	wispd_host_add_image(h, "hlt-loop");
	add_image_with_disk(h);
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/test", SHAPE, NULL), 200);
	set_prices(h);
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/elastic", ELASTIC, NULL), 200);
	wispd_host_stop(h, SIGTERM);
	while (n < N_MAX && !crash_once(h, n)) {
		n += step(STEP);
		tried++;
	}
	assert_true(n > FEWEST);
	assert_true(n < N_MAX);
	printf("killed at %ld instants of %ld\n", tried, n);
	wispd_host_end(h);
}

/* --- networks --- */

#define WIRED                                                                                  \
	"{\"image\": \"hlt-loop\", \"name\": \"wired\", \"shape\": \"test\", \"start\": true," \
	" \"interfaces\": [{\"network\": \"lan\", \"publish\": [\"8080:80\"],"                 \
	" \"egress\": [\"192.0.2.0/24\"]}, {\"network\": \"far\"}]}"
#define LAN "{\"name\": \"lan\", \"prefix4\": \"10.64.0.0/24\"}"
#define FAR                                                                              \
	"{\"name\": \"far\", \"prefix4\": \"10.65.0.0/24\", \"prefix6\": \"fd65::/64\"," \
	" \"mode\": \"routed\"}"

/* What a command prints has words, or is nothing but them. */
static void expect_said(const char *command, const char *words, long n)
{
	static char output[65536];
	FILE *f = popen(command, "re");
	size_t len = f ? fread(output, 1, sizeof(output) - 1, f) : 0;

	output[len] = '\0';
	if (!f || pclose(f) != 0 || (*words ? !strstr(output, words) : *output))
		fail_msg("N = %ld: %s: not \"%s\", but\n%s", n, command, words, output);
}

static bool play_wired(struct wispd_host *h)
{
	static const struct {
		const char *verb, *path, *body;
	} steps[] = {
		{ "POST", "/instances", WIRED },
		{ "POST", "/instances/wired/stop", "{\"timeout_ms\": 0}" },
		{ "POST", "/instances/wired/start", NULL },
		{ "POST", "/instances/wired/reboot", "{\"timeout_ms\": 0}" },
		{ "DELETE", "/instances/wired", NULL },
		{ "DELETE", "/networks/lan", NULL },
		{ "DELETE", "/networks/far", NULL },
	};

	if (wispd_host_call(h, "POST", "/networks", LAN, NULL) != 200 ||
	    wispd_host_call(h, "POST", "/networks", FAR, NULL) != 200)
		return false;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (strcmp(wispd_host_do(h, steps[i].verb, steps[i].path, steps[i].body), "done") !=
		    0)
			return false;
	return true;
}

/* One that was being removed goes by itself. */
static void delete_networks(struct wispd_host *h, long n)
{
	static const char *const paths[] = { "/networks/lan", "/networks/far" };
	size_t left = 1;

	for (int waited = 0; left && waited < REST_LIMIT_MS; waited += POLL_MS) {
		json_t *j = NULL;

		for (unsigned i = 0; i < 2; i++)
			(void)wispd_host_do(h, "DELETE", paths[i], NULL);
		assert_int_equal(wispd_host_call(h, "GET", "/networks", NULL, &j), 200);
		left = json_array_size(json_object_get(j, "networks"));
		json_decref(j);
		poll(NULL, 0, POLL_MS);
	}
	if (left)
		fail_msg("N = %ld: %zu networks stay", n, left);
}

static bool crash_wired(struct wispd_host *h, long n)
{
	bool survived = wispd_host_start(h, n) && play_wired(h);
	json_t *instances;
	unsigned live;

	wispd_host_stop(h, SIGKILL);
	if (!wispd_host_start(h, 0))
		fail_msg("N = %ld: wispd does not come back: %s", n, wispd_host_log(h));
	instances = at_rest(h, n);
	check_truth(h, instances, n);
	check_health(h, n);
	live = wispd_host_jailers(h, NULL);
	assert_int_equal(wispd_host_taps(), 2 * live);
	assert_int_equal(held(h, "addresses"), 2 * json_array_size(instances));
	if (live)
		expect_said("nft list ruleset", "10.64.0.2", n);
	delete_all(h, instances, n);
	json_decref(instances);
	assert_int_equal(wispd_host_taps(), 0);
	assert_int_equal(held(h, "addresses"), 0);
	delete_networks(h, n);
	check_health(h, n);
	wispd_host_stop(h, SIGTERM);
	expect_said("nft list ruleset", "", n);
	expect_said("ip -o link | grep ' w[bt]' || true", "", n);
	return survived;
}

static void test_networks(void **state)
{
	struct wispd_host *h = wispd_host_make("");
	long n = 1;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	assert_true(wispd_host_start(h, 0));
	wispd_host_add_image(h, "hlt-loop");
	assert_int_equal(wispd_host_call(h, "PUT", "/shapes/test", SHAPE, NULL), 200);
	wispd_host_stop(h, SIGTERM);
	while (n < N_MAX && !crash_wired(h, n))
		n += step(WIRED_STEP);
	assert_true(n > FEWEST);
	assert_true(n < N_MAX);
	printf("killed at %ld instants of %ld\n", n / step(WIRED_STEP), n);
	wispd_host_end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_instant),
	};
	const struct CMUnitTest networks[] = {
		cmocka_unit_test(test_networks),
	};

	if (!fixture_has_kvm() || geteuid() != 0) {
		fprintf(stderr, "test_wispd_crash needs /dev/kvm and root\n");
		return SKIPPED;
	}
	if (argc == 1 || strcmp(argv[1], "test_networks") != 0)
		return cmocka_run_group_tests(tests, NULL, NULL);
	if (getenv("WISP_TESTHOST"))
		return cmocka_run_group_tests(networks, NULL, NULL);
	fprintf(stderr, "test_networks needs the test host\n");
	return SKIPPED;
}
