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

int activation_take_socket(struct error *err)
{
	long pid = number_of("LISTEN_PID"), count = number_of("LISTEN_FDS");

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (pid != getpid() || count <= 0)
		return 0;
	if (count > 1)
		return error_set(err, -EINVAL, "LISTEN_FDS", "pass one socket",
				 "LISTEN_FDS is %ld; one socket can be served", count);
	if (set_cloexec(FIRST_FD) < 0 || socket_option(FIRST_FD, SO_DOMAIN) != AF_UNIX ||
	    socket_option(FIRST_FD, SO_TYPE) != SOCK_STREAM ||
	    socket_option(FIRST_FD, SO_ACCEPTCONN) != 1)
		return error_set(err, -ENOTSOCK, "LISTEN_FDS",
				 "pass a Unix stream socket that listens",
				 "Descriptor %d is no listening Unix socket", FIRST_FD);
	return FIRST_FD;
}

int activation_check_fd(int ready_fd, struct error *err)
{
	if (ready_fd == 0 || set_cloexec(ready_fd) == 0)
		return 0;
	return error_set(err, -EBADF, "ready-fd", "pass the number of an open descriptor",
			 "Descriptor %d is not open", ready_fd);
}

/* "@name" is a socket in the abstract namespace. 0 or a negative errno. */
static int notify(const char *path, const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd, r = 0;

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

void activation_ready(int ready_fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int r = path && path[0] ? notify(path, "READY=1\n") : 0;

	unsetenv("NOTIFY_SOCKET");
	if (r < 0)
		log_warn("NOTIFY_SOCKET was not told: %s", strerror(-r));
	if (ready_fd == 0)
		return;
	if (write(ready_fd, "\n", 1) < 0)
		log_warn("--ready-fd was not told: %s", strerror(errno));
	fd_close(ready_fd);
}
