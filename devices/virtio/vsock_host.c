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

static const struct listener_name name = { "uds_path", "vsock socket" };

int vsock_host_listen(struct vsock_host *h, const char *path, struct error *err)
{
	return listener_open(&h->listener, path, PORT_SUFFIX, BACKLOG, &name, err);
}

void vsock_host_close(struct vsock_host *h)
{
	listener_close(&h->listener);
}

int vsock_host_accept(const struct vsock_host *h)
{
	int fd = accept4(h->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int vsock_host_connect(const struct vsock_host *h, uint32_t port)
{
	struct sockaddr_un to = h->listener.address;
	size_t len = strlen(to.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	snprintf(to.sun_path + len, sizeof(to.sun_path) - len, "_%" PRIu32, port);
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	return fd;
}
