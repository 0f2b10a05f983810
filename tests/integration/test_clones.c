/* test_clones.c - a real guest is saved once, and what is loaded from it again and again is
 * another machine each time: random numbers, names, addresses, and the right time.
 *
 * The guest's kernel is told by VMGenID that it is a copy, its agent by wisp-guest who it
 * is now. Runs as root, where test_boot runs. WISP_CLONES: how many, if not CLONES.
 *
 *   test_clones [CASE]    only the named case
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/agent_kit.h"
#include "tests/integration/fixture.h"
#include "tests/integration/saved.h"

enum {
	SKIPPED = 77,
	CLONES = 5,
	FIRST_CID = 100,
	MAX_CLONES = 250,
	RANDOM_CHARS = 32,
	LINE = 512,
	CLOCK_APART_MS = 1500
};

#define TAP "wtap0"

static void command(const char *line)
{
	if (system(line) != 0)
		fail_msg("failed: %s", line);
}

#define IN_GUEST(...) AGENT_ASK(fixture_path("v.sock"), __VA_ARGS__)

static const char *config(void)
{
	static char extra[1024];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-6.12"),
		.initrd = fixture_need_image("initrd-6.12"),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.agent",
		.mem_mib = 256,
		.extra = extra,
	};

	snprintf(extra, sizeof(extra),
		 ", \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"},"
		 " \"network-interfaces\": [{\"iface_id\": \"eth0\", \"host_dev_name\": \"" TAP
		 "\","
		 " \"guest_mac\": \"06:00:0a:00:00:02\"}],"
		 " \"mmds-config\": {\"network_interfaces\": [\"eth0\"]}",
		 fixture_path("v.sock"));
	return fixture_config("clones.json", &c);
}

/* How far the guest's clock is ahead of ours. */
static long long ahead_ms(void)
{
	long long guest_ms = agent_clocks(fixture_path("v.sock")).real_ms;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return guest_ms - (t.tv_sec * 1000LL + t.tv_nsec / 1000000);
}

/* A guest with a program of its own that renews what belongs to it; how far its clock was
 * ahead. */
static long long save_original(void)
{
	static const char hook[] = "mkdir -p /etc/wisp/identity.d && cd /etc/wisp/identity.d && "
				   "printf '#!/bin/sh\\nhostname >/run/renewed\\n' >10-test && "
				   "chmod +x 10-test && head -c 64 /dev/urandom >/dev/null";
	long long ahead;
	struct machine m = saved_start("clones.sock", config(), NULL);

	session_expect(m.wisp, "agent on port", SAVED_LIMIT_S);
	IN_GUEST("exec", "sh", "-c", hook);
	ahead = ahead_ms();
	saved_pause(&m);
	saved_create(&m, "state", "memory", "Full");
	saved_kill(&m);
	return ahead;
}

struct clone {
	char random[RANDOM_CHARS + 1];
};

/* Before it is told who it is: that it is another machine it knows by itself. */
static void read_random(struct clone *c)
{
	const char *said = IN_GUEST("exec", "sh", "-c",
				    "head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \\n'");

	assert_int_equal(strlen(said), RANDOM_CHARS);
	strcpy(c->random, said);
}

static void tell_identity(unsigned i)
{
	char name[LINE], id[LINE], mac[LINE], address[LINE];

	snprintf(name, sizeof(name), "hostname=clone-%u", i);
	snprintf(id, sizeof(id), "machine_id=%032x", 0xc0de0000 + i);
	snprintf(mac, sizeof(mac), "mac=eth0 06:00:0a:00:01:%02x", i);
	snprintf(address, sizeof(address), "address=eth0 10.0.0.%u/24", i + 2);
	IN_GUEST("identity", name, id, mac, address, "gateway=10.0.0.1");
}

static void expect_identity(unsigned i)
{
	char expected[LINE];
	static const char look[] = "hostname; cat /run/renewed /etc/machine-id "
				   "/sys/class/net/eth0/address; "
				   "ip -4 -o address show dev eth0 | awk '{ print $4 }'; "
				   "ip route | grep -c 'default via 10.0.0.1'; "
				   "ping -c 1 -W 20 10.0.0.1 >/dev/null && echo reached; "
				   "ip route add 169.254.169.254 dev eth0; "
				   "wget -q -O - http://169.254.169.254/clone";
	const char *said = IN_GUEST("exec", "sh", "-c", look);

	snprintf(expected, sizeof(expected),
		 "clone-%u\nclone-%u\n%032x\n06:00:0a:00:01:%02x\n10.0.0.%u/24\n1\nreached\n%u", i,
		 i, 0xc0de0000 + i, i, i + 2, i);
	assert_string_equal(said, expected);
}

/* The host's clock has gone on since the machine was saved, and so has the guest's. */
static void expect_time(long long original_ahead_ms)
{
	long long now = ahead_ms();

	if (llabs(now - original_ahead_ms) > CLOCK_APART_MS)
		fail_msg("the clock was %lld ms ahead, and is %lld", original_ahead_ms, now);
}

static void run_clone(unsigned i, long long original_ahead_ms, struct clone *c)
{
	struct machine m = saved_start("clones.sock", NULL, NULL);
	char more[2 * LINE];

	/* Its agent would not be heard if the guest had not taken its new CID. */
	snprintf(
		more, sizeof(more),
		", \"resume_vm\": true, \"clock_realtime\": true, \"mmds_data\": {\"clone\": \"%u\"},"
		" \"vsock_override\": {\"uds_path\": \"%s\", \"guest_cid\": %u},"
		" \"network_overrides\": [{\"iface_id\": \"eth0\", \"host_dev_name\": \"" TAP "\","
		" \"guest_mac\": \"06:00:0a:00:01:%02x\"}]",
		i, fixture_path("v.sock"), FIRST_CID + i, i);
	saved_load(&m, "state", "memory", more);
	read_random(c);
	tell_identity(i);
	expect_identity(i);
	expect_time(original_ahead_ms);
	saved_kill(&m);
}

static void test_clones(void **state)
{
	const char *wanted = getenv("WISP_CLONES");
	unsigned count = wanted ? (unsigned)strtoul(wanted, NULL, 10) : CLONES;
	struct clone *clones = calloc(MAX_CLONES, sizeof(*clones));
	long long ahead;

	(void)state;
	assert_non_null(clones);
	assert_true(count <= MAX_CLONES);
	command("ip tuntap add " TAP " mode tap && ip address add 10.0.0.1/24 dev " TAP
		" && ip link set " TAP " up");
	ahead = save_original();
	for (unsigned i = 0; i < count; i++) {
		run_clone(i, ahead, &clones[i]);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(clones[i].random, clones[k].random);
	}
	print_message("%u clones of one machine, all different\n", count);
	free(clones);
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clones),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	if (!fixture_has_kvm() || geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		print_message("needs /dev/kvm, and root for a network of its own\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
