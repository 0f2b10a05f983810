/* test_verification.c - the proof of a ledger, by a worker, while the loop does what else there is.
 *
 * There is one worker, and the test holds it up with work of its own for as long as it likes: so
 * what comes before what is not a matter of time.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/verification.h"
#include "tests/unit/wispd_stage.h"

enum { EVENTS = 5000, PATH_BYTES = 64 };

/* Work that lasts until the other end of its pipe is closed. */
struct stopper {
	struct work work;
	int pipe[2];
};

static void hold_run(struct work *work)
{
	struct stopper *h = (struct stopper *)work;
	char byte;

	(void)!read(h->pipe[0], &byte, 1);
}

static void hold_done(struct work *work)
{
	struct stopper *h = (struct stopper *)work;

	close(h->pipe[0]);
	h->pipe[0] = -1;
}

static void hold_up(struct stage *s, struct stopper *h)
{
	*h = (struct stopper){ .work = { .run = hold_run, .done = hold_done } };
	assert_int_equal(pipe2(h->pipe, O_CLOEXEC), 0);
	workers_add(s->d.workers, &h->work);
}

static void write_events(struct stage *s)
{
	const struct ledger_event e = { .type = "test.event", .actor = "test" };
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	for (int n = 0; n < EVENTS; n++)
		assert_int_equal(ledger_append(s->d.truth.ledger, &e, NULL, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static int set_up(void **state)
{
	int r = stage_set_up(state);
	struct stage *s = *state;

	if (r < 0)
		return r;
	workers_destroy(s->d.workers);
	write_events(s);
	return workers_create(s->d.loop, 1, &s->d.workers);
}

static void expect(struct stage *s, const char *verb, const char *path, const char *body,
		   int status)
{
	int got = stage_ask(s, &stage_admin, verb, path, body);

	if (got != status)
		fail_msg("%s %s: %d %s", verb, path, got, stage_said(s, "fault_message"));
}

/* Begins one; the operation's path. */
static void begin(struct stage *s, char path[PATH_BYTES])
{
	expect(s, "POST", "/ledger/verify", "{}", 202);
	snprintf(path, PATH_BYTES, "/operations/%s", stage_said(s, "operation"));
}

/* Turns of the loop until it has ended; its state is the last reply's. */
static const char *await_end(struct stage *s, const char *path)
{
	expect(s, "GET", path, NULL, 200);
	while (strcmp(stage_said(s, "state"), "active") == 0) {
		assert_true(sd_event_run(s->d.loop, UINT64_MAX) >= 0);
		expect(s, "GET", path, NULL, 200);
	}
	return stage_said(s, "state");
}

static int64_t head(struct stage *s)
{
	expect(s, "GET", "/ledger/head", NULL, 200);
	return json_integer_value(json_object_get(s->reply, "seq"));
}

/* What an ended one has found; its place is *bad_seq. */
static bool found_whole(struct stage *s, int64_t *checked, int64_t *bad_seq)
{
	json_t *j = json_loads(stage_said(s, "result"), 0, NULL);
	bool whole = json_is_true(json_object_get(j, "whole"));

	*checked = json_integer_value(json_object_get(j, "checked"));
	*bad_seq = json_integer_value(json_object_get(j, "bad_seq"));
	json_decref(j);
	return whole;
}

/* All calls are answered while one is under way, and events are written; one at a time. */
static void test_beside(void **state)
{
	struct stage *s = *state;
	int64_t checked, bad_seq, events;
	char path[PATH_BYTES];
	struct stopper h;

	hold_up(s, &h);
	begin(s, path);
	expect(s, "GET", path, NULL, 200);
	assert_string_equal(stage_said(s, "state"), "active");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(s->reply, "progress"), "stage")),
		"waiting");
	expect(s, "POST", "/ledger/verify", "{}", 409);
	expect(s, "PUT", "/tenants/later", NULL, 200);
	expect(s, "GET", "/tenants", NULL, 200);
	events = head(s);
	assert_true(events > EVENTS);
	expect(s, "GET", path, NULL, 200);
	assert_string_equal(stage_said(s, "state"), "active");
	close(h.pipe[1]);
	assert_string_equal(await_end(s, path), "done");
	assert_true(found_whole(s, &checked, &bad_seq));
	assert_int_equal(checked, events);
	assert_null(s->d.verification);
	begin(s, path);
	assert_string_equal(await_end(s, path), "done");
}

/* An event that somebody has changed. */
static void test_changed(void **state)
{
	struct stage *s = *state;
	int64_t checked, bad_seq;
	char path[PATH_BYTES];
	struct error err;

	assert_true(store_run(s->d.truth.store, &err, "DROP TRIGGER event_no_update", "") >= 0);
	assert_int_equal(store_run(s->d.truth.store, &err,
				   "UPDATE event SET actor = 'another' WHERE seq = 3000", ""),
			 1);
	begin(s, path);
	assert_string_equal(await_end(s, path), "done");
	assert_false(found_whole(s, &checked, &bad_seq));
	assert_int_equal(bad_seq, 3000);
	assert_int_equal(checked, 2999);
}

/* Where an index begins that nothing here needs, once it is in the file itself. */
static off_t spare_page(struct stage *s)
{
	struct store *store = s->d.truth.store;
	int64_t page = 0, page_bytes = 0, busy = 0;
	struct error err;

	assert_int_equal(store_number(store, &page, &err,
				      "SELECT rootpage FROM sqlite_master"
				      " WHERE name = 'publication_lease'",
				      ""),
			 0);
	assert_int_equal(store_number(store, &page_bytes, &err, "PRAGMA page_size", ""), 0);
	assert_int_equal(store_number(store, &busy, &err, "PRAGMA wal_checkpoint(TRUNCATE)", ""),
			 0);
	assert_int_equal(busy, 0);
	return (page - 1) * page_bytes;
}

/* A page that the walk does not come by. */
static void test_damaged(void **state)
{
	static const uint8_t rubbish[64] = { 0xa5, 0xa5, 0xa5, 0xa5 };
	struct stage *s = *state;
	int64_t checked, bad_seq;
	char path[PATH_BYTES];
	off_t at = spare_page(s);
	json_t *j;
	int fd = open(store_path(s->d.truth.store), O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, rubbish, sizeof(rubbish), at), sizeof(rubbish));
	close(fd);
	begin(s, path);
	assert_string_equal(await_end(s, path), "done");
	assert_false(found_whole(s, &checked, &bad_seq));
	assert_int_equal(bad_seq, 0);
	assert_true(checked >= EVENTS);
	j = json_loads(stage_said(s, "result"), 0, NULL);
	assert_string_not_equal(json_string_value(json_object_get(j, "database")), "");
	json_decref(j);
}

/* An end of wispd does not wait for the end of a long ledger. */
static void test_ended(void **state)
{
	struct stage *s = *state;
	char path[PATH_BYTES];
	struct stopper h;

	hold_up(s, &h);
	begin(s, path);
	verification_end(&s->d);
	close(h.pipe[1]);
	assert_string_equal(await_end(s, path), "failed");
	assert_string_equal(stage_said(s, "code"), "interrupted");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_beside, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_changed, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_ended, set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
