/* channel.c - a buffer each way, and a header of eight bytes. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "guest-images/agent/channel.h"

struct header {
	uint32_t type, len; /* little endian */
};

_Static_assert(sizeof(struct header) == FRAME_HEADER_LEN, "as protocol.h has it");

struct channel {
	int fd;
	bool taken; /* the frame at the start of in[] was given out */
	size_t in_len, out_len;
	char in[FRAME_HEADER_LEN + FRAME_MAX + 1]; /* and the zero byte */
	char out[FRAME_HEADER_LEN + FRAME_MAX];
};

int channel_create(int fd, struct channel **ret)
{
	int flags = fcntl(fd, F_GETFL);
	struct channel *c;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->taken = false;
	c->in_len = c->out_len = 0;
	*ret = c;
	return 0;
}

void channel_destroy(struct channel *c)
{
	free(c);
}

int channel_fd(const struct channel *c)
{
	return c->fd;
}

short channel_events(const struct channel *c, bool wants_frame)
{
	return (short)((wants_frame ? POLLIN : 0) | (c->out_len ? POLLOUT : 0));
}

size_t channel_room(const struct channel *c)
{
	size_t left = sizeof(c->out) - c->out_len;

	return left > FRAME_HEADER_LEN ? left - FRAME_HEADER_LEN : 0;
}

int channel_flush(struct channel *c)
{
	size_t sent = 0;
	int r = 0;

	while (sent < c->out_len && r == 0) {
		ssize_t n = send(c->fd, c->out + sent, c->out_len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno != EINTR)
			r = -errno;
	}
	c->out_len -= sent;
	memmove(c->out, c->out + sent, c->out_len);
	return r == -EAGAIN ? 0 : r;
}

int channel_put(struct channel *c, enum frame_type type, const void *payload, size_t len)
{
	const struct header h = { htole32(type), htole32((uint32_t)len) };

	if (len > FRAME_MAX || FRAME_HEADER_LEN + len > sizeof(c->out) - c->out_len)
		return -EAGAIN;
	memcpy(c->out + c->out_len, &h, sizeof(h));
	if (len)
		memcpy(c->out + c->out_len + sizeof(h), payload, len);
	c->out_len += sizeof(h) + len;
	return channel_flush(c);
}

/* The length of the whole frame at the start of in[]; 0: more of it has to come; -EPROTO. */
static ssize_t whole_frame(const struct channel *c, struct header *h)
{
	if (c->in_len < sizeof(*h))
		return 0;
	memcpy(h, c->in, sizeof(*h));
	h->type = le32toh(h->type);
	h->len = le32toh(h->len);
	if (h->len > FRAME_MAX || h->type < FRAME_REQUEST || h->type > FRAME_FAULT)
		return -EPROTO;
	return c->in_len < sizeof(*h) + h->len ? 0 : (ssize_t)(sizeof(*h) + h->len);
}

/* Reads no more than the header, then no more than its payload: nothing has to be moved. */
static int read_more(struct channel *c, const struct header *h)
{
	size_t wanted = c->in_len < sizeof(*h) ? sizeof(*h) : sizeof(*h) + h->len;
	ssize_t n = recv(c->fd, c->in + c->in_len, wanted - c->in_len, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0)
		return c->in_len ? -EPROTO : -ENODATA;
	c->in_len += (size_t)n;
	return 0;
}

int channel_take(struct channel *c, struct frame *ret)
{
	struct header h = { 0 };
	ssize_t len;

	if (c->taken)
		c->in_len = 0;
	c->taken = false;
	while ((len = whole_frame(c, &h)) == 0) {
		int r = read_more(c, &h);

		if (r < 0)
			return r;
	}
	if (len < 0)
		return -EPROTO;
	c->taken = true;
	c->in[len] = '\0';
	*ret = (struct frame){ (enum frame_type)h.type, c->in + sizeof(h), h.len };
	return 0;
}

static int wait_for(const struct channel *c, short events, int limit_ms)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	int r = poll(&p, 1, limit_ms);

	if (r == 0)
		return -ETIMEDOUT;
	return r > 0 || errno == EINTR ? 0 : -errno;
}

int channel_drain(struct channel *c)
{
	int r = channel_flush(c);

	while (r == 0 && c->out_len) {
		r = wait_for(c, POLLOUT, -1);
		if (r == 0)
			r = channel_flush(c);
	}
	return r;
}

int channel_send(struct channel *c, enum frame_type type, const void *payload, size_t len)
{
	int r = len > FRAME_MAX ? -EMSGSIZE : channel_drain(c);

	if (r == 0)
		r = channel_put(c, type, payload, len);
	return r == 0 ? channel_drain(c) : r;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int channel_receive_within(struct channel *c, int limit_ms, struct frame *ret)
{
	const int64_t end_ms = now_ms() + limit_ms;
	int r;

	while ((r = channel_take(c, ret)) == -EAGAIN) {
		int64_t left = limit_ms < 0 ? -1 : end_ms - now_ms();

		r = limit_ms >= 0 && left <= 0 ? -ETIMEDOUT : wait_for(c, POLLIN, (int)left);
		if (r < 0)
			return r;
	}
	return r;
}

int channel_receive(struct channel *c, struct frame *ret)
{
	return channel_receive_within(c, -1, ret);
}
