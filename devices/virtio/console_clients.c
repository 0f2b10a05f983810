/* console_clients.c - who reads and types at a console, attached or gone.
 *
 * A client is a descriptor and a position in the history. Output is written straight
 * from there, one writev(2) a turn; when that falls short the client is behind and is
 * written to again when epoll says so.
 *
 * Input is read straight into the guest's buffers. When there are none, nobody is
 * read until the guest has offered some: what was typed waits in the kernel, and a
 * client that has hung up stays until it was heard to the end, or its place is needed.
 *
 * System calls: writev, ioctl (TIOCGWINSZ, FIONREAD), and those of console_host.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/virtio/console_clients.h"
#include "devices/virtio/console_history.h"
#include "devices/virtio/console_host.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { INPUT_BURST = 16, ACCEPT_BURST = 8 };

struct console_client {
	struct console_clients *owner;
	struct virtio_watch *watch;
	int fd;	       /* -1: nobody */
	uint64_t next; /* position in the history */
	uint64_t lost; /* bytes that it was too slow for */
	bool behind;   /* not ready for more output */
	bool deaf;     /* takes no output any more */
	bool types;    /* its input has not ended */
	bool hung_up;
};

struct console_clients {
	const struct console_clients_ops *ops;
	void *ctx;
	struct virtio_events *events; /* NULL: detached */
	struct console_host host;
	struct virtio_watch *arrivals;
	struct console_history history;
	bool listening; /* the guest has room for input */
	bool full;	/* out of descriptors: arrivals are not watched */
	struct console_client client[CONSOLE_MAX_CLIENTS];
};

static bool on_client(void *arg, uint32_t events);

/* A hang-up is reported whether asked for or not, and asking for it alone keeps a
 * client in epoll; once it is known, only input matters. */
static uint32_t wanted_events(const struct console_client *c)
{
	uint32_t events = c->types && c->owner->listening ? EPOLLIN : 0;

	if (c->behind && !c->hung_up)
		events |= EPOLLOUT;
	return c->hung_up ? events : events | EPOLLHUP;
}

static void set_watch(struct console_client *c)
{
	if (c->watch)
		virtio_watch_set(c->watch, wanted_events(c));
}

static int watch_client(struct console_client *c)
{
	return virtio_watch_create(c->owner->events, c->fd, wanted_events(c), on_client, c,
				   &c->watch);
}

/* --- output --- */

/* What the history no longer has is lost to this client. */
static void catch_up(struct console_client *c)
{
	uint64_t start = console_history_start(&c->owner->history);

	if (c->next >= start)
		return;
	c->lost += start - c->next;
	c->next = start;
}

static void send_to(struct console_client *c)
{
	struct iovec spans[2];
	ssize_t n = 0;
	int count;

	catch_up(c);
	count = console_history_view(&c->owner->history, c->next, spans);
	if (count > 0)
		n = writev(c->fd, spans[0].iov_len ? spans : spans + 1, count);
	if (n > 0)
		c->next += (uint64_t)n;
	/* Its end, if that was it, comes as a hang-up. */
	c->deaf = n < 0 && errno != EAGAIN && errno != EINTR;
	c->behind = !c->deaf && c->next < c->owner->history.end;
	set_watch(c);
}

void console_clients_send(struct console_clients *s)
{
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++) {
		struct console_client *c = &s->client[i];

		if (c->fd >= 0 && !c->behind && !c->deaf)
			send_to(c);
	}
}

void console_clients_add(struct console_clients *s, const void *bytes, size_t len)
{
	console_history_add(&s->history, bytes, len);
}

/* --- input --- */

static void set_all_watches(struct console_clients *s)
{
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++)
		set_watch(&s->client[i]);
}

void console_clients_listen(struct console_clients *s)
{
	if (s->listening)
		return;
	s->listening = true;
	set_all_watches(s);
}

static void tell_size(const struct console_client *c)
{
	struct winsize size;

	if (ioctl(c->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
		c->owner->ops->resized(c->owner->ctx, size.ws_col, size.ws_row);
}

/* True: there may be more. */
static bool take_input(struct console_client *c)
{
	struct console_clients *s = c->owner;
	int r = 1;

	tell_size(c);
	for (unsigned i = 0; i < INPUT_BURST && r > 0; i++)
		r = s->ops->input(s->ctx, c->fd);
	if (r == -ENOBUFS && s->listening) {
		s->listening = false;
		set_all_watches(s);
	} else if (r == 0 || (r == -EAGAIN && c->hung_up)) {
		c->types = false;
	}
	return r > 0;
}

/* --- coming and going --- */

static void remove_client(struct console_client *c)
{
	if (c->lost > 0)
		log_guest("virtio-console: a client was too slow for %" PRIu64 " bytes", c->lost);
	virtio_watch_destroy(c->watch);
	fd_close(c->fd);
	*c = (struct console_client){ .owner = c->owner, .fd = -1 };
}

static void watch_arrivals(struct console_clients *s, bool full)
{
	if (s->full != full)
		virtio_watch_set(s->arrivals, full ? 0 : EPOLLIN);
	s->full = full;
}

static bool has_typed(const struct console_client *c)
{
	int bytes;

	return ioctl(c->fd, FIONREAD, &bytes) == 0 && bytes > 0;
}

static bool on_client(void *arg, uint32_t events)
{
	struct console_client *c = arg;
	bool more = false;

	c->hung_up |= (events & (EPOLLHUP | EPOLLERR)) != 0;
	if ((events & EPOLLOUT) && !c->hung_up)
		send_to(c);
	if (c->types && c->owner->listening && events != EPOLLOUT)
		more = take_input(c);
	if (!c->hung_up || (c->types && has_typed(c))) {
		set_watch(c);
		return more;
	}
	watch_arrivals(c->owner, false);
	remove_client(c);
	return false;
}

/* A client that is here comes before one that left without being heard. Whoever opens a
 * terminal is its one client from then on: so each opening shows the history. */
static struct console_client *find_room(struct console_clients *s)
{
	bool is_terminal = s->host.master >= 0;
	struct console_client *gone = is_terminal ? &s->client[0] : NULL;

	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS && !is_terminal; i++) {
		if (s->client[i].fd < 0)
			return &s->client[i];
		if (s->client[i].hung_up)
			gone = &s->client[i];
	}
	if (gone)
		remove_client(gone);
	return gone;
}

static void add_client(struct console_clients *s, int fd)
{
	struct console_client *c = find_room(s);

	if (!c) {
		console_host_refuse(fd);
		return;
	}
	c->fd = fd;
	c->types = true;
	c->next = console_history_start(&s->history);
	if (watch_client(c) < 0) {
		remove_client(c);
		return;
	}
	tell_size(c);
	send_to(c);
}

static bool on_arrivals(void *arg, uint32_t events)
{
	struct console_clients *s = arg;
	int fd = 0;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BURST && fd >= 0; i++) {
		fd = console_host_accept(&s->host);
		if (fd >= 0)
			add_client(s, fd);
	}
	/* Whoever waits is let in when a client has gone. */
	if (fd == -EMFILE || fd == -ENFILE) {
		log_guest("virtio-console: a client has to wait: %s", strerror(-fd));
		watch_arrivals(s, true);
	}
	return false;
}

/* --- life --- */

int console_clients_create(const struct console_clients_config *config,
			   struct console_clients **ret, struct error *err)
{
	struct console_clients *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, NULL, NULL, "no memory for the console");
	s->ops = config->ops;
	s->ctx = config->ctx;
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++)
		s->client[i] = (struct console_client){ .owner = s, .fd = -1 };
	r = console_host_open(&s->host, config->uds_path, config->pty_path, err);
	if (r == 0) {
		r = console_history_init(&s->history, config->history_bytes);
		if (r < 0)
			error_set(err, r, "history_bytes", "give less", "no memory for it");
	}
	if (r < 0) {
		console_clients_destroy(s);
		return r;
	}
	*ret = s;
	return 0;
}

void console_clients_destroy(struct console_clients *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++)
		remove_client(&s->client[i]);
	console_host_close(&s->host);
	console_history_fini(&s->history);
	free(s);
}

int console_clients_attach(struct console_clients *s, struct virtio_events *events)
{
	int r;

	s->events = events;
	s->full = false;
	r = virtio_watch_create(events, console_host_fd(&s->host), EPOLLIN, on_arrivals, s,
				&s->arrivals);
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS && r == 0; i++) {
		if (s->client[i].fd >= 0)
			r = watch_client(&s->client[i]);
	}
	return r;
}

void console_clients_detach(struct console_clients *s)
{
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++) {
		virtio_watch_destroy(s->client[i].watch);
		s->client[i].watch = NULL;
	}
	virtio_watch_destroy(s->arrivals);
	s->arrivals = NULL;
	s->events = NULL;
}
