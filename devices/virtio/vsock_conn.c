/* vsock_conn.c - one vsock connection: its socket, its credit, its buffer.
 *
 * The guest's bytes go straight to the socket as long as that takes them; the rest is
 * held in a buffer that exists only meanwhile. The guest was promised the whole buffer,
 * so a packet that does not fit is the guest's lie.
 *
 * System calls: recv, send, sendmsg, shutdown.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "devices/virtio/vsock_conn.h"
#include "vmm/base/fd.h"

struct vsock_conn *vsock_conn_create(int fd, enum vsock_state state)
{
	struct vsock_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = fd;
	c->state = state;
	return c;
}

void vsock_conn_close(struct vsock_conn *c)
{
	if (c->fd >= 0)
		c->fd = fd_close(c->fd);
	free(c->buffer);
	c->buffer = NULL;
	c->held = 0;
}

void vsock_conn_destroy(struct vsock_conn *c)
{
	if (!c)
		return;
	vsock_conn_close(c);
	free(c);
}

/* "CONNECT <decimal>", the newline already cut off. */
static int parse_line(const char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const char *digits = line + sizeof(word) - 1;
	uint64_t value = 0;

	if (strncasecmp(line, word, sizeof(word) - 1) != 0 || *digits == '\0')
		return -EPROTO;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9')
			return -EPROTO;
		value = value * 10 + (uint64_t)(*digits - '0');
		if (value > UINT32_MAX)
			return -EPROTO;
	}
	*port = (uint32_t)value;
	return 1;
}

int vsock_conn_greeting(struct vsock_conn *c, uint32_t *port)
{
	char *at = c->line + c->line_len;
	size_t room = VSOCK_LINE_BYTES - c->line_len;
	ssize_t n = recv(c->fd, at, room, MSG_PEEK);
	char *end;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	end = memchr(at, '\n', (size_t)n);
	if (end)
		n = end - at + 1;
	if (recv(c->fd, at, (size_t)n, 0) != n)
		return -EPROTO;
	c->line_len += (uint32_t)n;
	if (!end)
		return c->line_len == VSOCK_LINE_BYTES ? -EPROTO : 0;
	*end = '\0';
	return parse_line(c->line, port);
}

int vsock_conn_accepted(struct vsock_conn *c)
{
	char line[VSOCK_LINE_BYTES];
	int len = snprintf(line, sizeof(line), "OK %" PRIu32 "\n", c->host_port);

	/* Nothing was written to this socket before: there is room. */
	return send(c->fd, line, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EPIPE;
}

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t in_flight = c->sent - c->peer_fwd;

	return in_flight < c->peer_alloc ? c->peer_alloc - in_flight : 0;
}

/* Bytes written, 0 when the socket is full, or a negative errno. */
static ssize_t write_some(int fd, struct iovec *vec, size_t count)
{
	struct msghdr msg = { .msg_iov = vec, .msg_iovlen = count };
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

/* len bytes at off fit behind what is held. */
static int hold(struct vsock_conn *c, const struct iov *v, size_t off, uint32_t len)
{
	uint32_t tail = (c->head + c->held) % VSOCK_BUFFER_BYTES;
	uint32_t first = VSOCK_BUFFER_BYTES - tail;
	int r;

	if (len == 0)
		return 0;
	if (!c->buffer)
		c->buffer = malloc(VSOCK_BUFFER_BYTES);
	if (!c->buffer)
		return -ENOMEM;
	if (first > len)
		first = len;
	r = iov_read(v, off, c->buffer + tail, first);
	if (r == 0 && len > first)
		r = iov_read(v, off + first, c->buffer, len - first);
	c->held += len;
	return r;
}

int vsock_conn_take(struct vsock_conn *c, const struct iov *v, size_t off, uint32_t len)
{
	struct iov direct = *v;
	ssize_t n = 0;

	if (len > VSOCK_BUFFER_BYTES - c->held)
		return -ENOBUFS;
	if (c->held == 0 && len > 0) {
		iov_truncate(&direct, off + len);
		iov_skip(&direct, off);
		off = 0;
		n = write_some(c->fd, direct.vec, direct.count);
	}
	if (n < 0)
		return (int)n;
	c->forwarded += (uint32_t)n;
	return hold(c, &direct, off + (size_t)n, len - (uint32_t)n);
}

static int flush_some(struct vsock_conn *c)
{
	uint32_t first = VSOCK_BUFFER_BYTES - c->head;
	struct iovec vec[2] = {
		{ c->buffer + c->head, first < c->held ? first : c->held },
		{ c->buffer, first < c->held ? c->held - first : 0 },
	};
	ssize_t n = write_some(c->fd, vec, 2);

	if (n < 0)
		return (int)n;
	c->forwarded += (uint32_t)n;
	c->head = (c->head + (uint32_t)n) % VSOCK_BUFFER_BYTES;
	c->held -= (uint32_t)n;
	if (c->held == 0) {
		free(c->buffer);
		c->buffer = NULL;
	}
	return 0;
}

int vsock_conn_flush(struct vsock_conn *c)
{
	int r = c->held > 0 ? flush_some(c) : 0;

	if (r < 0 || c->held > 0 || c->write_shut || !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return r;
	c->write_shut = true;
	/* Fails only when the host is gone, which its hang-up tells as well. */
	(void)shutdown(c->fd, SHUT_WR);
	return 0;
}

bool vsock_conn_must_tell(const struct vsock_conn *c)
{
	uint32_t believed_used = c->forwarded + c->held - c->told;

	return c->forwarded != c->told && believed_used > VSOCK_BUFFER_BYTES / 2;
}

bool vsock_conn_finished(const struct vsock_conn *c)
{
	bool no_more_in = (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) ||
			  (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV);
	bool no_more_out = (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) ||
			   (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND);

	return no_more_in && no_more_out && c->held == 0 &&
	       (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND);
}
