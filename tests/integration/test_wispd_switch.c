/* test_wispd_switch.c - networks of Open vSwitch, with an Open vSwitch of the test's own.
 *
 * As in test_wispd_net.c: two guests of red and one of blue, a world outside, and nothing is
 * left in the end. On bridges that wispd makes, in both data paths, and on one that it is
 * given. Runs as root in the test host.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/guest_net.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77 };

#define RED1  "10.63.0.2"
#define RED2  "10.63.0.3"
#define BLUE1 "10.64.0.2"

#define OFTEN ", \"confirm_interval_ms\": 200, \"count_interval_ms\": 200"

#define SCHEMA "/usr/share/openvswitch/vswitch.ovsschema"
#define VSCTL  "ovs-vsctl --timeout=120 "

/* In this network namespace, with its files in a folder of the test's. */
static void start_switch(void)
{
	const char *folder = fixture_path("switch");

	setenv("OVS_RUNDIR", folder, 1);
	setenv("OVS_DBDIR", folder, 1);
	command("mkdir %s && ovsdb-tool create %s/conf.db " SCHEMA, folder, folder);
	command("ovsdb-server %s/conf.db --remote=punix:%s/db.sock --pidfile --detach"
		" --log-file >/dev/null 2>&1",
		folder, folder);
	command(VSCTL "--no-wait init; ovs-vswitchd --pidfile --detach --log-file >/dev/null 2>&1");
}

static void end_switch(void)
{
	command("ovs-appctl -t ovs-vswitchd exit; ovs-appctl -t ovsdb-server exit");
}

static struct wispd_host *begin(void)
{
	struct wispd_host *h = wispd_host_make(OFTEN);

	guest_net_make_world();
	start_switch();
	guest_net_note_host("before");
	assert_true(wispd_host_start(h, 0));
	guest_net_add_image(h);
	ctl(h, "tenant set red");
	ctl(h, "tenant set blue");
	return h;
}

static void remove_guests(struct wispd_host *h)
{
	ctl(h, "--tenant red rm red1 red2");
	ctl(h, "--tenant blue rm blue1");
	ctl(h, "--tenant red net rm net");
	ctl(h, "--tenant blue net rm net");
	ctl(h, "doctor");
	assert_int_equal(wispd_host_jails(h), 0);
}

static void end(struct wispd_host *h)
{
	command("test -z \"$(" VSCTL "list-br)\"");
	guest_net_note_host("after");
	command("diff %s %s", fixture_path("before"), fixture_path("after"));
	wispd_host_end(h);
	end_switch();
	command("ip link del outside; ip netns pids world | xargs kill; ip netns del world");
}

/* --- classes of traffic --- */

/* Every byte that a guest sent is in one of them. A frame that it had no room for is, too. */
#define CLASSES                                                              \
	"/ net_in / { i = $NF } / net_in_world / { iw = $NF }\n"             \
	"/ net_in_internal / { ii = $NF } / net_out / { o = $NF }\n"         \
	"/ net_out_world / { ow = $NF } / net_out_internal / { oi = $NF }\n" \
	"END { exit !(iw > 0 && ii > 0 && ow > 0 && oi > 0 && o == ow + oi && i <= iw + ii) }\n"

static void check_classes(struct wispd_host *h)
{
	command("cat >%s <<'X'\n%sX", fixture_path("classes"), CLASSES);
	command("timeout 200 sh -c 'until %s --socket %s --tenant red usage >%s && awk -f %s %s;"
		" do sleep 0.2; done' || { cat %s; false; }",
		fixture_program("wispctl"), wispd_host_socket(h), fixture_path("usage"),
		fixture_path("classes"), fixture_path("usage"), fixture_path("usage"));
}

/* Which of a guest's bytes are the world's nobody can tell, and no zero says it. */
static void check_gaps(struct wispd_host *h)
{
	command("timeout 200 sh -c 'until %s --socket %s --tenant red usage >%s"
		" && grep -q \"net_out_world.*cannot be told\" %s; do sleep 0.2; done'"
		" && ! grep 'net_out_world *bytes' %s",
		fixture_program("wispctl"), wispd_host_socket(h), fixture_path("usage"),
		fixture_path("usage"), fixture_path("usage"));
}

/* --- bridges of wispd's --- */

/* No pool is in a network of "netdev". */
static void start_guests(struct wispd_host *h, const char *datapath)
{
	static const char more[] = "--publish 8080:7 --egress '10.63.0.1,198.51.100.0/24 tcp 80'";

	if (strcmp(datapath, "system") == 0)
		start_pooled_guest(h, "red", "red1", "net", more);
	else
		start_guest(h, "red", "red1", "net", more);
	start_guest(h, "red", "red2", "net", "");
	start_guest(h, "blue", "blue1", "net", "");
	expect(RED1, "hostname", "red1");
	expect(RED2, "hostname", "red2");
	expect(BLUE1, "hostname", "blue1");
}

static void check_within(void)
{
	/* The list holds there, too, and lets answers pass. */
	expect(RED1, TRY RED2, LOST);
	expect(RED2, PING RED1, SEEN);
	expect(RED1, PING "10.63.0.1", SEEN);
	expect(RED2, "echo 'hostname; exit' | nc -w 20 " RED1 " 7", "red1");
}

static void check_across(void)
{
	expect(RED2, TRY BLUE1, LOST);
	expect(RED2, TRY "10.64.0.1", LOST);
	expect(BLUE1, TRY RED2, LOST);
	expect(BLUE1, "nc -w 1 " RED2 " 7 </dev/null || echo refused", "refused");
	expect(BLUE1, "nc -w 1 " HOST " 8080 </dev/null || echo refused", "refused");
}

static void check_world(void)
{
	expect(RED1, "nc -w 20 " WORLD " 80 </dev/null", "port-80");
	expect(RED1, "nc -w 1 " WORLD " 81 </dev/null || echo refused", "refused");
	expect(RED2, "nc -w 20 " WORLD " 81 </dev/null", "port-81");
	command("echo 'hostname; exit' | ip netns exec world busybox nc -w 20 " HOST
		" 8080 | grep -q red1");
}

static void check_spoofing(void)
{
	expect(RED2, "ip address add 10.63.0.99/24 dev eth0; " TRY "-I 10.63.0.99 " RED1, LOST);
	expect(RED2, "ip address del 10.63.0.99/24 dev eth0; " PING RED1, SEEN);
	/* Another's MAC address, for as long as a ping takes. */
	expect(RED2,
	       "(sleep 1; m=$(cat /sys/class/net/eth0/address); ip link set eth0 down;"
	       " ip link set eth0 address 06:00:0a:3f:00:02; ip link set eth0 up; " TRY
	       "10.63.0.1 >/tmp/said; ip link set eth0 down; ip link set eth0 address $m;"
	       " ip link set eth0 up; ip route add default via 10.63.0.1; mv /tmp/said /tmp/done)"
	       " >/dev/null 2>&1 & echo begun",
	       "begun");
	expect(RED2, "until [ -e /tmp/done ]; do sleep 1; done; cat /tmp/done; rm /tmp/done", LOST);
}

/* A port with wispd's mark that is nobody's, and a VMM that ended while wispd was away. */
static void lose_some(struct wispd_host *h)
{
	pid_t jailer = wispd_host_jailer(h, "blue1");

	wispd_host_stop(h, SIGKILL);
	assert_int_equal(kill(jailer, SIGKILL), 0);
	command("b=$(" VSCTL "list-br | head -n 1); t=$(echo $b | cut -c 3-8);" VSCTL
		"add-port $b wt${t}ffff -- set Port wt${t}ffff external_ids:wispd=$t || true");
	assert_true(wispd_host_start(h, 0));
	command("timeout 200 sh -c 'until [ $(for b in $(" VSCTL "list-br); do " VSCTL
		"list-ports $b; done | wc -l) = 2 ]; do sleep 0.1; done'");
}

static void test_own(const char *datapath, void (*check_usage)(struct wispd_host *h))
{
	struct wispd_host *h = begin();

	ctl(h,
	    "--tenant red net create net --prefix4 10.63.0.0/24 --prefix6 fd00:63::/64 --nat"
	    " --mode ovs --datapath %s",
	    datapath);
	ctl(h, "--tenant blue net create net --prefix4 10.64.0.0/24 --mode ovs --datapath %s",
	    datapath);
	start_guests(h, datapath);
	check_within();
	check_across();
	check_world();
	check_spoofing();
	check_usage(h);
	/* wispd dies, and somebody takes all rules away: it puts them back. */
	wispd_host_stop(h, SIGKILL);
	expect(RED2, PING RED1, SEEN);
	command("nft flush ruleset; for b in $(" VSCTL
		"list-br); do ovs-ofctl --timeout=60 del-flows $b; done");
	assert_true(wispd_host_start(h, 0));
	check_within();
	check_across();
	check_world();
	lose_some(h);
	remove_guests(h);
	end(h);
}

static void test_netdev(void **state)
{
	(void)state;
	test_own("netdev", check_gaps);
}

static void test_system(void **state)
{
	(void)state;
	test_own("system", check_classes);
}

/* --- another's bridge --- */

/* Its owner is the gateway: of red without a VLAN, of blue in number 7. */
static void make_office(void)
{
	command(VSCTL "add-br office -- set Bridge office datapath_type=netdev"
		      " -- add-port office look tag=7 -- set Interface look type=internal");
	command("ip address add 10.63.0.1/24 dev office; ip link set office up");
	command("ip address add 10.64.0.1/24 dev look; ip link set look up");
}

static void test_given(void **state)
{
	struct wispd_host *h = begin();

	(void)state;
	make_office();
	ctl(h, "--tenant red net create net --prefix4 10.63.0.0/24 --prefix6 fd00:63::/64"
	       " --mode ovs --bridge office --datapath netdev");
	ctl(h, "--tenant blue net create net --prefix4 10.64.0.0/24 --mode ovs --bridge office"
	       " --datapath netdev --vlan 7");
	start_guest(h, "red", "red1", "net", "--egress '10.63.0.1'");
	start_guest(h, "red", "red2", "net", "");
	start_guest(h, "blue", "blue1", "net", "");
	expect(RED1, "hostname", "red1");
	expect(RED2, "hostname", "red2");
	expect(BLUE1, "hostname", "blue1");
	check_within();
	check_spoofing();
	/* Not even when it asks for a neighbour. */
	expect(RED2, "ip route add " BLUE1 " dev eth0; " TRY BLUE1, LOST);
	expect(BLUE1, "ip route add " RED2 " dev eth0; " TRY RED2, LOST);
	check_gaps(h);
	remove_guests(h);
	/* What is its owner's is as it was. */
	command("test \"$(" VSCTL "list-ports office)\" = look");
	command("test $(ovs-ofctl --timeout=60 dump-flows office | grep -c actions) = 1");
	command(VSCTL "del-br office");
	end(h);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netdev),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_given),
	};

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinux-minimal") ||
	    !fixture_image("initramfs.cpio")) {
		fprintf(stderr, "test_wispd_switch needs the test host and guest images\n");
		return SKIPPED;
	}
	if (argc == 2)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
