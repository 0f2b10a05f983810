/* test_networks.c - addresses, allow lists, leases on real books, and the text for nft.
 *
 * The text is compared with tests/golden/rules-*.nft; "test_networks FOLDER" writes them.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/network/classes.h"
#include "supervisor/network/lease.h"
#include "supervisor/network/rules.h"
#include "tests/unit/scratch.h"

#define TAG "abc123"

/* --- prefixes --- */

static void test_prefixes(void **state)
{
	static const char *const good[] = { "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "fd00:1::/64",
					    "::/0" };
	static const char *const bad[] = {
		"",
		"10.0.0.0/33",
		"10.0.0.1/8",
		"10.0.0.0/",
		"10.0.0.0/-1",
		"10.0.0.0/8x",
		"10.0.0/8",
		"010.0.0.0/8 ",
		"fd00::1/64",
		"fd00::/129",
		"a/8",
		"10.0.0.0/8/8",
		"10.0.0.0/ 8",
		"::ffff:zz/8",
		"10.0.0.0/+8",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa/64",
	};
	char text[PREFIX_TEXT];
	struct prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(prefix_parse(good[i], &p), 0);
		assert_string_equal(prefix_print(&p, text), good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (prefix_parse(bad[i], &p) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
}

static bool overlap(const char *a, const char *b)
{
	struct prefix p, q;

	assert_int_equal(prefix_parse(a, &p), 0);
	assert_int_equal(prefix_parse(b, &q), 0);
	assert_int_equal(prefix_overlaps(&p, &q), prefix_overlaps(&q, &p));
	return prefix_overlaps(&p, &q);
}

static void test_places(void **state)
{
	char text[ADDRESS_TEXT];
	struct address a;
	struct prefix p;

	(void)state;
	assert_true(overlap("10.0.0.0/8", "10.255.0.0/16"));
	assert_true(overlap("10.1.0.0/16", "10.1.0.0/16"));
	assert_false(overlap("10.1.0.0/25", "10.1.0.128/25"));
	assert_false(overlap("10.0.0.0/8", "fd00::/8"));
	assert_true(overlap("0.0.0.0/0", "10.1.0.0/25"));
	assert_int_equal(prefix_parse("10.1.0.0/16", &p), 0);
	assert_int_equal(prefix_size(&p), 65536);
	a = prefix_address(&p, 258);
	assert_string_equal(address_print(&a, text), "10.1.1.2");
	assert_int_equal(prefix_index(&p, &a), 258);
	assert_int_equal(prefix_parse("fd00:1::/64", &p), 0);
	a = prefix_address(&p, 258);
	assert_string_equal(address_print(&a, text), "fd00:1::102");
}

/* --- allow lists --- */

static const char *printed(const char *lines)
{
	static char text[4096];
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct policy p;
	struct error err;

	assert_int_equal(policy_parse(lines, &p, &err), 0);
	policy_print(&p, "", out);
	fclose(out);
	return text;
}

static void test_policies(void **state)
{
	static const char *const bad[] = {
		"",
		" any",
		"any ",
		"any  tcp",
		"everything",
		"any tcp 0",
		"any tcp 65536",
		"any tcp 9-8",
		"any tcp 1-",
		"any tcp -1",
		"any tcp 1-2-3",
		"any icmp 8",
		"any sctp 80",
		"any tcp 80 accept",
		"none tcp",
		"10.0.0.1/8",
		"10.0.0.0/8; drop",
		"any tcp 80}",
		"10.0.0.0/8\naccept",
		"any\ttcp",
		"0.0.0.0/0 tcp 18446744073709551617",
		"any any any any any any any any any any any any any any any any any any any any a",
	};
	struct policy_rule rule;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (policy_rule_parse(bad[i], &rule, &err) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[i]);
	assert_string_equal(printed(""), "accept\n");
	assert_string_equal(printed("none"), "drop\n");
	assert_string_equal(printed("any"), "accept\ndrop\n");
	assert_string_equal(printed("10.0.0.0/8\nany udp 53\nfd00::/8 tcp 80-90"),
			    "ip daddr 10.0.0.0/8 accept\nudp dport 53 accept\n"
			    "ip6 daddr fd00::/8 tcp dport 80-90 accept\ndrop\n");
	assert_string_equal(printed("any tcp\nany icmp"),
			    "meta l4proto tcp accept\n"
			    "meta l4proto { icmp, ipv6-icmp } accept\ndrop\n");
}

static void test_requests(void **state)
{
	static const struct {
		struct lease_request request;
		const char *field;
	} bad[] = {
		{ { .address = "fd00::1" }, "address" },
		{ { .address = "10.0.0" }, "address" },
		{ { .negress = 1, .egress = { "x" } }, "egress" },
		{ { .npublish = 1, .publish = { "80" } }, "publish" },
		{ { .npublish = 1, .publish = { "80:" } }, "publish" },
		{ { .npublish = 1, .publish = { "0:80" } }, "publish" },
		{ { .npublish = 1, .publish = { "80:65536" } }, "publish" },
		{ { .npublish = 1, .publish = { "80:80/icmp" } }, "publish" },
		{ { .npublish = 1, .publish = { "-80:80" } }, "publish" },
		{ { .npublish = 1, .publish = { "80:80:80" } }, "publish" },
		{ { .npublish = 1, .publish = { "80:80 }" } }, "publish" },
	};
	static const struct lease_request good = { .address = "10.0.0.2",
						   .npublish = 2,
						   .publish = { "80:8080", "53:5353/udp" } };
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(lease_check(&bad[i].request, &err), -EINVAL);
		assert_string_equal(err.field, bad[i].field);
	}
	assert_int_equal(lease_check(&good, &err), 0);
}

/* --- leases --- */

struct books {
	void *dir;
	struct truth truth;
};

static int open_books(void **state)
{
	struct books *b = calloc(1, sizeof(*b));
	struct error err;

	*state = b;
	for (unsigned i = 0; i < RESOURCES_COUNT; i++)
		b->truth.capacity[i] = -1;
	if (scratch_make(&b->dir) < 0 ||
	    store_open(scratch_path(b->dir, "db"), &b->truth.store, &err) < 0)
		return -1;
	return ledger_open(b->truth.store, &b->truth.ledger, &err);
}

static int close_books(void **state)
{
	struct books *b = *state;

	ledger_close(b->truth.ledger);
	store_close(b->truth.store);
	scratch_remove(&b->dir);
	free(b);
	return 0;
}

/* 0, and it is committed; else undone. */
static int finish(struct truth *t, int r)
{
	struct error err;

	if (r == 0)
		return store_commit(t->store, &err);
	store_rollback(t->store);
	return r;
}

static int add_network(struct truth *t, const char *name, const char *prefix4, const char *prefix6)
{
	struct network n = { .tenant = "default" };
	struct error err;

	snprintf(n.name, sizeof(n.name), "%s", name);
	(void)prefix_parse(prefix4, &n.prefix4);
	(void)prefix_parse(prefix6, &n.prefix6);
	assert_int_equal(store_begin(t->store, &err), 0);
	return finish(t, network_add(t, &n, "test", &err));
}

/* An instance with an interface; what is said of the address it got in *l. */
static int make(struct truth *t, const char *address, const char *publish, struct lease *l)
{
	struct instance i = { .tenant = "default", .owner_engine = "wispd", .labels = "{}" };
	struct lease_request q = { .network = "net", .npublish = publish[0] != '\0' };
	struct lease leases[LEASES_MAX];
	struct error err;
	int r;

	snprintf(q.address, sizeof(q.address), "%s", address);
	snprintf(q.publish[0], sizeof(q.publish[0]), "%s", publish);
	assert_int_equal(store_begin(t->store, &err), 0);
	r = instance_create(t, &i, "test", &err);
	if (r == 0)
		r = lease_take(t, &i, &q, 1, &err);
	r = finish(t, r);
	if (r == 0) {
		assert_int_equal(lease_load(t, i.id, leases, &err), 1);
		*l = leases[0];
	}
	return r;
}

static void drop(struct truth *t, const struct lease *l)
{
	struct instance i;
	struct error err;

	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_load(t, l->instance, &i, &err), 0);
	assert_int_equal(finish(t, lease_drop(t, &i, &err)), 0);
}

static void test_leases(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct lease l[4], other;
	char text[ADDRESS_TEXT];
	int64_t used, most;
	struct error err;

	assert_int_equal(add_network(t, "net", "10.1.0.0/29", "fd00:1::/64"), 0);
	assert_int_equal(add_network(t, "net", "10.9.0.0/29", ""), -EEXIST);
	assert_int_equal(add_network(t, "wide", "10.0.0.0/8", ""), -EEXIST);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(make(t, "", "", &l[i]), 0);
	assert_string_equal(address_print(&l[0].address4, text), "10.1.0.2");
	assert_string_equal(l[0].mac, "06:00:0a:01:00:02");
	assert_string_equal(address_print(&l[2].address6, text), "fd00:1::4");
	/* What has become free is not at once another's. */
	drop(t, &l[0]);
	assert_int_equal(make(t, "", "", &l[3]), 0);
	assert_int_equal(l[3].place, 5);
	assert_int_equal(make(t, "10.1.0.3", "", &other), -EEXIST);
	assert_int_equal(make(t, "10.1.0.1", "", &other), -EINVAL);
	assert_int_equal(make(t, "10.1.0.7", "", &other), -EINVAL);
	assert_int_equal(make(t, "10.1.1.2", "", &other), -EINVAL);
	assert_int_equal(make(t, "10.1.0.6", "", &other), 0);
	assert_int_equal(make(t, "", "", &l[0]), 0);
	assert_int_equal(l[0].place, 2);
	assert_int_equal(make(t, "", "", &other), -EUSERS);
	assert_int_equal(quota_get(t, "default", RESOURCE_ADDRESSES, &used, &most, &err), 0);
	assert_int_equal(used, 5);
}

/* What was a blank keeps its addresses, which are held from then on, and may from then on what its
 * instance may. */
static void test_prepared(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct instance i = { .tenant = "default", .owner_engine = "wispd", .labels = "{}" };
	struct lease_request q[2] = { { .network = "net" }, { .network = "two" } };
	struct lease before[LEASES_MAX], after[LEASES_MAX];
	char networks[LEASE_NETWORKS_BYTES];
	int64_t used, most;
	struct error err;

	assert_int_equal(add_network(t, "net", "10.1.0.0/29", ""), 0);
	assert_int_equal(add_network(t, "two", "10.2.0.0/29", ""), 0);
	assert_true(lease_list_networks(q, 2, networks));
	assert_string_equal(networks, "net two");
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_choose_id(i.id, &err), 0);
	assert_int_equal(finish(t, lease_prepare(t, i.id, "default", networks, &err)), 0);
	assert_int_equal(lease_load(t, i.id, before, &err), 2);
	assert_true(lease_may_live(t, before[1].n));
	assert_int_equal(quota_get(t, "default", RESOURCE_ADDRESSES, &used, &most, &err), 0);
	assert_int_equal(used, 0);
	q[1].rx_bytes_per_s = 1000;
	q[1].negress = q[1].npublish = 1;
	snprintf(q[1].egress[0], sizeof(q[1].egress[0]), "any tcp 443");
	snprintf(q[1].publish[0], sizeof(q[1].publish[0]), "8080:80");
	assert_true(lease_list_networks(q, 2, networks));
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_create(t, &i, "test", &err), 0);
	assert_int_equal(finish(t, lease_take(t, &i, q, 2, &err)), 0);
	assert_int_equal(lease_load(t, i.id, after, &err), 2);
	assert_int_equal(after[1].n, before[1].n);
	assert_int_equal(after[1].place, before[1].place);
	assert_int_equal(quota_get(t, "default", RESOURCE_ADDRESSES, &used, &most, &err), 0);
	assert_int_equal(used, 2);
	/* It is made, and has no VMM yet. */
	assert_false(lease_may_live(t, after[1].n));
	assert_false(lease_is_special(&after[0]));
	assert_true(lease_is_special(&after[1]));
	assert_int_equal(after[1].rx_bytes_per_s, 1000);
	assert_string_equal(after[1].egress, "any tcp 443");
	assert_int_equal(after[1].ports[0].port, 8080);
	snprintf(q[1].address, sizeof(q[1].address), "10.2.0.2");
	assert_false(lease_list_networks(q, 2, networks));
}

static void test_ports(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct lease one, two;

	assert_int_equal(add_network(t, "net", "10.1.0.0/29", ""), 0);
	assert_int_equal(make(t, "", "8080:80", &one), 0);
	assert_int_equal(one.nports, 1);
	assert_int_equal(one.ports[0].guest_port, 80);
	assert_int_equal(make(t, "", "8080:81", &two), -EEXIST);
	assert_int_equal(make(t, "", "8080:81/udp", &two), 0);
	drop(t, &one);
	assert_int_equal(make(t, "", "8080:81", &one), 0);
}

static void test_leaving(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct network n, other;
	struct lease l;
	struct error err;

	assert_int_equal(add_network(t, "net", "10.1.0.0/29", ""), 0);
	assert_int_equal(add_network(t, "two", "10.2.0.0/29", ""), 0);
	assert_int_equal(make(t, "", "", &l), 0);
	assert_int_equal(network_find(t, NULL, "net", &n, &err), 0);
	assert_int_equal(network_find(t, "default", "two", &other, &err), 0);
	assert_int_equal(network_find(t, "nobody", "net", &n, &err), -ENOENT);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(finish(t, network_leave(t, &n, "test", &err)), -EBUSY);
	drop(t, &l);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(finish(t, network_leave(t, &n, "test", &err)), 0);
	assert_false(n.last);
	assert_int_equal(network_find(t, NULL, "net", &n, &err), -ENOENT);
	/* One at a time. */
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(finish(t, network_leave(t, &other, "test", &err)), -EAGAIN);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(finish(t, network_forget(t, n.n, &err)), 0);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(finish(t, network_leave(t, &other, "test", &err)), 0);
	assert_true(other.last);
	assert_int_equal(add_network(t, "new", "10.3.0.0/29", ""), -EAGAIN);
}

/* --- rules --- */

static struct lease a_lease(enum network_mode mode)
{
	struct lease l = {
		.n = 7,
		.link = "wt" TAG "7",
		.mac = "06:00:0a:01:00:02",
		.egress = "10.1.0.0/24\nany tcp 443",
		.nports = 2,
		.user = 900000007,
		.ports = { { IPPROTO_TCP, 8080, 80 }, { IPPROTO_UDP, 5353, 53 } },
		.network = { .n = 1, .mode = mode, .nat = true },
	};

	assert_int_equal(prefix_parse("10.1.0.0/24", &l.network.prefix4), 0);
	assert_int_equal(prefix_parse("fd00:1::/64", &l.network.prefix6), 0);
	l.address4 = prefix_address(&l.network.prefix4, 2);
	l.address6 = prefix_address(&l.network.prefix6, 2);
	return l;
}

static void write_rules(FILE *out, const char *what)
{
	struct lease bridged = a_lease(NETWORK_BRIDGE), routed = a_lease(NETWORK_ROUTED);
	struct lease passt = a_lease(NETWORK_PASST);
	struct error err;

	if (strcmp(what, "base") == 0) {
		rules_print_base(TAG, true, out);
	} else if (strcmp(what, "network") == 0) {
		rules_print_network(TAG, &bridged.network, out);
		rules_remove_network(TAG, &bridged.network, out);
		rules_remove_all(TAG, out);
	} else if (strcmp(what, "served") == 0) {
		bridged.network.addressing = NETWORK_DHCP;
		bridged.network.dns = true;
		rules_print_network(TAG, &bridged.network, out);
		assert_int_equal(rules_print_lease(TAG, &bridged, out, &err), 0);
	} else if (strcmp(what, "classes") == 0) {
		classes_print_base(TAG, out);
		classes_forget_networks(TAG, out);
		classes_print_network(TAG, &bridged.network, out);
		classes_print_lease(TAG, &bridged, out);
		classes_remove_lease(TAG, &bridged, out);
		classes_remove_network(TAG, &bridged.network, out);
		classes_remove_all(TAG, out);
	} else if (strcmp(what, "bridged") == 0) {
		assert_int_equal(rules_remove_lease(TAG, &bridged, out, &err), 0);
	} else if (strcmp(what, "changed") == 0) {
		assert_int_equal(rules_change_lease(TAG, &bridged, out, &err), 0);
	} else if (strcmp(what, "passt") == 0) {
		assert_int_equal(rules_remove_lease(TAG, &passt, out, &err), 0);
	} else {
		routed.egress[0] = '\0';
		assert_int_equal(rules_remove_lease(TAG, &routed, out, &err), 0);
	}
}

static const char *const texts[] = { "base",   "network", "served",  "bridged", "changed",
				     "routed", "passt",	  "classes", NULL };

static void test_rules(void **state)
{
	(void)state;
	for (const char *const *what = texts; *what; what++) {
		char path[512], golden[16384] = "", text[16384] = "";
		FILE *f, *out = fmemopen(text, sizeof(text), "w");

		write_rules(out, *what);
		fclose(out);
		snprintf(path, sizeof(path), WISP_GOLDEN "/rules-%s.nft", *what);
		f = fopen(path, "re");
		assert_non_null(f);
		assert_true(fread(golden, 1, sizeof(golden) - 1, f) > 0);
		fclose(f);
		assert_string_equal(text, golden);
	}
}

static int write_golden(const char *folder)
{
	for (const char *const *what = texts; *what; what++) {
		char path[512];
		FILE *f;

		snprintf(path, sizeof(path), "%s/rules-%s.nft", folder, *what);
		f = fopen(path, "we");
		if (!f)
			return EXIT_FAILURE;
		write_rules(f, *what);
		fclose(f);
	}
	return EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_requests),
		cmocka_unit_test_setup_teardown(test_leases, open_books, close_books),
		cmocka_unit_test_setup_teardown(test_prepared, open_books, close_books),
		cmocka_unit_test_setup_teardown(test_ports, open_books, close_books),
		cmocka_unit_test_setup_teardown(test_leaving, open_books, close_books),
		cmocka_unit_test(test_rules),
	};

	if (argc > 1)
		return write_golden(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
