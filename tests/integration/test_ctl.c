/* test_ctl.c - libwisp and wisp-ctl against the real wisp, with a tiny guest.
 *
 * All files lie in the test's folder, which is the working directory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/client/libwisp.h"
#include "tests/integration/api_client.h"
#include "tests/integration/fixture.h"
#include "tests/integration/session.h"

enum { LIMIT_S = 60, SKIPPED = 77 };

#define SOCKET "ctl.sock"

/* clang-format off */
#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define CTL(...)  ARGS(fixture_program("wisp-ctl"), SOCKET, __VA_ARGS__)
/* clang-format on */

static int enter_folder(void **state)
{
	(void)state;
	assert_int_equal(chdir(fixture_dir()), 0);
	assert_int_equal(symlink(fixture_guest("serial-echo"), "serial-echo"), 0);
	return 0;
}

static struct session *start_wisp(void)
{
	struct session *s = session_start(
		ARGS(fixture_program("wisp"), "--api-sock", SOCKET, "--debug-exit-port", "0xf4"));

	api_wait(SOCKET, LIMIT_S);
	return s;
}

static void expect_end(struct session *s)
{
	session_send(s, "q");
	assert_int_equal(session_wait(s, LIMIT_S), 0);
	session_end(s);
}

static void put_kernel(struct wisp *w)
{
	assert_int_equal(wisp_call(w, "PUT", "/boot-source",
				   "{\"kernel_image_path\": \"serial-echo\"}", NULL),
			 0);
}

/* Calls, refusals and events, on one connection. */
static void test_library(void **state)
{
	struct session *s = start_wisp();
	struct wisp_reply reply;
	struct wisp *w;

	(void)state;
	assert_int_equal(wisp_open(SOCKET, &w), 0);
	assert_int_equal(wisp_call(w, "GET", "/version", NULL, &reply), 0);
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(reply.body, "firecracker_version"));
	wisp_reply_clear(&reply);
	assert_int_equal(wisp_call(w, "PUT", "/boot-source",
				   "{\"kernel_image_path\": \"no\\\"ne\"}", &reply),
			 -EPROTO);
	assert_int_equal(reply.status, 400);
	assert_non_null(
		strstr(wisp_error(w), "No such file or directory (os error 2): \"no\"ne\""));
	wisp_reply_clear(&reply);
	assert_int_equal(wisp_pause(w), -EPROTO);
	assert_non_null(strstr(wisp_error(w), "not supported before starting the microVM"));
	put_kernel(w);
	assert_int_equal(wisp_start(w), 0);
	assert_int_equal(wisp_pause(w), 0);
	assert_int_equal(wisp_resume(w), 0);
	wisp_close(w);
	wisp_close(NULL);
	expect_end(s);
}

static int hear(void *ctx, const char *name, const char *json)
{
	unsigned *heard = ctx;

	assert_string_equal(name, "state");
	assert_non_null(strstr(json, "\"Not started\""));
	(*heard)++;
	return 1;
}

/* Enough is heard, and the client can go on. */
static void test_events(void **state)
{
	struct session *s = start_wisp();
	unsigned heard = 0;
	struct wisp *w;

	(void)state;
	assert_int_equal(wisp_open(SOCKET, &w), 0);
	assert_int_equal(wisp_events(w, hear, &heard), 0);
	assert_int_equal(heard, 1);
	put_kernel(w);
	assert_int_equal(wisp_start(w), 0);
	wisp_close(w);
	expect_end(s);
}

static void expect_unreachable(const char *socket_path, int error, const char *words)
{
	struct wisp *w;

	assert_int_equal(wisp_open(socket_path, &w), 0);
	assert_int_equal(wisp_call(w, "GET", "/", NULL, NULL), error);
	if (!strstr(wisp_error(w), words))
		fail_msg("wanted \"%s\" in: %s", words, wisp_error(w));
	wisp_close(w);
}

/* What is there after a wisp that was killed. */
static void leave_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_nobody(void **state)
{
	static const char long_path[200] = { [0 ... 198] = 'x' };

	(void)state;
	expect_unreachable("nobody.sock", -ENOENT,
			   "nobody.sock: there is no such socket (start wisp or wispd,");
	leave_socket("left.sock");
	expect_unreachable("left.sock", -ECONNREFUSED,
			   "left.sock: nobody listens on this socket (whoever made it");
	expect_unreachable(long_path, -EINVAL, "xxx: cannot connect: no socket can have");
}

static void expect(const char *const args[], int status, const char *words)
{
	struct session *s = session_start(args);
	int got = session_wait(s, LIMIT_S);

	if (got != status || !strstr(session_output(s), words))
		fail_msg("%s %s: ended with %d, not %d, \"%s\":\n%s", args[1], args[2], got, status,
			 words, session_output(s));
	session_end(s);
}

static void test_program(void **state)
{
	struct session *s = start_wisp(), *events = session_start(CTL("events"));

	(void)state;
	session_expect(events, "state {\"state\":\"Not started\"", LIMIT_S);
	expect(CTL("GET", "/version"), 0, "firecracker_version");
	expect(CTL("PUT", "/boot-source", "{\"kernel_image_path\": \"serial-echo\"}"), 0, "");
	expect(CTL("GET", "/nothing"), 1, "wisp-ctl: Invalid request method and/or path");
	expect(CTL("pause"), 1, "not supported before starting");
	expect(CTL("start"), 0, "");
	session_expect(events, "state {\"state\":\"Running\"", LIMIT_S);
	expect(CTL("pause"), 0, "");
	expect(CTL("resume"), 0, "");
	expect(CTL("explode"), 153, "Usage");
	expect(ARGS(fixture_program("wisp-ctl"), "none", "start"), 2,
	       "wisp-ctl: none: there is no such socket");
	expect_end(s);
	session_expect(events, "state {\"state\":\"Ended\",\"exit_status\":0", LIMIT_S);
	assert_int_equal(session_wait(events, LIMIT_S), 0);
	session_end(events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_program),
	};

	if (!fixture_has_kvm()) {
		puts("skipped: /dev/kvm cannot be opened here");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, enter_folder, NULL);
}
