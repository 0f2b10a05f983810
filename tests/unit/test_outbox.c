/* test_outbox.c - events for others: a server that is away, a file with half a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/wispd.h"
#include "tests/unit/event_sink.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

enum { EVENTS = 1200, REFUSED = 2, LIMIT_US = 60000000, STEP_US = 50000 };

/* --- books with events --- */

static void write_events(struct wispd *d, unsigned count)
{
	const struct ledger_event e = { .type = "test.happened",
					.tenant = "t",
					.instance = "vm-1" };
	struct error err;

	assert_int_equal(store_begin(d->truth.store, &err), 0);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(ledger_append(d->truth.ledger, &e, NULL, &err), 0);
	assert_int_equal(store_commit(d->truth.store, &err), 0);
}

/* The stage's workers do not work. */
static void hire(struct wispd *d)
{
	struct error err;

	workers_destroy(d->workers);
	assert_int_equal(workers_create(d->loop, 1, &d->workers), 0);
	assert_int_equal(outbox_create(d, &d->outbox, &err), 0);
}

static int64_t behind(struct wispd *d, const char *name)
{
	json_t *all = outbox_describe(d->outbox);
	int64_t n;

	assert_non_null(json_object_get(all, name));
	n = json_integer_value(json_object_get(json_object_get(all, name), "behind"));
	json_decref(all);
	return n;
}

static void run_until_sent(struct wispd *d, const char *name)
{
	for (uint64_t waited = 0; behind(d, name) > 0; waited += STEP_US) {
		assert_true(waited < LIMIT_US);
		assert_true(sd_event_run(d->loop, STEP_US) >= 0);
	}
}

static size_t head(struct wispd *d)
{
	char hex[LEDGER_HEX_BYTES];
	struct error err;
	int64_t seq;

	assert_int_equal(ledger_head(d->truth.ledger, &seq, hex, &err), 0);
	return (size_t)seq;
}

static void test_server(void **state)
{
	struct stage *stage = *state;
	struct wispd *d = &stage->d;
	struct event_sink s;
	struct error err;
	char url[SINK_URL_BYTES];

	event_sink_start(&s, REFUSED, url);
	snprintf(d->config.events_url, sizeof(d->config.events_url), "%s", url);
	write_events(d, EVENTS);
	hire(d);
	/* It refuses at first; then it gets all, once, in batches. */
	run_until_sent(d, "events_url");
	assert_int_equal(event_sink_came(&s, false), head(d));
	assert_int_equal(event_sink_came(&s, true), head(d));
	/* A wispd that died before it could note what it had sent: the same ids again. */
	assert_true(store_run(d->truth.store, &err,
			      "UPDATE meta SET value = '7' WHERE key = 'sent_events_url'", "") > 0);
	write_events(d, 1);
	run_until_sent(d, "events_url");
	assert_int_equal(event_sink_came(&s, false), head(d));
	assert_int_equal(event_sink_came(&s, true), head(d) - 1 + head(d) - 7);
	outbox_destroy(d->outbox);
	d->outbox = NULL;
	event_sink_stop(&s);
}

/* One event a line, also after half a line. */
static void test_file(void **state)
{
	struct stage *stage = *state;
	struct wispd *d = &stage->d;
	size_t events = 0, torn = 0, room = 0;
	char *line = NULL;
	FILE *f;

	snprintf(d->config.events_file, sizeof(d->config.events_file), "%s",
		 scratch_path(stage->dir, "events"));
	f = fopen(d->config.events_file, "we");
	fputs("{\"specversion\": \"1.", f);
	fclose(f);
	write_events(d, EVENTS);
	hire(d);
	run_until_sent(d, "events_file");
	f = fopen(d->config.events_file, "re");
	assert_non_null(f);
	while (getline(&line, &room, f) > 0) {
		json_t *j = json_loads(line, 0, NULL);

		torn += j == NULL;
		events += json_integer_value(json_object_get(json_object_get(j, "data"), "seq")) ==
			  (json_int_t)events + 1;
		json_decref(j);
	}
	assert_int_equal(torn, 1);
	assert_int_equal(events, head(d));
	free(line);
	fclose(f);
	outbox_destroy(d->outbox);
	d->outbox = NULL;
}

/* What is under way when wispd ends is left alone, and comes again. */
static void test_end(void **state)
{
	struct stage *stage = *state;
	struct wispd *d = &stage->d;
	struct event_sink s;
	char url[SINK_URL_BYTES];

	event_sink_start(&s, 0, url);
	snprintf(d->config.events_url, sizeof(d->config.events_url), "%s", url);
	write_events(d, 1);
	hire(d);
	while (event_sink_came(&s, true) == 0)
		assert_true(sd_event_run(d->loop, STEP_US) >= 0);
	outbox_destroy(d->outbox);
	d->outbox = NULL;
	while (sd_event_run(d->loop, 0) > 0)
		continue;
	hire(d);
	run_until_sent(d, "events_url");
	assert_int_equal(event_sink_came(&s, false), head(d));
	outbox_destroy(d->outbox);
	d->outbox = NULL;
	event_sink_stop(&s);
}

#define STAGE_TEST(f) cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(test_server),
		STAGE_TEST(test_file),
		STAGE_TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
