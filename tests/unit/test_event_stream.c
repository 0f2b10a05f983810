/* test_event_stream.c - GET /events on real Unix sockets, with a fake machine.
 *
 * Server and clients are one thread: a turn of the loop does what there is to do, and
 * the clients never block. So nothing depends on time.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/event_stream.h"
#include "api/routes.h"
#include "tests/unit/fake_vm.h"
#include "vmm/base/fd.h"

enum { TURNS = 64, TEXT_BYTES = 1 << 20 };

#define HEAD                                                                 \
	"HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: close\r\n"  \
	"Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n" \
	"event: state\ndata: {\"state\":\"Not started\",\"timestamp_ms\":"

struct fixture {
	char dir[32], path[64];
	struct loop *loop;
	struct loop_source *stop;
	int stop_fd; /* always ready */
	unsigned turns;
	struct http_server *server;
	struct vm *vm;
};

static void on_stop(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	if (++f->turns == TURNS)
		loop_stop(f->loop, 0);
}

/* As many rounds as it takes for everything to be done, and more. */
static void run(struct fixture *f)
{
	f->turns = 0;
	assert_int_equal(loop_run(f->loop), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err;

	assert_non_null(f);
	f->vm = fake_vm_new();
	strcpy(f->dir, "/tmp/test_events.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	assert_int_equal(loop_create(&f->loop), 0);
	f->stop_fd = fd_event();
	assert_true(f->stop_fd >= 0);
	fd_event_signal(f->stop_fd);
	assert_int_equal(loop_add(f->loop, f->stop_fd, EPOLLIN, on_stop, f, &f->stop), 0);
	assert_int_equal(http_listen(&(struct http_config){ .socket_path = f->path,
							    .max_body_bytes = HTTP_BODY_BYTES,
							    .handler = routes_handle,
							    .ctx = f->vm },
				     f->loop, &f->server, &err),
			 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_destroy(f->server);
	loop_destroy(f->loop);
	vm_destroy(f->vm);
	fd_close(f->stop_fd);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int ask(struct fixture *f, const char *request)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	strcpy(a.sun_path, f->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL),
			 (ssize_t)strlen(request));
	run(f);
	return fd;
}

static int listen_to(struct fixture *f)
{
	return ask(f, "GET /events HTTP/1.1\r\n\r\n");
}

static void tell(struct fixture *f, const char *name, const char *value)
{
	json_t *data = json_pack("{s:s}", "value", value);

	event_stream_send(f->server, name, data);
	json_decref(data);
	run(f);
}

/* What has come so far, NUL-terminated; *ended: and no more will. */
static const char *heard(int fd, bool *ended)
{
	static char text[TEXT_BYTES];
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += (size_t)n;
	*ended = n == 0;
	text[len] = '\0';
	return text;
}

static void expect_heard(int fd, const char *begin, bool end)
{
	bool ended;
	const char *text = heard(fd, &ended);

	if (strncmp(text, begin, strlen(begin)) != 0)
		fail_msg("'%s' does not begin '%s'", text, begin);
	assert_int_equal(ended, end);
}

static void state_first_then_what_happens(void **state)
{
	struct fixture *f = *state;
	int fd = listen_to(f), other = ask(f, "GET /version HTTP/1.1\r\n\r\n");

	expect_heard(fd, HEAD, false);
	expect_heard(other, "HTTP/1.1 200 \r\n", false);
	tell(f, "balloon", "1");
	expect_heard(fd, "event: balloon\ndata: {\"value\":\"1\",\"timestamp_ms\":", false);
	expect_heard(other, "", false);
	tell(f, "device", "a\nb");
	expect_heard(fd, "event: device\ndata: {\"value\":\"a\\nb\",\"timestamp_ms\":", false);
	close(other);
	close(fd);
	run(f);
	tell(f, "device", "nobody listens");
}

/* One that reads nothing is closed, one that reads misses nothing. */
static void deaf_client_is_dropped(void **state)
{
	struct fixture *f = *state;
	int deaf = listen_to(f), good = listen_to(f);
	char *value = calloc(1, HTTP_STREAM_BYTES / 2);
	bool ended = false;

	assert_non_null(value);
	memset(value, 'x', HTTP_STREAM_BYTES / 2 - 1);
	expect_heard(good, HEAD, false);
	for (unsigned i = 0; i < 64; i++) {
		tell(f, "long", value);
		expect_heard(good, "event: long\n", false);
	}
	assert_true(strlen(heard(deaf, &ended)) < TEXT_BYTES - 1);
	assert_true(ended);
	free(value);
	close(deaf);
	close(good);
}

/* Streams have places of their own, and leave those of the others alone. */
static void ninth_stream_is_refused(void **state)
{
	struct fixture *f = *state;
	int fds[HTTP_STREAMS], others[HTTP_CONNECTIONS - 1], extra;

	for (unsigned i = 0; i < HTTP_STREAMS; i++) {
		fds[i] = listen_to(f);
		expect_heard(fds[i], HEAD, false);
	}
	extra = listen_to(f);
	expect_heard(extra, "HTTP/1.1 503 \r\n", false);
	close(fds[0]);
	run(f);
	fds[0] = listen_to(f);
	expect_heard(fds[0], HEAD, false);
	for (unsigned i = 0; i < HTTP_CONNECTIONS - 1; i++) {
		others[i] = ask(f, "GET / HTTP/1.1\r\n\r\n");
		expect_heard(others[i], "HTTP/1.1 200 \r\n", false);
	}
	for (unsigned i = 0; i < HTTP_CONNECTIONS - 1; i++)
		close(others[i]);
	for (unsigned i = 0; i < HTTP_STREAMS; i++)
		close(fds[i]);
	close(extra);
}

/* The last word before the end of the process is still sent. */
static void end_is_told(void **state)
{
	struct fixture *f = *state;
	int fd = listen_to(f);
	json_t *data = json_pack("{s:s}", "state", "Ended");

	expect_heard(fd, HEAD, false);
	event_stream_send(f->server, "state", data);
	json_decref(data);
	http_destroy(f->server);
	f->server = NULL;
	expect_heard(fd, "event: state\ndata: {\"state\":\"Ended\",", true);
	close(fd);
}

/* What a client says after its request changes nothing; too much of it is its end. */
static void talking_client_is_closed(void **state)
{
	struct fixture *f = *state;
	int fd = listen_to(f);
	char *text = calloc(1, 4096);
	bool ended = false;

	assert_non_null(text);
	expect_heard(fd, HEAD, false);
	send(fd, "PUT /entropy HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 46, MSG_NOSIGNAL);
	run(f);
	expect_heard(fd, "", false);
	assert_string_equal(fake_vm_calls(f->vm), "");
	for (unsigned i = 0; i < 1024 && send(fd, text, 4096, MSG_NOSIGNAL) > 0; i++)
		run(f);
	heard(fd, &ended);
	assert_true(ended || errno == ECONNRESET);
	free(text);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(state_first_then_what_happens, setup, teardown),
		cmocka_unit_test_setup_teardown(deaf_client_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(ninth_stream_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(end_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(talking_client_is_closed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
