/* test_names.c - what the dnsmasq of a network is told of it, and of its leases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/network/names.h"

#define TAG "abc123"

static char text[4096];

static struct lease a_lease(const char *prefix6)
{
	struct lease l = {
		.n = 7,
		.place = 2,
		.mac = "06:00:0a:01:00:02",
		.network = { .n = 31, .name = "net", .mode = NETWORK_BRIDGE },
	};

	assert_int_equal(prefix_parse("10.1.0.0/20", &l.network.prefix4), 0);
	if (prefix6[0])
		assert_int_equal(prefix_parse(prefix6, &l.network.prefix6), 0);
	l.address4 = prefix_address(&l.network.prefix4, 2);
	l.address6 = prefix_address(&l.network.prefix6, 2);
	return l;
}

static const char *config_of(const struct network *n)
{
	FILE *out = fmemopen(text, sizeof(text), "w");

	names_print_config(TAG, n, "/at", out);
	fclose(out);
	return text;
}

static const char *lease_of(const struct lease *l, const char *name)
{
	FILE *out = fmemopen(text, sizeof(text), "w");

	text[0] = '\0';
	if (name)
		names_print_hosts(l, name, out);
	else
		names_print_dhcp(l, out);
	fclose(out);
	return text;
}

/* What every one is told. */
#define ALWAYS                     \
	"user=root\n"              \
	"group=root\n"             \
	"pid-file\n"               \
	"log-facility=/dev/null\n" \
	"interface=wb" TAG "1f\n"  \
	"except-interface=lo\n"    \
	"bind-dynamic\n"           \
	"no-hosts\n"               \
	"no-resolv\n"
#define NAMES                \
	"local=/internal/\n" \
	"domain-needed\n"    \
	"bogus-priv\n"       \
	"hostsdir=/at/hosts\n"
#define STRANGERS                  \
	"dhcp-hostsdir=/at/dhcp\n" \
	"dhcp-ignore=tag:!known\n" \
	"dhcp-ignore-names\n"      \
	"dhcp-authoritative\n"     \
	"leasefile-ro\n"           \
	"no-ping\n"

static void test_names(void **state)
{
	struct network n = a_lease("fd00:1::/64").network;

	(void)state;
	n.dns = true;
	assert_string_equal(config_of(&n), ALWAYS NAMES);
	snprintf(n.resolvers, sizeof(n.resolvers), "192.0.2.53 2001:db8::53");
	assert_string_equal(config_of(&n), ALWAYS NAMES "server=192.0.2.53\nserver=2001:db8::53\n");
}

static void test_addresses(void **state)
{
	struct network n = a_lease("").network;

	(void)state;
	n.addressing = NETWORK_DHCP;
	assert_string_equal(config_of(&n), ALWAYS
			    "port=0\ndhcp-range=10.1.0.0,static,255.255.240.0,1h\n" STRANGERS);
	/* Nobody answers here: guests are told who does. Those of IPv6 are of no use to them. */
	snprintf(n.resolvers, sizeof(n.resolvers), "192.0.2.53 2001:db8::53 192.0.2.54");
	assert_string_equal(config_of(&n),
			    ALWAYS "port=0\ndhcp-range=10.1.0.0,static,255.255.240.0,1h\n" STRANGERS
				   "dhcp-option=option:dns-server,192.0.2.53,192.0.2.54\n");
	n = a_lease("fd00:1::/80").network;
	n.addressing = NETWORK_DHCP;
	snprintf(n.resolvers, sizeof(n.resolvers), "2001:db8::53");
	assert_string_equal(config_of(&n),
			    ALWAYS "port=0\ndhcp-range=10.1.0.0,static,255.255.240.0,1h\n"
				   "dhcp-range=fd00:1::,static,80,1h\nenable-ra\n" STRANGERS
				   "dhcp-option=option6:dns-server,[2001:db8::53]\n");
}

static void test_both(void **state)
{
	struct network n = a_lease("fd00:1::/64").network;

	(void)state;
	n.addressing = NETWORK_DHCP;
	n.dns = true;
	assert_string_equal(config_of(&n),
			    ALWAYS NAMES "dhcp-range=10.1.0.0,static,255.255.240.0,1h\n"
					 "dhcp-range=fd00:1::,static,64,1h\nenable-ra\n" STRANGERS
					 "dhcp-option=option:domain-name,net.internal\n"
					 "dhcp-option=option:domain-search,net.internal\n"
					 "dhcp-option=option6:domain-search,net.internal\n");
}

static void test_leases(void **state)
{
	struct lease both = a_lease("fd00:1::/64"), one = a_lease("");

	(void)state;
	assert_string_equal(lease_of(&both, NULL), "06:00:0a:01:00:02,10.1.0.2,[fd00:1::2]\n");
	assert_string_equal(lease_of(&one, NULL), "06:00:0a:01:00:02,10.1.0.2\n");
	assert_string_equal(lease_of(&both, "web"),
			    "10.1.0.2 web.net.internal\nfd00:1::2 web.net.internal\n");
	assert_string_equal(lease_of(&one, "a.b-c"), "10.1.0.2 a.b-c.net.internal\n");
}

/* What instances may be called, and what they may not but somebody tries. */
static void test_hostile(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"a.",
		".a",
		"a..b",
		"-a",
		"a-",
		"a.-b",
		"a-.b",
		"a b",
		"a\nb",
		"a\n10.1.0.1 b",
		"a#b",
		"a/b",
		"*",
		"a,b",
		"A",
		"a\tb",
		"a_b",
		"\xc3\xa4",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	static const char *const good[] = {
		"a",	"0",
		"a-b",	"a.b.c",
		"x--y", "10.1.0.1",
		"wpad", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};
	struct lease l = a_lease("");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (names_usable(bad[i]) || lease_of(&l, bad[i])[0])
			fail_msg("\"%s\" is taken", bad[i]);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!names_usable(good[i]) || !lease_of(&l, good[i])[0])
			fail_msg("\"%s\" is refused", good[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_both),	cmocka_unit_test(test_leases),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
