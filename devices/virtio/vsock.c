/* vsock.c - stream sockets between host and guest (virtio 1.2, section 5.10).
 *
 * Every connection is one Unix socket and one entry in a table of bounded size, found by
 * its pair of ports. What happens to it (a packet of the guest, an event of the socket,
 * a deadline) changes its state and ends in settle(), the one place that decides what
 * the connection waits for: a place in the list of those that owe the guest a packet,
 * readability, writability. A connection in that list, or one without credit, does not
 * watch its socket for input, so nothing spins.
 *
 * The list is served round robin, one packet a turn, as far as the driver's receive
 * buffers and a budget reach. An eventfd asks for the next turn, since the connection
 * that used up the budget may be gone by then. It is also how a reset, which runs on a
 * vCPU thread, has its connections freed: that needs the main thread.
 *
 * Resets for packets that belong to no connection go through a short list. While it is
 * full no packet of the guest is taken; receive buffers empty it. So neither direction
 * allocates without bound, and neither waits for the other's.
 *
 * The host is trusted and the guest is not: a packet's header is copied once, then
 * checked; a payload beyond the room that the guest was given costs it the connection.
 *
 * System calls: recv, shutdown, timerfd_create, timerfd_settime, read, and those of vsock_host.c
 * and vsock_conn.c.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/transport.h"
#include "devices/virtio/vsock.h"
#include "devices/virtio/vsock_conn.h"
#include "devices/virtio/vsock_host.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, QUEUES };

enum {
	QUEUE_SIZE = 256,
	BURST = 64, /* packets a turn, either way */
	ACCEPT_BURST = 16,
	BUCKETS = 256,
	MAX_RESETS = 64,
	HOST_CID = 2,
	TIMEOUT_US = 2000 * 1000,
};

#define FIRST_HOST_PORT (UINT32_C(1) << 30)
#define SHUTDOWN_BOTH	(VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

TAILQ_HEAD(conn_list, vsock_conn);
LIST_HEAD(conn_bucket, vsock_conn);

/* A reset that is owed to a pair of ports without a connection. */
struct stray {
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct virtio_vsock {
	struct virtio_dev dev;
	uint32_t guest_cid;
	struct vsock_host host;
	int timer, wake; /* wake: an eventfd, signalled by any thread */
	struct virtio_watch *listen_watch, *timer_watch, *wake_watch;
	bool timer_armed, listen_muted;
	bool stale; /* every connection is to be freed on the main thread */

	struct conn_list all, ready;
	struct conn_bucket bucket[BUCKETS];
	unsigned count;
	uint32_t next_port;
	struct stray stray[MAX_RESETS];
	unsigned strays;
	char bounce[VSOCK_BUFFER_BYTES]; /* a payload on its way to the guest */
};

static struct virtio_vsock *to_vsock(struct virtio_dev *d)
{
	return container_of(d, struct virtio_vsock, dev);
}

/* ---- the table ---- */

static struct conn_bucket *bucket_of(struct virtio_vsock *v, uint32_t host_port,
				     uint32_t guest_port)
{
	return &v->bucket[(host_port ^ guest_port) % BUCKETS];
}

static struct vsock_conn *find(struct virtio_vsock *v, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c;

	LIST_FOREACH(c, bucket_of(v, host_port, guest_port), hash)
	{
		if (c->host_port == host_port && c->guest_port == guest_port)
			return c;
	}
	return NULL;
}

static void name_conn(struct virtio_vsock *v, struct vsock_conn *c, uint32_t host_port,
		      uint32_t guest_port)
{
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->hashed = true;
	LIST_INSERT_HEAD(bucket_of(v, host_port, guest_port), c, hash);
}

/* From 2^30 to 2^31; at most VIRTIO_VSOCK_MAX_CONNS of them are taken. */
static uint32_t free_port(struct virtio_vsock *v, uint32_t guest_port)
{
	uint32_t port;

	do {
		port = FIRST_HOST_PORT + v->next_port;
		v->next_port = (v->next_port + 1) % FIRST_HOST_PORT;
	} while (find(v, port, guest_port));
	return port;
}

/* Ends the socket's part in it. */
static void unplug(struct vsock_conn *c)
{
	virtio_watch_destroy(c->watch);
	c->watch = NULL;
	vsock_conn_close(c);
}

static void drop(struct virtio_vsock *v, struct vsock_conn *c)
{
	unplug(c);
	if (c->queued)
		TAILQ_REMOVE(&v->ready, c, ready);
	if (c->hashed)
		LIST_REMOVE(c, hash);
	TAILQ_REMOVE(&v->all, c, all);
	v->count--;
	vsock_conn_destroy(c);
	if (v->listen_muted && v->listen_watch) {
		v->listen_muted = false;
		virtio_watch_set(v->listen_watch, EPOLLIN);
	}
}

static void drop_all(struct virtio_vsock *v)
{
	while (!TAILQ_EMPTY(&v->all))
		drop(v, TAILQ_FIRST(&v->all));
	v->strays = 0;
	v->stale = false;
}

/* ---- deadlines ---- */

static void arm_timer(struct virtio_vsock *v, uint64_t at_us)
{
	const struct itimerspec t = {
		.it_value.tv_sec = (time_t)(at_us / 1000000),
		.it_value.tv_nsec = (long)(at_us % 1000000) * 1000,
	};

	if (timerfd_settime(v->timer, TFD_TIMER_ABSTIME, &t, NULL) < 0)
		log_guest("virtio-vsock: timer: %s", strerror(errno));
	v->timer_armed = true;
}

/* A deadline stands until it is cleared: a guest that repeats itself gains no time. All
 * timeouts are equal: an armed timer goes off before this deadline. */
static void set_deadline(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (c->deadline_us != 0)
		return;
	c->deadline_us = clock_now_us() + TIMEOUT_US;
	if (!v->timer_armed)
		arm_timer(v, c->deadline_us);
}

/* ---- what a connection waits for ---- */

static void reset_conn(struct vsock_conn *c)
{
	unplug(c);
	c->state = VSOCK_CLOSED;
	c->deadline_us = 0;
	c->due = VSOCK_DUE_RESET;
}

static bool wants_input(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && !(c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) &&
	       !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND);
}

static void settle_watch(struct vsock_conn *c, bool input)
{
	uint32_t events = 0;

	if (!c->watch)
		return;
	if (c->state == VSOCK_GREETING || (input && !c->readable))
		events |= EPOLLIN;
	if (c->held > 0)
		events |= EPOLLOUT;
	virtio_watch_set(c->watch, events);
}

static void settle(struct virtio_vsock *v, struct vsock_conn *c)
{
	bool input, credit;

	if (c->state == VSOCK_OPEN && vsock_conn_finished(c))
		reset_conn(c);
	input = wants_input(c);
	credit = vsock_conn_credit(c) > 0;
	if (c->state == VSOCK_OPEN && vsock_conn_must_tell(c))
		c->due |= VSOCK_DUE_UPDATE;
	if (input && c->readable && !credit && !c->asked)
		c->due |= VSOCK_DUE_ASK;
	c->asked = !credit && (c->asked || (c->due & VSOCK_DUE_ASK));
	if (!c->queued && (c->due || (input && c->readable && credit))) {
		c->queued = true;
		TAILQ_INSERT_TAIL(&v->ready, c, ready);
	}
	settle_watch(c, input);
}

/* ---- to the guest ---- */

static void fill_header(const struct virtio_vsock *v, struct vsock_conn *c, uint16_t op,
			struct virtio_vsock_hdr *h)
{
	*h = (struct virtio_vsock_hdr){
		.src_cid = htole64(HOST_CID),
		.dst_cid = htole64(v->guest_cid),
		.src_port = htole32(c->host_port),
		.dst_port = htole32(c->guest_port),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(VSOCK_BUFFER_BYTES),
		.fwd_cnt = htole32(c->forwarded),
	};
	c->told = c->forwarded;
}

/* The host will write no more; if it hung up, it reads no more either. */
static void end_of_input(struct virtio_vsock *v, struct vsock_conn *c)
{
	c->readable = false;
	c->host_shut |= c->hung_up ? SHUTDOWN_BOTH : VIRTIO_VSOCK_SHUTDOWN_SEND;
	c->due |= VSOCK_DUE_SHUTDOWN;
	if (c->hung_up)
		set_deadline(v, c);
}

/* Payload bytes for the guest, 0 when there are none now. */
static size_t read_payload(struct virtio_vsock *v, struct vsock_conn *c, size_t room)
{
	uint32_t credit = vsock_conn_credit(c);
	ssize_t n;

	if (!wants_input(c) || !c->readable || credit == 0)
		return 0;
	if (room > credit)
		room = credit;
	if (room > sizeof(v->bounce))
		room = sizeof(v->bounce);
	n = recv(c->fd, v->bounce, room, 0);
	if (n > 0) {
		c->sent += (uint32_t)n;
		v->dev.counters.read_bytes += (uint64_t)n;
		return (size_t)n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		c->readable = errno == EINTR;
	else if (n == 0)
		end_of_input(v, c);
	else
		reset_conn(c);
	return 0;
}

/* Takes the first of the packets that are due and returns its operation; 0: none. */
static uint16_t take_due(struct vsock_conn *c)
{
	static const struct {
		unsigned due;
		uint16_t op;
	} order[] = {
		{ VSOCK_DUE_RESET, VIRTIO_VSOCK_OP_RST },
		{ VSOCK_DUE_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ VSOCK_DUE_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ VSOCK_DUE_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ VSOCK_DUE_ASK, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
		{ VSOCK_DUE_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
	};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		if (c->due & order[i].due) {
			c->due &= ~order[i].due;
			return order[i].op;
		}
	}
	return 0;
}

/* One packet of c into in, which has room for a header and more. Its length; 0: c had
 * nothing to say after all. c may be gone afterwards. */
static size_t send_packet(struct virtio_vsock *v, struct vsock_conn *c, const struct iov *in)
{
	struct virtio_vsock_hdr h;
	uint16_t op = take_due(c);
	size_t len = 0;

	if (op == 0) {
		len = read_payload(v, c, in->len - sizeof(h));
		op = len > 0 ? VIRTIO_VSOCK_OP_RW : take_due(c);
	}
	if (op != 0) {
		fill_header(v, c, op, &h);
		h.len = htole32((uint32_t)len);
		if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
			h.flags = htole32(c->host_shut);
		/* Both fit: in was measured. */
		(void)iov_write(in, 0, &h, sizeof(h));
		(void)iov_write(in, sizeof(h), v->bounce, len);
	}
	if (op == VIRTIO_VSOCK_OP_RST)
		drop(v, c);
	else
		settle(v, c);
	return op == 0 ? 0 : sizeof(h) + len;
}

static size_t send_stray(struct virtio_vsock *v, const struct iov *in)
{
	const struct stray *s = &v->stray[--v->strays];
	const struct virtio_vsock_hdr h = {
		.src_cid = htole64(HOST_CID),
		.dst_cid = htole64(v->guest_cid),
		.src_port = htole32(s->host_port),
		.dst_port = htole32(s->guest_port),
		.type = htole16(s->type),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	(void)iov_write(in, 0, &h, sizeof(h));
	return sizeof(h);
}

static size_t send_next(struct virtio_vsock *v, const struct iov *in)
{
	struct vsock_conn *c = TAILQ_FIRST(&v->ready);

	if (v->strays > 0)
		return send_stray(v, in);
	TAILQ_REMOVE(&v->ready, c, ready);
	c->queued = false;
	return send_packet(v, c, in);
}

static bool owes_packets(const struct virtio_vsock *v)
{
	return v->strays > 0 || !TAILQ_EMPTY(&v->ready);
}

/* True when the budget ran out before the packets did. */
static bool serve_rx(struct virtio_vsock *v)
{
	struct virtq *q = v->dev.vq[QUEUE_RX];
	struct virtq_req req;
	unsigned n = 0;

	if (!virtio_dev_live(&v->dev) || !virtq_enabled(q))
		return false;
	while (n < BURST && owes_packets(v) && virtq_pop(q, &req) > 0) {
		size_t len;

		if (req.out.len > 0 || req.in.len <= sizeof(struct virtio_vsock_hdr)) {
			virtio_dev_fail(&v->dev, "receive buffer without room for a packet");
			break;
		}
		len = send_next(v, &req.in);
		if (len == 0) {
			virtq_unpop(q);
			continue;
		}
		virtq_push(q, &req, (uint32_t)len);
		n++;
	}
	virtq_publish(q);
	return n == BURST && owes_packets(v);
}

static void serve_rx_by_turns(struct virtio_vsock *v)
{
	if (serve_rx(v))
		fd_event_signal(v->wake);
}

/* ---- the sockets ---- */

static void start_request(struct virtio_vsock *v, struct vsock_conn *c, uint32_t guest_port)
{
	name_conn(v, c, free_port(v, guest_port), guest_port);
	c->state = VSOCK_REQUESTED;
	c->due = VSOCK_DUE_REQUEST;
	c->deadline_us = 0; /* that was the client's; this is the guest's */
	set_deadline(v, c);
}

static void on_greeting(struct virtio_vsock *v, struct vsock_conn *c)
{
	uint32_t port;
	int r = vsock_conn_greeting(c, &port);

	if (r < 0 || (r > 0 && !virtio_dev_live(&v->dev))) {
		drop(v, c);
		return;
	}
	if (r > 0)
		start_request(v, c, port);
	settle(v, c);
}

/* A hang-up is reported whatever one waits for: with it the watch has done its part. */
static void on_hangup(struct virtio_vsock *v, struct vsock_conn *c)
{
	virtio_watch_destroy(c->watch);
	c->watch = NULL;
	c->hung_up = true;
	c->readable = true;
	if (c->state == VSOCK_OPEN && !wants_input(c))
		end_of_input(v, c);
}

static bool on_socket(void *arg, uint32_t events)
{
	struct vsock_conn *c = arg;
	struct virtio_vsock *v = c->owner;

	if (v->stale) /* on_wake() frees it */
		return false;
	if (c->state == VSOCK_GREETING) {
		if (events & (EPOLLHUP | EPOLLERR))
			drop(v, c);
		else
			on_greeting(v, c);
	} else {
		if (events & EPOLLIN)
			c->readable = true;
		if ((events & EPOLLOUT) && vsock_conn_flush(c) < 0)
			reset_conn(c);
		else if (events & (EPOLLHUP | EPOLLERR))
			on_hangup(v, c);
		settle(v, c);
	}
	serve_rx_by_turns(v);
	return false;
}

/* Takes fd over, also when it fails. */
static struct vsock_conn *add_conn(struct virtio_vsock *v, int fd, enum vsock_state state)
{
	struct vsock_conn *c = NULL;

	if (v->count < VIRTIO_VSOCK_MAX_CONNS)
		c = vsock_conn_create(fd, state);
	if (!c) {
		fd_close(fd);
		return NULL;
	}
	c->owner = v;
	if (virtio_watch_create(v->dev.events, fd, state == VSOCK_GREETING ? EPOLLIN : 0, on_socket,
				c, &c->watch) < 0) {
		vsock_conn_destroy(c);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&v->all, c, all);
	v->count++;
	return c;
}

static void add_client(struct virtio_vsock *v, int fd)
{
	struct vsock_conn *c = add_conn(v, fd, VSOCK_GREETING);

	if (c)
		set_deadline(v, c);
	else
		log_guest("virtio-vsock: a host client is refused: no room");
}

static bool on_listen(void *arg, uint32_t events)
{
	struct virtio_vsock *v = arg;
	int fd = 0;

	(void)events;
	if (v->stale)
		drop_all(v);
	for (unsigned i = 0; i < ACCEPT_BURST && fd >= 0; i++) {
		fd = vsock_host_accept(&v->host);
		if (fd >= 0)
			add_client(v, fd);
	}
	/* Out of descriptors, say: whoever waits is let in after a connection ended. */
	if (fd < 0 && fd != -EAGAIN && fd != -ECONNABORTED && fd != -EINTR) {
		log_guest("virtio-vsock: accepting a host client failed: %s", strerror(-fd));
		v->listen_muted = true;
		virtio_watch_set(v->listen_watch, 0);
		if (!v->timer_armed)
			arm_timer(v, clock_now_us() + TIMEOUT_US);
	}
	return false;
}

static void expire(struct virtio_vsock *v, struct vsock_conn *c, uint64_t now_us, uint64_t *next_us)
{
	if (c->deadline_us == 0)
		return;
	if (c->deadline_us > now_us) {
		if (c->deadline_us < *next_us)
			*next_us = c->deadline_us;
	} else if (c->state == VSOCK_GREETING) {
		(void)shutdown(c->fd, SHUT_RDWR); /* on_socket() drops it, after this walk */
	} else {
		reset_conn(c);
		settle(v, c);
	}
}

static bool on_timer(void *arg, uint32_t events)
{
	struct virtio_vsock *v = arg;
	uint64_t now_us = clock_now_us(), next_us = UINT64_MAX, count;
	struct vsock_conn *c;

	(void)events;
	if (read(v->timer, &count, sizeof(count)) < 0)
		return false;
	v->timer_armed = false;
	TAILQ_FOREACH(c, &v->all, all)
	expire(v, c, now_us, &next_us);
	if (next_us != UINT64_MAX)
		arm_timer(v, next_us);
	if (v->listen_muted) {
		v->listen_muted = false;
		virtio_watch_set(v->listen_watch, EPOLLIN);
	}
	serve_rx_by_turns(v);
	return false;
}

/* ---- from the guest ---- */

struct packet {
	struct virtio_vsock_hdr h; /* the copy, as the guest wrote it */
	uint32_t host_port, guest_port, len;
	const struct iov *out;
};

static void owe_stray(struct virtio_vsock *v, const struct packet *p)
{
	v->stray[v->strays++] = (struct stray){ p->host_port, p->guest_port, le16toh(p->h.type) };
	v->dev.counters.errors++;
}

static void on_request(struct virtio_vsock *v, const struct packet *p)
{
	int fd = -ENOSPC;
	struct vsock_conn *c = NULL;

	if (v->count < VIRTIO_VSOCK_MAX_CONNS)
		fd = vsock_host_connect(&v->host, p->host_port);
	if (fd >= 0)
		c = add_conn(v, fd, VSOCK_OPEN);
	if (!c) {
		owe_stray(v, p);
		return;
	}
	name_conn(v, c, p->host_port, p->guest_port);
	c->peer_alloc = le32toh(p->h.buf_alloc);
	c->peer_fwd = le32toh(p->h.fwd_cnt);
	c->due = VSOCK_DUE_RESPONSE;
	settle(v, c);
}

static int on_response(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	(void)v;
	(void)p;
	if (c->state != VSOCK_REQUESTED)
		return -EPROTO;
	c->state = VSOCK_OPEN;
	c->deadline_us = 0;
	return vsock_conn_accepted(c);
}

static int on_data(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	if (c->state != VSOCK_OPEN || (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return -EPROTO;
	v->dev.counters.write_bytes += p->len;
	return vsock_conn_take(c, p->out, sizeof(p->h), p->len);
}

static int on_shutdown(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	if (c->state != VSOCK_OPEN)
		return -EPROTO;
	c->guest_shut |= le32toh(p->h.flags) & SHUTDOWN_BOTH;
	if (c->guest_shut == SHUTDOWN_BOTH)
		set_deadline(v, c);
	return vsock_conn_flush(c);
}

static int on_credit_update(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	(void)v;
	(void)c;
	(void)p;
	return 0; /* every packet brings credit */
}

static int on_credit_request(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	(void)v;
	(void)p;
	if (c->state == VSOCK_OPEN)
		c->due |= VSOCK_DUE_UPDATE;
	return 0;
}

/* What a packet of a known connection does; a negative errno costs it the connection. */
typedef int (*packet_fn)(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p);

static const packet_fn packet_fns[] = {
	[VIRTIO_VSOCK_OP_RESPONSE] = on_response,
	[VIRTIO_VSOCK_OP_SHUTDOWN] = on_shutdown,
	[VIRTIO_VSOCK_OP_RW] = on_data,
	[VIRTIO_VSOCK_OP_CREDIT_UPDATE] = on_credit_update,
	[VIRTIO_VSOCK_OP_CREDIT_REQUEST] = on_credit_request,
};

static void on_conn_packet(struct virtio_vsock *v, struct vsock_conn *c, const struct packet *p)
{
	uint16_t op = le16toh(p->h.op);
	packet_fn fn = op < sizeof(packet_fns) / sizeof(packet_fns[0]) ? packet_fns[op] : NULL;

	if (c->state == VSOCK_CLOSED) /* its reset is on the way */
		return;
	c->peer_alloc = le32toh(p->h.buf_alloc);
	c->peer_fwd = le32toh(p->h.fwd_cnt);
	if (!fn || fn(v, c, p) < 0) {
		v->dev.counters.errors++;
		reset_conn(c);
	}
	settle(v, c);
}

static void on_packet(struct virtio_vsock *v, const struct packet *p)
{
	uint16_t op = le16toh(p->h.op);
	struct vsock_conn *c;

	if (le64toh(p->h.src_cid) != v->guest_cid || le64toh(p->h.dst_cid) != HOST_CID) {
		v->dev.counters.errors++;
		return;
	}
	if (le16toh(p->h.type) != VIRTIO_VSOCK_TYPE_STREAM) {
		if (op != VIRTIO_VSOCK_OP_RST)
			owe_stray(v, p);
		return;
	}
	c = find(v, p->host_port, p->guest_port);
	if (op == VIRTIO_VSOCK_OP_RST) {
		if (c)
			drop(v, c);
	} else if (c) {
		on_conn_packet(v, c, p);
	} else if (op == VIRTIO_VSOCK_OP_REQUEST) {
		on_request(v, p);
	} else {
		owe_stray(v, p);
	}
}

static int read_packet(const struct virtq_req *req, struct packet *p)
{
	if (req->in.len > 0 || iov_read(&req->out, 0, &p->h, sizeof(p->h)) < 0)
		return -EPROTO;
	p->out = &req->out;
	p->host_port = le32toh(p->h.dst_port);
	p->guest_port = le32toh(p->h.src_port);
	p->len = le32toh(p->h.len);
	return p->len > req->out.len - sizeof(p->h) ? -EPROTO : 0;
}

/* True when the budget ran out before the ring did. */
static bool serve_tx(struct virtio_vsock *v)
{
	struct virtq *q = v->dev.vq[QUEUE_TX];
	struct virtq_req req;
	unsigned n = 0;

	if (!virtq_enabled(q))
		return false;
	while (n < BURST && v->strays < MAX_RESETS && virtq_pop(q, &req) > 0) {
		struct packet p;

		if (read_packet(&req, &p) < 0) {
			virtio_dev_fail(&v->dev, "packet that is not what its header says");
			break;
		}
		on_packet(v, &p);
		virtq_push(q, &req, 0);
		n++;
	}
	virtq_publish(q);
	return n == BURST;
}

/* ---- the device ---- */

/* Both directions, since room for resets is what packets of the guest may wait for. */
static void serve(struct virtio_vsock *v)
{
	bool more, full;

	if (v->stale)
		drop_all(v);
	if (!virtio_dev_live(&v->dev))
		return;
	more = serve_rx(v);
	more |= serve_tx(v);
	full = v->strays == MAX_RESETS;
	more |= serve_rx(v);
	if (more || (full && v->strays < MAX_RESETS))
		fd_event_signal(v->wake);
}

static bool vsock_kick(struct virtio_dev *d, unsigned index)
{
	if (index != QUEUE_EVENT)
		serve(to_vsock(d));
	return false;
}

static bool on_wake(void *arg, uint32_t events)
{
	struct virtio_vsock *v = arg;

	(void)events;
	fd_event_drain(v->wake);
	serve(v);
	return false;
}

static void vsock_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	const struct virtio_vsock *v = container_of(d, const struct virtio_vsock, dev);
	const struct virtio_vsock_config config = { .guest_cid = htole64(v->guest_cid) };

	memcpy(dst, (const char *)&config + off, len);
}

static void vsock_detach(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	drop_all(v);
	virtio_watch_destroy(v->listen_watch);
	virtio_watch_destroy(v->timer_watch);
	virtio_watch_destroy(v->wake_watch);
	v->listen_watch = v->timer_watch = v->wake_watch = NULL;
}

static int vsock_attach(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);
	int r = virtio_watch_create(d->events, v->host.listener.fd, EPOLLIN, on_listen, v,
				    &v->listen_watch);

	if (r == 0)
		r = virtio_watch_create(d->events, v->timer, EPOLLIN, on_timer, v, &v->timer_watch);
	if (r == 0)
		r = virtio_watch_create(d->events, v->wake, EPOLLIN, on_wake, v, &v->wake_watch);
	return r;
}

/* The guest has forgotten its connections. Watches can go on the main thread only. */
static void vsock_quiesce(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	v->stale = true;
	fd_event_signal(v->wake);
}

static void vsock_destroy(struct virtio_dev *d)
{
	struct virtio_vsock *v = to_vsock(d);

	vsock_host_close(&v->host);
	fd_close(v->timer);
	fd_close(v->wake);
	free(v);
}

static const uint16_t vsock_queue_sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.nqueues = QUEUES,
	.queue_sizes = vsock_queue_sizes,
	.config_len = sizeof(struct virtio_vsock_config),
	.config_read = vsock_config_read,
	.attach = vsock_attach,
	.detach = vsock_detach,
	.kick = vsock_kick,
	.quiesce = vsock_quiesce,
	.destroy = vsock_destroy,
};

int virtio_vsock_create(uint32_t guest_cid, const char *uds_path, struct virtio_dev **ret,
			struct error *err)
{
	struct virtio_vsock *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return error_set(err, -ENOMEM, NULL, NULL, "no memory for the vsock device");
	v->dev.ops = &vsock_ops;
	v->guest_cid = guest_cid;
	TAILQ_INIT(&v->all);
	TAILQ_INIT(&v->ready);
	v->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	v->wake = fd_event();
	r = vsock_host_listen(&v->host, uds_path, err);
	if (r == 0 && (v->timer < 0 || v->wake < 0))
		r = error_set(err, -EMFILE, NULL, NULL, "no descriptors for the vsock device");
	if (r < 0) {
		vsock_destroy(&v->dev);
		return r;
	}
	*ret = &v->dev;
	return 0;
}
