/* test_plan_change.c - a plan that is changed in mid-hour: each moment is paid by the plan of then,
 * nothing twice, nothing never, and the invoice is the same whenever it is made.
 *
 * One hour: an instance, an address, and bytes to the world. The change comes after so many
 * milliseconds of it; prices are such that something is left over of nearly every line.
 */
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
#include "tests/unit/past.h"

enum { HOUR_MS = 3600000, NS_PER_MS = 1000000, VCPUS = 2, MEM_MIB = 512, US_PER_MS = 1000 };

static const int64_t BYTES_BEFORE = 1000003, BYTES_IN_ALL = 3000007;

#define TIER(price) "\"tiers\": [{\"from\": 0, \"price_nano\": " price "}]}"
#define PLAN(version, vcpu, memory, bytes, address)                                                                                   \
	"{\"name\": \"hourly\", \"version\": " version ", \"currency\": \"EUR\","                                                     \
	" \"rounding_ms\": 1000, \"minimum_ms\": 60000, \"bill_boot\": true, \"prices\": ["                                           \
	"{\"meter\": \"vcpu_time\", \"per\": 3600000000, " TIER(                                                                      \
		vcpu) ", {\"meter\":"                                                                                                 \
		      " \"memory_time\", \"per\": 3686400000, " TIER(                                                                 \
			      memory) ", {\"meter\": \"net_out_world\","                                                              \
				      " \"per\": 1073741824, " TIER(bytes) ", {\"meter\": \"address_time\", \"per\": 3600000, " TIER( \
					      address) "]}"

static void publish(struct past *p)
{
	past_event(p, "plan.published", "", "",
		   PLAN("1", "40000000", "5000000", "90000000", "1000000"));
	past_event(p, "plan.published", "", "",
		   PLAN("2", "70000001", "7000003", "110000007", "1000001"));
}

static void choose(struct past *p, int version)
{
	char body[64];

	snprintf(body, sizeof(body), "{\"plan\": \"hourly\", \"version\": %d}", version);
	past_event(p, "tenant.plan", "acme", "", body);
}

static void count(struct past *p, int64_t bytes)
{
	char body[64];

	snprintf(body, sizeof(body), "{\"net_out_world\": %lld, \"net_out\": %lld}",
		 (long long)bytes, (long long)bytes);
	past_event(p, "meter.counted", "acme", "vm-1", body);
}

static void hold(struct past *p, int amount)
{
	char body[96];

	snprintf(body, sizeof(body),
		 "{\"meter\": \"address_time\", \"thing\": \"192.0.2.1\", \"amount\": %d}", amount);
	past_event(p, "meter.held", "acme", "", body);
}

static void live_an_hour(struct past *p, int64_t change_ms)
{
	p->wall_ns = period_start_ns(period_parse("2025-03")) + 100 * HOUR;
	publish(p);
	choose(p, 1);
	hold(p, 1);
	p->incarnation = 1;
	past_moves(p, "vm-1", "starting");
	past_moves(p, "vm-1", "running");
	past_pass(p, change_ms * NS_PER_MS);
	count(p, BYTES_BEFORE);
	past_confirmed(p);
	choose(p, 2);
	past_pass(p, (HOUR_MS - change_ms) * NS_PER_MS);
	count(p, BYTES_IN_ALL);
	past_moves(p, "vm-1", "stopped");
	hold(p, 0);
	past_confirmed(p);
}

/* --- the invoice --- */

static char *invoice_text(struct past *p, int64_t seq)
{
	struct error err;
	char *text = NULL;

	if (invoice_make(&p->books.truth, "acme", period_parse("2025-03"), seq, &text, &err) < 0)
		fail_msg("%s", err.text);
	return text;
}

/* Of a meter by a version of the plan. */
static int64_t quantity(const json_t *invoice, const char *meter, int version)
{
	int64_t sum = 0;
	json_t *line;
	size_t i;

	json_array_foreach(json_object_get(invoice, "lines"), i, line)
	{
		if (strcmp(json_string_value(json_object_get(line, "meter")), meter) == 0 &&
		    past_figure(line, "version") == version)
			sum += past_figure(line, "quantity");
	}
	return sum;
}

/* Each line is quantity times price to the last part of a nano-unit, and all add up. */
static void check_money(const json_t *invoice)
{
	int64_t sum = 0;
	json_t *line;
	size_t i;

	json_array_foreach(json_object_get(invoice, "lines"), i, line)
	{
		const __int128 exact =
			(__int128)past_figure(line, "quantity") * past_figure(line, "price_nano");

		assert_true(exact ==
			    (__int128)past_figure(line, "amount_nano") * past_figure(line, "per") +
				    past_figure(line, "remainder"));
		sum += past_figure(line, "amount_nano");
	}
	assert_true(sum > 0);
	assert_int_equal(past_figure(invoice, "sum_nano"), sum);
	assert_int_equal(past_figure(invoice, "total_nano"), sum);
}

/* Time of the start, up to the whole second by the plan that it began with; at least a minute. */
static int64_t rounded_ms(int64_t ms)
{
	int64_t up = (ms + 999) / 1000 * 1000;

	return ms == 0 ? 0 : up < 60000 ? 60000 : up;
}

static void check_quantities(const json_t *invoice, int64_t change_ms)
{
	const int64_t first = rounded_ms(change_ms), second = HOUR_MS - first;

	assert_int_equal(quantity(invoice, "vcpu_time", 1), first * US_PER_MS * VCPUS);
	assert_int_equal(quantity(invoice, "vcpu_time", 2), second * US_PER_MS * VCPUS);
	assert_int_equal(quantity(invoice, "memory_time", 1), first * MEM_MIB);
	assert_int_equal(quantity(invoice, "memory_time", 2), second * MEM_MIB);
	assert_int_equal(quantity(invoice, "address_time", 1), change_ms);
	assert_int_equal(quantity(invoice, "address_time", 2), HOUR_MS - change_ms);
	assert_int_equal(quantity(invoice, "net_out_world", 1), BYTES_BEFORE);
	assert_int_equal(quantity(invoice, "net_out_world", 2), BYTES_IN_ALL - BYTES_BEFORE);
	assert_int_equal(json_array_size(json_object_get(invoice, "gaps")), 0);
}

static void check_split(struct past *p, int64_t change_ms)
{
	char *text = invoice_text(p, 0);
	json_t *invoice = json_loads(text, 0, NULL);

	check_quantities(invoice, change_ms);
	check_money(invoice);
	json_decref(invoice);
	free(text);
}

static const int64_t changes_ms[] = { 0, 1, 59999, 1397003, 1800000, 3599999, 3600000 };

enum { CHANGES = sizeof(changes_ms) / sizeof(changes_ms[0]) };

static void test_split(void **state)
{
	(void)state;
	for (unsigned n = 0; n < CHANGES; n++) {
		void *p;

		assert_int_equal(past_open(&p), 0);
		live_an_hour(p, changes_ms[n]);
		check_split(p, changes_ms[n]);
		past_close(&p);
	}
}

static void expect_same(struct past *p, int64_t seq, const char *text)
{
	char *now = invoice_text(p, seq);

	assert_string_equal(now, text);
	free(now);
}

/* Made again at once, with more behind it, rolled up, and closed. */
static void test_replayed(void **state)
{
	struct past *p = *state;
	struct invoice_report report;
	struct error err;
	const int64_t change_ms = changes_ms[3];
	int64_t seq;
	char *text;

	live_an_hour(p, change_ms);
	seq = p->seq;
	text = invoice_text(p, seq);
	expect_same(p, seq, text);
	choose(p, 1);
	past_moves(p, "vm-2", "running");
	past_pass(p, HOUR);
	past_confirmed(p);
	past_moves(p, "vm-2", "stopped");
	expect_same(p, seq, text);
	past_roll_up(p, INT64_MAX);
	expect_same(p, seq, text);
	free(text);
	assert_int_equal(store_begin(p->books.truth.store, &err), 0);
	if (invoice_close(&p->books.truth, "acme", period_parse("2025-03"), "test", &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(p->books.truth.store, &err), 0);
	assert_int_equal(invoice_verify(&p->books.truth, &report, &err), 0);
	assert_int_equal(report.checked, 1);
	assert_int_equal(report.bad_seq, 0);
}

/* There and back within a millisecond, and again at the same instant: the sums are the same. */
static void test_many_changes(void **state)
{
	struct past *p = *state;
	json_t *invoice;

	publish(p);
	choose(p, 1);
	p->incarnation = 1;
	past_moves(p, "vm-1", "starting");
	past_moves(p, "vm-1", "running");
	for (int n = 0; n < 1000; n++) {
		past_pass(p, 1300 * (int64_t)NS_PER_MS);
		choose(p, 2);
		past_pass(p, NS_PER_MS / 2);
		choose(p, 1);
		choose(p, 2);
		choose(p, 1);
	}
	past_moves(p, "vm-1", "stopped");
	past_confirmed(p);
	invoice = past_invoice(p, "2025-03");
	assert_int_equal(quantity(invoice, "vcpu_time", 1) + quantity(invoice, "vcpu_time", 2),
			 rounded_ms(1300500) * US_PER_MS * VCPUS);
	check_money(invoice);
	json_decref(invoice);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test_setup_teardown(test_replayed, past_open, past_close),
		cmocka_unit_test_setup_teardown(test_many_changes, past_open, past_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
