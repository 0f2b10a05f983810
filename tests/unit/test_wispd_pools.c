/* test_wispd_pools.c - pools as they are written down: whose they are, and who may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/store.h"
#include "supervisor/pool/pool.h"
#include "tests/unit/wispd_stage.h"

#define POOL "{\"name\": \"warm\", \"image\": \"image\", "

static const struct {
	const struct caller *who;
	const char *verb, *path, *body;
	int status;
	const char *code;
} rows[] = {
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
	struct stage *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (stage_ask(s, rows[i].who, rows[i].verb, rows[i].path, rows[i].body) !=
			    rows[i].status ||
		    strcmp(stage_said(s, "code"), rows[i].code) != 0)
			fail_msg("row %zu, %s %s: %d %s, %s", i, rows[i].verb, rows[i].path,
				 s->status, stage_said(s, "code"), stage_said(s, "message"));
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
	assert_int_equal(pool_match(t, &i, "", &pool, &err), 0);
	stage_ask(s, &stage_admin, "POST", "/pools", POOL "\"host\": true}");
	assert_int_equal(pool_match(t, &i, "", &pool, &err), 1);
	assert_string_equal(pool.tenant, "");
	stage_ask(s, &stage_alice, "POST", "/pools", POOL "\"min\": 1}");
	assert_int_equal(pool_match(t, &i, "", &pool, &err), 1);
	assert_string_equal(pool.tenant, "a");
	assert_int_equal(pool_match(t, &i, "warm", &pool, &err), 1);
	assert_int_equal(pool_match(t, &i, "cold", &pool, &err), 0);
	strcpy(i.cmdline, "quiet");
	assert_int_equal(pool_match(t, &i, "", &pool, &err), 0);
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

#define test(f) cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = { test(test_routes), test(test_whose), test(test_meter) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
