/* test_http.c - the server on real Unix sockets, byte by byte.
 *
 * The loop runs on a thread of its own; the test is the client, with blocking
 * sockets, so nothing waits for time to pass. The handler answers every request
 * with its verb, path and body; paths that begin with "/big" get a large answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/http.h"
#include "vmm/base/fd.h"

enum { BIG_BYTES = 4 << 20, BODY_LIMIT = 51200 };

#define OK_HEAD	 "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
#define BAD_HEAD "HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
#define DROPPED	 "\nAll previous unanswered requests will be dropped.\" }"

struct fixture {
	char dir[32], path[64];
	struct loop *loop;
	struct loop_source *end_source;
	int end; /* eventfd: stops the loop */
	struct http_server *server;
	struct http_later *owed; /* the answer to "/later"; the loop's thread */
	pthread_t thread;
};

static void echo(void *ctx, const struct http_request *req, struct http_response *res)
{
	char text[] = "late";
	const struct http_response late = { .status = 200, .body = text };
	struct http_later **owed = ctx;

	if (strcmp(req->path, "/empty") == 0)
		return;
	if (strcmp(req->path, "/later") == 0) {
		*owed = http_defer(res);
		return;
	}
	if (strcmp(req->path, "/answer") == 0) {
		http_answer(*owed, &late);
		*owed = NULL;
	}
	if (strcmp(req->path, "/owed") == 0) {
		res->status = *owed ? 200 : 204;
		res->body = *owed ? strdup("yes") : NULL;
		return;
	}
	if (strcmp(req->path, "/never-mind") == 0)
		http_undefer(res, http_defer(res));
	res->status = 200;
	res->deprecated = strcmp(req->path, "/old") == 0;
	if (strncmp(req->path, "/big", 4) == 0) {
		res->body = malloc(BIG_BYTES + 1);
		memset(res->body, 'b', BIG_BYTES);
		res->body[BIG_BYTES] = '\0';
		return;
	}
	if (asprintf(&res->body, "%s %s [%.*s]", http_verb_name(req->verb), req->path,
		     (int)req->body_len, req->body ? req->body : "") < 0)
		abort();
}

static void on_end(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	loop_stop(f->loop, 0);
}

static void *run(void *arg)
{
	struct fixture *f = arg;

	loop_run(f->loop);
	return NULL;
}

static int listen_at(struct loop *loop, const char *path, struct http_later **owed,
		     struct http_server **ret, struct error *err)
{
	const struct http_config config = {
		.socket_path = path,
		.max_body_bytes = BODY_LIMIT,
		.handler = echo,
		.ctx = owed,
	};

	return http_listen(&config, loop, ret, err);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error err;

	assert_non_null(f);
	strcpy(f->dir, "/tmp/test_http.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	assert_int_equal(loop_create(&f->loop), 0);
	f->end = fd_event();
	assert_true(f->end >= 0);
	assert_int_equal(loop_add(f->loop, f->end, EPOLLIN, on_end, f, &f->end_source), 0);
	assert_int_equal(listen_at(f->loop, f->path, &f->owed, &f->server, &err), 0);
	assert_int_equal(pthread_create(&f->thread, NULL, run, f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fd_event_signal(f->end);
	pthread_join(f->thread, NULL);
	http_destroy(f->server);
	loop_destroy(f->loop);
	fd_close(f->end);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(a.sun_path, path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void send_text(int fd, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads exactly what is expected, no more. */
static void expect_text(int fd, const char *expected)
{
	size_t len = strlen(expected), used = 0;
	char *got = calloc(1, len + 1);
	ssize_t n = 1;

	while (used < len && (n = recv(fd, got + used, len - used, 0)) > 0)
		used += (size_t)n;
	assert_string_equal(got, expected);
	free(got);
}

static void expect_end(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

/* The answer of echo(), as it must be on the wire. */
static void expect_answer(int fd, const char *body)
{
	char text[2048];

	snprintf(text, sizeof(text),
		 OK_HEAD "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	expect_text(fd, text);
}

/* A parse error: its exact bytes, then the end of the connection. */
static void expect_refusal(int fd, const char *reason)
{
	char body[512], text[1024];

	snprintf(body, sizeof(body), "{ \"error\": \"%s" DROPPED, reason);
	snprintf(text, sizeof(text),
		 BAD_HEAD "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	expect_text(fd, text);
	expect_end(fd);
}

static void answers_have_firecrackers_bytes(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	send_text(fd, "GET /a HTTP/1.1\r\n\r\n");
	expect_answer(fd, "GET /a []");
	send_text(fd, "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_text(fd, "HTTP/1.1 204 \r\nServer: Firecracker API\r\n"
			"Connection: keep-alive\r\n\r\n");
	send_text(fd, "PUT /old HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}");
	expect_text(fd, OK_HEAD "Deprecation: true\r\nContent-Type: application/json\r\n"
				"Content-Length: 13\r\n\r\nPUT /old [{}]");
	close(fd);
}

static void verbs_and_uris(void **state)
{
	static const struct {
		const char *request, *answer;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", "GET / []" },
		{ "GET http://localhost/x HTTP/1.1\r\n\r\n", "GET /x []" },
		{ "GET http://localhost HTTP/1.1\r\n\r\n", "GET / []" },
		{ "PATCH /p HTTP/1.1\r\nContent-Length: 1\r\n\r\n1", "PATCH /p [1]" },
		{ "DELETE /d/e?f HTTP/1.1\r\n\r\n", "DELETE /d/e?f []" },
		{ "\r\nPUT /q HTTP/1.1\r\nX: y\r\ncontent-length: 3\r\n\r\nabc", "PUT /q [abc]" },
		{ "PUT /z HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "PUT /z []" },
		{ "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
		  "PUT /c [abc]" },
	};
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		send_text(fd, rows[i].request);
		expect_answer(fd, rows[i].answer);
	}
	close(fd);
}

/* Every byte in a write of its own: no boundary matters. */
static void split_requests(void **state)
{
	static const char request[] = "PUT /split HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
				      "Accept: */*\r\n\r\n12345GET /next HTTP/1.1\r\n\r\n";
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		send_text(fd, (char[]){ request[i], '\0' });
	expect_answer(fd, "PUT /split [12345]");
	expect_answer(fd, "GET /next []");
	close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);
	char text[64];

	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "PUT /%d HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy", i);
		send_text(fd, text);
	}
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "PUT /%d [xy]", i);
		expect_answer(fd, text);
	}
	close(fd);
}

static void expect_100_continue(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	send_text(fd, "PUT /e HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
	expect_text(fd, "HTTP/1.1 100 \r\nServer: Firecracker API\r\n"
			"Connection: keep-alive\r\n\r\n");
	send_text(fd, "body");
	expect_answer(fd, "PUT /e [body]");
	/* A client that does not wait is served as well. */
	send_text(fd, "PUT /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nmore");
	expect_text(fd, "HTTP/1.1 100 \r\nServer: Firecracker API\r\n"
			"Connection: keep-alive\r\n\r\n");
	expect_answer(fd, "PUT /e [more]");
	send_text(fd, "GET /n HTTP/1.1\r\nExpect: 100-continue\r\n\r\n");
	expect_answer(fd, "GET /n []");
	close(fd);
}

static void bad_requests_are_refused(void **state)
{
	static const struct {
		const char *request, *reason;
	} rows[] = {
		{ "POST / HTTP/1.1\r\n\r\n", "Invalid HTTP Method: Unsupported HTTP method." },
		{ "get / HTTP/1.1\r\n\r\n", "Invalid HTTP Method: Unsupported HTTP method." },
		{ "CONNECT h:1 HTTP/1.1\r\n\r\n", "Invalid HTTP Method: Unsupported HTTP method." },
		{ "GET / HTTP/2.0\r\n\r\n", "Invalid HTTP Version: Unsupported HTTP version." },
		{ "GET / HTTP/1.2\r\n\r\n", "Invalid HTTP Version: Unsupported HTTP version." },
		{ "PUT / HTTP/1.1\r\nContent-Length: 51201\r\n\r\n",
		  "Request payload with size 51201 is larger than the limit of 51200 allowed by "
		  "server." },
		{ "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4000000000\r\n\r\n",
		  "Request payload with size 4000000000 is larger than the limit of 51200 allowed "
		  "by server." },
		{ "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc801\r\n",
		  NULL }, /* refused only when the bytes come; see chunked_body_over_the_limit() */
		{ "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		  "Invalid header. Reason: Invalid value. invalid character in content-length "
		  "header" },
		{ "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		  "Invalid header. Reason: Invalid value. invalid character in content-length "
		  "header" },
		{ "PUT / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
		  "Invalid header. Reason: unexpected content-length header" },
		{ "PUT / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "Invalid header. Reason: unexpected content-length header" },
		{ "GET / HTTP/1.1\r\nB@d: x\r\n\r\n",
		  "Invalid header. Reason: invalid character in header" },
		{ "GET / HTTP/1.1\r\nNoColon\r\n\r\n",
		  "Invalid header. Reason: invalid character in header" },
		{ "GET /a b HTTP/1.1\r\n\r\n", "Invalid request. invalid constant string" },
		{ "\x16\x03\x01", "Invalid HTTP Method: Unsupported HTTP method." },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = connect_to(f->path);

		send_text(fd, rows[i].request);
		if (rows[i].reason)
			expect_refusal(fd, rows[i].reason);
		else
			close(fd);
	}
}

/* The figures that Firecracker's own tests check. */
static void oversize_refusal_has_firecrackers_length(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	send_text(fd, "PUT / HTTP/1.1\r\nContent-Length: 51201\r\n\r\n");
	expect_text(fd, BAD_HEAD "Content-Type: application/json\r\nContent-Length: 149\r\n\r\n");
	close(fd);
}

static void send_repeated(int fd, char c, size_t count)
{
	char *text = malloc(count + 1);

	assert_non_null(text);
	memset(text, c, count);
	text[count] = '\0';
	send_text(fd, text);
	free(text);
}

static void lines_have_a_limit(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	/* "GET /" and " HTTP/1.1", CR, LF leave some 1000 bytes for the path. */
	send_text(fd, "GET /");
	send_repeated(fd, 'a', 1100);
	expect_refusal(fd, "Invalid request.");

	fd = connect_to(f->path);
	send_text(fd, "GET / HTTP/1.1\r\nX-Long: ");
	send_repeated(fd, 'a', 1100);
	expect_refusal(fd, "Invalid header. Reason: Invalid content length. Header: a line of more "
			   "than 1024 bytes");

	fd = connect_to(f->path);
	send_text(fd, "GET / HTTP/1.1\r\nX-Fits: ");
	send_repeated(fd, 'a', 1000);
	send_text(fd, "\r\nX-Fits-Too: ");
	send_repeated(fd, 'b', 1000);
	send_text(fd, "\r\n\r\n");
	expect_answer(fd, "GET / []");
	close(fd);
}

static void endless_headers_are_refused(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);
	char text[128];
	ssize_t n = 1;

	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 4000 && n > 0; i++) {
		n = send(fd, text, strlen(text), MSG_NOSIGNAL);
		snprintf(text, sizeof(text), "X-Header-%d: some value\r\n", i);
	}
	expect_text(fd, BAD_HEAD);
	close(fd);
}

static void chunked_body_over_the_limit(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	send_text(fd, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n");
	for (int i = 0; i < 60; i++)
		send_repeated(fd, 'x', 1000);
	expect_text(fd, BAD_HEAD);
	close(fd);
}

static void largest_body_is_taken(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);
	char *body = malloc(BODY_LIMIT + 64), *got = calloc(1, BODY_LIMIT + 256);
	size_t used = 0, want;

	assert_non_null(body);
	assert_non_null(got);
	send_text(fd, "PUT /l HTTP/1.1\r\nContent-Length: 51200\r\n\r\n");
	send_repeated(fd, 'z', BODY_LIMIT);
	want = strlen(OK_HEAD "Content-Type: application/json\r\nContent-Length: 51209\r\n\r\n") +
	       51209;
	while (used < want) {
		ssize_t n = recv(fd, got + used, want - used, 0);

		assert_true(n > 0);
		used += (size_t)n;
	}
	assert_string_equal(got + used - 3, "zz]");
	free(got);
	free(body);
	close(fd);
}

/* A body shorter than announced keeps waiting; what is longer is the next request. */
static void bodies_of_another_length(void **state)
{
	struct fixture *f = *state;
	int half = connect_to(f->path), longer = connect_to(f->path);

	send_text(half, "PUT /half HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
	send_text(longer, "PUT /l HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}junk\r\n\r\n");
	expect_answer(longer, "PUT /l [{}]");
	expect_refusal(longer, "Invalid HTTP Method: Unsupported HTTP method.");
	send_text(half, "67890");
	expect_answer(half, "PUT /half [1234567890]");
	send_text(half, "GET /a HT");
	shutdown(half, SHUT_WR);
	expect_end(half);
}

static void close_is_honoured(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path);

	send_text(fd, "GET /c HTTP/1.1\r\nConnection: close\r\n\r\nGET /d HTTP/1.1\r\n\r\n");
	expect_text(fd, "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: close\r\n"
			"Content-Type: application/json\r\nContent-Length: 9\r\n\r\nGET /c []");
	expect_end(fd);

	fd = connect_to(f->path);
	send_text(fd, "GET /o HTTP/1.0\r\n\r\n");
	expect_text(fd, "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: close\r\n"
			"Content-Type: application/json\r\nContent-Length: 9\r\n\r\nGET /o []");
	expect_end(fd);
}

/* Clients that ask for much and read nothing, or die, stop only themselves. */
static void slow_clients_stop_only_themselves(void **state)
{
	struct fixture *f = *state;
	int slow = connect_to(f->path), dead = connect_to(f->path), other = connect_to(f->path);
	char *sink = malloc(1 << 16);
	size_t total = 0;

	assert_non_null(sink);
	for (int i = 0; i < 3; i++) {
		send_text(slow, "GET /big HTTP/1.1\r\n\r\n");
		send_text(dead, "GET /big HTTP/1.1\r\n\r\n");
	}
	send_text(other, "GET /quick HTTP/1.1\r\n\r\n");
	expect_answer(other, "GET /quick []");
	close(dead);
	send_text(other, "GET /again HTTP/1.1\r\n\r\n");
	expect_answer(other, "GET /again []");
	while (total < 3UL * BIG_BYTES) {
		ssize_t n = recv(slow, sink, 1 << 16, 0);

		assert_true(n > 0);
		total += (size_t)n;
	}
	free(sink);
	close(slow);
	close(other);
}

static void eleventh_client_gets_503(void **state)
{
	struct fixture *f = *state;
	int fds[HTTP_CONNECTIONS], extra;

	for (int i = 0; i < HTTP_CONNECTIONS; i++) {
		fds[i] = connect_to(f->path);
		send_text(fds[i], "GET /a HTTP/1.1\r\n\r\n");
		expect_answer(fds[i], "GET /a []");
	}
	extra = connect_to(f->path);
	expect_text(extra,
		    "HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\n"
		    "Content-Length: 40\r\n\r\n{ \"error\": \"Too many open connections\" }");
	expect_end(extra);
	/* A place becomes free once the server has seen the end of one: it has, when it
	 * closes its own side of that one. */
	shutdown(fds[0], SHUT_WR);
	expect_end(fds[0]);
	fds[0] = connect_to(f->path);
	send_text(fds[0], "GET /b HTTP/1.1\r\n\r\n");
	expect_answer(fds[0], "GET /b []");
	for (int i = 0; i < HTTP_CONNECTIONS; i++)
		close(fds[i]);
}

static void client_is_turned_away_without_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;
	int served = connect_to(f->path), last, fd = connect_to(f->path);

	/* Not above the highest in use: the server cannot take another. */
	send_text(served, "GET /a HTTP/1.1\r\n\r\n");
	expect_answer(served, "GET /a []");
	send_text(fd, "GET /a HTTP/1.1\r\n\r\n");
	expect_answer(fd, "GET /a []");
	last = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(last >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){ .rlim_cur = (rlim_t)last + 1, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);

	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strcpy(a.sun_path, f->path);
	assert_int_equal(connect(last, (const struct sockaddr *)&a, sizeof(a)), 0);
	expect_end(last);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	send_text(served, "GET /still HTTP/1.1\r\n\r\n");
	expect_answer(served, "GET /still []");
	close(served);
	close(fd);
}

/* http_listen() refuses before it touches the loop, so the fixture's will do. */
static void expect_no_socket(struct fixture *f, const char *path, int code, const char *words)
{
	struct http_server *server = NULL;
	struct error err;

	assert_int_equal(listen_at(f->loop, path, NULL, &server, &err), code);
	assert_null(server);
	assert_int_equal(err.code, code);
	assert_string_equal(err.field, "api-sock");
	if (!strstr(err.text, words))
		fail_msg("'%s' lacks '%s'", err.text, words);
	assert_string_not_equal(err.hint, "");
}

/* Until the server has got as far as that. */
static void await_owed(int fd)
{
	char answer[256] = "";

	while (!strstr(answer, "yes")) {
		ssize_t n;

		send_text(fd, "GET /owed HTTP/1.1\r\n\r\n");
		n = recv(fd, answer, sizeof(answer) - 1, 0);
		assert_true(n > 0);
		answer[n] = '\0';
	}
}

/* Who waits holds up nobody else; what it sent meanwhile is answered afterwards. */
static void answers_may_come_later(void **state)
{
	struct fixture *f = *state;
	int fd = connect_to(f->path), other = connect_to(f->path);

	send_text(fd, "GET /later HTTP/1.1\r\n\r\nGET /next HTTP/1.1\r\n\r\n");
	await_owed(other);
	send_text(other, "GET /never-mind HTTP/1.1\r\n\r\n");
	expect_answer(other, "GET /never-mind []");
	send_text(other, "GET /answer HTTP/1.1\r\n\r\n");
	expect_answer(other, "GET /answer []");
	expect_answer(fd, "late");
	expect_answer(fd, "GET /next []");
	/* One that has asked to be closed, and one that has gone. */
	send_text(fd, "GET /later HTTP/1.1\r\nConnection: close\r\n\r\n");
	shutdown(fd, SHUT_WR);
	await_owed(other);
	send_text(other, "GET /answer HTTP/1.1\r\n\r\n");
	expect_answer(other, "GET /answer []");
	expect_text(fd, "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: close\r\n"
			"Content-Type: application/json\r\nContent-Length: 4\r\n\r\nlate");
	expect_end(fd);
	fd = connect_to(f->path);
	send_text(fd, "GET /later HTTP/1.1\r\n\r\n");
	await_owed(other);
	close(fd);
	send_text(other, "GET /answer HTTP/1.1\r\n\r\n");
	expect_answer(other, "GET /answer []");
	close(other);
}

static void impossible_socket_paths(void **state)
{
	struct fixture *f = *state;
	char path[256];

	snprintf(path, sizeof(path), "%s/%0120d", f->dir, 0);
	expect_no_socket(f, path, -ENAMETOOLONG, "bytes");
	expect_no_socket(f, "", -ENAMETOOLONG, "0 bytes");
	expect_no_socket(f, f->path, -EADDRINUSE, "in use");
	snprintf(path, sizeof(path), "%s/none/sock", f->dir);
	expect_no_socket(f, path, -ENOENT, "cannot be created");
	snprintf(path, sizeof(path), "%s/sock/sock", f->dir);
	expect_no_socket(f, path, -ENOTDIR, "cannot be created");

	snprintf(path, sizeof(path), "%s/file", f->dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	expect_no_socket(f, path, -EADDRINUSE, "nobody listens");
	assert_int_equal(unlink(path), 0);
}

static void socket_file_is_removed_only_when_ours(void **state)
{
	struct fixture *f = *state;
	struct loop *loop; /* the fixture's belongs to its thread */
	struct http_server *server;
	struct error err;
	char path[64];

	assert_int_equal(loop_create(&loop), 0);
	snprintf(path, sizeof(path), "%s/second", f->dir);
	assert_int_equal(listen_at(loop, path, NULL, &server, &err), 0);
	http_destroy(server);
	assert_int_equal(access(path, F_OK), -1);

	assert_int_equal(listen_at(loop, path, NULL, &server, &err), 0);
	assert_int_equal(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	http_destroy(server);
	assert_int_equal(unlink(path), 0);
	http_destroy(NULL);
	loop_destroy(loop);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(answers_have_firecrackers_bytes),
		WITH_SERVER(verbs_and_uris),
		WITH_SERVER(split_requests),
		WITH_SERVER(pipelined_requests_are_answered_in_order),
		WITH_SERVER(expect_100_continue),
		WITH_SERVER(bad_requests_are_refused),
		WITH_SERVER(oversize_refusal_has_firecrackers_length),
		WITH_SERVER(lines_have_a_limit),
		WITH_SERVER(endless_headers_are_refused),
		WITH_SERVER(chunked_body_over_the_limit),
		WITH_SERVER(largest_body_is_taken),
		WITH_SERVER(bodies_of_another_length),
		WITH_SERVER(close_is_honoured),
		WITH_SERVER(slow_clients_stop_only_themselves),
		WITH_SERVER(eleventh_client_gets_503),
		WITH_SERVER(client_is_turned_away_without_descriptors),
		WITH_SERVER(answers_may_come_later),
		WITH_SERVER(impossible_socket_paths),
		WITH_SERVER(socket_file_is_removed_only_when_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
