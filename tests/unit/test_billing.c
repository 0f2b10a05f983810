/* test_billing.c - ledgers of chosen times, and what they cost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/plan.h"
#include "supervisor/billing/usage.h"
#include "tests/unit/past.h"

static const char per_second[] =
	"{\"name\": \"vm\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1000,"
	" \"minimum_ms\": 60000, \"bill_boot\": true, \"prices\": ["
	"{\"meter\": \"starts\", \"per\": 1, \"tiers\": [{\"from\": 0, \"price_nano\": 5}]},"
	"{\"meter\": \"vcpu_time\", \"per\": 1000000, \"tiers\": [{\"from\": 0, \"price_nano\": 11}]},"
	"{\"meter\": \"memory_time\", \"per\": 1024000, \"tiers\": [{\"from\": 0, \"price_nano\": 3}]}]}";

static const char per_ms[] =
	"{\"name\": \"faas\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1,"
	" \"minimum_ms\": 0, \"bill_boot\": false, \"prices\": ["
	"{\"meter\": \"vcpu_time\", \"per\": 1000, \"tiers\": [{\"from\": 0, \"price_nano\": 0},"
	" {\"from\": 5000000, \"price_nano\": 2}, {\"from\": 9000000, \"price_nano\": 1}]}]}";

/* --- time --- */

static void test_a_run(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_second, "vm");
	past_moves(b, "vm-1", "creating");
	past_pass(b, HOUR); /* which nobody pays */
	past_moves(b, "vm-1", "starting");
	past_pass(b, S / 2);
	past_moves(b, "vm-1", "running");
	past_pass(b, 90 * S + 1);
	past_moves(b, "vm-1", "stopped");
	past_pass(b, HOUR);
	assert_int_equal(past_used(b, "2025-03", METER_STARTS), 1);
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 91 * 1000000 * 2);
	assert_int_equal(past_used(b, "2025-03", METER_MEMORY_TIME), 91 * 1000 * 512);
	assert_int_equal(past_used(b, "2025-04", METER_VCPU_TIME), 0);
}

static void test_minimum_for_each_start(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_second, "vm");
	for (int i = 0; i < 3; i++) {
		past_moves(b, "vm-1", "starting");
		past_pass(b, S / 10);
		past_moves(b, "vm-1", "running");
		past_pass(b, S / 10);
		past_moves(b, "vm-1", "stopped");
	}
	assert_int_equal(past_used(b, "2025-03", METER_STARTS), 3);
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 3 * 60 * 1000000 * 2);
}

static void test_paused_costs_memory(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_ms, "faas");
	past_moves(b, "vm-1", "starting");
	past_pass(b, 7 * S); /* this plan has no price for it */
	past_moves(b, "vm-1", "running");
	past_pass(b, S);
	past_moves(b, "vm-1", "pausing");
	past_pass(b, S);
	past_moves(b, "vm-1", "paused");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "resuming");
	past_pass(b, S);
	past_moves(b, "vm-1", "running");
	past_pass(b, S + 1); /* rounded up once, not at each change of state */
	past_moves(b, "vm-1", "stopped");
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 3001 * 1000 * 2);
	assert_int_equal(past_used(b, "2025-03", METER_MEMORY_TIME), 14001 * 512);
}

/* A save whose guest stands still costs memory, one whose guest runs on all. */
static void test_saving(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_ms, "faas");
	past_moves(b, "vm-1", "running");
	past_pass(b, S);
	past_moves(b, "vm-1", "saving");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "running");
	past_pass(b, S);
	past_moves(b, "vm-1", "saving_live");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "running");
	past_moves(b, "vm-1", "stopped");
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 12000 * 1000 * 2);
	assert_int_equal(past_used(b, "2025-03", METER_MEMORY_TIME), 22000 * 512);
}

static void test_unseen_is_a_gap(void **state)
{
	struct past *b = *state;
	json_t *j, *gap;

	past_has_plan(b, per_ms, "faas");
	past_moves(b, "vm-1", "running");
	past_moves(b, "vm-2", "running");
	past_pass(b, 10 * S);
	past_confirmed(b);
	past_pass(b, 100 * S);
	past_dies_unseen(b, "vm-1");
	b->boot++; /* the host restarts */
	b->boot_ns = 3 * S;
	b->wall_ns += 400 * S;
	past_moves(b, "vm-2", "stopped");
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 2 * 10 * 1000000 * 2);
	j = past_invoice(b, "2025-03");
	assert_int_equal(json_array_size(json_object_get(j, "gaps")), 2);
	gap = json_array_get(json_object_get(j, "gaps"), 0);
	assert_int_equal(past_figure(gap, "lost_ns"), 100 * S);
	gap = json_array_get(json_object_get(j, "gaps"), 1);
	assert_int_equal(past_figure(gap, "lost_ns"), -1);
	json_decref(j);
}

/* What still runs counts as far as it is confirmed. */
static void test_open_run(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_ms, "faas");
	past_moves(b, "vm-1", "running");
	past_pass(b, 5 * S);
	past_confirmed(b);
	past_pass(b, 5 * S);
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 5 * 1000000 * 2);
}

static void test_clock_steps_do_not_matter(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_ms, "faas");
	past_moves(b, "vm-1", "running");
	b->wall_ns -= HOUR;
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "paused");
	b->wall_ns += 5 * HOUR;
	past_moves(b, "vm-1", "running");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "stopped");
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 20 * 1000000 * 2);
}

/* --- periods and plans --- */

static void test_over_the_end_of_a_month(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_second, "vm");
	b->wall_ns = period_start_ns(period_parse("2025-04")) - 10 * S - S / 4;
	past_moves(b, "vm-1", "starting");
	past_moves(b, "vm-1", "running");
	past_pass(b, 100 * S);
	past_moves(b, "vm-1", "stopped");
	/* The minimum falls into the first month; the two add up to 100 s. */
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 60 * 1000000 * 2);
	assert_int_equal(past_used(b, "2025-04", METER_VCPU_TIME), 40 * 1000000 * 2);
}

static void test_plan_changes_meanwhile(void **state)
{
	struct past *b = *state;
	json_t *j;

	past_has_plan(b, per_second, "vm");
	past_moves(b, "vm-1", "starting");
	past_moves(b, "vm-1", "running");
	past_pass(b, 100 * S + 1);
	past_has_plan(b, per_ms, "faas");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "stopped");
	/* The start keeps its rounding: 111 s in all, 101 of them at the old price. */
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 111 * 1000000 * 2);
	j = past_invoice(b, "2025-03");
	/* faas, three tiers of 5, 4 and 11 million us: 0, 8 and 11; vm: 202 s at 11. */
	assert_int_equal(past_figure(j, "sum_nano"),
			 0 + 8000 + 11000 + 202 * 11 + (101 * 1000 * 512 * 3 + 512000) / 1024000 +
				 5);
	json_decref(j);
}

static void test_late_knowledge_is_an_adjustment(void **state)
{
	struct past *b = *state;

	past_has_plan(b, per_ms, "faas");
	b->wall_ns = period_start_ns(period_parse("2025-04")) - 100 * S;
	past_moves(b, "vm-1", "running");
	past_pass(b, 40 * S);
	past_confirmed(b);
	past_pass(b, 80 * S);
	past_event(b, "period.closed", "acme", "", "{\"period\": \"2025-03\", \"credit_nano\": 0}");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "stopped");
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME), 40 * 1000000 * 2);
	assert_int_equal(past_used_as(b, "2025-04", METER_VCPU_TIME, true), 60 * 1000000 * 2);
	assert_int_equal(past_used(b, "2025-04", METER_VCPU_TIME), 30 * 1000000 * 2);
}

/* --- money --- */

static void test_amounts(void **state)
{
	static const struct {
		int64_t quantity, price, per, amount, remainder;
	} cases[] = {
		{ 10, 3, 1, 30, 0 },
		{ 1, 1, 3, 0, 1 },
		{ 2, 1, 3, 1, -1 },
		{ 1, 1, 2, 0, 1 },
		{ 3, 1, 2, 2, -1 },
		{ 5, 1, 2, 2, 1 },
		{ INT64_MAX, 1, 1, INT64_MAX, 0 },
		{ 0, 7, 9, 0, 0 },
		{ INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 0 },
	};
	int64_t amount = -1, remainder;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(plan_amount(cases[i].quantity, cases[i].price, cases[i].per, &amount,
					&remainder));
		assert_int_equal(amount, cases[i].amount);
		assert_int_equal(remainder, cases[i].remainder);
	}
	amount = 7;
	assert_false(plan_amount(INT64_MAX, 2, 1, &amount, NULL));
	assert_int_equal(amount, 7);
}

static void test_lines_add_up(void **state)
{
	struct past *b = *state;
	int64_t sum = 0;
	size_t i;
	json_t *j, *line;

	past_has_plan(b, per_second, "vm");
	past_event(b, "tenant.credit", "acme", "",
		   "{\"amount_nano\": 1000, \"reason\": \"outage\"}");
	past_moves(b, "vm-1", "running");
	past_pass(b, 1000 * S);
	past_moves(b, "vm-1", "stopped");
	j = past_invoice(b, "2025-03");
	json_array_foreach(json_object_get(j, "lines"), i, line) sum +=
		past_figure(line, "amount_nano");
	assert_int_equal(sum, 2000 * 11 + 1500);
	assert_int_equal(past_figure(j, "sum_nano"), sum);
	assert_int_equal(past_figure(j, "credit_nano"), 1000);
	assert_int_equal(past_figure(j, "total_nano"), sum - 1000);
	json_decref(j);
}

/* Closing, through the ledger itself, and what may not be closed. */
static void test_close(void **state)
{
	struct past *b = *state;
	struct invoice_report report;
	struct error err;
	json_t *j;
	const int march = period_parse("2025-03");

	past_has_plan(b, per_second, "vm");
	past_event(b, "tenant.credit", "acme", "",
		   "{\"amount_nano\": 1000, \"reason\": \"outage\"}");
	past_moves(b, "vm-1", "running");
	past_pass(b, 10 * S);
	past_moves(b, "vm-1", "stopped");
	assert_int_equal(store_begin(b->books.truth.store, &err), 0);
	assert_int_equal(
		invoice_close(&b->books.truth, "acme", period_of(ledger_wall_ns()), "test", &err),
		-EPERM);
	if (invoice_close(&b->books.truth, "acme", march, "test", &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(invoice_close(&b->books.truth, "acme", march, "test", &err), -EEXIST);
	assert_int_equal(invoice_close(&b->books.truth, "acme", march - 1, "test", &err), -EEXIST);
	assert_int_equal(store_commit(b->books.truth.store, &err), 0);

	assert_int_equal(invoice_verify(&b->books.truth, &report, &err), 0);
	assert_int_equal(report.checked, 1);
	assert_int_equal(report.bad_seq, 0);
	j = past_invoice(b, "2025-03"); /* which is the one that was closed */
	assert_int_equal(past_figure(j, "seq"), b->seq);
	assert_int_equal(past_figure(j, "total_nano"), 0);
	json_decref(j);
	j = past_invoice(b, "2025-04"); /* the credit is used up but for what March left */
	assert_int_equal(past_figure(j, "total_nano"), 0);
	json_decref(j);
	assert_true(store_run(b->books.truth.store, &err, "DROP TRIGGER event_no_update", "") >= 0);
	assert_true(store_run(b->books.truth.store, &err,
			      "UPDATE event SET boot_ns = boot_ns + 70000000000"
			      " WHERE type = 'instance.stopped'",
			      "") >= 0);
	assert_int_equal(invoice_verify(&b->books.truth, &report, &err), 0);
	assert_int_equal(report.checked, 0);
	assert_true(report.bad_seq > 0);
}

static void test_plans_are_published_once(void **state)
{
	struct past *b = *state;
	struct error err;
	struct plan vm = { 0 }, dollars;

	assert_true(body_read_text(&plan_table, per_second, strlen(per_second), 0, &vm, &err) >= 0);
	dollars = vm;
	strcpy(dollars.name, "usd");
	strcpy(dollars.currency, "USD");
	assert_int_equal(store_begin(b->books.truth.store, &err), 0);
	assert_int_equal(invoice_assign_plan(&b->books.truth, "acme", "vm", 1, "test", &err),
			 -ENOENT);
	assert_int_equal(invoice_publish_plan(&b->books.truth, &vm, "test", &err), 0);
	assert_int_equal(invoice_publish_plan(&b->books.truth, &vm, "test", &err), -EEXIST);
	assert_int_equal(invoice_publish_plan(&b->books.truth, &dollars, "test", &err), 0);
	assert_int_equal(invoice_assign_plan(&b->books.truth, "acme", "vm", 1, "test", &err), 0);
	assert_int_equal(invoice_assign_plan(&b->books.truth, "acme", "usd", 1, "test", &err),
			 -EINVAL);
	assert_int_equal(invoice_credit(&b->books.truth, "acme", 0, "none", "test", &err), -EINVAL);
	assert_int_equal(invoice_credit(&b->books.truth, "acme", 5, "some", "test", &err), 0);
	assert_int_equal(store_commit(b->books.truth.store, &err), 0);
}

static void test_bad_plans(void **state)
{
#define PRICE(per, tier) "[{\"meter\": \"starts\", \"per\": " per ", \"tiers\": [" tier "]}]"
	static const struct {
		const char *name, *value, *field;
	} cases[] = {
		{ "name", "\"\"", "name" },
		{ "version", "0", "version" },
		{ "version", "1.5", "version" },
		{ "currency", "\"euro\"", "currency" },
		{ "rounding_ms", "0", "rounding_ms" },
		{ "minimum_ms", "-1", "minimum_ms" },
		{ "bill_boot", "1", "bill_boot" },
		{ "prices", "{}", "prices" },
		{ "prices", "[{\"meter\": \"air\"}]", "prices[0].meter" },
		{ "prices", PRICE("0", "{\"from\": 0, \"price_nano\": 1}"), "prices[0].per" },
		{ "prices", PRICE("1", ""), "prices[0].tiers" },
		{ "prices", PRICE("1", "{\"from\": 1, \"price_nano\": 1}"), "prices[0].tiers" },
		{ "prices", PRICE("1", "{\"from\": 0, \"price_nano\": -1}"),
		  "prices[0].tiers[0].price_nano" },
		{ "support_per_mille", "1001", "support_per_mille" },
		{ "support_minimum_nano", "5", "support" },
		{ "extra", "1", "extra" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *j = json_loads(per_second, 0, NULL);
		struct plan p = { 0 };
		struct error err;

		json_object_set_new(j, cases[i].name,
				    json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		assert_true(body_read(&plan_table, j, 0, &p, &err) < 0);
		assert_string_equal(err.field, cases[i].field);
		json_decref(j);
	}
#undef PRICE
}

static void test_periods(void **state)
{
	static const char *const bad[] = { "",	      "2025",	  "2025-3",  "2025-00",
					   "2025-13", "2025-03x", "1969-12", "x025-03" };
	char text[PERIOD_TEXT_BYTES];
	int march = period_parse("2025-03");

	(void)state;
	assert_string_equal(period_text(march, text), "2025-03");
	assert_int_equal(period_start_ns(march), INT64_C(1740787200) * S);
	assert_int_equal(period_of(period_start_ns(march)), march);
	assert_int_equal(period_of(period_start_ns(march) - 1), march - 1);
	assert_string_equal(period_text(period_parse("2025-12") + 1, text), "2026-01");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(period_parse(bad[i]), PERIOD_NONE);
}

/* --- a day of traffic --- */

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Instances that start, pause and stop at random over the end of a month. What they were
 * in fact is kept beside, by other means than the replay's. */
static void test_a_random_day(void **state)
{
	static const char *const next[] = { "starting", "running", "paused", "running", "stopped" };
	enum { INSTANCES = 8, MOVES = 400 };
	struct past *b = *state;
	int64_t counted_ns[INSTANCES] = { 0 }, since_ns[INSTANCES] = { 0 }, expected_us = 0;
	unsigned place[INSTANCES] = { 0 };
	uint32_t seed = 42;
	json_t *first, *second;

	past_has_plan(b, per_ms, "faas");
	b->wall_ns = period_start_ns(period_parse("2025-04")) - 5 * HOUR;
	for (int i = 0; i < MOVES; i++) {
		unsigned n = random_next(&seed) % INSTANCES;
		const char *to = next[place[n]];
		char id[8];

		snprintf(id, sizeof(id), "vm-%u", n);
		past_pass(b, (int64_t)random_next(&seed) * 10000);
		if (place[n] == 2 || place[n] == 4)
			counted_ns[n] += b->boot_ns - since_ns[n];
		since_ns[n] = b->boot_ns;
		if (place[n] == 4) {
			expected_us += (counted_ns[n] + 999999) / 1000000 * 1000 * 2;
			counted_ns[n] = 0;
		}
		past_moves(b, id, to);
		place[n] = (place[n] + 1) % 5;
	}
	for (unsigned n = 0; n < INSTANCES; n++) {
		char id[8];

		snprintf(id, sizeof(id), "vm-%u", n);
		if (place[n] == 2 || place[n] == 4)
			counted_ns[n] += b->boot_ns - since_ns[n];
		expected_us += (counted_ns[n] + 999999) / 1000000 * 1000 * 2;
		past_moves(b, id, "stopped");
	}
	assert_true(past_used(b, "2025-03", METER_VCPU_TIME) > 0);
	assert_true(past_used(b, "2025-04", METER_VCPU_TIME) > 0);
	assert_int_equal(past_used(b, "2025-03", METER_VCPU_TIME) +
				 past_used(b, "2025-04", METER_VCPU_TIME),
			 expected_us);
	first = past_invoice(b, "2025-04");
	second = past_invoice(b, "2025-04");
	assert_true(json_equal(first, second));
	json_decref(first);
	json_decref(second);
}

/* --- many --- */

/* A run of one of many tenants. */
static void use_a_little(struct past *b, int n)
{
	char tenant[16], id[16], body[96];

	snprintf(tenant, sizeof(tenant), "t%05d", n);
	snprintf(id, sizeof(id), "vm-%05d", n);
	past_event(b, "tenant.plan", tenant, "", "{\"plan\": \"vm\", \"version\": 1}");
	snprintf(body, sizeof(body), "{\"to\": \"running\", \"vcpus\": 1, \"mem_mib\": %d}", n);
	past_event(b, "instance.running", tenant, id, body);
	past_pass(b, S);
	snprintf(body, sizeof(body), "{\"to\": \"deleted\", \"vcpus\": 1, \"mem_mib\": %d}", n);
	past_event(b, "instance.deleted", tenant, id, body);
}

/* All are closed by one replay, and proved by one. */
static void test_ten_thousand_tenants(void **state)
{
	enum { TENANTS = 10000 };
	struct past *b = *state;
	struct truth *t = &b->books.truth;
	const int march = period_parse("2025-03");
	struct invoice_report report;
	int64_t closed = 0;
	struct error err;

	past_has_plan(b, per_second, "vm");
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(store_run(t->store, &err,
				   "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n"
				   " WHERE i < 9999) INSERT INTO tenant (name, created_seq)"
				   " SELECT printf('t%05d', i), 0 FROM n",
				   ""),
			 TENANTS);
	for (int n = 0; n < TENANTS; n++)
		use_a_little(b, n);
	if (invoice_close(t, "t00007", march, "test", &err) < 0 ||
	    invoice_close_all(t, march, "test", &closed, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(closed, TENANTS); /* and "default", but for the one before */
	assert_int_equal(invoice_close_all(t, march, "test", &closed, &err), 0);
	assert_int_equal(closed, 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	assert_int_equal(invoice_verify(t, &report, &err), 0);
	assert_int_equal(report.checked, TENANTS + 1);
}

/* --- a replay that goes on --- */

static int add_weighed(void *ctx, const struct usage_row *row)
{
	*(int64_t *)ctx += row->quantity * (2 * (int64_t)row->meter + 1 + row->adjustment);
	return 0;
}

static int64_t weigh(const struct usage *u, const char *period)
{
	int64_t sum = 0;

	assert_int_equal(usage_each(u, "acme", period_parse(period), add_weighed, &sum), 0);
	return sum;
}

/* One thing that happens to one of a few instances, or to all. */
static void happen(struct past *b, uint32_t *seed)
{
	static const char *const moves[] = { "starting", "running", "paused",
					     "stopped",	 "failed",  "deleted" };
	char id[8], body[128];

	snprintf(id, sizeof(id), "vm-%u", random_next(seed) % 5);
	past_pass(b, (int64_t)random_next(seed) * 2000);
	switch (random_next(seed) % 8) {
	case 0:
		past_confirmed(b);
		break;
	case 1:
		past_dies_unseen(b, id);
		break;
	case 2:
		snprintf(body, sizeof(body),
			 "{\"meter\": \"%s\", \"thing\": \"%s\", \"amount\": %u}",
			 random_next(seed) % 2 ? "reserved_vcpus" : "reserved_memory", id,
			 random_next(seed) % 3 * 512);
		past_event(b, "meter.held", "acme", "", body);
		break;
	default:
		past_moves(b, id, moves[random_next(seed) % 6]);
	}
}

/* Followed a few events at a time, and settled in between, it is what a replay of all is. */
static void test_followed(void **state)
{
	enum { SEEDS = 8, EVENTS = 120 };
	static const char *const months[] = { "2025-03", "2025-04" };
	const int march = period_parse("2025-03");
	struct past *b = *state;
	struct usage *followed, *whole;
	uint32_t seed = 1;
	struct error err;

	past_has_plan(b, per_second, "vm");
	b->wall_ns = period_start_ns(march + 1) - HOUR;
	assert_int_equal(usage_replay(b->books.truth.store, 0, &followed, &err), 0);
	for (int i = 0; i < SEEDS * EVENTS; i++) {
		happen(b, &seed);
		if (random_next(&seed) % 4)
			continue;
		assert_int_equal(usage_follow(followed, b->books.truth.store, 0, &err), 0);
		assert_int_equal(usage_settle(followed, "acme", march + i % 2, &err), 0);
	}
	assert_int_equal(usage_follow(followed, b->books.truth.store, 0, &err), 0);
	assert_int_equal(usage_replay(b->books.truth.store, 0, &whole, &err), 0);
	for (unsigned m = 0; m < 2; m++) {
		assert_int_equal(usage_settle(whole, "acme", march + (int)m, &err), 0);
		assert_int_equal(usage_settle(followed, "acme", march + (int)m, &err), 0);
		assert_true(weigh(whole, months[m]) > 0);
		assert_int_equal(weigh(followed, months[m]), weigh(whole, months[m]));
	}
	usage_free(whole);
	usage_free(followed);
}

int main(void)
{
#define BOOKS(f) cmocka_unit_test_setup_teardown(f, past_open, past_close)
	const struct CMUnitTest tests[] = {
		BOOKS(test_a_run),
		BOOKS(test_minimum_for_each_start),
		BOOKS(test_paused_costs_memory),
		BOOKS(test_saving),
		BOOKS(test_unseen_is_a_gap),
		BOOKS(test_open_run),
		BOOKS(test_clock_steps_do_not_matter),
		BOOKS(test_over_the_end_of_a_month),
		BOOKS(test_plan_changes_meanwhile),
		BOOKS(test_late_knowledge_is_an_adjustment),
		cmocka_unit_test(test_amounts),
		BOOKS(test_lines_add_up),
		BOOKS(test_close),
		BOOKS(test_plans_are_published_once),
		cmocka_unit_test(test_bad_plans),
		cmocka_unit_test(test_periods),
		BOOKS(test_a_random_day),
		BOOKS(test_ten_thousand_tenants),
		BOOKS(test_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
