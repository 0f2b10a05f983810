/* agent.c - the guest's agent: a listener, and a process for each connection.
 *
 * A connection's process serves one request (session.c) and ends, so that nothing which
 * happens in one can reach another: no shared buffers, no state that outlives a
 * request. There are at most MAX_SESSIONS; more wait in the listener's queue. Snapshots
 * reset connections, which then end as if the caller had gone; the listener stays.
 *
 * Who may call is decided on the host, by the mode of the vsock's Unix socket. Programs in
 * the guest are refused: for them the agent, which is root, would be a way up.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "guest-images/agent/agent.h"
#include "guest-images/agent/session.h"

enum { MAX_SESSIONS = 256, BACKLOG = 128 };

/* Takes note of sessions that ended; waits for one when there are too many. */
static void sessions_reap(unsigned *count)
{
	while (*count > 0) {
		pid_t pid = waitpid(-1, NULL, *count < MAX_SESSIONS ? WNOHANG : 0);

		if (pid == 0)
			return;
		if (pid > 0)
			(*count)--;
		else if (errno != EINTR)
			*count = 0; /* ECHILD */
	}
}

static bool from_host(int fd)
{
	struct sockaddr_vm peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
		return false;
	return peer.svm_family != AF_VSOCK || peer.svm_cid == VMADDR_CID_HOST;
}

static void connection_serve(int listener, int fd)
{
	signal(SIGCHLD, SIG_DFL);
	close(listener);
	if (from_host(fd))
		session_serve(fd);
	_exit(0);
}

static void on_child(int number)
{
	(void)number; /* accept() is to return */
}

int agent_serve(int listener)
{
	const struct sigaction wake = { .sa_handler = on_child };
	unsigned sessions = 0;

	if (sigaction(SIGCHLD, &wake, NULL) < 0)
		return -errno;
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pid_t pid;

		sessions_reap(&sessions);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EMFILE))
			continue;
		if (fd < 0)
			return -errno;
		pid = fork();
		if (pid == 0)
			connection_serve(listener, fd);
		sessions += pid > 0;
		close(fd); /* without a process, the caller sees the end of the connection */
	}
}

static int listen_on(uint32_t port)
{
	const struct sockaddr_vm at = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_ANY,
		.svm_port = port,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* A guest that runs out of memory keeps the way in by which it can be looked at. */
static void oom_exempt(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "-1000", 5);

	(void)n; /* then it is a process like others */
	if (fd >= 0)
		close(fd);
}

void agent_detach(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* The console belongs to others; what goes wrong is told to the caller. */
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	oom_exempt();
}

static void agent_run(int listener)
{
	agent_detach();
	agent_serve(listener);
	_exit(1);
}

int agent_start(uint32_t port)
{
	int listener = listen_on(port), r = 0;
	pid_t pid;

	if (listener < 0)
		return listener;
	pid = fork();
	if (pid == 0)
		agent_run(listener);
	if (pid < 0)
		r = -errno;
	close(listener);
	return r;
}
