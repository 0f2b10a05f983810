/* test_wispd_networks.c - the routes about networks, and interfaces of instances: in order,
 * on real books. No worker runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/network/network.h"
#include "tests/unit/wispd_stage.h"

#define NET(name, prefix) "{\"name\": \"" name "\", \"prefix4\": \"" prefix "\"}"
#define MORE(more)	  "{\"name\": \"net\", \"prefix4\": \"10.1.0.0/16\", " more "}"
#define IN(path, more)	  "{\"image\": \"image\", \"netns\": \"" path "\"" more "}"
#define OVS		  "\"mode\": \"ovs\""
#define OFFICE		  OVS ", \"bridge\": \"office\""
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
	{ &stage_admin, "POST", "/networks", MORE("\"addressing\": \"slaac\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"resolvers\": [\"192.0.2.53\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks",
	  MORE("\"dns\": true, \"resolvers\": [\"192.0.2.53,server=1\"]"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"dns\": true, \"mode\": \"routed\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"addressing\": \"dhcp\", \"mode\": \"passt\""),
	  400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OVS ", \"dns\": true"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks",
	  MORE("\"addressing\": \"dhcp\", \"prefix6\": \"fd00::/48\""), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks",
	  "{\"name\": \"net-\", \"prefix4\": \"10.1.0.0/24\", \"dns\": true}", 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"bridge\": \"office\""), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE("\"datapath\": \"netdev\""), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OVS ", \"bridge\": \"-office\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OVS ", \"bridge\": \"an office\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OVS ", \"bridge\": \"0123456789abcdef\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OVS ", \"vlan\": 7"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OFFICE ", \"vlan\": 4095"), 400, "bad_request" },
	{ &stage_admin, "POST", "/networks", MORE(OFFICE ", \"nat\": true"), 400, "bad_request" },
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
	{ &stage_admin, "POST", "/networks",
	  "{\"name\": \"office\", \"prefix4\": \"10.4.0.0/24\", " OFFICE "}", 200, "" },
	{ &stage_admin, "POST", "/networks",
	  "{\"name\": \"other\", \"prefix4\": \"10.5.0.0/24\", " OFFICE "}", 409, "exists" },
	{ &stage_admin, "POST", "/networks",
	  "{\"name\": \"other\", \"prefix4\": \"10.5.0.0/24\", \"vlan\": 7, " OFFICE "}", 200, "" },
	{ &stage_admin, "POST", "/instances", ON("office", ", \"publish\": [\"8080:80\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("own", ", \"publish\": [\"443:443\"]"), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", ON("own", ", \"publish\": [\"1024:443\"]"), 202, "" },
	{ &stage_admin, "POST", "/pools",
	  "{\"name\": \"warm\", \"image\": \"image\", \"networks\": [\"own\"]}", 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", BOTH("own", "own"), 400, "bad_request" },
	{ &stage_admin, "POST", "/instances", BOTH("own", "net"), 202, "" },
	{ &stage_admin, "POST", "/instances", IN("/tmp/pod", ""), 403, "forbidden" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/", ""), 403, "forbidden" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/../pod", ""), 403, "forbidden" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/..", ""), 403, "forbidden" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/a/pod", ""), 403, "forbidden" },
	{ &stage_admin, "POST", "/instances", IN("/run/netnsx/pod", ""), 403, "forbidden" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/pod", ", \"netns_link\": \"lo\""), 400,
	  "bad_request" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/pod", ", \"netns_link\": \"a/b\""),
	  400, "bad_request" },
	{ &stage_admin, "POST", "/instances",
	  IN("/run/netns/pod", ", \"interfaces\": [{\"network\": \"net\"}]"), 400, "bad_request" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/pod", ""), 202, "" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/pod", ""), 409, "exists" },
	{ &stage_admin, "POST", "/instances", IN("/run/netns/pod", ", \"netns_link\": \"net1\""),
	  202, "" },
	{ &stage_admin, "DELETE", "/networks/net", NULL, 409, "in_use" },
	{ &stage_alice, "DELETE", "/networks/net", NULL, 403, "forbidden" },
	{ &stage_admin, "DELETE", "/networks/none", NULL, 404, "not_found" },
};

static void test_rows(void **state)
{
	stage_ask_rows(*state, rows, sizeof(rows) / sizeof(rows[0]));
}

/* What serves a network has a user, from the same range as VMMs and no other's. */
static void test_served(void **state)
{
	struct stage *s = *state;
	static const char served[] =
		"{\"name\": \"net\", \"prefix4\": \"10.1.0.0/24\", \"addressing\": \"dhcp\","
		" \"dns\": true, \"resolvers\": [\"192.0.2.53\", \"2001:db8::53\"]}";
	struct network served_by, plain;
	struct error err;
	json_t *list;

	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/networks", served), 200);
	assert_string_equal(stage_said(s, "addressing"), "dhcp");
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/networks", NET("two", "10.2.0.0/24")),
			 200);
	assert_string_equal(stage_said(s, "addressing"), "told");
	assert_int_equal(stage_ask(s, &stage_admin, "GET", "/networks/net", NULL), 200);
	list = json_object_get(s->reply, "resolvers");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 1)), "2001:db8::53");
	assert_int_equal(network_find(&s->d.truth, NULL, "net", &served_by, &err), 0);
	assert_int_equal(served_by.user, s->d.config.uid_first);
	assert_int_equal(network_find(&s->d.truth, NULL, "two", &plain, &err), 0);
	assert_int_equal(plain.user, 0);
	assert_int_equal(network_forget(&s->d.truth, served_by.n, &err), 0);
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/networks", served), 200);
	assert_int_equal(network_find(&s->d.truth, NULL, "net", &plain, &err), 0);
	assert_int_equal(plain.user, s->d.config.uid_first);
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
		cmocka_unit_test_setup_teardown(test_served, stage_set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_all_or_nothing, stage_set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
