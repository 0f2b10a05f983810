/* retention.c - a timer, and a step of the roll-up each time it rings. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/billing/rollup.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/metering/retention.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum {
	FIRST_US = 1000000,
	STEP_US = 200000, /* between transactions: it is in no hurry */
	REST_US = 1800000000,
	RETRY_US = 60000000,
	ACCURACY_US = 50000,
};

static const int64_t NS_PER_HOUR = INT64_C(3600) * 1000000000;

struct retention {
	struct wispd *d;
	sd_event_source *timer;
	int64_t next_seq; /* 0: from where the books say */
	int64_t removed;  /* since it began to go through them */
};

/* Whole hours, so that of each hour all is looked at together. */
static int64_t youngest_wall_ns(const struct config *c)
{
	const int64_t before = ledger_wall_ns() - (int64_t)c->roll_up_after_days * 24 * NS_PER_HOUR;

	return before - before % NS_PER_HOUR;
}

/* 1: there is more. */
static int step(struct retention *r, struct error *err)
{
	struct wispd *d = r->d;
	char archive[CONFIG_ARCHIVE_BYTES];
	struct rollup_wish wish = { .archive = config_archive(&d->config, archive),
				    .before_wall_ns = youngest_wall_ns(&d->config) };
	int64_t removed = 0;
	int more, e = outbox_everybody_has(d->outbox, &wish.last_seq, err);

	if (e == 0)
		e = store_begin(d->truth.store, err);
	if (e < 0)
		return e;
	more = rollup_step(&d->truth, &wish, &r->next_seq, &removed, err);
	e = more < 0 ? more : wispd_commit(d, err);
	if (e < 0) {
		store_rollback(d->truth.store);
		r->next_seq = 0;
		return e;
	}
	r->removed += removed;
	return more;
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct retention *r = arg;
	struct error err = { 0 };
	int more = wispd_has_room(r->d) ? step(r, &err) : 0;

	(void)now_us;
	if (more < 0)
		log_error("the ledger could not be rolled up: %s", err.text);
	if (more <= 0 && r->removed > 0) {
		log_info("%lld events of the ledger went into the archive", (long long)r->removed);
		r->removed = 0;
	}
	sd_event_source_set_time_relative(source, more > 0   ? STEP_US
						  : more < 0 ? RETRY_US
							     : REST_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int retention_create(struct wispd *d, struct retention **ret, struct error *err)
{
	struct retention *r;
	int e = -ENOMEM;

	if (d->config.roll_up_after_days == 0)
		return 0;
	r = calloc(1, sizeof(*r));
	if (r) {
		r->d = d;
		e = sd_event_add_time_relative(d->loop, &r->timer, CLOCK_MONOTONIC, FIRST_US,
					       ACCURACY_US, on_timer, r);
	}
	if (e < 0) {
		free(r);
		return error_set(err, e, NULL, NULL, "Cannot make a timer: %s", strerror(-e));
	}
	*ret = r;
	return 0;
}

void retention_destroy(struct retention *r)
{
	if (!r)
		return;
	sd_event_source_disable_unref(r->timer);
	free(r);
}
