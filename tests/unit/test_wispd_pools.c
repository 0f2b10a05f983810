/* test_wispd_pools.c - pools as they are written down: whose they are, and who may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/store.h"
#include "supervisor/images/image.h"
#include "supervisor/pool/golden.h"
#include "supervisor/snapshot/snapshot.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

#define POOL	   "{\"name\": \"warm\", \"image\": \"image\", "
#define WIRED	   "{\"name\": \"wired\", \"image\": \"image\", "
#define FROM_WIRED "{\"image\": \"image\", \"pool\": \"wired\", \"start\": true"
#define NETWORK	   "{\"name\": \"lan\", \"prefix4\": \"10.1.0.0/24\"}"

static const struct stage_row rows[] = {
	{ &stage_watcher, "POST", "/pools", POOL "\"min\": 1}", 403, "forbidden" },
	{ &stage_alice, "POST", "/pools", POOL "\"host\": true}", 403, "forbidden" },
	{ &stage_alice, "POST", "/pools", POOL "\"min\": 3, \"max\": 2}", 400, "bad_request" },
	{ &stage_alice, "POST", "/pools", POOL "\"min\": 5000}", 400, "bad_request" },
	{ &stage_alice, "POST", "/pools", POOL "\"keep_s\": 3601}", 400, "bad_request" },
	{ &stage_alice, "POST", "/pools", POOL "\"shape\": \"none\"}", 404, "not_found" },
	{ &stage_alice, "POST", "/pools", "{\"name\": \"warm\"}", 400, "bad_request" },
	{ &stage_alice, "POST", "/pools", "{\"name\": \"../x\", \"image\": \"image\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/pools", "{\"name\": \"x\", \"image\": \"none\"}", 404,
	  "not_found" },
	{ &stage_alice, "GET", "/pools/warm", NULL, 404, "not_found" },
	{ &stage_alice, "POST", "/pools", POOL "\"min\": 2, \"max\": 4}", 201, "" },
	{ &stage_alice, "POST", "/pools", POOL "\"min\": 1}", 409, "exists" },
	{ &stage_watcher, "GET", "/pools/warm", NULL, 200, "" },
	{ &stage_watcher, "PATCH", "/pools/warm", "{\"min\": 1}", 403, "forbidden" },
	{ &stage_bob, "GET", "/pools/warm", NULL, 404, "not_found" },
	{ &stage_bob, "PATCH", "/pools/warm", "{\"min\": 1}", 404, "not_found" },
	{ &stage_bob, "DELETE", "/pools/warm", NULL, 404, "not_found" },
	{ &stage_alice, "PATCH", "/pools/warm", "{\"min\": 5}", 400, "bad_request" },
	{ &stage_alice, "PATCH", "/pools/warm", "{\"min\": 3}", 200, "" },
	{ &stage_admin, "POST", "/pools", POOL "\"host\": true, \"min\": 7}", 201, "" },
	{ &stage_bob, "GET", "/pools/warm", NULL, 200, "" },
	{ &stage_bob, "PATCH", "/pools/warm", "{\"min\": 1}", 403, "forbidden" },
	{ &stage_bob, "DELETE", "/pools/warm", NULL, 403, "forbidden" },
	/* Asked for by name, a pool has to be there, and what is asked for has to be of it. */
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"pool\": \"none\", \"start\": true}", 404, "not_found" },
	{ &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"pool\": \"warm\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"pool\": \"warm\", \"start\": true, \"shape\": \"tiny\"}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"pool\": \"warm\", \"start\": true, \"hotplug\": true}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  "{\"image\": \"image\", \"pool\": \"warm\", \"start\": true}", 202, "" },
	{ &stage_alice, "DELETE", "/pools/warm", NULL, 200, "" },
	{ &stage_alice, "GET", "/pools/warm", NULL, 200, "" },
	{ &stage_admin, "DELETE", "/pools/warm", NULL, 200, "" },
	{ &stage_alice, "GET", "/pools/warm", NULL, 404, "not_found" },
	{ &stage_alice, "POST", "/pools", POOL "\"min\": 1}", 201, "" },
};

static void test_routes(void **state)
{
	stage_ask_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

/* In networks of one's own; while there is a pool for it none goes. */
static const struct stage_row wired_rows[] = {
	{ &stage_alice, "POST", "/pools", WIRED "\"networks\": [\"none\"]}", 404, "not_found" },
	{ &stage_bob, "POST", "/pools", WIRED "\"networks\": [\"lan\"]}", 404, "not_found" },
	{ &stage_admin, "POST", "/pools", WIRED "\"host\": true, \"networks\": [\"lan\"]}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/pools", WIRED "\"networks\": [\"lan\"]}", 201, "" },
	{ &stage_alice, "POST", "/instances", FROM_WIRED "}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  FROM_WIRED ", \"interfaces\": [{\"network\": \"lan\", \"address\": \"10.1.0.9\"}]}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  FROM_WIRED ", \"interfaces\": [{\"network\": \"lan\"}, {\"network\": \"lan\"}]}", 400,
	  "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  FROM_WIRED ", \"interfaces\": [{\"network\": \"lan lan\"}]}", 400, "bad_request" },
	{ &stage_alice, "POST", "/instances",
	  FROM_WIRED ", \"interfaces\": [{\"network\": \"lan\"}]}", 202, "" },
};

static void test_networks(void **state)
{
	struct stage *s = *state;

	assert_int_equal(
		stage_ask_with(s, &stage_admin, "POST", "/networks", NETWORK, NULL, "tenant=a"),
		200);
	stage_ask_rows(s, wired_rows, sizeof(wired_rows) / sizeof(wired_rows[0]));
	assert_int_equal(
		stage_ask_with(s, &stage_admin, "DELETE", "/networks/lan", NULL, NULL, "tenant=a"),
		409);
}

/* A tenant's own comes before the host's; another's is never his. */
static void test_whose(void **state)
{
	struct instance i = { .tenant = "a", .image = "d", .shape = "small" };
	struct stage *s = *state;
	struct truth *t = &s->d.truth;
	struct pool pool;
	struct error err;

	stage_ask(s, &stage_bob, "POST", "/pools", POOL "\"min\": 1}");
	assert_int_equal(pool_match(t, &i, "", "", &pool, &err), 0);
	stage_ask(s, &stage_admin, "POST", "/pools", POOL "\"host\": true}");
	assert_int_equal(pool_match(t, &i, "", "", &pool, &err), 1);
	assert_string_equal(pool.tenant, "");
	stage_ask(s, &stage_alice, "POST", "/pools", POOL "\"min\": 1}");
	assert_int_equal(pool_match(t, &i, "", "", &pool, &err), 1);
	assert_string_equal(pool.tenant, "a");
	assert_int_equal(pool_match(t, &i, "", "warm", &pool, &err), 1);
	assert_int_equal(pool_match(t, &i, "", "cold", &pool, &err), 0);
	strcpy(i.cmdline, "quiet");
	assert_int_equal(pool_match(t, &i, "", "", &pool, &err), 0);
}

static int64_t held(struct stage *s, const char *tenant)
{
	struct error err;
	int64_t amount = -1;

	assert_int_equal(store_number(s->d.truth.store, &amount, &err,
				      "SELECT ifnull(sum(amount), 0) FROM held"
				      " WHERE meter = 'pool_time' AND tenant = ?",
				      "s", tenant),
			 0);
	return amount;
}

/* What is kept for a tenant at least is on his bill, and the host's pools on nobody's. */
static void test_meter(void **state)
{
	struct stage *s = *state;

	stage_ask(s, &stage_alice, "POST", "/pools", POOL "\"min\": 2, \"max\": 9}");
	stage_ask(s, &stage_admin, "POST", "/pools", POOL "\"host\": true, \"min\": 5}");
	assert_int_equal(held(s, "a"), 2);
	assert_int_equal(held(s, ""), 0);
	stage_ask(s, &stage_alice, "PATCH", "/pools/warm", "{\"min\": 4}");
	assert_int_equal(held(s, "a"), 4);
	stage_ask(s, &stage_alice, "DELETE", "/pools/warm", NULL);
	assert_int_equal(held(s, "a"), 0);
}

/* --- the golden snapshot --- */

static void add_image(struct stage *s)
{
	struct image image = { .name = "box", .digest = "b", .kernel = "k", .agent = true };
	struct error err;
	bool there;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(image_add(&s->d.truth, &image, "test", &there, &err), 0);
	assert_int_equal(image_publish(&s->d.truth, &image, 1, "test", &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static void move(struct stage *s, const char *id, const enum state to[], unsigned count)
{
	const struct move by_test = { .actor = "test" };
	struct instance i;
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(instance_load(&s->d.truth, id, &i, &err), 0);
	for (unsigned n = 0; n < count; n++)
		assert_int_equal(instance_move(&s->d.truth, &i, to[n], &by_test, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static enum state state_of(struct stage *s, const char *id)
{
	struct instance i;
	struct error err;

	assert_int_equal(instance_load(&s->d.truth, id, &i, &err), 0);
	return i.state;
}

/* The instance that boots for the pool; "": there is none. */
static const char *instance_of(struct stage *s)
{
	static char id[INSTANCE_ID_BYTES];
	struct rows found;
	struct error err;

	id[0] = '\0';
	assert_int_equal(
		store_select(s->d.truth.store, &found, &err, "SELECT instance FROM golden", ""), 0);
	if (rows_next(&found, &err) > 0)
		rows_text(&found, 0, id, sizeof(id));
	rows_end(&found);
	return id;
}

static void finish_snapshot(struct stage *s, const char *id)
{
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(snapshot_made(&s->d.truth, id, 100, "test", &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static const enum state up[] = { STATE_CREATED, STATE_STARTING, STATE_RUNNING };
static const enum state down[] = { STATE_CREATED, STATE_STARTING, STATE_FAILED };

/* Step by step; the step after a crash is the same one. */
static void test_golden(void **state)
{
	static const enum state back[] = { STATE_RUNNING };
	struct stage *s = *state;
	struct pool_plan plan;
	struct pool pool;
	struct error err;
	char id[INSTANCE_ID_BYTES];

	snprintf(s->d.config.state_dir, sizeof(s->d.config.state_dir), "%s",
		 scratch_path(s->dir, "."));
	s->d.config.disk_reserve_mib = 0;
	add_image(s);
	stage_ask(s, &stage_alice, "POST", "/pools",
		  "{\"name\": \"warm\", \"image\": \"box\", \"shape\": \"tiny\"}");
	assert_int_equal(pool_find(&s->d.truth, "a", "warm", &pool, &err), 0);
	assert_int_equal(pool_plan(&s->d.truth, &pool, &plan, &err), 0);
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_MAKING);
	strcpy(id, instance_of(s));
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_MAKING);
	assert_string_equal(instance_of(s), id);
	move(s, id, up, 3);
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_MAKING);
	assert_int_equal(state_of(s, id), STATE_SAVING);
	finish_snapshot(s, id);
	move(s, id, back, 1);
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_READY);
	assert_true(plan.snapshot[0]);
	assert_int_equal(state_of(s, id), STATE_DELETING);
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_READY);
	/* Of another shape it is another one. */
	plan.shape_version++;
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_MAKING);
	assert_string_not_equal(instance_of(s), id);
	assert_int_equal(golden_drop(&s->d, &pool, &err), 0);
	assert_string_equal(instance_of(s), "");
}

/* A guest that does not boot is no reason to wait for ever, or to leave anything. */
static void test_golden_fails(void **state)
{
	struct stage *s = *state;
	struct pool_plan plan;
	struct pool pool;
	struct error err;
	char id[INSTANCE_ID_BYTES];

	add_image(s);
	stage_ask(s, &stage_alice, "POST", "/pools", "{\"name\": \"warm\", \"image\": \"box\"}");
	assert_int_equal(pool_find(&s->d.truth, "a", "warm", &pool, &err), 0);
	assert_int_equal(pool_plan(&s->d.truth, &pool, &plan, &err), 0);
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_MAKING);
	strcpy(id, instance_of(s));
	move(s, id, down, 3);
	assert_true(golden_look(&s->d, &pool, &plan, &err) < 0);
	assert_int_equal(state_of(s, id), STATE_DELETING);
	assert_string_equal(instance_of(s), "");
	/* One of an image without an agent has none. */
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_MAKING);
	strcpy(plan.image, "d");
	assert_int_equal(golden_look(&s->d, &pool, &plan, &err), GOLDEN_NONE);
	assert_string_equal(instance_of(s), "");
}

#define test(f) cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { test(test_routes), test(test_networks),
					    test(test_whose),  test(test_meter),
					    test(test_golden), test(test_golden_fails) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
