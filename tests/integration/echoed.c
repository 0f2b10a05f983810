/* echoed.c - a stream of bytes that a guest sends back, compared as it comes. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/echoed.h"

enum { ON_ITS_WAY = 128 * 1024, PIECE = 16 * 1024, RETRY_US = 10000, REST_US = 100000 };

struct stream {
	int fd;
	unsigned number;
	uint64_t sent, received;
};

static unsigned char byte_at(const struct stream *s, uint64_t place)
{
	uint64_t mixed = ((uint64_t)s->number << 48 ^ (place + 1)) * 0x9e3779b97f4a7c15u;

	return (unsigned char)(mixed >> 32 ^ mixed >> 56);
}

static bool send_piece(struct stream *s)
{
	unsigned char piece[PIECE];
	ssize_t n;

	for (unsigned i = 0; i < sizeof(piece); i++)
		piece[i] = byte_at(s, s->sent + i);
	n = send(s->fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return false;
	s->sent += (uint64_t)n;
	return true;
}

/* False: the end, by the other side or because of what came. */
static bool receive_piece(struct stream *s, struct echoed *e)
{
	unsigned char piece[PIECE];
	ssize_t n = recv(s->fd, piece, sizeof(piece), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	for (ssize_t i = 0; i < n; i++) {
		if (s->received == s->sent || piece[i] != byte_at(s, s->received)) {
			e->wrong++;
			return false;
		}
		s->received++;
	}
	e->bytes += (uint64_t)n;
	usleep(REST_US);
	return true;
}

static void carry(struct stream *s, struct echoed *e)
{
	bool open = true;

	while (open) {
		struct pollfd p = { .fd = s->fd, .events = POLLIN };

		if (s->sent - s->received < ON_ITS_WAY)
			p.events |= POLLOUT;
		poll(&p, 1, -1);
		if (p.revents & (POLLIN | POLLHUP | POLLERR))
			open = receive_piece(s, e);
		if (open && (p.revents & POLLOUT))
			open = send_piece(s);
	}
}

static void run(echoed_open open, const void *arg, struct echoed *e)
{
	for (;;) {
		struct stream s = { .fd = open(arg), .number = e->begun };

		if (s.fd < 0) {
			usleep(RETRY_US);
			continue;
		}
		e->begun++;
		carry(&s, e);
		e->finished++;
		close(s.fd);
	}
}

const struct echoed *echoed_start(echoed_open open, const void *arg)
{
	struct echoed *e =
		mmap(NULL, sizeof(*e), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	assert_true(e != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(open, arg, e);
	}
	return e;
}
