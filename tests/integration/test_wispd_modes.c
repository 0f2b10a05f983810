/* test_wispd_modes.c - the ways in which wispd connects guests, each tried with real ones.
 *
 * As in test_wispd_net.c, which has bridges and lines: two guests of red and one of blue,
 * a world outside, and nothing is left in the end. Runs as root in the test host.
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

#define UNTIL	"timeout 200 sh -c 'until "
#define AT_LAST "; do sleep 0.1; done'"

static struct wispd_host *begin(const char *config)
{
	struct wispd_host *h = wispd_host_make(config);

	guest_net_make_world();
	command("ip route add default via " WORLD);
	guest_net_note_host("before");
	assert_true(wispd_host_start(h, 0));
	guest_net_add_image(h);
	ctl(h, "tenant set red");
	ctl(h, "tenant set blue");
	return h;
}

/* What served a VMM that ended while wispd was away is ended by the next one. */
static void lose_vmm(struct wispd_host *h, const char *name, const char *program, unsigned left)
{
	pid_t jailer = wispd_host_jailer(h, name);

	wispd_host_stop(h, SIGKILL);
	assert_int_equal(kill(jailer, SIGKILL), 0);
	assert_true(wispd_host_start(h, 0));
	command(UNTIL "[ $(pgrep -c ^%s) = %u ] && [ $(pgrep -c -x wisp-keeper) = %u ]" AT_LAST,
		program, left, left);
}

/* wispd dies, and somebody takes all rules away. */
static void begin_again(struct wispd_host *h)
{
	wispd_host_stop(h, SIGKILL);
	command("nft flush ruleset");
	assert_true(wispd_host_start(h, 0));
}

/* Which of a guest's bytes are the world's nobody can tell here, and no zero says it. */
static void check_gaps(struct wispd_host *h)
{
	command("%s --socket %s --tenant red usage >%s && grep -q 'net_out_world.*cannot be told' %s"
		" && ! grep 'net_out_world *bytes' %s",
		fixture_program("wispctl"), wispd_host_socket(h), fixture_path("usage"),
		fixture_path("usage"), fixture_path("usage"));
}

static void end(struct wispd_host *h)
{
	ctl(h, "--tenant red rm red1 red2");
	ctl(h, "--tenant blue rm blue1");
	check_gaps(h);
	ctl(h, "--tenant red net rm net");
	ctl(h, "--tenant blue net rm net");
	ctl(h, "doctor");
	assert_int_equal(wispd_host_jails(h), 0);
	guest_net_note_host("after");
	command("diff %s %s", fixture_path("before"), fixture_path("after"));
	wispd_host_end(h);
	command("ip link del outside; ip netns pids world | xargs kill; ip netns del world");
}

/* --- passt --- */

#define RED1_AT	 8101
#define RED2_AT	 8102
#define BLUE1_AT 8103

/* A client with this input that does not end its side first: what a guest has closed halfway
 * passt of 2023 never closes. */
#define NC(input) "(" input " sleep 60 2>/dev/null &) | nc -w 20 "
#define ASK	  NC("echo 'hostname; exit';")

static void check_passt(void)
{
	await_guest(HOST, RED1_AT, "red1");
	await_guest("127.0.0.1", RED2_AT, "red2");
	await_guest(HOST, BLUE1_AT, "blue1");
	/* Guests meet at what they publish, if they are of one network. */
	expect_at(HOST, RED1_AT, ASK "10.63.0.1 8102", "red2");
	expect_at(HOST, RED2_AT, ASK "10.63.0.1 8101", "red1");
	expect_at(HOST, RED2_AT, "nc -w 1 10.63.0.1 8103 </dev/null || echo refused", "refused");
	expect_at(HOST, BLUE1_AT, "nc -w 1 10.64.0.1 8101 </dev/null || echo refused", "refused");
	expect_at(HOST, BLUE1_AT, "nc -w 1 " HOST " 8101 </dev/null || echo refused", "refused");
	/* The host's own servers are not theirs. */
	expect_at(HOST, RED2_AT, "nc -w 1 10.63.0.1 82 </dev/null || echo refused", "refused");
	/* The lists hold. */
	expect_at(HOST, RED1_AT, NC("") WORLD " 80", "port-80");
	expect_at(HOST, RED1_AT, "nc -w 1 " WORLD " 81 </dev/null || echo refused", "refused");
	expect_at(HOST, RED2_AT, NC("") WORLD " 81", "port-81");
	/* Another's address does not make another of a guest. */
	expect_at(HOST, RED2_AT,
		  "ip address add 10.64.0.2/32 dev eth0;"
		  " nc -w 1 -s 10.64.0.2 10.63.0.1 8103 </dev/null || echo refused;"
		  " ip address del 10.64.0.2/32 dev eth0",
		  "refused");
}

static void test_passt(void **state)
{
	struct wispd_host *h = begin("");

	(void)state;
	command("busybox nc -ll -p 82 -e echo the-host </dev/null >/dev/null 2>&1 &");
	ctl(h, "--tenant red net create net --prefix4 10.63.0.0/24 --mode passt");
	ctl(h, "--tenant blue net create net --prefix4 10.64.0.0/24 --mode passt");
	start_guest(h, "red", "red1", "net", "--publish 8101:7 --egress '198.51.100.0/24 tcp 80'");
	start_guest(h, "red", "red2", "net", "--publish 8102:7");
	start_guest(h, "blue", "blue1", "net", "--publish 8103:7");
	check_passt();
	/* They run as nobody who may do anything, and are started again. */
	command("test $(pgrep -c ^passt) = 3 && ! pgrep -u 0 ^passt");
	command("pkill ^passt; " UNTIL "[ $(pgrep -c ^passt) = 3 ]" AT_LAST);
	check_passt();
	begin_again(h);
	check_passt();
	lose_vmm(h, "blue1", "passt", 2);
	end(h);
	command("! pgrep ^passt && ! pgrep -x wisp-keeper");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passt),
	};

	if (!getenv("WISP_TESTHOST") || !fixture_has_kvm() || !fixture_image("vmlinux-minimal") ||
	    !fixture_image("initramfs.cpio")) {
		fprintf(stderr, "test_wispd_modes needs the test host and guest images\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
