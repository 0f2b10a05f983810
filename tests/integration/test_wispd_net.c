/* test_wispd_net.c - networks of wispd with real guests: who reaches whom, and what is left.
 *
 * Two tenants: red's guests are on a bridge, blue's have a line each. A network namespace
 * stands for the world. Each guest serves a shell on a port, so that what a guest can do is
 * tried from within it; the host gets through to it, as it may. Runs as root in the test
 * host, in a network namespace of its own.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, LIMIT_MS = 200000, RETRY_MS = 50, SHELL_PORT = 7, REPLY_BYTES = 8192 };

#define WORLD "198.51.100.2"
#define HOST  "198.51.100.1"
#define RED1  "10.61.0.2"
#define RED2  "10.61.0.3"
#define BLUE1 "10.62.0.2"
#define BLUE2 "10.62.0.3"

/* One that is to be answered may take its time. */
#define PING "ping -c 1 -W 30 "
#define TRY  "ping -c 1 -W 1 "
#define SEEN "1 packets received"
#define LOST "0 packets received"

static int run(const char *line)
{
	return system(line);
}

__attribute__((format(printf, 1, 2))) static void command(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (run(line) != 0)
		fail_msg("failed: %s", line);
}

__attribute__((format(printf, 2, 3))) static void ctl(struct wispd_host *h, const char *fmt, ...)
{
	char words[800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	command("%s --socket %s %s >/dev/null", fixture_program("wispctl"), wispd_host_socket(h),
		words);
}

/* --- guests --- */

/* A connection to a port; below 0: refused, or not answered in time. */
static int dial(const char *address, int port)
{
	const struct timeval limit = { .tv_sec = 30 };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What the shell there says to a line. Static storage. */
static const char *ask_at(const char *address, int port, const char *line)
{
	static char reply[REPLY_BYTES];
	int fd = -1;
	size_t have = 0;
	ssize_t n;

	for (int waited = 0; fd < 0 && waited < LIMIT_MS; waited += RETRY_MS) {
		fd = dial(address, port);
		if (fd < 0)
			poll(NULL, 0, RETRY_MS);
	}
	if (fd < 0)
		fail_msg("%s:%d does not answer", address, port);
	dprintf(fd, "{ %s; } 2>&1; exit\n", line);
	while (have < sizeof(reply) - 1 &&
	       (n = recv(fd, reply + have, sizeof(reply) - 1 - have, 0)) > 0)
		have += (size_t)n;
	reply[have] = '\0';
	close(fd);
	return reply;
}

static void expect(const char *guest, const char *line, const char *words)
{
	const char *reply = ask_at(guest, SHELL_PORT, line);

	if (!strstr(reply, words))
		fail_msg("%s: %s: no \"%s\" in:\n%s", guest, line, words, reply);
}

static void await_guests(void)
{
	static const char *const all[] = { RED1, RED2, BLUE1, BLUE2 };

	for (unsigned i = 0; i < 4; i++)
		expect(all[i], "hostname", i < 2 ? "red" : "blue");
}

static void start_guest(struct wispd_host *h, const char *tenant, const char *name, const char *net,
			const char *more)
{
	ctl(h,
	    "--tenant %s run mini --name %s --shape tiny --net %s %s"
	    " --cmdline '-- nc -ll -p %d -e /bin/sh'",
	    tenant, name, net, more, SHELL_PORT);
}

/* --- the host --- */

static void make_world(void)
{
	command("ip link set lo up; ip netns add world;"
		" ip link add outside type veth peer name inside netns world;"
		" ip address add " HOST "/24 dev outside; ip link set outside up;"
		" ip -n world address add " WORLD "/24 dev inside; ip -n world link set inside up");
	/* It knows no way to the guests: they are seen by the host's address or not at all. */
	for (int port = 80; port < 82; port++)
		command("ip netns exec world busybox nc -ll -p %d -e echo port-%d </dev/null "
			">/dev/null 2>&1 &",
			port, port);
}

/* Links, addresses and routes; and rules. */
static void note_host(const char *file)
{
	command("{ ip -o link | cut -d: -f2; ip -o address | awk '{print $2, $4}'; ip route;"
		" ip -6 route; nft list ruleset; } >%s",
		fixture_path(file));
}

static void make_tenants(struct wispd_host *h)
{
	char body[512];

	snprintf(body, sizeof(body),
		 "{\"name\": \"mini\", \"kernel\": \"%s\", \"initrd\": \"%s\","
		 " \"cmdline\": \"console=ttyS0 reboot=k panic=-1 quiet\"}",
		 fixture_image("vmlinux-minimal"), fixture_image("initramfs.cpio"));
	assert_string_equal(wispd_host_do(h, "POST", "/images", body), "done");
	ctl(h, "tenant set red; true");
	ctl(h, "tenant set red --addresses 2");
	ctl(h, "tenant set blue");
	ctl(h, "--tenant red net create net --prefix4 10.61.0.0/24 --prefix6 fd00:61::/64 --nat");
	ctl(h, "--tenant blue net create net --prefix4 10.62.0.0/24 --mode routed");
	start_guest(h, "red", "red1", "net",
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
	if (unshare(CLONE_NEWNET) < 0)
		fail_msg("no network namespace");
	make_world();
	note_host("before");
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
	note_host("after");
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
