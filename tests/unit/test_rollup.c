/* test_rollup.c - old events leave the ledger: no bill changes, and the chain still proves it. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/rollup.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/proof.h"
#include "tests/unit/past.h"

enum { INSTANCES = 6, ROUND_S = 10, COUNTED_ROUNDS = 90 };

static const char plan[] =
	"{\"name\": \"vm\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1000,"
	" \"minimum_ms\": 60000, \"bill_boot\": true, \"prices\": ["
	"{\"meter\": \"vcpu_time\", \"per\": 1000000, \"tiers\": [{\"from\": 0, \"price_nano\": 11}]},"
	"{\"meter\": \"memory_peak\", \"per\": 1, \"tiers\": [{\"from\": 0, \"price_nano\": 1}]},"
	"{\"meter\": \"cpu_used\", \"per\": 1000, \"tiers\": [{\"from\": 0, \"price_nano\": 7},"
	" {\"from\": 90000000, \"price_nano\": 3}]},"
	"{\"meter\": \"net_out\", \"per\": 1024, \"tiers\": [{\"from\": 0, \"price_nano\": 2}]}]}";

static const char dearer[] =
	"{\"name\": \"vm\", \"version\": 2, \"currency\": \"EUR\", \"rounding_ms\": 1,"
	" \"minimum_ms\": 0, \"bill_boot\": true, \"prices\": ["
	"{\"meter\": \"cpu_used\", \"per\": 1000, \"tiers\": [{\"from\": 0, \"price_nano\": 9}]}]}";

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* --- what it comes to --- */

static int add_row(void *ctx, const struct usage_row *row)
{
	fprintf(ctx, "%s %d %d %lld %s\n", row->plan ? row->plan->name : "-", (int)row->meter,
		row->adjustment, (long long)row->quantity, row->slice);
	return 0;
}

static int add_gap(void *ctx, const struct usage_gap *gap)
{
	fprintf(ctx, "%s %s %s %lld %lld\n", gap->instance, gap->meter, gap->reason,
		(long long)gap->from_wall_ns, (long long)gap->lost_ns);
	return 0;
}

static void add_slices(struct past *b, int64_t seq, int period, FILE *out)
{
	for (int slice = USAGE_WHOLE; slice <= USAGE_BY_INSTANCE; slice++) {
		struct usage *u = NULL;
		struct error err;

		if (usage_replay_sliced(b->books.truth.store, seq, (enum usage_slice)slice, &u,
					&err) < 0 ||
		    usage_settle(u, "acme", period, &err) < 0)
			fail_msg("%s", err.text);
		assert_int_equal(usage_each(u, "acme", period, add_row, out), 0);
		assert_int_equal(usage_gaps(u, "acme", period, add_gap, out), 0);
		usage_free(u);
	}
}

/* All that can be asked of two months as they were after an event: usage in each slice,
 * gaps, invoices. */
static char *bill_of(struct past *b, int64_t seq)
{
	static const char *const months[] = { "2025-03", "2025-04" };
	char *text = NULL, *invoice = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct error err;

	for (unsigned m = 0; m < 2; m++) {
		const int period = period_parse(months[m]);

		add_slices(b, seq, period, out);
		if (invoice_make(&b->books.truth, "acme", period, seq, &invoice, &err) < 0)
			fail_msg("%s", err.text);
		fputs(invoice, out);
		free(invoice);
	}
	fclose(out);
	return text;
}

static void check_closed(struct past *b, int64_t count)
{
	struct invoice_report report;
	struct error err;

	if (invoice_verify(&b->books.truth, &report, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(report.bad_seq, 0);
	assert_int_equal(report.checked, count);
}

/* --- is it whole? --- */

static struct proof_report prove(struct past *b, bool archive, int64_t anchor_seq, const char *hex)
{
	char path[PATH_MAX];
	struct proof_wish wish = { .anchor_seq = anchor_seq,
				   .anchor_hex = hex,
				   .archive = archive ? path : NULL };
	struct proof_report report;
	struct error err;

	snprintf(path, sizeof(path), "%s", scratch_path(b->books.dir, "archive"));
	if (proof_walk(b->books.truth.ledger, &wish, &report, &err) < 0)
		fail_msg("%s", err.text);
	return report;
}

static void check_whole(struct past *b, int64_t removed)
{
	struct proof_report report = prove(b, false, 0, NULL);

	assert_string_equal(report.fault, "");
	assert_int_equal(report.rolled_up, removed);
	assert_int_equal(report.checked, b->seq - removed);
	report = prove(b, true, 0, NULL);
	assert_string_equal(report.fault, "");
	assert_int_equal(report.rolled_up, 0);
	assert_int_equal(report.checked, b->seq);
}

/* Someone with a database tool. */
static void meddle(struct past *b, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(b->books.dir, "db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A command line within the archive. */
static void shell(struct past *b, const char *line)
{
	char command[PATH_MAX + 256];

	snprintf(command, sizeof(command), "cd %s && %s", scratch_path(b->books.dir, "archive"),
		 line);
	assert_int_equal(system(command), 0);
}

/* --- a day --- */

static void count_one(struct past *b, unsigned n, int64_t used)
{
	char id[16], body[160];

	snprintf(id, sizeof(id), "vm-%u", n);
	snprintf(body, sizeof(body),
		 "{\"cpu_used\":%lld,\"final\":false,\"memory_peak\":%lld,\"net_out\":%lld}",
		 (long long)used, (long long)(100 + used / 1000000), (long long)used * 3);
	past_event(b, "meter.counted", "acme", id, body);
}

/* Confirmed every ten seconds, counted every quarter of an hour. */
static void live_for(struct past *b, unsigned seconds, int64_t used[INSTANCES])
{
	for (unsigned round = 1; round <= seconds / ROUND_S; round++) {
		past_pass(b, ROUND_S * S);
		for (unsigned n = 0; n < INSTANCES && round % COUNTED_ROUNDS == 0; n++) {
			used[n] += 1000000 + 7919 * n;
			count_one(b, n, used[n]);
		}
		past_confirmed(b);
	}
}

static void begin(struct past *b, int64_t used[INSTANCES])
{
	char id[16];

	b->incarnation++;
	for (unsigned n = 0; n < INSTANCES; n++) {
		snprintf(id, sizeof(id), "vm-%u", n);
		past_moves(b, id, "starting");
		past_moves(b, id, "running");
		used[n] = 0;
	}
}

static void close_march(struct past *b)
{
	struct error err;

	assert_int_equal(store_begin(b->books.truth.store, &err), 0);
	if (invoice_close(&b->books.truth, "acme", period_parse("2025-03"), "test", &err) < 0 ||
	    store_commit(b->books.truth.store, &err) < 0)
		fail_msg("%s", err.text);
	past_go_on(b);
}

/* The last day of a month and the first hours of the next, with most of what can happen. */
static void live_a_day(struct past *b)
{
	int64_t used[INSTANCES];

	assert_int_equal(store_begin(b->books.truth.store, &(struct error){ 0 }), 0);
	past_has_plan(b, plan, "vm");
	b->wall_ns = period_start_ns(period_parse("2025-04")) - 24 * HOUR + 137 * S;
	begin(b, used);
	live_for(b, 7 * 3600 + 1234, used);
	/* Prices change in mid-hour. */
	past_event(b, "plan.published", "", "", dearer);
	past_event(b, "tenant.plan", "acme", "", "{\"plan\": \"vm\", \"version\": 2}");
	live_for(b, 3 * 3600 + 321, used);
	past_dies_unseen(b, "vm-1");
	past_moves(b, "vm-1", "starting");
	past_moves(b, "vm-1", "running");
	b->wall_ns += 1800 * S; /* somebody sets the clock */
	live_for(b, 4 * 3600, used);
	past_event(b, "host.suspended", "", "", "{\"suspended_ns\": 40000000000}");
	past_event(b, "meter.held", "acme", "",
		   "{\"meter\": \"address_time\", \"thing\": \"vm-2\", \"amount\": 1}");
	live_for(b, 2 * 3600, used);
	b->boot++;
	b->boot_ns = 3 * S;
	past_event(b, "host.recovered", "", "", "{}");
	past_dies_unseen(b, "vm-2");
	past_confirmed(b);
	past_dies_unseen(b, "vm-3");
	begin(b, used);
	live_for(b, 10 * 3600, used);
	assert_int_equal(store_commit(b->books.truth.store, &(struct error){ 0 }), 0);
}

/* What is proved of another tenant's month was made up to an event in the middle of things. */
static void test_made_up_to(void **state)
{
	struct past *b = *state;
	char body[128], *then, *now;
	int64_t used[INSTANCES], middle;

	past_has_plan(b, plan, "vm");
	begin(b, used);
	live_for(b, 1500, used);
	middle = b->seq;
	live_for(b, 3600, used);
	snprintf(body, sizeof(body), "{\"period\": \"2025-02\", \"seq\": %lld, \"credit_nano\": 0}",
		 (long long)middle);
	past_event(b, "period.closed", "other", "", body);
	then = bill_of(b, middle);
	assert_true(past_roll_up(b, INT64_MAX) > 300);
	now = bill_of(b, middle);
	assert_string_equal(now, then);
	free(now);
	free(then);
}

/* What began in the boot before is confirmed by its last confirmation until the next boot has
 * its first, and not at all from then on. */
static void test_boots(void **state)
{
	struct past *b = *state;
	int64_t used[INSTANCES], before;
	char *then, *now;

	past_has_plan(b, plan, "vm");
	begin(b, used);
	live_for(b, 1500, used);
	b->boot++;
	past_moves(b, "vm-1", "stopped");
	live_for(b, ROUND_S, used);
	past_moves(b, "vm-2", "stopped");
	live_for(b, 300, used);
	before = b->seq;
	then = bill_of(b, before);
	assert_true(past_roll_up(b, INT64_MAX) > 100);
	now = bill_of(b, before);
	assert_string_equal(now, then);
	free(now);
	free(then);
}

static void test_a_day(void **state)
{
	struct past *b = *state;
	int64_t closed_seq, before, removed;
	char *first, *then, *now;

	live_a_day(b);
	closed_seq = b->seq;
	close_march(b);
	past_pass(b, HOUR);
	past_confirmed(b);
	before = b->seq;
	first = bill_of(b, closed_seq);
	then = bill_of(b, before);
	assert_true(strlen(first) > 2000 && strcmp(first, then) != 0);
	removed = past_roll_up(b, INT64_MAX);
	/* What is left of ten thousand events of a day. */
	assert_true(removed * 10 > before * 9);
	check_whole(b, removed);
	check_closed(b, 1);
	now = bill_of(b, closed_seq);
	assert_string_equal(now, first);
	free(now);
	now = bill_of(b, before);
	assert_string_equal(now, then);
	free(now);
	/* There is nothing more to do. */
	assert_int_equal(past_roll_up(b, INT64_MAX), 0);
	free(then);
	free(first);
}

/* --- anything --- */

static void happen(struct past *b, uint32_t *seed, int64_t used[INSTANCES])
{
	static const char *const moves[] = { "starting", "running", "paused", "stopped", "failed" };
	const unsigned n = random_next(seed) % INSTANCES;
	char id[16];

	snprintf(id, sizeof(id), "vm-%u", n);
	past_pass(b, (int64_t)(random_next(seed) % 200) * S);
	switch (random_next(seed) % 32) {
	case 0:
		past_dies_unseen(b, id);
		break;
	case 1:
		past_event(b, "tenant.plan", "acme", "",
			   random_next(seed) % 2 ? "{\"plan\": \"vm\", \"version\": 1}"
						 : "{\"plan\": \"vm\", \"version\": 2}");
		break;
	case 2:
		past_event(
			b, "meter.held", "acme", "",
			random_next(seed) % 2
				? "{\"meter\": \"address_time\", \"thing\": \"a\", \"amount\": 1}"
				: "{\"meter\": \"address_time\", \"thing\": \"a\", \"amount\": 3}");
		break;
	case 3:
		past_event(b, "host.suspended", "", "", "{\"suspended_ns\": 1000000000}");
		break;
	case 4:
		b->wall_ns += ((int64_t)(random_next(seed) % 3) - 1) * 600 * S;
		break;
	case 5:
		b->boot += random_next(seed) % 4 == 0;
		if (random_next(seed) % 2)
			past_event(b, "host.recovered", "", "", "{}");
		break;
	case 6:
		past_moves(b, id, moves[random_next(seed) % 5]);
		break;
	default:
		if (random_next(seed) % 3 == 0)
			past_confirmed(b);
		used[n] += random_next(seed) % 1000000;
		count_one(b, n, used[n]);
	}
}

/* Whatever happens, in whatever order, and rolled up in several goes. */
static void test_anything(void **state)
{
	enum { EVENTS = 4000, PARTS = 4 };

	(void)state;
	for (uint32_t seed = 1; seed <= 4; seed++) {
		uint32_t next = seed;
		int64_t used[INSTANCES], before, removed = 0;
		char *then, *now;
		struct past *b;
		void *own;

		assert_int_equal(past_open(&own), 0);
		b = own;
		past_has_plan(b, plan, "vm");
		past_event(b, "plan.published", "", "", dearer);
		b->wall_ns = period_start_ns(period_parse("2025-04")) - 50 * HOUR;
		begin(b, used);
		for (int part = 0; part < PARTS; part++) {
			assert_int_equal(store_begin(b->books.truth.store, &(struct error){ 0 }),
					 0);
			for (int i = 0; i < EVENTS / PARTS; i++)
				happen(b, &next, used);
			assert_int_equal(store_commit(b->books.truth.store, &(struct error){ 0 }),
					 0);
			before = b->seq;
			then = bill_of(b, before);
			removed += past_roll_up(b, b->wall_ns - (part < PARTS - 1) * HOUR);
			now = bill_of(b, before);
			assert_string_equal(now, then);
			free(now);
			free(then);
		}
		assert_true(removed > 500);
		check_whole(b, removed);
		past_close(&own);
	}
}

/* --- the chain --- */

static void live_a_while(struct past *b)
{
	int64_t used[INSTANCES];

	past_has_plan(b, plan, "vm");
	begin(b, used);
	live_for(b, 3600, used);
}

static const char *const tamperings[] = {
	"UPDATE event SET body = '{\"n\": 1}' WHERE seq = (SELECT from_seq - 1 FROM cut)",
	"UPDATE event SET wall_ns = wall_ns + 1 WHERE seq = (SELECT to_seq + 1 FROM cut)",
	"UPDATE cut SET hash = zeroblob(32)",
	"UPDATE cut SET to_seq = to_seq + 1",
	"UPDATE cut SET to_seq = to_seq - 1",
	"DELETE FROM cut",
	"DELETE FROM rollup",
	"UPDATE rollup SET event_seq = 1",
	("DELETE FROM event WHERE seq = (SELECT from_seq - 1 FROM cut);"
	 "UPDATE cut SET from_seq = from_seq - 1"),
};

static void test_tampered(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tamperings) / sizeof(tamperings[0]); i++) {
		void *own;

		assert_int_equal(past_open(&own), 0);
		live_a_while(own);
		assert_true(past_roll_up(own, INT64_MAX) > 300);
		meddle(own, "DROP TRIGGER event_no_update; DROP TRIGGER event_no_delete");
		meddle(own, tamperings[i]);
		if (prove(own, false, 0, NULL).bad_seq == 0)
			fail_msg("%s", tamperings[i]);
		past_close(&own);
	}
}

/* What lies elsewhere is proved, event by event. */
static void test_archive(void **state)
{
	struct past *b = *state;

	live_a_while(b);
	assert_true(past_roll_up(b, INT64_MAX) > 300);
	shell(b, "cp -r . ../kept && sed -i '7s/boot_ns\":/&1/' events-*");
	assert_string_equal(prove(b, false, 0, NULL).fault, "");
	assert_non_null(strstr(prove(b, true, 0, NULL).fault, "not in the archive"));
	shell(b, "cp ../kept/* . && sed -i 9d events-*");
	assert_true(prove(b, true, 0, NULL).bad_seq > 0);
	shell(b, "cp ../kept/* . && truncate -s -9 events-*");
	assert_true(prove(b, true, 0, NULL).bad_seq > 0);
	shell(b, "cp ../kept/* .");
	assert_string_equal(prove(b, true, 0, NULL).fault, "");
}

/* A head of before, whose event is in the archive now. */
static void test_anchor(void **state)
{
	struct past *b = *state;
	char hex[LEDGER_HEX_BYTES];
	struct proof_wish wish = { .anchor_hex = hex };
	struct proof_report report;
	struct error err = { 0 };

	live_a_while(b);
	assert_int_equal(ledger_head(b->books.truth.ledger, &wish.anchor_seq, hex, &err), 0);
	past_pass(b, ROUND_S * S);
	past_confirmed(b);
	assert_true(past_roll_up(b, INT64_MAX) > 300);
	/* Of a run the last one's hash is known, of the others the archive knows. */
	assert_string_equal(prove(b, false, wish.anchor_seq, hex).fault, "");
	assert_string_equal(prove(b, true, wish.anchor_seq, hex).fault, "");
	wish.anchor_seq -= 50;
	assert_int_equal(proof_walk(b->books.truth.ledger, &wish, &report, &err), -ENODATA);
	assert_string_not_equal(err.hint, "");
	assert_int_equal(prove(b, true, wish.anchor_seq, hex).bad_seq, wish.anchor_seq);
}

/* Nothing leaves but what was rolled up. */
static void test_refused(void **state)
{
	struct past *b = *state;
	struct error err;

	live_a_while(b);
	past_roll_up(b, INT64_MAX);
	assert_true(store_run(b->books.truth.store, &err,
			      "DELETE FROM event WHERE type = 'meter.confirmed'", "") < 0);
	assert_true(store_run(b->books.truth.store, &err,
			      "DELETE FROM event WHERE type = 'meter.counted'", "") < 0);
}

/* --- bad days --- */

/* It ends before it commits; what it wrote to the archive stays, and harms nobody. */
static void test_cut_off(void **state)
{
	struct past *b = *state;
	char archive[PATH_MAX];
	const struct rollup_wish wish = { archive, INT64_MAX, INT64_MAX };
	int64_t next_seq, removed, all;
	struct error err;

	snprintf(archive, sizeof(archive), "%s", scratch_path(b->books.dir, "archive"));
	live_a_while(b);
	for (int i = 0; i < 3; i++) {
		next_seq = 0;
		assert_int_equal(store_begin(b->books.truth.store, &err), 0);
		assert_true(rollup_step(&b->books.truth, &wish, &next_seq, &removed, &err) >= 0);
		assert_true(removed > 300);
		store_rollback(b->books.truth.store);
		check_whole(b, 0);
	}
	all = past_roll_up(b, INT64_MAX);
	assert_int_equal(all, removed);
	check_whole(b, all);
	/* The next goes on in the file that counts, or in a new one. */
	past_pass(b, HOUR);
	for (int i = 0; i < 50; i++) {
		past_pass(b, S);
		past_confirmed(b);
	}
	all += past_roll_up(b, INT64_MAX);
	assert_true(all > removed);
	check_whole(b, all);
}

static void put_back(struct past *b, const char *copy, const char *db)
{
	struct truth *t = &b->books.truth;
	struct error err;

	ledger_close(t->ledger);
	store_close(t->store);
	assert_int_equal(rename(copy, db), 0);
	if (store_open(db, &t->store, &err) < 0 || ledger_open(t->store, &t->ledger, &err) < 0)
		fail_msg("%s", err.text);
	past_go_on(b);
}

/* After a restore other events have the numbers of some that are in the archive. */
static void test_restored(void **state)
{
	struct past *b = *state;
	char copy[PATH_MAX], db[PATH_MAX];
	struct error err;
	int64_t removed;

	live_a_while(b);
	snprintf(copy, sizeof(copy), "%s", scratch_path(b->books.dir, "copy"));
	snprintf(db, sizeof(db), "%s", scratch_path(b->books.dir, "db"));
	assert_int_equal(store_copy(db, copy, &err), 0);
	past_confirmed(b);
	past_roll_up(b, INT64_MAX);
	put_back(b, copy, db);
	past_pass(b, 7 * S);
	for (int i = 0; i < 500; i++) {
		past_pass(b, S);
		past_confirmed(b);
	}
	removed = past_roll_up(b, INT64_MAX);
	assert_true(removed > 500);
	check_whole(b, removed);
}

/* What somebody changed is not put away as if nothing was. */
static void test_changed(void **state)
{
	struct past *b = *state;
	char archive[PATH_MAX];
	const struct rollup_wish wish = { archive, INT64_MAX, INT64_MAX };
	int64_t next_seq = 0, removed;
	struct error err = { 0 };

	snprintf(archive, sizeof(archive), "%s", scratch_path(b->books.dir, "archive"));
	live_a_while(b);
	meddle(b, "DROP TRIGGER event_no_update;"
		  "UPDATE event SET boot_ns = boot_ns + 1 WHERE seq = 99");
	assert_int_equal(store_begin(b->books.truth.store, &err), 0);
	assert_int_equal(rollup_step(&b->books.truth, &wish, &next_seq, &removed, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "99"));
	store_rollback(b->books.truth.store);
	assert_int_equal(prove(b, false, 0, NULL).bad_seq, 99);
}

int main(void)
{
#define BOOKS(f) cmocka_unit_test_setup_teardown(f, past_open, past_close)
	const struct CMUnitTest tests[] = {
		BOOKS(test_a_day),
		BOOKS(test_boots),
		BOOKS(test_made_up_to),
		cmocka_unit_test(test_anything),
		cmocka_unit_test(test_tampered),
		BOOKS(test_archive),
		BOOKS(test_anchor),
		BOOKS(test_refused),
		BOOKS(test_cut_off),
		BOOKS(test_restored),
		BOOKS(test_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
