/* test_wispd_netns.c - a guest in a network namespace that somebody else has made.
 *
 * As a CNI plug-in makes it: an interface eth0 with addresses, a gateway and an MTU of its
 * own, whose other end the host has. The guest takes its place, and is gone without a trace;
 * and the namespace may go first. Runs as root in the test host.
 */
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
#include "tests/integration/guest_net.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77 };

#define POD	"/run/netns/pod"
#define ADDRESS "10.77.0.2"
#define GATEWAY "10.77.0.1"
#define MAC	"0a:58:0a:4d:00:02"

static void make_pod(void)
{
	command("ip netns add pod && ip link add pod0 type veth peer name eth0 netns pod"
		" && ip address add " GATEWAY "/24 dev pod0"
		" && ip address add fd00:77::1/64 dev pod0 nodad && ip link set pod0 mtu 1400 up");
	command("ip -n pod link set eth0 address " MAC
		" mtu 1400 && ip -n pod link set lo up && ip -n pod address add " ADDRESS
		"/24 dev eth0 && ip -n pod address add fd00:77::2/64 dev eth0 nodad"
		" && ip -n pod link set eth0 up && ip -n pod route add default via " GATEWAY);
}

/* Its links, addresses, routes and traffic control. */
static void note_pod(const char *file)
{
	command("{ ip -n pod -o link | cut -d: -f2; ip -n pod -o address | awk '{print $2, $4}';"
		" ip -n pod route; tc -n pod qdisc; } >%s",
		fixture_path(file));
}

static struct wispd_host *begin(void)
{
	struct wispd_host *h = wispd_host_make(", \"reconcile_interval_ms\": 200,"
					       " \"confirm_interval_ms\": 200,"
					       " \"count_interval_ms\": 200");

	guest_net_make_world();
	assert_true(wispd_host_start(h, 0));
	guest_net_add_image(h);
	return h;
}

static void start_in(struct wispd_host *h, const char *path)
{
	ctl(h, "run mini --name pod --shape tiny --netns %s --cmdline '-- nc -ll -p %d -e /bin/sh'",
	    path, SHELL_PORT);
}

static void check_guest(void)
{
	expect(ADDRESS, "cat /sys/class/net/eth0/address", MAC);
	expect(ADDRESS, "cat /sys/class/net/eth0/mtu", "1400");
	expect(ADDRESS, "ip route", "default via " GATEWAY);
	expect(ADDRESS, PING GATEWAY, SEEN);
	/* Frames that are as large as they may be, both ways. */
	expect(ADDRESS, "ping -c 1 -W 30 -s 1372 " GATEWAY, SEEN);
	/* The namespace itself answers for nobody. */
	expect(ADDRESS, "hostname", "pod");
}

static void await_finding(struct wispd_host *h, const char *kind)
{
	for (unsigned tries = 0; tries < 400; tries++) {
		json_t *j = NULL;
		char *text;
		bool found;

		assert_int_equal(wispd_host_call(h, "GET", "/instances/pod", NULL, &j), 200);
		text = json_dumps(json_object_get(j, "findings"), JSON_COMPACT | JSON_ENCODE_ANY);
		json_decref(j);
		found = text && strstr(text, kind);
		free(text);
		if (found)
			return;
		command("sleep 0.1");
	}
	fail_msg("nobody says %s", kind);
}

/* As large as the largest of its frames, at least. */
static void await_usage(struct wispd_host *h, const char *meter)
{
	for (unsigned tries = 0; tries < 400; tries++) {
		int64_t quantity = 0;
		json_t *j = NULL, *row;
		size_t i;

		assert_int_equal(wispd_host_call(h, "GET", "/usage", NULL, &j), 200);
		json_array_foreach(json_object_get(j, "usage"), i, row)
		{
			if (strcmp(json_string_value(json_object_get(row, "meter")), meter) == 0)
				quantity = json_integer_value(json_object_get(row, "quantity"));
		}
		json_decref(j);
		if (quantity >= 1400)
			return;
		command("sleep 0.1");
	}
	fail_msg("%s is not metered", meter);
}

static void refuse(struct wispd_host *h, const char *path, const char *why)
{
	const char *said = NULL;

	assert_int_not_equal(
		wispd_host_ctl(h, &said,
			       (const char *const[]){ "run", "mini", "--name", "bad", "--shape",
						      "tiny", "--netns", path, NULL }),
		0);
	if (!said || !strstr(said, why))
		fail_msg("%s: no \"%s\" in: %s", path, why, said ? said : "");
	command("%s --socket %s rm bad >/dev/null 2>&1 || true", fixture_program("wispctl"),
		wispd_host_socket(h));
}

static void check_hostile(struct wispd_host *h)
{
	command("ln -s pod /run/netns/alias; : >/run/netns/file; mkfifo /run/netns/pipe;"
		" mkdir /run/netns/folder; touch /run/netns/self;"
		" mount --bind /proc/%d/ns/net /run/netns/self; touch /run/netns/pids;"
		" mount --bind /proc/self/ns/uts /run/netns/pids",
		(int)getpid());
	refuse(h, "/run/netns/alias", "alias");
	refuse(h, "/run/netns/file", "is no network namespace");
	refuse(h, "/run/netns/pipe", "is no network namespace");
	refuse(h, "/run/netns/folder", "is no network namespace");
	refuse(h, "/run/netns/pids", "is no network namespace");
	refuse(h, "/run/netns/self", "is the host's own");
	refuse(h, "/run/netns/none", "is gone");
	refuse(h, "/run/netns/../netns/pod", "is not where");
	refuse(h, "/proc/self/ns/net", "is not where");
	command("umount /run/netns/self /run/netns/pids; rm -r /run/netns/alias /run/netns/file"
		" /run/netns/pipe /run/netns/folder /run/netns/self /run/netns/pids");
}

/* What comes by eth0 goes elsewhere: that is not taken away. */
static void check_taken(struct wispd_host *h)
{
	command("tc -n pod qdisc add dev eth0 ingress && tc -n pod filter add dev eth0 ingress"
		" matchall action pass");
	refuse(h, POD, "goes elsewhere");
	command("tc -n pod filter show dev eth0 ingress | grep -q matchall");
	command("tc -n pod qdisc del dev eth0 ingress");
}

/* That ends while wispd is away. */
static void lose_vmm(struct wispd_host *h)
{
	pid_t jailer = wispd_host_jailer(h, "pod");

	wispd_host_stop(h, SIGKILL);
	assert_int_equal(kill(jailer, SIGKILL), 0);
	assert_true(wispd_host_start(h, 0));
	command("timeout 200 sh -c 'until ! ip -n pod link | grep -q wn; do sleep 0.1; done'");
}

static void test_given(void **state)
{
	struct wispd_host *h = begin();

	(void)state;
	make_pod();
	note_pod("before");
	check_hostile(h);
	check_taken(h);
	start_in(h, POD);
	check_guest();
	await_usage(h, "net_in");
	await_usage(h, "net_out");
	wispd_host_stop(h, SIGKILL);
	check_guest();
	assert_true(wispd_host_start(h, 0));
	check_guest();
	ctl(h, "stop pod");
	note_pod("after");
	command("diff %s %s", fixture_path("before"), fixture_path("after"));
	ctl(h, "start pod");
	check_guest();
	lose_vmm(h);
	ctl(h, "rm pod");
	note_pod("after");
	command("diff %s %s", fixture_path("before"), fixture_path("after"));
	/* Its owner takes it away. */
	start_in(h, POD);
	check_guest();
	command("ip netns del pod");
	await_finding(h, "no_netns");
	ctl(h, "rm pod");
	ctl(h, "doctor");
	assert_int_equal(wispd_host_jails(h), 0);
	wispd_host_end(h);
	command("ip link del outside; ip netns pids world | xargs kill; ip netns del world");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given),
	};

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinux-minimal") ||
	    !fixture_image("initramfs.cpio")) {
		fprintf(stderr, "test_wispd_netns needs the test host and guest images\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
