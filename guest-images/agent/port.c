/* port.c - the agent of a guest that has virtio ports for a vsock.
 *
 * A port is one stream, which the host opens and closes. Each has a process that waits for
 * the line "CONNECT port" and answers it, as a VMM would; then a session (session.c) has the
 * stream, through a pair of sockets, until it ends or the host closes. What comes between two
 * sessions and is no such line is left over from one that ended early, and passed over. Only root
 * in the guest can open a port, and what speaks on it is the host.
 *
 * A port that the host has closed is always ready to be read, as a file at its end: a signal
 * tells when it is opened (FASYNC in the kernel's drivers/char/virtio_console.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/agent.h"
#include "guest-images/agent/session.h"

enum {
	BUFFER_BYTES = 32 << 10,
	LINE_BYTES = 32,
	FIND_TRIES = 1200, /* at 50 ms */
	FIND_WAIT_NS = 50000000,
	CLOSED_WAIT_S = 1, /* should a signal be lost */
};

#define CLASS "/sys/class/virtio-ports"
#define NAME  "wisp.agent."

struct flow {
	int from, to;
	size_t at, len;
	char bytes[BUFFER_BYTES];
	char last[LINE_BYTES]; /* the end of all that was read, NUL-terminated */
};

/* --- carrying --- */

static void note_last(struct flow *f)
{
	size_t more = f->len < LINE_BYTES - 1 ? f->len : LINE_BYTES - 1, kept = strlen(f->last);

	if (kept + more > LINE_BYTES - 1) {
		size_t gone = kept + more - (LINE_BYTES - 1);

		memmove(f->last, f->last + gone, kept - gone);
		kept -= gone;
	}
	memcpy(f->last + kept, f->bytes + f->len - more, more);
	f->last[kept + more] = '\0';
}

/* 0, also when there is nothing to do; -EPIPE: the end of either side. */
static int flow_move(struct flow *f)
{
	ssize_t n;

	if (f->at == f->len) {
		n = read(f->from, f->bytes, sizeof(f->bytes));
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
		f->at = 0;
		f->len = (size_t)n;
		note_last(f);
	}
	n = write(f->to, f->bytes + f->at, f->len - f->at);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	f->at += (size_t)n;
	return 0;
}

static bool is_pending(const struct flow *f)
{
	return f->at < f->len;
}

/* Until one of them ends. last: the end of what the host has said. */
static void carry(int port, int session, char last[LINE_BYTES])
{
	static struct flow in, out;

	in = (struct flow){ .from = port, .to = session };
	out = (struct flow){ .from = session, .to = port };
	for (;;) {
		struct pollfd p[] = { { .fd = port }, { .fd = session } };

		p[0].events =
			(short)((is_pending(&in) ? 0 : POLLIN) | (is_pending(&out) ? POLLOUT : 0));
		p[1].events =
			(short)((is_pending(&out) ? 0 : POLLIN) | (is_pending(&in) ? POLLOUT : 0));
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents & (POLLHUP | POLLERR))
			return;
		if ((p[0].revents & POLLIN || p[1].revents & POLLOUT) && flow_move(&in) < 0)
			break;
		if ((p[1].revents & (POLLIN | POLLHUP) || p[0].revents & POLLOUT) &&
		    flow_move(&out) < 0)
			break;
	}
	memcpy(last, in.last, LINE_BYTES);
}

/* --- sessions --- */

/* Of what a session runs, nobody is to know how its caller came in. */
static void signals_restore(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void serve_one(int port, char last[LINE_BYTES])
{
	int pair[2];
	pid_t pid;

	last[0] = '\0';
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(port);
		close(pair[0]);
		signals_restore();
		session_serve(pair[1]);
		_exit(0);
	}
	close(pair[1]);
	if (pid > 0 && fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0)
		carry(port, pair[0], last);
	close(pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void wait_for_host(void)
{
	const struct timespec limit = { .tv_sec = CLOSED_WAIT_S };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigtimedwait(&set, NULL, &limit);
}

/* Waits for input; false: the port has gone. */
static bool await_input(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return false;
		if (p.revents & (POLLERR | POLLNVAL))
			return false;
		if (p.revents & POLLIN && !(p.revents & POLLHUP))
			return true;
		if (p.revents & POLLHUP)
			wait_for_host();
	}
}

/* The next line with its end, and no further: what follows is the session's. */
static bool read_line(int fd, char line[LINE_BYTES])
{
	size_t len = 0;

	for (;;) {
		char c;
		ssize_t n;

		if (!await_input(fd))
			return false;
		n = read(fd, &c, 1);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n != 1)
			continue;
		/* No line that means anything is so long: its end is enough. */
		if (len == LINE_BYTES - 1)
			memmove(line, line + 1, --len);
		line[len++] = c;
		line[len] = '\0';
		if (c == '\n')
			return true;
	}
}

/* Whether it ends so: what was left over may stand before it. */
static bool ends_with(const char *line, const char *end)
{
	size_t len = strlen(line), want = strlen(end);

	return len >= want && strcmp(line + len - want, end) == 0;
}

/* A session may end without having heard that the next one was asked for. */
void agent_serve_port(int fd, uint32_t port)
{
	char line[LINE_BYTES], wanted[LINE_BYTES], answer[LINE_BYTES];
	int n = snprintf(answer, sizeof(answer), "OK %u\n", port);
	bool again = false;

	signal(SIGPIPE, SIG_IGN);
	snprintf(wanted, sizeof(wanted), "CONNECT %u\n", port);
	while (again || read_line(fd, line)) {
		if (!again && !ends_with(line, wanted))
			continue;
		again = write(fd, answer, (size_t)n) == n;
		if (again)
			serve_one(fd, line);
		again = again && ends_with(line, wanted);
	}
}

/* --- finding --- */

/* A descriptor that signals what the host does; or a negative errno. */
static int port_open(const char *device)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", device);
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETOWN, getpid()) == 0 &&
	    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC) == 0)
		return fd;
	close(fd);
	return -EIO;
}

static void port_run(const char *device, uint32_t port)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = port_open(device);
	if (fd >= 0)
		agent_serve_port(fd, port);
	_exit(1);
}

/* The number behind our name; -1: it is somebody else's. */
static long port_number(const char *device)
{
	char path[300], name[64] = "", *end;
	long number;
	FILE *f;

	snprintf(path, sizeof(path), CLASS "/%s/name", device);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	if (strncmp(name, NAME, strlen(NAME)) != 0)
		return -1;
	number = strtol(name + strlen(NAME), &end, 10);
	return end != name + strlen(NAME) && number < AGENT_PORTS_MAX ? number : -1;
}

/* Starts a process for each that is new; how many there are now. */
static unsigned ports_find(bool begun[AGENT_PORTS_MAX], uint32_t port)
{
	DIR *dir = opendir(CLASS);
	struct dirent *e;
	unsigned count = 0;

	while (dir && (e = readdir(dir)) != NULL) {
		long number = e->d_name[0] == '.' ? -1 : port_number(e->d_name);

		if (number < 0 || begun[number])
			continue;
		begun[number] = true;
		if (fork() == 0)
			port_run(e->d_name, port);
	}
	if (dir)
		closedir(dir);
	for (unsigned i = 0; i < AGENT_PORTS_MAX; i++)
		count += begun[i];
	return count;
}

/* A driver that was loaded just now brings its ports by and by. */
static void ports_keep(uint32_t port, unsigned count)
{
	const struct timespec wait = { .tv_nsec = FIND_WAIT_NS };
	bool begun[AGENT_PORTS_MAX] = { false };

	for (unsigned i = 0; i < FIND_TRIES && ports_find(begun, port) < count; i++)
		nanosleep(&wait, NULL);
	while (wait4(-1, NULL, 0, NULL) > 0 || errno == EINTR)
		;
}

int agent_start_ports(uint32_t port, unsigned count)
{
	pid_t pid = fork();

	if (pid == 0) {
		agent_detach();
		ports_keep(port, count < AGENT_PORTS_MAX ? count : AGENT_PORTS_MAX);
		_exit(1);
	}
	return pid < 0 ? -errno : 0;
}
