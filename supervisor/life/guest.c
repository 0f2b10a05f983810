/* guest.c - one question at a time, in steps: connect, greet, ask, hear. The first one tells
 * the guest its addresses.
 *
 * An attempt that does not get through within ATTEMPT_LIMIT_US is given up, and made again
 * later. A guest that sends something else than an answer has not answered.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "guest-images/agent/channel.h"
#include "guest-images/agent/fields.h"
#include "supervisor/books/ledger.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/identity.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	RETRY_FIRST_US = 10000,
	RETRY_LAST_US = 200000,
	ATTEMPT_LIMIT_US = 5000000,
	GREETING_BYTES = 32,
	VALUE_BYTES = 128,
	REQUEST_BYTES = 64 + IDENTITY_ADDRESSES_MAX * IDENTITY_TEXT_BYTES,
};

enum step { STEP_REST, STEP_GREETING, STEP_ANSWER };

struct guest {
	struct wispd *d;
	const struct runtime *runtime;
	char id[INSTANCE_ID_BYTES];
	uid_t uid;
	void (*on_ready)(void *ctx);
	void *ctx;

	enum step step;
	int fd; /* of the attempt; -1 */
	struct channel *channel;
	sd_event_source *io, *timer;
	char greeting[GREETING_BYTES];
	size_t greeting_len;

	uint64_t retry_us;
	unsigned naddresses; /* 0: it has been told all, or there are none */
	char addresses[IDENTITY_ADDRESSES_MAX][IDENTITY_TEXT_BYTES];
	bool ready, answers; /* it has answered once; it did when asked last */
	int64_t seen_wall_ns;
	json_t *health; /* of its last answer; NULL: none */
};

/* --- connecting --- */

static int connect_to(int fd, int way)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d", way);
	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

/* A lane is taken by a name of the socket's own, which is free again when that is closed. */
static int take_lane(int fd, const char *id, unsigned lane)
{
	struct sockaddr_un own = { .sun_family = AF_UNIX };
	int n = snprintf(own.sun_path + 1, sizeof(own.sun_path) - 1, "wispd/%s/%u", id, lane);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	return bind(fd, (const struct sockaddr *)&own, len) < 0 ? -errno : 0;
}

/* The first free one from some lane on: what was closed just now is the last to be taken
 * again, since the VMM may not have seen that yet. */
static int choose_lane(int fd, const struct launch *l, struct error *err)
{
	unsigned lanes = l->runtime->lanes, first = (unsigned)(ledger_boot_ns() >> 10);

	if (!lanes)
		return 0;
	for (unsigned i = 0; i < lanes; i++) {
		unsigned lane = (first + i) % lanes;

		if (take_lane(fd, l->id, lane) == 0)
			return (int)lane;
	}
	return error_set(err, -EAGAIN, NULL, "end some of them", "%s can have %u streams at a time",
			 l->runtime->name, lanes);
}

static int greet(int fd, unsigned port)
{
	char line[GREETING_BYTES];
	int n = snprintf(line, sizeof(line), "CONNECT %u\n", port);

	return send(fd, line, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -EIO;
}

static int reach_way(int fd, const struct launch *l, enum runtime_way way, unsigned port,
		     struct error *err)
{
	int lane = way == RUNTIME_VSOCK ? choose_lane(fd, l, err) : 0;
	int socket = lane < 0 ? lane : l->runtime->open_way(l, way, (unsigned)lane, err), r;

	if (socket < 0)
		return socket;
	r = connect_to(fd, socket);
	fd_close(socket);
	if (r == 0 && way == RUNTIME_VSOCK)
		r = greet(fd, port);
	return r == 0 ? 0
		      : error_set(err, r == -EAGAIN ? -EAGAIN : -ECONNREFUSED, NULL,
				  "look at wispctl logs --vmm", "The VMM of %s does not listen: %s",
				  l->id, strerror(-r));
}

int guest_connect(const struct launch *l, enum runtime_way way, unsigned port, struct error *err)
{
	int fd, r;

	if (!l->runtime->open_way)
		return error_set(err, -ENOTSUP, "runtime", NULL,
				 "There is no way into a guest of %s", l->runtime->name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, NULL, NULL, "Cannot make a socket");
	r = reach_way(fd, l, way, port, err);
	if (r == 0)
		return fd;
	fd_close(fd);
	return r;
}

/* --- attempts --- */

static void hang_up(struct guest *g)
{
	g->io = sd_event_source_disable_unref(g->io);
	channel_destroy(g->channel);
	g->channel = NULL;
	g->fd = fd_close(g->fd);
	g->step = STEP_REST;
}

static void set_timer(struct guest *g, uint64_t us)
{
	sd_event_source_set_time_relative(g->timer, us);
	sd_event_source_set_enabled(g->timer, SD_EVENT_ONESHOT);
}

static void rest(struct guest *g, bool answered)
{
	hang_up(g);
	g->answers = answered;
	if (g->ready) {
		set_timer(g, g->d->config.agent_interval_ms * 1000);
		return;
	}
	set_timer(g, g->retry_us);
	g->retry_us = 2 * g->retry_us < RETRY_LAST_US ? 2 * g->retry_us : RETRY_LAST_US;
}

/* --- the answer --- */

/* A number as a number; else what can be shown of the text. */
static json_t *value_of(const char *text)
{
	char shown[VALUE_BYTES], *end;
	long long number = strtoll(text, &end, 10);
	size_t n = 0;

	if (*text && !*end)
		return json_integer(number);
	for (; n < sizeof(shown) - 1 && text[n]; n++)
		shown[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
	return json_stringn(shown, n);
}

static void keep_health(struct guest *g, const struct frame *f)
{
	static const char *const names[] = { "version",
					     "uptime_ms",
					     "clock_ns",
					     "hostname",
					     "load",
					     "processes",
					     "memory_total_bytes",
					     "memory_available_bytes",
					     "root_total_bytes",
					     "root_available_bytes" };
	json_t *health = json_object();

	for (size_t i = 0; health && i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = fields_get(f->payload, f->len, names[i]);

		if (value)
			json_object_set_new(health, names[i], value_of(value));
	}
	json_decref(g->health);
	g->health = health;
	g->seen_wall_ns = ledger_wall_ns();
}

/* Whether it did what it was told is its own matter: its addresses are no secret, and it may
 * have others who care for them. */
static void hear_of_addresses(struct guest *g, const struct frame *f)
{
	const char *why = fields_get(f->payload, f->len, "text");
	json_t *shown = f->type == FRAME_FAULT && why ? value_of(why) : NULL;

	if (shown)
		log_guest("%s: its agent does not set its addresses: %s", g->id,
			  json_is_string(shown) ? json_string_value(shown) : "?");
	json_decref(shown);
	g->naddresses = 0;
	hang_up(g);
	set_timer(g, 0);
}

static void hear(struct guest *g)
{
	struct frame f = { 0 };
	int r = channel_flush(g->channel);
	bool first = !g->ready;

	if (r == 0)
		r = channel_take(g->channel, &f);
	if (r == -EAGAIN)
		return;
	if (r == 0 && g->naddresses && (f.type == FRAME_ANSWER || f.type == FRAME_FAULT) &&
	    fields_valid(f.payload, f.len)) {
		hear_of_addresses(g, &f);
		return;
	}
	if (r < 0 || f.type != FRAME_ANSWER || !fields_valid(f.payload, f.len)) {
		rest(g, false);
		return;
	}
	keep_health(g, &f);
	g->ready = true;
	rest(g, true);
	if (first)
		g->on_ready(g->ctx);
}

static void ask(struct guest *g)
{
	char bytes[REQUEST_BYTES];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };
	int r = channel_create(g->fd, &g->channel);

	fields_add(&f, "verb", g->naddresses ? "addresses" : "health");
	for (unsigned i = 0; i < g->naddresses; i++)
		fields_add_text(&f, g->addresses[i]);
	if (r == 0)
		r = channel_put(g->channel, FRAME_REQUEST, f.bytes, f.len);
	g->step = STEP_ANSWER;
	if (r < 0)
		rest(g, false);
}

/* "OK number", byte by byte: the answer comes behind it. */
static void hear_greeting(struct guest *g)
{
	while (g->greeting_len < sizeof(g->greeting)) {
		ssize_t n = recv(g->fd, &g->greeting[g->greeting_len], 1, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			break;
		if (g->greeting[g->greeting_len++] != '\n')
			continue;
		if (strncmp(g->greeting, "OK ", 3) != 0)
			break;
		ask(g);
		return;
	}
	rest(g, false);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct guest *g = arg;

	(void)source;
	(void)fd;
	(void)events;
	if (g->step == STEP_GREETING)
		hear_greeting(g);
	else
		hear(g);
	return 0;
}

/* What only a connection needs of the launch. */
static int reach(struct guest *g)
{
	struct launch *l = calloc(1, sizeof(*l));
	struct error err;
	int fd = -ENOMEM;

	if (l) {
		l->config = &g->d->config;
		l->runtime = g->runtime;
		l->uid = g->uid;
		memcpy(l->id, g->id, sizeof(l->id));
		fd = guest_connect(l, RUNTIME_VSOCK, AGENT_PORT, &err);
	}
	free(l);
	return fd;
}

static void attempt(struct guest *g)
{
	g->greeting_len = 0;
	g->fd = reach(g);
	if (g->fd < 0 ||
	    sd_event_add_io(g->d->loop, &g->io, g->fd, EPOLLIN | EPOLLRDHUP, on_io, g) < 0) {
		rest(g, false);
		return;
	}
	g->step = STEP_GREETING;
	set_timer(g, ATTEMPT_LIMIT_US);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct guest *g = arg;

	(void)source;
	(void)usec;
	if (g->step == STEP_REST)
		attempt(g);
	else
		rest(g, false);
	return 0;
}

/* --- life --- */

int guest_create(struct wispd *d, const struct launch *l, void (*on_ready)(void *ctx), void *ctx,
		 struct guest **ret, struct error *err)
{
	struct guest *g;
	int r;

	if (!l->runtime->open_way)
		return error_set(err, -ENOTSUP, "runtime", NULL, "%s reaches no agent",
				 l->runtime->name);
	g = calloc(1, sizeof(*g));
	if (!g)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	*g = (struct guest){ .d = d,
			     .runtime = l->runtime,
			     .uid = l->uid,
			     .on_ready = on_ready,
			     .ctx = ctx,
			     .fd = -1,
			     .retry_us = RETRY_FIRST_US };
	memcpy(g->id, l->id, sizeof(g->id));
	g->naddresses = identity_addresses(l, false, g->addresses);
	r = sd_event_add_time_relative(d->loop, &g->timer, CLOCK_MONOTONIC, 0, RETRY_FIRST_US / 10,
				       on_timer, g);
	if (r < 0) {
		guest_destroy(g);
		return error_set(err, r, NULL, NULL, "Cannot set a timer: %s", strerror(-r));
	}
	*ret = g;
	return 0;
}

void guest_destroy(struct guest *g)
{
	if (!g)
		return;
	hang_up(g);
	sd_event_source_disable_unref(g->timer);
	json_decref(g->health);
	free(g);
}

bool guest_is_ready(const struct guest *g)
{
	return g->ready;
}

json_t *guest_describe(const struct guest *g)
{
	const char *state = !g->ready ? "awaited" : g->answers ? "ready" : "silent";

	return json_pack("{s:s, s:I, s:O*}", "state", state, "seen_wall_ns",
			 (json_int_t)g->seen_wall_ns, "health", g->health);
}
