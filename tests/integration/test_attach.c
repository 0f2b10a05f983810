/* test_attach.c - a real guest's virtio console, attached to, left, and flooded.
 *
 * The test is the client: a Unix socket or a PTY. What shows that the guest goes on
 * while nobody is attached is its serial port. Runs where test_boot runs.
 *
 *   test_attach [CASE]    only the named case
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 240, SKIPPED = 77, RETRY_US = 20000, HISTORY_BYTES = 65536 };

#define CONSOLES "console=ttyS0 console=hvc0 reboot=k panic=-1 quiet "

struct terminal {
	int fd;
	char text[4 * HISTORY_BYTES]; /* all that was shown, NUL-terminated */
	size_t len, seen;
};

static struct session *boot(const struct fixture_config *c)
{
	const char *const argv[] = {
		fixture_program("wisp"),	   "--no-api", "--config-file",
		fixture_config("console.json", c), NULL,
	};

	return session_start(argv);
}

/* The smallest kernel; what it runs is on its console. */
static struct session *boot_small(const char *boot_args, const char *extra)
{
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinux-minimal"),
		.initrd = fixture_need_image("initramfs.cpio"),
		.boot_args = boot_args,
		.mem_mib = 128,
		.extra = extra,
	};

	return boot(&c);
}

static void expect_end(struct session *s, int status)
{
	int got = session_wait(s, LIMIT_S);

	if (got != status)
		fail_msg("ended with %d, not %d:\n%s", got, status, session_output(s));
	session_end(s);
}

/* --- clients --- */

static int try_socket(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int try_terminal(const char *path)
{
	return open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* wisp needs a moment until it is there. */
static void attach(struct terminal *t, int (*try)(const char *path), const char *path)
{
	*t = (struct terminal){ .fd = -1 };
	for (unsigned i = 0; i < LIMIT_S * (1000000 / RETRY_US); i++) {
		t->fd = try(path);
		if (t->fd >= 0)
			return;
		usleep(RETRY_US);
	}
	fail_msg("cannot attach to %s: %s", path, strerror(errno));
}

static void detach(struct terminal *t)
{
	close(t->fd);
}

static void send_keys(const struct terminal *t, const char *keys)
{
	assert_int_equal(write(t->fd, keys, strlen(keys)), strlen(keys));
}

/* Reads once. False: nothing came in time, or the other side has gone. */
static bool read_more(struct terminal *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	ssize_t n = 0;

	assert_true(t->len < sizeof(t->text) - 1);
	if (poll(&p, 1, LIMIT_S * 1000) == 1)
		n = read(t->fd, t->text + t->len, sizeof(t->text) - 1 - t->len);
	if (n <= 0)
		return false;
	t->len += (size_t)n;
	return true;
}

/* Waits for a text, from where the last wait ended. */
static void expect(struct terminal *t, const char *text)
{
	const char *at;

	while (!(at = strstr(t->text + t->seen, text))) {
		if (!read_more(t))
			fail_msg("the console does not show \"%s\" but: %s", text,
				 t->text + t->seen);
	}
	t->seen = (size_t)(at - t->text) + strlen(text);
}

/* --- cases --- */

/* A distribution's login, left in the middle and taken up again. */
static void test_login(void **state)
{
	const char *disk = fixture_path("debian.ext4"), *socket = fixture_path("hvc.sock");
	static struct terminal t;
	char command[1024], extra[256];
	struct fixture_config c = {
		.kernel = fixture_need_image("vmlinuz-cloud"),
		.initrd = fixture_need_image("initrd-cloud"),
		.boot_args = CONSOLES,
		.vcpus = 2,
		.mem_mib = 512,
		.disk = disk,
		.extra = extra,
	};
	struct session *s;

	(void)state;
	snprintf(command, sizeof(command), "cp --sparse=always --reflink=auto %s %s",
		 fixture_need_image("debian.ext4"), disk);
	assert_int_equal(system(command), 0);
	snprintf(extra, sizeof(extra), ", \"console\": {\"uds_path\": \"%s\"}", socket);
	s = boot(&c);
	attach(&t, try_socket, socket);
	expect(&t, "login: ");
	send_keys(&t, "root\n");
	expect(&t, "# ");
	send_keys(&t, "tty; echo before-$((6 * 7))\n");
	expect(&t, "/dev/hvc0");
	expect(&t, "before-42");
	detach(&t);

	attach(&t, try_socket, socket);
	expect(&t, "login: ");
	expect(&t, "before-42");
	send_keys(&t, "echo after-$((6 * 7))\n");
	expect(&t, "after-42");
	send_keys(&t, "poweroff\n");
	expect_end(s, 0);
	detach(&t);
}

/* Prints 1 MiB, in lines of 1000 bytes, with nobody there, then with somebody who does not read; each time the
 * guest gets through, and what is kept is the end. */
static void test_flood(void **state)
{
	const char *socket = fixture_path("hvc.sock");
	static struct terminal stuck, t;
	struct session *s;
	char extra[256];

	(void)state;
	snprintf(extra, sizeof(extra), ", \"console\": {\"uds_path\": \"%s\"}", socket);
	s = boot_small(CONSOLES, extra);
	attach(&t, try_socket, socket);
	expect(&t, "# ");
	send_keys(&t, "stty -echo; yes $(printf %0998d 1)y | head -c 1048576; echo end-$((1+0)); "
		      "echo alone-$((1+0)) >/dev/ttyS0\n");
	detach(&t);
	session_expect(s, "alone-1", LIMIT_S);

	attach(&stuck, try_socket, socket);
	attach(&t, try_socket, socket);
	expect(&t, "0end-1\r\n");
	expect(&t, "# ");
	assert_true(t.len >= HISTORY_BYTES && t.len < 2 * HISTORY_BYTES);
	send_keys(&stuck, "yes $(printf %0998d 2)n | head -c 1048576; echo end-$((1+1)); "
			  "echo stuck-$((1+0)) >/dev/ttyS0\n");
	detach(&t);
	session_expect(s, "stuck-1", LIMIT_S);
	attach(&t, try_socket, socket);
	expect(&t, "0end-2\r\n");
	send_keys(&t, "exit\n");
	expect_end(s, 0);
	detach(&t);
	detach(&stuck);
}

/* The same line by a terminal, which has a size that the guest learns. */
static void test_pty(void **state)
{
	const struct winsize size = { .ws_col = 111, .ws_row = 37 };
	const char *link = fixture_path("hvc.tty");
	static struct terminal t;
	struct session *s;
	char extra[256];

	(void)state;
	snprintf(extra, sizeof(extra),
		 ", \"console\": {\"pty_path\": \"%s\", \"history_bytes\": 4096}", link);
	s = boot_small(CONSOLES "-- echo up; until stty size | grep 37.111; do sleep 0.1; done; "
				"read x; echo got-$x",
		       extra);
	attach(&t, try_terminal, link);
	expect(&t, "up");
	assert_int_equal(ioctl(t.fd, TIOCSWINSZ, &size), 0);
	send_keys(&t, "x");
	expect(&t, "37 111");
	detach(&t);
	attach(&t, try_terminal, link);
	expect(&t, "37 111");
	send_keys(&t, "y\n");
	expect(&t, "got-xy");
	expect_end(s, 0);
	detach(&t);
	assert_int_equal(access(link, F_OK), -1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_pty),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
