/* console_host.c - where a console's clients come from: a Unix socket or a PTY.
 *
 * A PTY's master tells by a hang-up that nobody has the terminal open, but not when
 * somebody opens it: inotify does. Before the first opening it does not tell either,
 * so the terminal is opened and closed once. It is made raw then, or it would echo
 * the guest's output back as input.
 *
 * System calls: socket, bind, lstat, listen, accept4, send, openat, ioctl (of PTYs),
 * inotify_init1, inotify_add_watch, read, poll, symlink, readlink, unlink.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "devices/virtio/console_host.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { BACKLOG = 8 };

static const char refusal[] = "wisp: this console has as many clients as it can have\r\n";

/* Raw from its first byte on, and hung up. */
static int prepare_terminal(const struct console_host *h)
{
	int fd = open(h->terminal, O_RDWR | O_NOCTTY | O_CLOEXEC), r = 0;
	struct termios raw;

	if (fd < 0)
		return -errno;
	if (tcgetattr(fd, &raw) < 0)
		r = -errno;
	cfmakeraw(&raw);
	if (r == 0 && tcsetattr(fd, TCSANOW, &raw) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

static int open_terminal(struct console_host *h)
{
	h->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (h->master < 0 || unlockpt(h->master) < 0 ||
	    ptsname_r(h->master, h->terminal, sizeof(h->terminal)) != 0)
		return -errno;
	h->opened = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (h->opened < 0)
		return -errno;
	return prepare_terminal(h);
}

static int open_pty(struct console_host *h, const char *path, struct error *err)
{
	int r = open_terminal(h);

	/* From here on: the opening before was ours. */
	if (r == 0 && inotify_add_watch(h->opened, h->terminal, IN_OPEN) < 0)
		r = -errno;
	if (r < 0)
		return error_set(err, r, "pty_path", "give uds_path instead",
				 "A PTY cannot be opened: %s", strerror(-r));
	if (strlen(path) >= sizeof(h->link))
		return error_set(err, -ENAMETOOLONG, "pty_path", NULL, "The path is too long");
	if (symlink(h->terminal, path) < 0)
		return error_errno(err, "pty_path", "choose another path, or remove what is there",
				   "The link %s to the console's PTY cannot be made", path);
	memcpy(h->link, path, strlen(path) + 1);
	return 0;
}

int console_host_open(struct console_host *h, const char *uds_path, const char *pty_path,
		      struct error *err)
{
	static const struct listener_name name = { "uds_path", "console socket" };

	*h = (struct console_host){ .listener.fd = -1, .master = -1, .opened = -1 };
	if ((uds_path[0] != '\0') == (pty_path[0] != '\0'))
		return error_set(err, -EINVAL, "uds_path", "give one of uds_path and pty_path",
				 "A console needs one place where its clients find it");
	if (pty_path[0])
		return open_pty(h, pty_path, err);
	return listener_open(&h->listener, uds_path, 0, BACKLOG, &name, err);
}

/* Only if it is still ours. */
static void remove_link(struct console_host *h)
{
	char target[sizeof(h->terminal)];
	ssize_t n = h->link[0] ? readlink(h->link, target, sizeof(target)) : -1;

	if (n >= 0 && (size_t)n == strlen(h->terminal) &&
	    memcmp(target, h->terminal, (size_t)n) == 0)
		unlink(h->link);
	h->link[0] = '\0';
}

void console_host_close(struct console_host *h)
{
	remove_link(h);
	h->opened = fd_close(h->opened);
	h->master = fd_close(h->master);
	listener_close(&h->listener);
}

int console_host_fd(const struct console_host *h)
{
	return h->master >= 0 ? h->opened : h->listener.fd;
}

static int take_terminal(struct console_host *h)
{
	char events[16 * sizeof(struct inotify_event)];
	struct pollfd p = { .fd = h->master };
	ssize_t n = read(h->opened, events, sizeof(events));
	int fd;

	if (n < 0)
		return -errno;
	/* Closed again already? */
	if (poll(&p, 1, 0) < 0 || (p.revents & POLLHUP))
		return -EAGAIN;
	fd = fcntl(h->master, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int console_host_accept(struct console_host *h)
{
	int fd;

	if (h->master >= 0)
		return take_terminal(h);
	fd = accept4(h->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* A new socket's buffer is empty, so this neither blocks nor falls short. */
void console_host_refuse(int fd)
{
	if (send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL) < 0)
		log_debug("virtio-console: a refusal was not sent: %m");
	fd_close(fd);
}
