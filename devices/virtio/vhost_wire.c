/* vhost_wire.c - messages of the vhost-user protocol on a Unix socket.
 *
 * The other end is another process, which may be hostile: a length is checked before
 * it is used, no more descriptors are taken than one a message, and every one is
 * closed unless somebody asked for it.
 *
 * System calls: sendmsg, recvmsg, close.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/virtio/vhost_wire.h"
#include "vmm/base/fd.h"

int vhost_send(int sock, const struct vhost_header *header, const void *payload, const int *fds,
	       unsigned nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(VHOST_USER_MAX_REGIONS * sizeof(int))];
	} control;
	struct iovec iov[] = {
		{ (void *)header, sizeof(*header) },
		{ (void *)payload, header->size },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (nfds > VHOST_USER_MAX_REGIONS)
		return -EINVAL;
	if (nfds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));

		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*header) + header->size ? 0 : -EAGAIN;
}

/* Keeps the descriptor that came with a part of a message: the first and only one. The
 * room for control data is for one; the kernel closes what does not fit. */
static int keep_fd(struct vhost_inbox *in, struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (fd >= 0 && in->fd >= 0) {
		fd_close(fd);
		return -EPROTO;
	}
	if (fd >= 0)
		in->fd = fd;
	return msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

/* Up to len bytes more of the message; how many, 0 when none are there, or an error. */
static int receive_some(int sock, struct vhost_inbox *in, void *to, size_t len)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { to, len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	ssize_t n;

	do
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -EPIPE;

	int r = keep_fd(in, &msg);

	in->got += (size_t)n;
	return r < 0 ? r : (int)n;
}

static int check_header(const struct vhost_header *h, uint32_t max_len)
{
	if ((h->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION || h->size > max_len)
		return -EPROTO;
	return 0;
}

int vhost_receive(int sock, struct vhost_inbox *in, uint32_t max_len)
{
	const size_t head = sizeof(in->header);
	int r = 1;

	if (max_len > sizeof(in->payload))
		return -EINVAL;
	while (r > 0 && in->got < head)
		r = receive_some(sock, in, (char *)&in->header + in->got, head - in->got);
	if (r > 0)
		r = check_header(&in->header, max_len) < 0 ? -EPROTO : 1;
	while (r > 0 && in->got < head + in->header.size)
		r = receive_some(sock, in, (char *)&in->payload + (in->got - head),
				 head + in->header.size - in->got);
	return r > 0 ? 1 : r;
}

void vhost_inbox_clear(struct vhost_inbox *in)
{
	in->fd = fd_close(in->fd);
	in->got = 0;
}
