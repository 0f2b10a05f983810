/* echo.c - one end sends back what the other sends, and the other checks it.
 *
 * The bytes of a connection are a function of its number and of their place, so that any
 * that is lost, doubled, out of order or another connection's is seen.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-images/vsock/echo.h"

enum { CHUNK = 64 * 1024 };

static bool write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static int echo_one(int fd)
{
	static char buffer[CHUNK];
	ssize_t n;

	do
		n = read(fd, buffer, sizeof(buffer));
	while (n > 0 && write_all(fd, buffer, (size_t)n));
	if (n != 0)
		perror("echo");
	return n != 0;
}

int echo_serve(const struct address *a)
{
	int listener = address_listen(a), fd;

	if (listener < 0)
		return 1;
	signal(SIGCHLD, SIG_IGN); /* nobody waits for them */
	puts("listening");
	fflush(stdout);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(echo_one(fd));
		if (pid < 0)
			perror("fork");
		close(fd);
	}
	perror("accept");
	return 1;
}

/* Eight bytes of a stream, unlike those at any other place: an odd factor loses nothing. */
static uint64_t pattern_word(uint64_t stream, uint64_t index)
{
	uint64_t mixed = (stream << 40 | index) * 0x9e3779b97f4a7c15u;

	return mixed ^ mixed >> 32;
}

/* len bytes of a stream from place on. */
static void pattern(uint64_t stream, uint64_t place, char *to, size_t len)
{
	while (len > 0) {
		uint64_t word = pattern_word(stream, place / 8);
		size_t skip = place % 8, n = sizeof(word) - skip;

		if (n > len)
			n = len;
		memcpy(to, (const char *)&word + skip, n);
		place += n;
		to += n;
		len -= n;
	}
}

struct exchange {
	int fd;
	uint64_t stream, bytes;
	uint64_t sent, received;
};

static size_t chunk(uint64_t left)
{
	return left < CHUNK ? (size_t)left : CHUNK;
}

/* Sends what the socket takes; behind the last byte, the end of the stream. */
static bool send_some(struct exchange *x)
{
	static char buffer[CHUNK];
	size_t len = chunk(x->bytes - x->sent);
	ssize_t n;

	pattern(x->stream, x->sent, buffer, len);
	n = send(x->fd, buffer, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN;
	x->sent += (uint64_t)n;
	return x->sent < x->bytes || shutdown(x->fd, SHUT_WR) == 0;
}

/* 1: go on; 0: the end; -1: failed, errno is 0 when the bytes are wrong. */
static int receive_some(struct exchange *x)
{
	static char got[CHUNK], wanted[CHUNK];
	ssize_t n = recv(x->fd, got, sizeof(got), MSG_DONTWAIT);

	if (n <= 0)
		return n == 0 ? 0 : errno == EAGAIN ? 1 : -1;
	errno = 0;
	if ((uint64_t)n > x->bytes - x->received)
		return -1;
	pattern(x->stream, x->received, wanted, (size_t)n);
	x->received += (uint64_t)n;
	return memcmp(got, wanted, (size_t)n) == 0 ? 1 : -1;
}

static bool exchange(struct exchange *x)
{
	int r = 1;

	if (x->bytes == 0 && shutdown(x->fd, SHUT_WR) < 0)
		return false;
	while (r > 0) {
		struct pollfd p = { .fd = x->fd, .events = POLLIN };

		if (x->sent < x->bytes)
			p.events |= POLLOUT;
		if (poll(&p, 1, -1) < 0)
			return false;
		if ((p.revents & POLLOUT) && !send_some(x))
			return false;
		if (p.revents & (POLLIN | POLLHUP | POLLERR))
			r = receive_some(x);
	}
	if (r == 0)
		errno = 0;
	return r == 0 && x->received == x->bytes;
}

static int check_one(const struct address *a, uint64_t stream, uint64_t bytes)
{
	struct exchange x = { address_connect(a), stream, bytes, 0, 0 };

	if (x.fd < 0)
		return 1;
	if (exchange(&x))
		return 0;
	fprintf(stderr, "connection %" PRIu64 ": %s: %" PRIu64 " bytes sent, %" PRIu64 " back\n",
		stream, errno ? strerror(errno) : "wrong bytes", x.sent, x.received);
	return 1;
}

int echo_check(const struct address *a, uint64_t connections, uint64_t bytes)
{
	uint64_t right = 0;
	int status;

	for (uint64_t i = 0; i < connections; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(check_one(a, i, bytes));
		if (pid < 0)
			perror("fork");
	}
	while (wait(&status) > 0)
		right += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	printf("%" PRIu64 " of %" PRIu64 " echoes right\n", right, connections);
	return right != connections;
}
