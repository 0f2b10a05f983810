/* net_passt.c - passt as the back end of a network interface.
 *
 * A stream has no frames of its own, so there is a buffer each way. What arrives is
 * read as it comes, up to the buffer's size in one system call, and copied to the guest
 * frame by frame. What leaves goes out from guest memory at once; when the socket takes
 * a part only, the rest is copied, because its length has been announced and the
 * guest's memory may change.
 *
 * There are no offloads: passt gets and gives complete packets, so the virtio header is
 * all zeroes one way and left out the other.
 *
 * passt is trusted no more than it needs to be. A length that no frame has ends the
 * connection.
 *
 * One that was connected to by its path is connected to again when it is gone, and what
 * was under way either way is lost, as frames are.
 *
 * System calls: socket, connect, recvfrom, sendmsg, close.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "devices/virtio/net_passt.h"
#include "vmm/base/fd.h"

enum {
	LENGTH_BYTES = 4,
	ETHERNET_MAX = 65535, /* passt's longest frame */
	IN_BYTES = 4 * (LENGTH_BYTES + ETHERNET_MAX),
	OUT_BYTES = LENGTH_BYTES + ETHERNET_MAX,
	SPANS_MAX = VIRTQ_MAX_SIZE + 2, /* of a frame that is sent, with its length */
};

/* Bytes at[start] to at[end - 1] are there. */
struct stretch {
	size_t start, end;
};

struct net_passt {
	struct net_backend base;
	struct stretch in, out;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* "": it was inherited */
	char in_at[IN_BYTES];
	char out_at[OUT_BYTES];
};

static struct net_passt *to_passt(struct net_backend *b)
{
	return container_of(b, struct net_passt, base);
}

/* --- from passt --- */

/* Reads what fits. 0 or a negative errno. */
static int refill(struct net_passt *p)
{
	struct stretch *in = &p->in;
	ssize_t n;

	memmove(p->in_at, p->in_at + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
	do
		n = recv(p->base.fd[0], p->in_at + in->end, IN_BYTES - in->end, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	in->end += (size_t)n;
	return n == 0 ? -ENOTCONN : 0;
}

/* The length of the frame that comes next: 0, not all of it is there; or -EPROTO. */
static ssize_t next_length(const struct net_passt *p)
{
	size_t there = p->in.end - p->in.start;
	uint32_t length;

	if (there < LENGTH_BYTES)
		return 0;
	memcpy(&length, p->in_at + p->in.start, LENGTH_BYTES);
	length = ntohl(length);
	if (length < ETH_HLEN || length > ETHERNET_MAX)
		return -EPROTO;
	return there < LENGTH_BYTES + length ? 0 : (ssize_t)length;
}

static size_t copy_part(const struct iov *into, size_t off, const void *src, size_t len)
{
	if (off >= into->len)
		return 0;
	if (len > into->len - off)
		len = into->len - off;
	iov_write(into, off, src, len);
	return len;
}

static ssize_t passt_receive(struct net_backend *b, unsigned pair, const struct iov *into)
{
	static const struct virtio_net_hdr_v1 header;
	struct net_passt *p = to_passt(b);
	ssize_t length;
	size_t n;

	(void)pair;
	while ((length = next_length(p)) == 0) {
		int r = refill(p);

		if (r < 0)
			return r;
	}
	if (length < 0)
		return length;
	n = copy_part(into, 0, &header, sizeof(header));
	n += copy_part(into, n, p->in_at + p->in.start + LENGTH_BYTES, (size_t)length);
	p->in.start += LENGTH_BYTES + (size_t)length;
	return (ssize_t)n;
}

/* --- to passt --- */

static ssize_t send_spans(struct net_passt *p, struct iovec *vec, size_t count)
{
	const struct msghdr m = { .msg_iov = vec, .msg_iovlen = count };
	ssize_t n;

	do
		n = sendmsg(p->base.fd[0], &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* What is left of an earlier frame; nothing, once it cannot be sent any more. 0 or a
 * negative errno. */
static int send_rest(struct net_passt *p)
{
	while (p->base.left_over) {
		struct iovec rest = { p->out_at + p->out.start, p->out.end - p->out.start };
		ssize_t n = send_spans(p, &rest, 1);

		if (n < 0) {
			p->base.left_over = n == -EAGAIN;
			return (int)n;
		}
		p->out.start += (size_t)n;
		p->base.left_over = p->out.start < p->out.end;
	}
	return 0;
}

static int passt_send(struct net_backend *b, unsigned pair, const struct iov *frame)
{
	struct net_passt *p = to_passt(b);
	struct iovec vec[SPANS_MAX];
	uint32_t length;
	int r = send_rest(p);

	(void)pair;
	if (r < 0 || frame->count == 0)
		return r;
	if (frame->len - NET_HEADER_BYTES > ETHERNET_MAX || frame->count >= SPANS_MAX)
		return -EMSGSIZE;
	length = htonl((uint32_t)(frame->len - NET_HEADER_BYTES));
	memcpy(vec + 1, frame->vec, frame->count * sizeof(vec[0]));

	struct iov all = { vec + 1, frame->count, frame->len };

	/* The length takes the place of the header, which may have been a span. */
	iov_skip(&all, NET_HEADER_BYTES);
	*--all.vec = (struct iovec){ &length, LENGTH_BYTES };
	all.count++;
	all.len += LENGTH_BYTES;

	ssize_t n = send_spans(p, all.vec, all.count);

	if (n < 0)
		return (int)n;
	iov_skip(&all, (size_t)n);
	iov_read(&all, 0, p->out_at, all.len);
	p->out = (struct stretch){ 0, all.len };
	b->left_over = all.len > 0;
	return 0;
}

/* --- life --- */

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	r = -errno;
	fd_close(fd);
	return r;
}

static int passt_reconnect(struct net_backend *b)
{
	struct net_passt *p = to_passt(b);
	int fd = connect_to(p->path);

	if (fd < 0)
		return fd;
	fd_close(b->fd[0]);
	b->fd[0] = fd;
	b->left_over = false;
	p->in = p->out = (struct stretch){ 0 };
	return 0;
}

static void passt_destroy(struct net_backend *b)
{
	fd_close(b->fd[0]);
	free(to_passt(b));
}

static const struct net_backend_ops inherited_ops = {
	.receive = passt_receive,
	.send = passt_send,
	.destroy = passt_destroy,
};

static const struct net_backend_ops passt_ops = {
	.receive = passt_receive,
	.send = passt_send,
	.reconnect = passt_reconnect,
	.destroy = passt_destroy,
};

static int adopt(int fd, const char *path, struct net_backend **ret)
{
	struct net_passt *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	strcpy(p->path, path);
	p->base.ops = path[0] ? &passt_ops : &inherited_ops;
	p->base.pairs = 1;
	p->base.fd[0] = fd;
	*ret = &p->base;
	return 0;
}

int net_passt_adopt(int fd, struct net_backend **ret)
{
	return adopt(fd, "", ret);
}

int net_passt_connect(const char *path, struct net_backend **ret, struct error *err)
{
	bool named = fd_is_named(path);
	int fd = named ? fd_take_socket(path) : connect_to(path);
	int r = fd < 0 ? fd : adopt(fd, named ? "" : path, ret);

	if (r == 0)
		return 0;
	fd_close(fd);
	return error_set(err, r, "socket_path", "start passt first: passt --socket PATH",
			 "Could not create the network device: no passt answers at \"%s\": %s",
			 path, strerror(-r));
}
