/* relay.c - two sockets, a buffer a direction, edge-triggered events.
 *
 * Each event moves what can be moved in both directions. A descriptor that stays readable
 * because the other side is slow wakes nobody: what lets it go on is an event of that other
 * side. One that has more to say than a turn's budget is asked again in the next turn of the
 * loop (its source is armed anew), after everybody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "supervisor/books/instance.h"
#include "supervisor/life/relay.h"
#include "vmm/base/fd.h"

enum { TURN_BUFFERS = 8 };

static const uint32_t EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP | (uint32_t)EPOLLET;

/* One direction. */
struct flow {
	int from, to;
	size_t at, len; /* of the buffer: what is still to be written */
	bool ended;	/* nothing more comes */
	bool told;	/* and the other side knows */
	char buffer[RELAY_BUFFER_BYTES];
};

struct relay {
	struct relays *all;
	struct relay *next;
	char tenant[NAME_BYTES];
	int guest;
	void (*ended)(void *ctx);
	void *ctx;
	sd_event_source *sources[2];
	struct flow in, out; /* to the guest, and from it */
};

struct relays {
	sd_event *loop;
	struct relay *first;
};

/* --- carrying --- */

static int fill(struct flow *f)
{
	ssize_t n = recv(f->from, f->buffer, sizeof(f->buffer), 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	f->ended = n == 0;
	f->at = 0;
	f->len = (size_t)n;
	return 0;
}

static int drain(struct flow *f)
{
	ssize_t n = send(f->to, f->buffer + f->at, f->len, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	f->at += (size_t)n;
	f->len -= (size_t)n;
	return 0;
}

/* 0: as far as it goes; 1: its budget is used up; or why it is broken. */
static int carry(struct flow *f)
{
	int r = 0;

	for (unsigned n = 0; r == 0 && n < 2 * TURN_BUFFERS; n++) {
		if (f->len > 0) {
			r = drain(f);
		} else if (!f->ended) {
			r = fill(f);
		} else {
			if (!f->told)
				shutdown(f->to, SHUT_WR);
			f->told = true;
			return 0;
		}
	}
	return r == -EAGAIN ? 0 : r < 0 ? r : 1;
}

static void end(struct relay *r)
{
	for (struct relay **at = &r->all->first; *at; at = &(*at)->next) {
		if (*at != r)
			continue;
		*at = r->next;
		break;
	}
	sd_event_source_disable_unref(r->sources[0]);
	sd_event_source_disable_unref(r->sources[1]);
	fd_close(r->guest);
	r->ended(r->ctx);
	free(r);
}

static void serve(struct relay *r)
{
	int in = carry(&r->in), out = carry(&r->out);

	/* A client that is gone may have left words for the guest, not the other way round. */
	if (in < 0 || out < 0 || (r->in.told && r->out.told)) {
		end(r);
		return;
	}
	for (unsigned i = 0; (in || out) && i < 2; i++)
		sd_event_source_set_io_events(r->sources[i], EVENTS);
}

static int on_event(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	(void)source;
	(void)fd;
	(void)events;
	serve(arg);
	return 0;
}

/* --- life --- */

int relays_create(struct sd_event *loop, struct relays **ret, struct error *err)
{
	struct relays *r = calloc(1, sizeof(*r));

	if (!r)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r->loop = loop;
	*ret = r;
	return 0;
}

void relays_destroy(struct relays *r)
{
	while (r && r->first)
		end(r->first);
	free(r);
}

bool relays_have_room(const struct relays *r, const char *tenant)
{
	unsigned all = 0, own = 0;

	for (const struct relay *at = r->first; at; at = at->next) {
		all++;
		own += strcmp(at->tenant, tenant) == 0;
	}
	return all < RELAYS_MAX && own < RELAYS_TENANT_MAX;
}

static int watch(struct relay *r, const int fds[2])
{
	int result = 0;

	for (unsigned i = 0; i < 2 && result >= 0; i++) {
		result = fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0
				 ? -errno
				 : sd_event_add_io(r->all->loop, &r->sources[i], fds[i], EVENTS,
						   on_event, r);
	}
	return result;
}

void relays_add(struct relays *all, const struct relay_ends *ends)
{
	struct relay *r = calloc(1, sizeof(*r));
	const int fds[2] = { ends->client, ends->guest };

	if (!r) {
		fd_close(ends->guest);
		ends->ended(ends->ctx);
		return;
	}
	r->all = all;
	r->guest = ends->guest;
	r->ended = ends->ended;
	r->ctx = ends->ctx;
	snprintf(r->tenant, sizeof(r->tenant), "%s", ends->tenant);
	r->in.from = r->out.to = ends->client;
	r->in.to = r->out.from = ends->guest;
	r->next = all->first;
	all->first = r;
	if (ends->early_len > sizeof(r->in.buffer) || watch(r, fds) < 0) {
		end(r);
		return;
	}
	if (ends->early_len)
		memcpy(r->in.buffer, ends->early, ends->early_len);
	r->in.len = ends->early_len;
	serve(r);
}
