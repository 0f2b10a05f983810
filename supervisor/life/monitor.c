/* monitor.c - a connection to a VMM's events, made again when it is lost.
 *
 * The peer greets, we end the negotiation, and ask how the machine is; from then on it tells
 * what happens (told[]), and each time that it says that it has stopped we ask why. Some answers
 * to that mean that it never goes on (statuses[]). A VMM that says more at once than anybody
 * with something to say is left alone for a while.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/life/guest.h"
#include "supervisor/life/monitor.h"
#include "supervisor/life/qmp.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	RETRY_US = 200000,
	OBJECTS_AT_ONCE = 256,
	NEWS_MAX = 16, /* in each ... */
	NEWS_WINDOW_US = 60000000,
};

struct monitor {
	struct wispd *d;
	const struct runtime *runtime;
	char id[INSTANCE_ID_BYTES];
	uid_t uid;
	void (*hear)(void *ctx, const struct monitor_news *news);
	void *ctx;

	struct qmp *qmp; /* NULL: no connection */
	sd_event_source *io, *timer;
	bool negotiated;
	unsigned news; /* in the window that began then */
	uint64_t window_us;
};

/* Events that are worth a line in the ledger. */
static const char *const told[] = {
	"BLOCK_IO_ERROR", "DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR",
	"GUEST_PANICKED", "MEMORY_FAILURE", "RESET",
	"SHUTDOWN",	  "WATCHDOG",
};

static const struct {
	const char *status, *meaning;
} statuses[] = {
	{ "internal-error", "the VMM stopped the guest after an internal error" },
	{ "guest-panicked", "the guest panicked" },
	{ "io-error", "the VMM stopped the guest after an error of a disk" },
	{ "watchdog", "the guest's watchdog fired" },
};

/* --- passing on --- */

static bool has_room(struct monitor *m)
{
	uint64_t now = clock_now_us();

	if (now - m->window_us > NEWS_WINDOW_US) {
		m->window_us = now;
		m->news = 0;
	}
	return m->news++ < NEWS_MAX;
}

static void pass_on(struct monitor *m, const char *event, const json_t *data, const char *fatal)
{
	struct monitor_news news = { .event = event, .fatal = fatal };
	char *text;

	if (!has_room(m) && !fatal) {
		log_guest("%s: its VMM says %s, again and again", m->id, event);
		return;
	}
	text = data ? json_dumps(data, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	snprintf(news.data, sizeof(news.data), "%s", text ? text : "{}");
	free(text);
	m->hear(m->ctx, &news);
}

/* --- hearing --- */

static int hear_event(struct monitor *m, const char *name, const json_t *data, struct error *err)
{
	if (strcmp(name, "STOP") == 0)
		return qmp_say(m->qmp, "query-status", err);
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (strcmp(name, told[i]) == 0)
			pass_on(m, told[i], data, NULL);
	return 0;
}

static void hear_status(struct monitor *m, const json_t *status, const json_t *answer)
{
	const char *text = json_string_value(status);

	for (size_t i = 0; text && i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (strcmp(text, statuses[i].status) == 0)
			pass_on(m, "STOP", answer, statuses[i].meaning);
}

static int hear_object(struct monitor *m, const json_t *j, struct error *err)
{
	const char *event = json_string_value(json_object_get(j, "event"));
	const json_t *answer = json_object_get(j, "return");

	if (event)
		return hear_event(m, event, json_object_get(j, "data"), err);
	if (json_object_get(j, "QMP"))
		return qmp_say(m->qmp, "qmp_capabilities", err);
	if (answer && !m->negotiated) {
		m->negotiated = true;
		return qmp_say(m->qmp, "query-status", err);
	}
	hear_status(m, json_object_get(answer, "status"), answer);
	return 0;
}

static int hear_all(struct monitor *m, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < OBJECTS_AT_ONCE && r == 0; i++) {
		json_t *j = NULL;

		r = qmp_hear(m->qmp, &j, err);
		if (r == 0)
			r = hear_object(m, j, err);
		json_decref(j);
	}
	return r == 0 ? error_set(err, -EMSGSIZE, NULL, NULL, "It says too much at once") : r;
}

/* --- connecting --- */

static void hang_up(struct monitor *m)
{
	m->io = sd_event_source_disable_unref(m->io);
	qmp_close(m->qmp);
	m->qmp = NULL;
	m->negotiated = false;
}

static void try_later(struct monitor *m)
{
	hang_up(m);
	sd_event_source_set_time_relative(m->timer, RETRY_US);
	sd_event_source_set_enabled(m->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct monitor *m = arg;
	struct error err = { 0 };
	int r = hear_all(m, &err);

	(void)source;
	(void)fd;
	(void)events;
	if (r != -EAGAIN)
		try_later(m);
	if (r != -EAGAIN && r != -EPIPE)
		log_guest("%s: its VMM's events: %s", m->id, err.text);
	return 0;
}

/* What only a connection needs of the launch. */
static int reach(struct monitor *m, struct error *err)
{
	struct launch *l = calloc(1, sizeof(*l));
	int fd = -ENOMEM;

	if (l) {
		l->config = &m->d->config;
		l->runtime = m->runtime;
		l->uid = m->uid;
		memcpy(l->id, m->id, sizeof(l->id));
		fd = guest_connect(l, RUNTIME_EVENTS, 0, err);
	}
	free(l);
	return fd;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct monitor *m = arg;
	struct error err;
	int fd = reach(m, &err);

	(void)source;
	(void)usec;
	if (fd < 0 || qmp_attach(fd, &m->qmp, &err) < 0 ||
	    sd_event_add_io(m->d->loop, &m->io, fd, EPOLLIN | EPOLLRDHUP, on_io, m) < 0)
		try_later(m);
	return 0;
}

/* --- life --- */

int monitor_create(struct wispd *d, const struct launch *l,
		   void (*hear)(void *ctx, const struct monitor_news *news), void *ctx,
		   struct monitor **ret, struct error *err)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	m->d = d;
	m->runtime = l->runtime;
	m->uid = l->uid;
	m->hear = hear;
	m->ctx = ctx;
	memcpy(m->id, l->id, sizeof(m->id));
	r = sd_event_add_time_relative(d->loop, &m->timer, CLOCK_MONOTONIC, 0, RETRY_US / 10,
				       on_timer, m);
	if (r < 0) {
		monitor_destroy(m);
		return error_set(err, r, NULL, NULL, "Cannot set a timer: %s", strerror(-r));
	}
	*ret = m;
	return 0;
}

void monitor_destroy(struct monitor *m)
{
	if (!m)
		return;
	hang_up(m);
	sd_event_source_disable_unref(m->timer);
	free(m);
}
