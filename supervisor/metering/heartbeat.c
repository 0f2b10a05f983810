/* heartbeat.c - a timer, a round of samples, and one event for the whole host.
 *
 * The loop learns of a VMM's end by its pidfd, before it comes back to this timer: what the
 * books say is alive now is. One meter.confirmed event a host keeps the ledger small: ten
 * thousand VMMs cost it as much as one, and none costs nothing.
 *
 * A round: on the timer every VMM that lives gets a place in the list; a worker samples them
 * one after the other (sample.h); back on the loop samples and confirmation are one
 * transaction. A VMM that has ended meanwhile is left out, since its last sample is taken by
 * whoever takes it down (lifecycle.c). Once in a while, and when a month ends, the round's
 * counters are told in events (meter.h).
 *
 * After it the budgets are looked at (budget.h): what was spent is known up to now.
 * With the counters goes a signed head of the ledger into a file (anchor.h).
 *
 * Clocks: a step of the wall clock and a sleep of the host show in differences between
 * clocks, which are told as clock.stepped {step_ns} and host.suspended {suspended_ns}.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "supervisor/billing/period.h"
#include "supervisor/books/anchor.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/budget.h"
#include "supervisor/metering/heartbeat.h"
#include "supervisor/metering/meter.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { ACCURACY_US = 100000 };

static const int64_t STEP_NS = 100000000;

struct one {
	struct launch launch;
	struct sample sample;
	int64_t incarnation, lines;
};

/* What one round samples. */
struct beat {
	struct work work;
	struct heartbeat *h; /* NULL: it has ended meanwhile */
	unsigned count, room;
	struct one **ones;
};

/* How the clocks stand to each other. */
struct clocks {
	int64_t offset_ns; /* CLOCK_REALTIME less CLOCK_BOOTTIME */
	int64_t asleep_ns; /* CLOCK_BOOTTIME less CLOCK_MONOTONIC */
};

struct heartbeat {
	struct wispd *d;
	sd_event_source *timer;
	struct beat *beat; /* NULL: no round is under way */
	struct clocks clocks;
	int64_t told_boot_ns; /* the last round that was told in events */
	int told_period;
};

/* --- clocks --- */

static struct clocks read_clocks(void)
{
	int64_t boot = ledger_boot_ns(), wall = ledger_wall_ns();
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (struct clocks){ wall - boot, boot - ((int64_t)t.tv_sec * 1000000000 + t.tv_nsec) };
}

/* By how much it differs, if that is more than what takes time to read. */
static int64_t step_of(int64_t before, int64_t now)
{
	int64_t step = now - before;

	return step > STEP_NS || step < -STEP_NS ? step : 0;
}

static int tell(struct wispd *d, const char *type, const char *name, int64_t n, struct error *err)
{
	json_t *body = json_pack("{s:I}", name, (json_int_t)n);
	const struct ledger_event e = { .type = type, .actor = "wispd", .body = body };
	int r = ledger_append(d->truth.ledger, &e, NULL, err);

	json_decref(body);
	return r;
}

static int tell_clocks(struct heartbeat *h, const struct clocks *now, struct error *err)
{
	int64_t slept = step_of(h->clocks.asleep_ns, now->asleep_ns);
	int64_t stepped = step_of(h->clocks.offset_ns, now->offset_ns);
	int r = slept ? tell(h->d, "host.suspended", "suspended_ns", slept, err) : 0;

	return r == 0 && stepped ? tell(h->d, "clock.stepped", "step_ns", stepped, err) : r;
}

/* --- writing a round --- */

static int note(struct heartbeat *h, const struct one *one, bool told, struct error *err)
{
	struct instance i;
	int r = instance_load(&h->d->truth, one->launch.id, &i, err);

	if (r < 0 || i.incarnation != one->incarnation || !lifecycle_lives(h->d->lifecycle, i.id))
		return r == -ENOENT ? 0 : r;
	return meter_note(&h->d->truth, &i, &one->sample, told, err);
}

/* States that a VMM may live in: starting (2) to stopping (7), saving (13, 15), resizing (14). */
static int count(struct wispd *d, int64_t *alive, int64_t *held, struct error *err)
{
	int r = store_number(
		d->truth.store, alive, err,
		"SELECT count(*) FROM instance WHERE state BETWEEN 2 AND 7 OR state IN (13,14,15)",
		"");

	return r < 0 ? r : store_number(d->truth.store, held, err, "SELECT count(*) FROM held", "");
}

/* Samples of VMMs that live still, and that all live that should. */
static int write_round(struct heartbeat *h, const struct beat *b, bool told,
		       const struct clocks *now, struct error *err)
{
	int64_t alive = 0, held = 0;
	int r = tell_clocks(h, now, err);

	for (unsigned n = 0; b && n < b->count && r == 0; n++)
		r = note(h, b->ones[n], told, err);
	if (r == 0)
		r = count(h->d, &alive, &held, err);
	if (r == 0 && (alive > 0 || (held > 0 && told)))
		r = tell(h->d, "meter.confirmed", "alive", alive, err);
	return r;
}

static void confirm(struct heartbeat *h, const struct beat *b)
{
	const struct clocks now = read_clocks();
	const int period = period_of(ledger_wall_ns());
	const int64_t told_for_ns = ledger_boot_ns() - h->told_boot_ns;
	const bool told = period != h->told_period ||
			  told_for_ns >= (int64_t)h->d->config.count_interval_ms * 1000000;
	struct error err;
	int r = store_begin(h->d->truth.store, &err);

	if (r == 0)
		r = write_round(h, b, told, &now, &err);
	if (r == 0)
		r = wispd_commit(h->d, &err);
	if (r < 0) {
		store_rollback(h->d->truth.store);
		log_error("what runs could not be confirmed: %s", err.text);
		return;
	}
	h->clocks = now;
	if (told) {
		if (anchor_append(h->d->truth.ledger, &h->d->anchor_key, h->d->config.anchor_file,
				  &err) < 0)
			log_error("%s", err.text);
		h->told_period = period;
		h->told_boot_ns += told_for_ns;
	}
}

/* --- a round --- */

static void free_beat(struct beat *b)
{
	for (unsigned n = 0; b && n < b->count; n++)
		free(b->ones[n]);
	if (b)
		free(b->ones);
	free(b);
}

static bool make_room(struct beat *b)
{
	unsigned room = b->room ? 2 * b->room : 16;
	struct one **ones;

	if (b->count < b->room)
		return true;
	ones = reallocarray(b->ones, room, sizeof(struct one *));
	if (!ones)
		return false;
	b->ones = ones;
	b->room = room;
	return true;
}

static int add(void *ctx, const struct instance *i)
{
	struct beat *b = ctx;
	struct wispd *d = b->h->d;
	struct error err = { .text = "out of memory" };
	struct one *one;

	if (!lifecycle_lives(d->lifecycle, i->id))
		return 0;
	one = make_room(b) ? calloc(1, sizeof(*one)) : NULL;
	if (!one || lifecycle_load(d, i, &one->launch, &err) < 0 ||
	    meter_lines(&d->truth, i, &one->lines, &err) < 0) {
		log_warn("%s cannot be sampled: %s", i->id, err.text);
		free(one);
		return 0;
	}
	one->incarnation = i->incarnation;
	b->ones[b->count++] = one;
	return 0;
}

static void run(struct work *work)
{
	struct beat *b = (struct beat *)work;

	for (unsigned n = 0; n < b->count; n++)
		sample_take(&b->ones[n]->launch, b->ones[n]->lines, &b->ones[n]->sample);
}

static void arm(struct heartbeat *h)
{
	sd_event_source_set_time_relative(h->timer, h->d->config.confirm_interval_ms * 1000);
	sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static void done(struct work *work)
{
	struct beat *b = (struct beat *)work;

	if (b->h) {
		b->h->beat = NULL;
		confirm(b->h, b);
		budgets_look(b->h->d);
		arm(b->h);
	}
	free_beat(b);
}

static int on_timer(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct heartbeat *h = arg;
	struct beat *b = calloc(1, sizeof(*b));
	struct error err;

	(void)source;
	(void)now_us;
	if (!b) {
		confirm(h, NULL);
		arm(h);
		return 0;
	}
	b->work = (struct work){ .run = run, .done = done };
	b->h = h;
	if (instance_each(&h->d->truth, NULL, add, b, &err) < 0)
		log_warn("the instances cannot be sampled: %s", err.text);
	h->beat = b;
	workers_add(h->d->workers, &b->work);
	return 0;
}

int heartbeat_create(struct wispd *d, struct heartbeat **ret, struct error *err)
{
	struct heartbeat *h = calloc(1, sizeof(*h));
	int r = -ENOMEM;

	if (h) {
		h->d = d;
		h->clocks = read_clocks();
		h->told_boot_ns = ledger_boot_ns();
		h->told_period = period_of(ledger_wall_ns());
		r = sd_event_add_time_relative(d->loop, &h->timer, CLOCK_BOOTTIME,
					       d->config.confirm_interval_ms * 1000, ACCURACY_US,
					       on_timer, h);
	}
	if (r < 0) {
		free(h);
		return error_set(err, r, NULL, NULL, "Cannot make a timer: %s", strerror(-r));
	}
	*ret = h;
	return 0;
}

void heartbeat_destroy(struct heartbeat *h)
{
	if (!h)
		return;
	if (h->beat)
		h->beat->h = NULL;
	confirm(h, NULL);
	sd_event_source_disable_unref(h->timer);
	free(h);
}
