/* watch.c - a timer, a worker that reads, and what is written when it is not as before. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/host/report.h"
#include "supervisor/host/watch.h"
#include "supervisor/life/workers.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

/* What begins right after a start has something better to do. */
enum { ACCURACY_US = 1000000, FIRST_US = 2000000 };

static const char actor[] = "wispd";

/* What a worker has and gives. */
struct look {
	struct work work;
	struct host_watch *w; /* NULL: it has ended meanwhile */
	const struct config *config;
	struct topology topology;
	json_t *report; /* NULL: it could not be made */
};

struct host_watch {
	struct wispd *d;
	sd_event_source *timer;
	struct look *look; /* NULL: no worker is at it */
	json_t *report;	   /* the last; NULL: none yet */
};

/* --- the books --- */

/* The section as it was written down; NULL: it was not, or *r is below 0. */
static json_t *read_section(struct wispd *d, const char *name, int *r, struct error *err)
{
	json_t *section = NULL;
	struct rows rows;

	*r = store_select(d->truth.store, &rows, err,
			  "SELECT report FROM host_section WHERE name = ?", "s", name);
	if (*r < 0)
		return NULL;
	*r = rows_next(&rows, err);
	if (*r > 0)
		section = json_loads(rows_string(&rows, 0), 0, NULL);
	rows_end(&rows);
	return section;
}

static int write_section(struct wispd *d, const char *name, const json_t *section,
			 struct error *err)
{
	char *text = json_dumps(section, JSON_COMPACT);
	int r = text ? store_run(d->truth.store, err,
				 "INSERT INTO host_section VALUES (?, ?)"
				 " ON CONFLICT DO UPDATE SET report = excluded.report",
				 "ss", name, text)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	free(text);
	return r < 0 ? r : 0;
}

static int tell(struct wispd *d, const char *name, const char *what, struct error *err)
{
	json_t *body = json_pack("{s:s, s:s}", "section", name, "what", what);
	const struct ledger_event e = { .type = "host.changed", .actor = actor, .body = body };
	int r = body ? ledger_append(d->truth.ledger, &e, NULL, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

/* 1: it was written; 0: it is as it was. The first time there is nothing to tell. */
static int note(struct wispd *d, const char *name, const json_t *now, struct error *err)
{
	char what[REPORT_WHAT_BYTES];
	int r;
	json_t *before = read_section(d, name, &r, err);

	if (r < 0 || (before && report_compare(before, now, what, sizeof(what)) == 0)) {
		json_decref(before);
		return r < 0 ? r : 0;
	}
	r = before ? tell(d, name, what, err) : 0;
	json_decref(before);
	if (r == 0)
		r = write_section(d, name, now, err);
	return r < 0 ? r : 1;
}

static void write_changes(struct wispd *d, json_t *report)
{
	bool changed = false;
	const char *name;
	json_t *section;
	struct error err;
	int r = store_begin(d->truth.store, &err);

	json_object_foreach(report, name, section)
	{
		if (r >= 0)
			r = note(d, name, section, &err);
		changed = changed || r > 0;
	}
	if (r >= 0 && changed)
		r = wispd_commit(d, &err);
	if (r < 0)
		log_warn("the host's inventory cannot be written down: %s", err.text);
	if (r < 0 || !changed)
		store_rollback(d->truth.store);
}

/* --- looking --- */

static void read_all(struct look *l)
{
	struct error err;

	if (topology_read(NULL, &l->topology, &err) == 0)
		l->report =
			report_make(l->config->device_root, l->config->host_labels, &l->topology);
}

static void run(struct work *work)
{
	read_all((struct look *)work);
}

static void take(struct host_watch *w, struct look *l)
{
	if (!l->report) {
		log_warn("the host's inventory cannot be read");
		return;
	}
	json_decref(w->report);
	w->report = l->report;
	l->report = NULL;
	*w->d->topology = l->topology;
	write_changes(w->d, w->report);
}

static void arm(struct host_watch *w)
{
	sd_event_source_set_time_relative(w->timer, w->d->config.host_interval_ms * 1000);
	sd_event_source_set_enabled(w->timer, SD_EVENT_ONESHOT);
}

static void done(struct work *work)
{
	struct look *l = (struct look *)work;

	if (l->w) {
		l->w->look = NULL;
		take(l->w, l);
		arm(l->w);
	}
	json_decref(l->report);
	free(l);
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct host_watch *w = arg;
	struct look *l = calloc(1, sizeof(*l));

	(void)source;
	(void)now_us;
	if (!l) {
		arm(w);
		return 0;
	}
	l->work = (struct work){ .run = run, .done = done };
	l->w = w;
	l->config = &w->d->config;
	w->look = l;
	workers_add(w->d->workers, &l->work);
	return 0;
}

/* Who asks before the first was made makes it. */
json_t *host_watch_describe(struct host_watch *w)
{
	json_t *all, *now;

	if (!w->report) {
		struct look *l = calloc(1, sizeof(*l));

		if (!l)
			return NULL;
		l->config = &w->d->config;
		read_all(l);
		take(w, l);
		free(l);
	}
	all = json_copy(w->report);
	now = report_now(w->d->config.device_root);
	if (all)
		json_object_set(all, "now", now);
	json_decref(now);
	return all;
}

int host_watch_create(struct wispd *d, struct host_watch **ret, struct error *err)
{
	struct host_watch *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (w) {
		w->d = d;
		r = sd_event_add_time_relative(d->loop, &w->timer, CLOCK_BOOTTIME, FIRST_US,
					       ACCURACY_US, on_timer, w);
	}
	if (r < 0) {
		free(w);
		return error_set(err, r, NULL, NULL, "Cannot make a timer: %s", strerror(-r));
	}
	*ret = w;
	return 0;
}

void host_watch_destroy(struct host_watch *w)
{
	if (!w)
		return;
	if (w->look)
		w->look->w = NULL;
	json_decref(w->report);
	sd_event_source_disable_unref(w->timer);
	free(w);
}
