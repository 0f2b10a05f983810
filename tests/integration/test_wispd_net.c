/* test_wispd_net.c - networks of wispd with real guests: who reaches whom, and what is left.
 *
 * Two tenants: red's guests are on a bridge, blue's have a line each. A network namespace
 * stands for the world. Each guest serves a shell on a port, so that what a guest can do is
 * tried from within it; the host gets through to it, as it may. Runs as root in the test
 * host, in a network namespace of its own.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/guest_net.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77 };

#define RED1  "10.61.0.2"
#define RED2  "10.61.0.3"
#define BLUE1 "10.62.0.2"
#define BLUE2 "10.62.0.3"

static void await_guests(void)
{
	static const char *const all[] = { RED1, RED2, BLUE1, BLUE2 };

	for (unsigned i = 0; i < 4; i++)
		expect(all[i], "hostname", i < 2 ? "red" : "blue");
}

static void make_tenants(struct wispd_host *h)
{
	guest_net_add_image(h);
	ctl(h, "tenant set red; true");
	ctl(h, "tenant set red --addresses 2");
	ctl(h, "tenant set blue");
	ctl(h, "--tenant red net create net --prefix4 10.61.0.0/24 --prefix6 fd00:61::/64 --nat");
	ctl(h, "--tenant blue net create net --prefix4 10.62.0.0/24 --mode routed");
	start_pooled_guest(h, "red", "red1", "net",
			   "--publish 8080:7 --egress '10.61.0.0/24,198.51.100.0/24 tcp 80'");
	start_guest(h, "red", "red2", "net", "");
	start_guest(h, "blue", "blue1", "net", "");
	start_guest(h, "blue", "blue2", "net", "");
}

/* --- what must hold --- */

static void check_within(void)
{
	expect(RED1, PING RED2, SEEN);
	expect(RED2, PING RED1, SEEN);
	expect(RED1, PING "10.61.0.1", SEEN);
	expect(BLUE1, PING BLUE2, SEEN);
	expect(BLUE2, "echo 'hostname; exit' | nc -w 20 " BLUE1 " 7", "blue1");
}

/* By no verb, and not through the host. */
static void check_across(void)
{
	static const char *const blue[] = { BLUE1, "10.62.0.1" };
	static const char *const red[] = { RED2, "10.61.0.1" };
	char line[128];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(line, sizeof(line), TRY "%s", blue[i]);
		expect(RED2, line, LOST);
		snprintf(line, sizeof(line), TRY "%s", red[i]);
		expect(BLUE1, line, LOST);
	}
	expect(RED2, "nc -w 1 " BLUE1 " 7 </dev/null || echo refused", "refused");
	expect(BLUE1, "nc -w 1 " RED2 " 7 </dev/null || echo refused", "refused");
	/* Published, but for the world. */
	expect(BLUE1, "nc -w 1 " HOST " 8080 </dev/null || echo refused", "refused");
}

/* What is published, what is allowed, and what is not. */
static void check_lists(void)
{
	expect(RED1, "nc -w 20 " WORLD " 80 </dev/null", "port-80");
	expect(RED1, "nc -w 1 " WORLD " 81 </dev/null || echo refused", "refused");
	command("echo 'hostname; exit' | ip netns exec world busybox nc -w 20 " HOST
		" 8080 | grep -q red1");
}

static void check_world(void)
{
	expect(RED1, TRY WORLD, LOST);
	expect(RED2, "nc -w 20 " WORLD " 81 </dev/null", "port-81");
	expect(RED2, PING WORLD, SEEN);
	/* Without the host's address nobody finds the way back. */
	expect(BLUE1, TRY WORLD, LOST);
	command("! ip netns exec world busybox nc -w 1 " HOST " 8081 </dev/null");
	/* Nobody outside can send to a guest that did not ask. */
	command("ip -n world route add 10.61.0.0/24 via " HOST);
	command("! ip netns exec world busybox nc -w 1 " RED2 " 7 </dev/null");
	command("ip -n world route del 10.61.0.0/24");
}

static void check_spoofing(void)
{
	expect(RED2, "ip address add 10.61.0.99/24 dev eth0; " TRY "-I 10.61.0.99 " RED1, LOST);
	expect(RED2, "ip address del 10.61.0.99/24 dev eth0; " PING RED1, SEEN);
	expect(BLUE2, "ip address add 10.61.0.99/32 dev eth0; " TRY "-I 10.61.0.99 " BLUE1, LOST);
	expect(BLUE2, "ip address del 10.61.0.99/32 dev eth0; " PING BLUE1, SEEN);
	/* Another's MAC address, for as long as a ping takes. */
	expect(RED2,
	       "(sleep 1; m=$(cat /sys/class/net/eth0/address); ip link set eth0 down;"
	       " ip link set eth0 address 06:00:0a:3d:00:02; ip link set eth0 up; " TRY
	       "10.61.0.1 >/tmp/said; ip link set eth0 down; ip link set eth0 address $m;"
	       " ip link set eth0 up; ip route add default via 10.61.0.1; mv /tmp/said /tmp/done) >/dev/null 2>&1 & echo begun",
	       "begun");
	expect(RED2, "until [ -e /tmp/done ]; do sleep 1; done; cat /tmp/done", LOST);
}

static void check_addresses(struct wispd_host *h)
{
	json_t *j = NULL;

	assert_int_equal(wispd_host_call(h, "GET", "/networks/net?tenant=red", NULL, &j), 200);
	assert_int_equal(json_array_size(json_object_get(j, "leases")), 2);
	json_decref(j);
	/* Two are all that red may have. */
	assert_int_equal(wispd_host_call(h, "POST", "/instances?tenant=red",
					 "{\"image\": \"mini\", \"interfaces\": "
					 "[{\"network\": \"net\"}]}",
					 NULL),
			 409);
	assert_int_equal(wispd_host_call(h, "POST", "/instances?tenant=blue",
					 "{\"image\": \"mini\", \"interfaces\": "
					 "[{\"network\": \"net\", \"address\": \"" BLUE1 "\"}]}",
					 NULL),
			 409);
	assert_int_equal(wispd_host_call(h, "DELETE", "/networks/net?tenant=red", NULL, NULL), 409);
}

static void remove_all(struct wispd_host *h)
{
	ctl(h, "--tenant red rm red1 red2");
	ctl(h, "--tenant blue rm blue1 blue2");
	ctl(h, "--tenant red net rm net");
	ctl(h, "--tenant blue net rm net");
	ctl(h, "doctor");
	assert_int_equal(wispd_host_jails(h), 0);
}

static void test_two_tenants(void **state)
{
	struct wispd_host *h = wispd_host_make("");

	(void)state;
	guest_net_make_world();
	guest_net_note_host("before");
	assert_true(wispd_host_start(h, 0));
	make_tenants(h);
	await_guests();
	check_within();
	check_across();
	check_lists();
	check_world();
	check_spoofing();
	check_addresses(h);
	/* wispd dies, and somebody takes all rules away: guests do not notice the first. */
	wispd_host_stop(h, SIGKILL);
	check_within();
	command("nft flush ruleset");
	assert_true(wispd_host_start(h, 0));
	check_within();
	check_across();
	check_lists();
	remove_all(h);
	guest_net_note_host("after");
	command("diff %s %s", fixture_path("before"), fixture_path("after"));
	wispd_host_end(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_two_tenants) };

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinux-minimal") ||
	    !fixture_image("initramfs.cpio")) {
		fprintf(stderr, "test_wispd_net needs the test host and guest images\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
