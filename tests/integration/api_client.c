/* api_client.c - requests to the API socket of a wisp under test.
 *
 * Calls are libwisp's. What a client does that it has no call for is done here by hand: to
 * keep a connection that was answered or refused, and to hear events one by one between
 * calls, each within a time limit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/client/libwisp.h"
#include "tests/integration/api_client.h"
#include "vmm/base/clock.h"

#define LISTEN "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"

enum {
	ANSWER_BYTES = 8192,
	HEAD_BYTES = 512,
	RETRY_US = 1000,
	CALL_LIMIT_MS = 240 * 1000, /* to end a hung test, not to measure */
};

/* The connection, or -1. */
static int try_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

void api_wait(const char *socket_path, unsigned limit_s)
{
	uint64_t deadline_us = clock_now_us() + limit_s * 1000000ull;
	int fd;

	while ((fd = try_connect(socket_path)) < 0) {
		if (clock_now_us() > deadline_us)
			fail_msg("nobody listens on %s after %u s", socket_path, limit_s);
		usleep(RETRY_US);
	}
	close(fd);
}

/* A server that refuses a request need not read all of it: an error is no failure. */
static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void read_answer(int fd, char *answer, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, answer + len, size - 1 - len)) > 0)
		len += (size_t)n;
	answer[len] = '\0';
}

int api_send(const char *socket_path, const char *verb, const char *path, const char *body)
{
	char head[HEAD_BYTES];
	size_t body_len = body ? strlen(body) : 0;
	int fd = try_connect(socket_path);

	assert_true(fd >= 0);
	snprintf(head, sizeof(head),
		 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		 "Content-Length: %zu\r\n\r\n",
		 verb, path, body_len);
	send_all(fd, head, strlen(head));
	send_all(fd, body, body_len);
	shutdown(fd, SHUT_WR);
	return fd;
}

void api_receive(int fd, struct api_reply *ret)
{
	char answer[ANSWER_BYTES];
	const char *answer_body;

	read_answer(fd, answer, sizeof(answer));
	close(fd);
	if (sscanf(answer, "HTTP/1.1 %d", &ret->status) != 1)
		fail_msg("no answer, but \"%s\"", answer);
	answer_body = strstr(answer, "\r\n\r\n");
	snprintf(ret->body, sizeof(ret->body), "%s", answer_body ? answer_body + 4 : "");
}

void api_call(const char *socket_path, const char *verb, const char *path, const char *body,
	      struct api_reply *ret)
{
	struct wisp_reply reply;
	struct wisp *w;
	int r;

	assert_int_equal(wisp_open(socket_path, &w), 0);
	wisp_set_timeout(w, CALL_LIMIT_MS);
	r = wisp_call(w, verb, path, body, &reply);
	if (r < 0 && !reply.status)
		fail_msg("%s %s: no answer: %s", verb, path, wisp_error(w));
	ret->status = reply.status;
	snprintf(ret->body, sizeof(ret->body), "%s", reply.body);
	wisp_reply_clear(&reply);
	wisp_close(w);
}

int api_ask(const char *socket_path, const char *path, int *status)
{
	char request[HEAD_BYTES], answer[ANSWER_BYTES];
	int fd = try_connect(socket_path);
	ssize_t n;

	assert_true(fd >= 0);
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	send_all(fd, request, strlen(request));
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	answer[n > 0 ? n : 0] = '\0';
	if (sscanf(answer, "HTTP/1.1 %d", status) != 1)
		*status = 0;
	return fd;
}

int api_listen(const char *socket_path)
{
	int fd = try_connect(socket_path);

	assert_true(fd >= 0);
	send_all(fd, LISTEN, sizeof(LISTEN) - 1);
	return fd;
}

/* A line without its end, byte by byte, so that nothing of the next is taken. False: it
 * did not come in time, or never will. */
static bool read_line(int fd, uint64_t deadline_us, char *line, size_t size)
{
	size_t len = 0;

	for (;;) {
		uint64_t now_us = clock_now_us();
		uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 1;
		struct timeval left = { (time_t)(left_us / 1000000), (long)(left_us % 1000000) };
		char c;

		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof(left));
		if (recv(fd, &c, 1, 0) != 1)
			return false;
		if (c == '\n')
			break;
		if (c != '\r' && len < size - 1)
			line[len++] = c;
	}
	line[len] = '\0';
	return true;
}

static void find_event(int fd, const char *name, const char *words, bool first, unsigned limit_s)
{
	uint64_t deadline_us = clock_now_us() + limit_s * 1000000ull;
	char line[ANSWER_BYTES], last[ANSWER_BYTES] = "";
	bool named = false;

	while (read_line(fd, deadline_us, line, sizeof(line))) {
		if (strncmp(line, "event: ", 7) == 0)
			named = strcmp(line + 7, name) == 0;
		if (!named || strncmp(line, "data: ", 6) != 0)
			continue;
		if (strstr(line, words))
			return;
		if (first)
			fail_msg("%s: wanted %s, heard %s", name, words, line);
		strcpy(last, line);
	}
	fail_msg("%s with %s was not heard in %u s; the last was %s", name, words, limit_s, last);
}

void api_expect_event(int fd, const char *name, const char *words, unsigned limit_s)
{
	find_event(fd, name, words, true, limit_s);
}

void api_await_event(int fd, const char *name, const char *words, unsigned limit_s)
{
	find_event(fd, name, words, false, limit_s);
}
