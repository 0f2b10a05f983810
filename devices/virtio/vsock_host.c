/* vsock_host.c - the host's side of a vsock device: Unix stream sockets.
 *
 * System calls: socket, bind, lstat, listen, accept4, connect, unlink.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/vsock_host.h"
#include "vmm/base/fd.h"

enum { BACKLOG = 128, PORT_SUFFIX = 11 /* "_4294967295" */ };

static const char field[] = "uds_path";

static int set_address(struct vsock_host *h, const char *path, struct error *err)
{
	size_t max = sizeof(h->address.sun_path) - 1 - PORT_SUFFIX;
	size_t len = strlen(path);

	if (len == 0 || len > max)
		return error_set(err, -ENAMETOOLONG, field, "choose a shorter path",
				 "The vsock socket's path has %zu bytes and can have 1 to %zu", len,
				 max);
	h->address.sun_family = AF_UNIX;
	memcpy(h->address.sun_path, path, len + 1);
	return 0;
}

static int explain_bind(const struct vsock_host *h, int errnum, struct error *err)
{
	static const struct {
		int errnum;
		const char *hint;
	} hints[] = {
		{ EADDRINUSE, "remove the file if nobody uses it, or choose another path" },
		{ ENOENT, "create its directory, or choose another path" },
		{ ENOTDIR, "a part of the path is not a directory" },
		{ EACCES, "write permission on its directory is needed" },
		{ EPERM, "write permission on its directory is needed" },
		{ EROFS, "choose a path on a writable file system" },
	};
	const char *hint = "choose another path";

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		if (hints[i].errnum == errnum)
			hint = hints[i].hint;
	}
	return error_set(err, -errnum, field, hint, "The vsock socket %s cannot be created: %s",
			 h->address.sun_path, strerror(errnum));
}

static int stream_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int vsock_host_listen(struct vsock_host *h, const char *path, struct error *err)
{
	struct stat st;
	int r;

	*h = (struct vsock_host){ .fd = -1 };
	r = set_address(h, path, err);
	if (r < 0)
		return r;
	h->fd = stream_socket();
	if (h->fd < 0)
		return error_set(err, h->fd, field, NULL, "A Unix socket cannot be created: %s",
				 strerror(-h->fd));
	if (bind(h->fd, (const struct sockaddr *)&h->address, sizeof(h->address)) < 0)
		return explain_bind(h, errno, err);
	if (lstat(path, &st) < 0)
		return error_errno(err, field, NULL, "The vsock socket %s vanished", path);
	h->dev = st.st_dev;
	h->ino = st.st_ino;
	h->bound = true;
	if (listen(h->fd, BACKLOG) < 0)
		return error_errno(err, field, NULL, "Listening on %s failed", path);
	return 0;
}

void vsock_host_close(struct vsock_host *h)
{
	struct stat st;

	if (h->bound && lstat(h->address.sun_path, &st) == 0 && st.st_dev == h->dev &&
	    st.st_ino == h->ino)
		unlink(h->address.sun_path);
	h->bound = false;
	if (h->fd >= 0)
		h->fd = fd_close(h->fd);
}

int vsock_host_accept(const struct vsock_host *h)
{
	int fd = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int vsock_host_connect(const struct vsock_host *h, uint32_t port)
{
	struct sockaddr_un to = h->address;
	size_t len = strlen(to.sun_path);
	int fd = stream_socket();

	if (fd < 0)
		return fd;
	snprintf(to.sun_path + len, sizeof(to.sun_path) - len, "_%" PRIu32, port);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	return fd;
}
