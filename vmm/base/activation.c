/* activation.c - a process started by another. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/base/activation.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { FIRST_FD = 3 }; /* where sd_listen_fds(3) puts them */

/* The decimal number in a variable; -1: unset, or none. */
static long number_of(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long n;

	if (!text || !*text)
		return -1;
	n = strtol(text, &end, 10);
	return *end ? -1 : n;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static int set_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 ? -errno : fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

static int check_listening(int fd, const char *field, struct error *err)
{
	if (set_cloexec(fd) == 0 && socket_option(fd, SO_DOMAIN) == AF_UNIX &&
	    socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 1)
		return fd;
	return error_set(err, -ENOTSOCK, field, "pass a Unix stream socket that listens",
			 "Descriptor %d is no listening Unix socket", fd);
}

static int take_named(const char *path, struct error *err)
{
	int fd = fd_take_socket(path);

	return fd < 0 ? error_set(err, fd, "api-sock", "pass a Unix stream socket that listens",
				  "%s is no socket that this process was started with", path)
		      : check_listening(fd, "api-sock", err);
}

int activation_take_socket(const char *path, struct error *err)
{
	long pid = number_of("LISTEN_PID"), count = number_of("LISTEN_FDS");

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (fd_is_named(path))
		return take_named(path, err);
	if (pid != getpid() || count <= 0)
		return 0;
	if (count > 1)
		return error_set(err, -EINVAL, "LISTEN_FDS", "pass one socket",
				 "LISTEN_FDS is %ld; one socket can be served", count);
	return check_listening(FIRST_FD, "LISTEN_FDS", err);
}

/* "@name" is a socket in the abstract namespace. A descriptor or a negative errno. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd, r;

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
		return fd < 0 ? -errno : fd;
	r = -errno;
	fd_close(fd);
	return r;
}

/* Whoever waits may be gone: that is no reason not to start. */
static int open_notify(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = path && path[0] ? connect_to(path) : -ENOENT;

	if (path && path[0] && fd < 0)
		log_warn("NOTIFY_SOCKET cannot be told: %s", strerror(-fd));
	unsetenv("NOTIFY_SOCKET");
	return fd;
}

int activation_open(struct activation *a, int ready_fd, struct error *err)
{
	*a = (struct activation){ .notify_fd = -1 };
	if (ready_fd != 0 && set_cloexec(ready_fd) < 0)
		return error_set(err, -EBADF, "ready-fd", "pass the number of an open descriptor",
				 "Descriptor %d is not open", ready_fd);
	a->ready_fd = ready_fd;
	a->notify_fd = open_notify();
	return 0;
}

void activation_ready(struct activation *a)
{
	static const char ready[] = "READY=1\n";

	if (a->notify_fd >= 0 && send(a->notify_fd, ready, strlen(ready), MSG_NOSIGNAL) < 0)
		log_warn("NOTIFY_SOCKET was not told: %s", strerror(errno));
	if (a->ready_fd > 0 && write(a->ready_fd, "\n", 1) < 0)
		log_warn("--ready-fd was not told: %s", strerror(errno));
	activation_close(a);
}

void activation_close(struct activation *a)
{
	fd_close(a->notify_fd);
	if (a->ready_fd > 0)
		fd_close(a->ready_fd);
	*a = (struct activation){ .notify_fd = -1 };
}
