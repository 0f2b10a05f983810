/* vhost_link.c - a connection to a vhost-user back end: requests, and their answers. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices/virtio/vhost_link.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

void vhost_link_init(struct vhost_link *l)
{
	*l = (struct vhost_link){ .fd = -1, .inbox = { .fd = -1 } };
}

static int connect_to(struct vhost_link *l, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len + 1);
	/* Non-blocking: a listener whose queue is full would keep us waiting. */
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	if (connect(l->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		vhost_link_close(l);
		return r;
	}
	return 0;
}

int vhost_link_open(struct vhost_link *l, const char *path)
{
	if (!fd_is_named(path))
		return connect_to(l, path);
	l->fd = fd_take_socket(path);
	return l->fd < 0 ? l->fd : 0;
}

void vhost_link_close(struct vhost_link *l)
{
	vhost_inbox_clear(&l->inbox);
	fd_close(l->fd);
	vhost_link_init(l);
}

int vhost_link_send(struct vhost_link *l, const struct vhost_call *c)
{
	struct vhost_header header = {
		.request = c->request,
		.flags = VHOST_USER_VERSION | (c->acknowledge ? VHOST_USER_NEED_REPLY : 0),
		.size = c->len,
	};
	uint32_t answer_len = c->acknowledge ? sizeof(uint64_t) : c->answer_len;
	int r;

	if (answer_len > 0 && l->awaited)
		return -EBUSY;
	r = vhost_send(l->fd, &header, c->payload, c->fds, c->nfds);
	if (r < 0 || answer_len == 0)
		return r;
	vhost_inbox_clear(&l->inbox);
	l->awaited = c->request;
	l->answer_len = answer_len;
	l->answer_has_fd = c->answer_has_fd;
	return 0;
}

static bool answer_fits(const struct vhost_link *l)
{
	const struct vhost_header *h = &l->inbox.header;

	return h->request == l->awaited && h->flags & VHOST_USER_REPLY &&
	       h->size == l->answer_len && (l->inbox.fd >= 0) == l->answer_has_fd;
}

int vhost_link_receive(struct vhost_link *l)
{
	int r;

	if (!l->awaited)
		vhost_inbox_clear(&l->inbox);
	r = vhost_receive(l->fd, &l->inbox, l->awaited ? l->answer_len : 0);
	if (!l->awaited && r >= 0)
		return l->inbox.got > 0 ? -EPROTO : 0;
	if (r <= 0)
		return r;
	if (!answer_fits(l))
		return -EPROTO;
	l->awaited = 0;
	return 1;
}

int vhost_link_wait(const struct vhost_link *l, uint64_t deadline_us)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };
	int n;

	do {
		uint64_t now_us = clock_now_us();

		if (now_us >= deadline_us)
			return -ETIMEDOUT;
		n = poll(&p, 1, (int)((deadline_us - now_us + 999) / 1000));
	} while (n == 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}
