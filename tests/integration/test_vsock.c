/* test_vsock.c - real guests and host programs that talk over a vsock.
 *
 * wisp-vsock (guest-images/vsock) is at both ends for what is bulk: it compares every
 * byte. Where the order of events matters, the host's end is this program itself. Runs
 * where test_boot runs.
 *
 *   test_vsock [CASE]    only the named case
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum {
	LIMIT_S = 240,
	SKIPPED = 77,
	GUEST_PORT = 1000, /* where the guest echoes */
	HOST_PORT = 2000,
	CONNECTIONS = 50,
	CHUNK = 64 * 1024,
	PROOF_BYTES = 1024 * 1024, /* after which a transfer counts as under way */
};

/* What each of the concurrent echoes carries; WISP_VSOCK_MIB sets another size. */
enum { DEFAULT_MIB = 1 };

struct guest {
	struct session *wisp;
	const char *socket, *uds;
};

/* A shell on the console, and an echo server behind it. */
static struct guest boot(const char *kernel, const char *initrd)
{
	struct guest g = { .socket = fixture_path("api.sock"), .uds = fixture_path("v.sock") };
	char vsock[512];
	const struct fixture_config c = {
		.kernel = fixture_need_image(kernel),
		.initrd = fixture_need_image(initrd),
		.boot_args = "console=ttyS0 reboot=k panic=-1 quiet wisp.exit_port=0xf4 -- sh",
		.mem_mib = 256,
		.extra = vsock,
	};

	snprintf(vsock, sizeof(vsock), ", \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"%s\"}",
		 g.uds);

	const char *const argv[] = {
		fixture_program("wisp"),	  "--api-sock",	       g.socket, "--config-file",
		fixture_config("vsock.json", &c), "--debug-exit-port", "0xf4",	 NULL,
	};

	g.wisp = session_start(argv);
	session_expect(g.wisp, "/ # ", LIMIT_S); /* what comes earlier is lost */
	session_send(g.wisp, "wisp-vsock echo 1000 &\n");
	session_expect(g.wisp, "listening", LIMIT_S);
	return g;
}

static void shut_down(struct guest *g)
{
	int got;

	session_send(g->wisp, "exit\n");
	got = session_wait(g->wisp, LIMIT_S);
	if (got != 0)
		fail_msg("ended with %d:\n%s", got, session_output(g->wisp));
	session_end(g->wisp);
	assert_int_not_equal(access(g->uds, F_OK), 0);
}

/* "PATH:PORT", as wisp-vsock takes it. Static storage. */
static const char *address(const struct guest *g, unsigned port)
{
	static char text[512];

	snprintf(text, sizeof(text), "%s:%u", g->uds, port);
	return text;
}

/* --- many at once --- */

static const char *echo_bytes(void)
{
	static char text[32];
	const char *mib = getenv("WISP_VSOCK_MIB");

	snprintf(text, sizeof(text), "%llu", (mib ? strtoull(mib, NULL, 10) : DEFAULT_MIB) << 20);
	return text;
}

static struct session *start_check(const struct guest *g)
{
	const char *const argv[] = {
		fixture_program("wisp-vsock"),
		"check",
		address(g, GUEST_PORT),
		"50",
		echo_bytes(),
		NULL,
	};

	return session_start(argv);
}

static void expect_right(struct session *check)
{
	session_expect(check, "50 of 50 echoes right", LIMIT_S);
	assert_int_equal(session_wait(check, LIMIT_S), 0);
	session_end(check);
}

static void echo_both_ways(const char *kernel, const char *initrd)
{
	struct guest g = boot(kernel, initrd);
	const char *const argv[] = { fixture_program("wisp-vsock"), "echo", address(&g, HOST_PORT),
				     NULL };
	struct session *host = session_start(argv);
	char command[96];

	session_expect(host, "listening", LIMIT_S);
	expect_right(start_check(&g));
	snprintf(command, sizeof(command), "wisp-vsock check %d %d %s\n", HOST_PORT, CONNECTIONS,
		 echo_bytes());
	session_send(g.wisp, command);
	session_expect(g.wisp, "50 of 50 echoes right", LIMIT_S);
	session_end(host);
	shut_down(&g);
}

static void test_echo(void **state)
{
	(void)state;
	echo_both_ways("vmlinux-minimal", "initramfs.cpio");
}

static void test_echo_cloud(void **state)
{
	(void)state;
	echo_both_ways("vmlinuz-cloud", "initrd-cloud");
}

static void test_echo_6_12(void **state)
{
	(void)state;
	echo_both_ways("vmlinuz-6.12", "initrd-6.12");
}

/* --- one connection, step by step --- */

static int greet(const struct guest *g, unsigned port)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = LIMIT_S };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(to.sun_path, g->uds);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	assert_true(dprintf(fd, "CONNECT %u\n", port) > 0);
	return fd;
}

static int connect_to_guest(const struct guest *g)
{
	int fd = greet(g, GUEST_PORT);
	char c, line[32] = "";
	size_t len = 0;

	while (recv(fd, &c, 1, 0) == 1 && c != '\n' && len < sizeof(line) - 1)
		line[len++] = c;
	assert_int_equal(strncmp(line, "OK ", 3), 0);
	assert_true(strtoul(line + 3, NULL, 10) >= 1u << 30);
	return fd;
}

/* Byte i of what the host sends here is a function of i. */
static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i ^ i >> 8 ^ i >> 16);
}

struct stream {
	int fd;
	size_t sent, received;
};

static bool send_some(struct stream *s)
{
	unsigned char data[CHUNK];
	ssize_t n;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = byte_at(s->sent + i);
	n = send(s->fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		s->sent += (size_t)n;
	return n > 0;
}

/* What recv(2) returned; checks the bytes. */
static ssize_t receive_some(struct stream *s, int flags)
{
	unsigned char data[CHUNK];
	ssize_t n = recv(s->fd, data, sizeof(data), flags);

	for (ssize_t i = 0; i < n; i++)
		assert_int_equal(data[i], byte_at(s->received + (size_t)i));
	if (n > 0)
		s->received += (size_t)n;
	return n;
}

/* Keeps the pipe full until so many bytes have come back. */
static void pump(struct stream *s, size_t bytes)
{
	while (s->received < bytes) {
		while (send_some(s))
			;
		assert_true(receive_some(s, 0) > 0);
	}
}

/* Everything that was sent comes back, then the end of the stream. */
static void finish(struct stream *s)
{
	assert_int_equal(shutdown(s->fd, SHUT_WR), 0);
	while (s->received < s->sent)
		assert_true(receive_some(s, 0) > 0);
	assert_int_equal(receive_some(s, 0), 0);
	close(s->fd);
}

static void set_state(const struct guest *g, const char *name)
{
	struct api_reply reply;
	char body[64];

	snprintf(body, sizeof(body), "{\"state\": \"%s\"}", name);
	api_call(g->socket, "PATCH", "/vm", body, &reply);
	assert_int_equal(reply.status, 204);
}

/* Nothing moves in a paused machine, and nothing is lost. */
static void test_pause(void **state)
{
	struct guest g = boot("vmlinux-minimal", "initramfs.cpio");
	struct stream s = { .fd = connect_to_guest(&g) };
	struct session *check;

	(void)state;
	pump(&s, PROOF_BYTES);
	set_state(&g, "Paused");
	while (send_some(&s))
		;
	while (receive_some(&s, MSG_DONTWAIT) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	assert_false(send_some(&s));
	assert_true(s.sent > s.received);
	set_state(&g, "Resumed");
	pump(&s, 2 * s.sent);
	finish(&s);

	check = start_check(&g);
	for (int i = 0; i < 20; i++) {
		set_state(&g, "Paused");
		set_state(&g, "Resumed");
	}
	expect_right(check);
	shut_down(&g);
}

/* Reads on until the peer is gone. */
static void expect_gone(struct stream *s)
{
	ssize_t n;

	while ((n = receive_some(s, 0)) > 0)
		;
	if (n < 0)
		assert_int_equal(errno, ECONNRESET);
	close(s->fd);
}

/* Nobody listens, on either side; a program that is killed, then the whole machine. */
static void test_endings(void **state)
{
	struct guest g = boot("vmlinux-minimal", "initramfs.cpio");
	struct stream s = { .fd = greet(&g, GUEST_PORT + 1) };

	(void)state;
	assert_int_equal(recv(s.fd, &(char){ 0 }, 1, 0), 0);
	close(s.fd);
	session_send(g.wisp, "wisp-vsock check 2001 1 5\n");
	session_expect(g.wisp, "connect: Connection reset by peer", LIMIT_S);

	s = (struct stream){ .fd = connect_to_guest(&g) };
	pump(&s, PROOF_BYTES);
	session_send(g.wisp, "killall -9 wisp-vsock\n");
	expect_gone(&s);
	session_send(g.wisp, "wisp-vsock echo 1000 &\n");
	session_expect(g.wisp, "listening", LIMIT_S);
	expect_right(start_check(&g));

	s = (struct stream){ .fd = connect_to_guest(&g) };
	pump(&s, PROOF_BYTES);
	session_send(g.wisp, "exit\n");
	expect_gone(&s);
	assert_int_equal(session_wait(g.wisp, LIMIT_S), 0);
	session_end(g.wisp);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_echo),	  cmocka_unit_test(test_echo_cloud),
		cmocka_unit_test(test_echo_6_12), cmocka_unit_test(test_pause),
		cmocka_unit_test(test_endings),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
