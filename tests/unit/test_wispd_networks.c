/* test_wispd_networks.c - the routes about networks, and interfaces of instances: in order,
 * on real books. No worker runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/wispd_stage.h"

#define NET(name, prefix) "{\"name\": \"" name "\", \"prefix4\": \"" prefix "\"}"
#define MORE(more)	  "{\"name\": \"net\", \"prefix4\": \"10.1.0.0/16\", " more "}"
#define BOTH(one, two)                                                                             \
	"{\"image\": \"image\", \"interfaces\": [{\"network\": \"" one "\"}, {\"network\": \"" two \
	"\"}]}"
#define ON(net, more) "{\"image\": \"image\", \"interfaces\": [{\"network\": \"" net "\"" more "}]}"

static const struct stage_row rows[] = {
	{ &stage_alice, "POST", "/networks", NET("net", "10.1.0.0/24"), 403, "forbidden" },
	{ &stage_admin, "POST", "/networks", NET("Net", "10.1.0.0/24"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", NET("net", "10.1.0.1/24"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", NET("net", "127.0.0.0/8"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", NET("net", "10.1.0.0/31"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", NET("net", "fd00::/64"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"egress\": [\"any; drop\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"prefix6\": \"fd00::/124\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"prefix6\": \"fe80::/64\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"mode\": \"wireless\""), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", NET("net", "10.1.0.0/24"), 200, "" },
	{ &stage_admin, "POST", "/networks", NET("net", "10.2.0.0/24"), 409, "exists" },
	{ &stage_admin, "POST", "/networks", NET("two", "10.1.0.128/25"), 409, "exists" },
	{ &stage_admin, "GET", "/networks/net", NULL, 200, "" },
	{ &stage_alice, "GET", "/networks/net", NULL, 404, "not_found" },
	{ &stage_alice, "GET", "/networks", NULL, 200, "" },
	{ &stage_alice, "POST", "/instances", ON("net", ""), 404, "not_found" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"address\": \"10.2.0.2\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"address\": \"10.1.0.1\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"publish\": [\"80\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"egress\": [\"all\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"publish\": [\"80:80\"]"), 202, "" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"publish\": [\"80:81\"]"), 409,
	  "exists" },
	{ &stage_admin, "POST", "/instances", ON("net", ", \"address\": \"10.1.0.2\""), 409,
	  "exists" },
	{ &stage_admin, "POST", "/networks",
	  "{\"name\": \"own\", \"prefix4\": \"10.3.0.0/24\","
	  " \"mode\": \"passt\"}",
	  200, "" },
	{ &stage_admin, "POST", "/instances", ON("own", ", \"publish\": [\"443:443\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("own", ", \"publish\": [\"1024:443\"]"), 202, "" },
	{ &stage_admin, "POST", "/pools",
	  "{\"name\": \"warm\", \"image\": \"image\", \"networks\": [\"own\"]}", 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", BOTH("own", "own"), 400, "bad_request" },
	{ &stage_admin, "POST", "/instances", BOTH("own", "net"), 202, "" },
	{ &stage_admin, "DELETE", "/networks/net", NULL, 409, "in_use" },
	{ &stage_alice, "DELETE", "/networks/net", NULL, 403, "forbidden" },
	{ &stage_admin, "DELETE", "/networks/none", NULL, 404, "not_found" },
};

static void test_rows(void **state)
{
	stage_ask_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

/* What a request took is given back when a later part of it is refused. */
static void test_all_or_nothing(void **state)
{
	struct stage *s = *state;
	static const char two[] = "{\"image\": \"image\", \"interfaces\": [{\"network\": \"net\"},"
				  " {\"network\": \"none\"}]}";

	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/networks", NET("net", "10.1.0.0/30")),
			 200);
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/instances", two), 404);
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/instances", ON("net", "")), 202);
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/instances", ON("net", "")), 503);
	assert_string_equal(stage_said(s, "code"), "no_capacity");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows, stage_set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_all_or_nothing, stage_set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
