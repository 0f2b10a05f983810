/* test_sink_down.c - a web server that is sent events is down for a day.
 *
 * The day is that of the events, which are of another year, so the roll-up would like to have
 * them all. wispd ends and begins again meanwhile, once with a batch under way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "supervisor/books/proof.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/metering/retention.h"
#include "supervisor/wispd.h"
#include "tests/unit/event_sink.h"
#include "tests/unit/past.h"

enum { BEFORE = 600, DOWN = 8640, EVERY_S = 10, LEFT = 64, LIMIT_US = 240000000, STEP_US = 50000 };

/* wispd's loop and books, and one worker. */
struct hall {
	struct past *past;
	struct wispd d;
	struct event_sink sink;
};

static void open_books(struct hall *h)
{
	struct truth *t = &h->past->books.truth;
	struct error err;

	assert_int_equal(store_open(scratch_path(h->past->books.dir, "db"), &t->store, &err), 0);
	assert_int_equal(ledger_open(t->store, &t->ledger, &err), 0);
}

static void close_books(struct hall *h)
{
	ledger_close(h->past->books.truth.ledger);
	store_close(h->past->books.truth.store);
	h->past->books.truth = (struct truth){ 0 };
}

static void begin_wispd(struct hall *h)
{
	struct wispd *d = &h->d;
	struct error err;

	d->truth = h->past->books.truth;
	assert_int_equal(sd_event_new(&d->loop), 0);
	assert_int_equal(workers_create(d->loop, 1, &d->workers), 0);
	assert_int_equal(outbox_create(d, &d->outbox, &err), 0);
	assert_int_equal(retention_create(d, &d->retention, &err), 0);
}

/* In the order of main.c. */
static void end_wispd(struct hall *h)
{
	struct wispd *d = &h->d;

	retention_destroy(d->retention);
	outbox_destroy(d->outbox);
	workers_destroy(d->workers);
	sd_event_unref(d->loop);
	d->retention = NULL;
	d->outbox = NULL;
}

static void restart(struct hall *h)
{
	end_wispd(h);
	close_books(h);
	open_books(h);
	begin_wispd(h);
}

static int set_up(void **state)
{
	struct hall *h = calloc(1, sizeof(*h));
	char url[SINK_URL_BYTES];
	struct error err;
	void *past;

	*state = h;
	if (past_open(&past) < 0 || config_read(NULL, &h->d.config, &err) < 0)
		return -1;
	h->past = past;
	snprintf(h->d.config.state_dir, sizeof(h->d.config.state_dir), "%s",
		 ((struct scratch *)h->past->books.dir)->dir);
	event_sink_reserve(&h->sink, url);
	snprintf(h->d.config.events_url, sizeof(h->d.config.events_url), "%s", url);
	return 0;
}

static int tear_down(void **state)
{
	struct hall *h = *state;
	void *past = h->past;

	end_wispd(h);
	past_close(&past);
	event_sink_stop(&h->sink);
	free(h);
	return 0;
}

/* --- events --- */

static int64_t number(struct hall *h, const char *sql)
{
	int64_t n = -1;
	struct error err;

	assert_int_equal(store_number(h->d.truth.store, &n, &err, sql, ""), 0);
	return n;
}

static int64_t head(struct hall *h)
{
	char hex[LEDGER_HEX_BYTES];
	struct error err;
	int64_t seq = 0;

	assert_int_equal(ledger_head(h->d.truth.ledger, &seq, hex, &err), 0);
	return seq;
}

static void write_events(struct hall *h, unsigned count)
{
	struct store *store = h->past->books.truth.store;
	struct error err;

	past_go_on(h->past);
	assert_int_equal(store_begin(store, &err), 0);
	for (unsigned n = 0; n < count; n++) {
		past_pass(h->past, EVERY_S * S);
		past_confirmed(h->past);
	}
	assert_int_equal(store_commit(store, &err), 0);
}

static bool receiver_says(struct hall *h, const char *member)
{
	json_t *all = outbox_describe(h->d.outbox);
	const json_t *said = json_object_get(json_object_get(all, "events_url"), member);
	const bool yes = json_is_true(said) || json_integer_value(said) > 0;

	json_decref(all);
	return yes;
}

/* Turns of the loop until it is so. */
static void run_until(struct hall *h, bool (*is_so)(struct hall *h))
{
	for (uint64_t waited = 0; !is_so(h); waited += STEP_US) {
		assert_true(waited < LIMIT_US);
		assert_true(sd_event_run(h->d.loop, STEP_US) >= 0);
	}
}

static bool is_failing(struct hall *h)
{
	return receiver_says(h, "failing");
}

static bool has_all(struct hall *h)
{
	return !receiver_says(h, "behind");
}

static bool something_came(struct hall *h)
{
	return event_sink_came(&h->sink, true) > 0;
}

/* Of the first day, which the receiver has, not much is left. */
static bool is_first_day_rolled_up(struct hall *h)
{
	return number(h, "SELECT count(*) FROM event WHERE seq <= 600") < LEFT;
}

/* The day, up to the event that tells of the first roll-up: that is of today, and keeps what is
 * behind it. */
static bool is_rolled_up(struct hall *h)
{
	return number(h, "SELECT count(*) FROM event WHERE seq > 600 AND seq <="
			 " (SELECT min(seq) FROM event WHERE type = 'ledger.rolled_up')") < LEFT;
}

static void check_whole(struct hall *h)
{
	char archive[CONFIG_ARCHIVE_BYTES];
	const struct proof_wish wish = { .archive = config_archive(&h->d.config, archive) };
	struct proof_report report;
	struct error err;

	assert_int_equal(proof_walk(h->d.truth.ledger, &wish, &report, &err), 0);
	assert_string_equal(report.fault, "");
}

/* Of each event one id came, and in order what was new; those of before the day it has already. */
static void check_received(struct hall *h)
{
	assert_int_equal(event_sink_came(&h->sink, false), head(h) - BEFORE);
	assert_true(event_sink_came(&h->sink, true) >= (size_t)(head(h) - BEFORE));
	assert_int_equal(event_sink_disorder(&h->sink, BEFORE + 1), 0);
}

static void test_a_day(void **state)
{
	struct hall *h = *state;
	struct error err;

	write_events(h, BEFORE);
	assert_true(store_run(h->past->books.truth.store, &err,
			      "INSERT INTO meta VALUES ('sent_events_url', '600')", "") > 0);
	write_events(h, DOWN / 2);
	begin_wispd(h);
	/* It is down, and wispd ends and begins; what it has not got stays, all of it. */
	run_until(h, is_failing);
	run_until(h, is_first_day_rolled_up);
	restart(h);
	write_events(h, DOWN / 2);
	run_until(h, is_failing);
	assert_int_equal(number(h, "SELECT count(*) FROM event WHERE seq > 600"), head(h) - BEFORE);
	assert_int_equal(event_sink_came(&h->sink, true), 0);
	restart(h);
	/* It is back, and has a batch that wispd did not live to note: that comes again. */
	event_sink_return(&h->sink);
	run_until(h, something_came);
	restart(h);
	run_until(h, has_all);
	check_received(h);
	/* Now the day may go, too, the next time that it is looked at. */
	restart(h);
	run_until(h, is_rolled_up);
	run_until(h, has_all);
	check_received(h);
	check_whole(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_day, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
