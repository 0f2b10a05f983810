/* test_retention.c - wispd rolls its ledger up by itself, and keeps what others still need. */
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
#include "supervisor/books/store.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/metering/retention.h"
#include "supervisor/wispd.h"
#include "tests/unit/past.h"

enum { LIMIT_US = 60000000, STEP_US = 50000, OLD = 3000, SENT = 1000 };

/* wispd's loop and books, and an old ledger in them. */
struct hall {
	struct past *past;
	struct wispd d;
};

static int set_up(void **state)
{
	struct hall *h = calloc(1, sizeof(*h));
	struct error err;
	void *past;

	*state = h;
	if (past_open(&past) < 0 || config_read(NULL, &h->d.config, &err) < 0 ||
	    sd_event_new(&h->d.loop) < 0 || workers_create(h->d.loop, 0, &h->d.workers) < 0)
		return -1;
	h->past = past;
	h->d.truth = h->past->books.truth;
	snprintf(h->d.config.state_dir, sizeof(h->d.config.state_dir), "%s",
		 ((struct scratch *)h->past->books.dir)->dir);
	store_begin(h->d.truth.store, &err);
	for (int i = 0; i < OLD; i++) {
		past_pass(h->past, S);
		past_confirmed(h->past);
	}
	return store_commit(h->d.truth.store, &err);
}

static int tear_down(void **state)
{
	struct hall *h = *state;
	void *past = h->past;

	retention_destroy(h->d.retention);
	workers_destroy(h->d.workers);
	outbox_destroy(h->d.outbox);
	sd_event_unref(h->d.loop);
	past_close(&past);
	free(h);
	return 0;
}

static int64_t confirmations(struct wispd *d)
{
	struct error err;
	int64_t n = -1;

	assert_int_equal(store_number(d->truth.store, &n, &err,
				      "SELECT count(*) FROM event WHERE type = 'meter.confirmed'",
				      ""),
			 0);
	return n;
}

static void run_until(struct wispd *d, int64_t most)
{
	struct error err;

	if (retention_create(d, &d->retention, &err) < 0)
		fail_msg("%s", err.text);
	for (uint64_t waited = 0; confirmations(d) > most; waited += STEP_US) {
		assert_true(waited < LIMIT_US);
		assert_true(sd_event_run(d->loop, STEP_US) >= 0);
	}
}

static void check_whole(struct wispd *d)
{
	char archive[CONFIG_ARCHIVE_BYTES];
	const struct proof_wish wish = { .archive = config_archive(&d->config, archive) };
	struct proof_report report;
	struct error err;

	assert_int_equal(proof_walk(d->truth.ledger, &wish, &report, &err), 0);
	assert_string_equal(report.fault, "");
}

static void test_by_itself(void **state)
{
	struct hall *h = *state;

	run_until(&h->d, 8);
	check_whole(&h->d);
}

/* A receiver who was away gets every event: none leaves before he has it. */
static void test_not_yet_sent(void **state)
{
	struct hall *h = *state;
	struct wispd *d = &h->d;
	struct error err;

	snprintf(d->config.events_file, sizeof(d->config.events_file), "%.*s/events", PATH_MAX - 8,
		 d->config.state_dir);
	assert_true(store_run(d->truth.store, &err,
			      "INSERT INTO meta VALUES ('sent_events_file', '1000')", "") > 0);
	assert_int_equal(outbox_create(d, &d->outbox, &err), 0);
	run_until(d, OLD - SENT + 8);
	assert_true(confirmations(d) >= OLD - SENT);
	check_whole(d);
	retention_destroy(d->retention);
	assert_true(store_run(d->truth.store, &err,
			      "UPDATE meta SET value = '3000' WHERE key = 'sent_events_file'",
			      "") > 0);
	run_until(d, 12);
	check_whole(d);
}

static void test_never(void **state)
{
	struct hall *h = *state;
	struct error err;

	h->d.config.roll_up_after_days = 0;
	assert_int_equal(retention_create(&h->d, &h->d.retention, &err), 0);
	assert_null(h->d.retention);
}

#define HALL(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HALL(test_by_itself),
		HALL(test_not_yet_sent),
		HALL(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
