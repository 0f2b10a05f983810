/* attend.c - rows of instances that are attended, and connections by which they are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/attend.h"
#include "supervisor/life/machine.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

enum { ACCURACY_US = 1000, READ_BYTES = 4096 };

static const int64_t NS_PER_MS = 1000000, NS_PER_US = 1000;

struct attended {
	struct attended *next;
	char id[INSTANCE_ID_BYTES];
	unsigned clients;
	int64_t until_boot_ns; /* without a client it is over then */
};

/* A connection. */
struct client {
	struct client *next;
	struct attendance *a;
	char id[INSTANCE_ID_BYTES];
	int fd;
	sd_event_source *io;
};

struct attendance {
	struct wispd *d;
	struct attended *first;
	struct client *clients;
	sd_event_source *timer;
};

/* --- who is attended --- */

static struct attended *find(const struct attendance *a, const char *id)
{
	for (struct attended *e = a ? a->first : NULL; e; e = e->next)
		if (strcmp(e->id, id) == 0)
			return e;
	return NULL;
}

/* The next that will be over; those that are wait for their machine. */
static void arm(struct attendance *a)
{
	int64_t now = ledger_boot_ns(), first = 0;

	for (const struct attended *e = a->first; e; e = e->next)
		if (!e->clients && e->until_boot_ns > now && (!first || e->until_boot_ns < first))
			first = e->until_boot_ns;
	sd_event_source_set_time(a->timer, (uint64_t)(first / NS_PER_US + 1));
	sd_event_source_set_enabled(a->timer, first ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int add(struct attendance *a, const char *id)
{
	struct attended *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	snprintf(e->id, sizeof(e->id), "%s", id);
	e->until_boot_ns = ledger_boot_ns() + (int64_t)a->d->config.client_grace_ms * NS_PER_MS;
	e->next = a->first;
	a->first = e;
	arm(a);
	return 0;
}

json_t *attend_describe(const struct attendance *a, const char *id)
{
	const struct attended *e = find(a, id);

	return e ? json_integer(e->clients) : json_null();
}

bool attend_is_over(const struct attendance *a, const struct instance *i)
{
	const struct attended *e = find(a, i->id);

	return e && !e->clients && e->until_boot_ns <= ledger_boot_ns() &&
	       state_find_move(i->state, "delete");
}

int attend_make(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err, "INSERT INTO attended VALUES (?)", "s", i->id);

	if (r < 0)
		return r;
	/* Should the row not come to stay there is no instance to be deleted. */
	r = add(d->attendance, i->id);
	return r < 0 ? error_set(err, r, NULL, NULL, "out of memory") : 0;
}

int attend_forget(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM attended WHERE instance = ?", "s",
			  i->id);
	struct attended **at = d->attendance ? &d->attendance->first : NULL;

	while (r >= 0 && at && *at) {
		struct attended *e = *at;

		if (strcmp(e->id, i->id) != 0) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		free(e);
	}
	return r < 0 ? r : 0;
}

/* --- who attends --- */

static void look_at(struct attendance *a, const char *id)
{
	struct machine *m = machine_find(a->d->lifecycle, id);

	if (m)
		machine_look(m);
}

static void free_client(struct client *c)
{
	sd_event_source_disable_unref(c->io);
	fd_close(c->fd);
	free(c);
}

static void forget_client(struct client *c)
{
	struct client **at = &c->a->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	free_client(c);
}

/* Whatever a client says, only its end means something. */
static int on_client(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct client *c = arg;
	struct attendance *a = c->a;
	struct attended *e = find(a, c->id);
	char said[READ_BYTES];
	ssize_t n = recv(fd, said, sizeof(said), MSG_DONTWAIT);

	(void)source;
	(void)events;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return 0;
	forget_client(c);
	if (!e || --e->clients)
		return 0;
	e->until_boot_ns = ledger_boot_ns();
	look_at(a, e->id);
	return 0;
}

/* It ends with wispd, too; fds[0] stays the caller's. */
static int watch(struct attendance *a, const char *id, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	int r = c ? sd_event_add_io(a->d->loop, &c->io, fd, EPOLLIN, on_client, c) : -ENOMEM;

	if (r < 0) {
		free(c);
		return r;
	}
	c->a = a;
	c->fd = fd;
	memcpy(c->id, id, sizeof(c->id));
	c->next = a->clients;
	a->clients = c;
	return 0;
}

int attend_check(const struct attendance *a, const struct instance *i, struct error *err)
{
	if (find(a, i->id))
		return 0;
	return error_set(err, -EINVAL, "attended", "make it with \"attended\": true",
			 "%s lasts without a client", i->name);
}

int attend_open(struct attendance *a, const struct instance *i, struct error *err)
{
	struct attended *e = find(a, i->id);
	int fds[2], r;

	if (!e)
		return attend_check(a, i, err);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_errno(err, NULL, NULL, "Cannot make a connection");
	r = watch(a, e->id, fds[1]);
	if (r < 0) {
		fd_close(fds[0]);
		fd_close(fds[1]);
		return error_set(err, r, NULL, NULL, "Cannot watch a connection");
	}
	e->clients++;
	return fds[0];
}

/* --- life --- */

/* Who cannot be deleted yet is looked at when he has moved on. */
static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	struct attendance *a = arg;
	const int64_t now = (int64_t)usec * NS_PER_US;

	(void)source;
	for (struct attended *e = a->first, *next; e; e = next) {
		next = e->next;
		if (!e->clients && e->until_boot_ns <= now)
			look_at(a, e->id);
	}
	arm(a);
	return 0;
}

static int read_rows(struct attendance *a, struct error *err)
{
	struct rows rows;
	int r = store_select(a->d->truth.store, &rows, err, "SELECT instance FROM attended", "");

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		char id[INSTANCE_ID_BYTES];

		rows_text(&rows, 0, id, sizeof(id));
		r = add(a, id);
		if (r < 0) {
			error_set(err, r, NULL, NULL, "out of memory");
			break;
		}
	}
	rows_end(&rows);
	return r;
}

int attendance_create(struct wispd *d, struct attendance **ret, struct error *err)
{
	struct attendance *a = calloc(1, sizeof(*a));
	int r = -ENOMEM;

	if (a) {
		a->d = d;
		r = sd_event_add_time(d->loop, &a->timer, CLOCK_BOOTTIME, 0, ACCURACY_US, on_timer,
				      a);
	}
	if (r >= 0)
		r = sd_event_source_set_enabled(a->timer, SD_EVENT_OFF);
	if (r < 0)
		error_set(err, r, NULL, NULL, "Cannot set a timer: %s", strerror(-r));
	else
		r = read_rows(a, err);
	if (r < 0) {
		attendance_destroy(a);
		return r;
	}
	*ret = a;
	return 0;
}

void attendance_destroy(struct attendance *a)
{
	if (!a)
		return;
	for (struct client *c = a->clients, *next; c; c = next) {
		next = c->next;
		free_client(c);
	}
	for (struct attended *e = a->first, *next; e; e = next) {
		next = e->next;
		free(e);
	}
	sd_event_source_disable_unref(a->timer);
	free(a);
}
