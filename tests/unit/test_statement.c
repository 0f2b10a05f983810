/* test_statement.c - usage told apart, and invoices for those who do not read JSON. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/statement.h"
#include "supervisor/billing/usage.h"
#include "tests/unit/past.h"

static const char per_minute[] =
	"{\"name\": \"vm\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 60000,"
	" \"minimum_ms\": 0, \"bill_boot\": true, \"prices\": ["
	"{\"meter\": \"vcpu_time\", \"per\": 1000000, \"tiers\": [{\"from\": 0, \"price_nano\": "
	"11}]}]}";

struct slices {
	enum meter meter;
	unsigned count;
	int64_t sum;
	char text[256]; /* their names, each with its quantity in seconds */
};

static int add_slice(void *ctx, const struct usage_row *row)
{
	struct slices *s = ctx;
	size_t len = strlen(s->text);

	if (row->meter != s->meter)
		return 0;
	s->count++;
	s->sum += row->quantity;
	snprintf(s->text + len, sizeof(s->text) - len, "%s=%lld ", row->slice,
		 (long long)(row->quantity / 1000000));
	return 0;
}

static struct slices slices_of(struct past *p, enum usage_slice slice, enum meter meter)
{
	const int march = period_parse("2025-03");
	struct slices s = { .meter = meter };
	struct usage *u;
	struct error err;

	if (usage_replay_sliced(p->books.truth.store, 0, slice, &u, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(usage_settle(u, "acme", march, &err), 0);
	assert_int_equal(usage_each(u, "acme", march, add_slice, &s), 0);
	usage_free(u);
	return s;
}

/* Over two midnights; the first day was rounded up by what the last one has: parts add up. */
static void test_by_day(void **state)
{
	struct past *p = *state;
	struct slices days, whole;

	past_has_plan(p, per_minute, "vm");
	p->wall_ns = period_start_ns(period_parse("2025-03")) + 24 * HOUR - 100 * S;
	past_moves(p, "vm-1", "starting");
	past_moves(p, "vm-1", "running");
	past_pass(p, 24 * HOUR + 110 * S);
	past_moves(p, "vm-1", "stopped");
	days = slices_of(p, USAGE_BY_DAY, METER_VCPU_TIME);
	whole = slices_of(p, USAGE_WHOLE, METER_VCPU_TIME);
	assert_string_equal(days.text, "2025-03-01=240 2025-03-02=172800 ");
	assert_int_equal(days.sum, whole.sum);
	assert_int_equal(whole.count, 1);
}

static void test_by_shape(void **state)
{
	static const char *const shapes[] = { "small", "large", "small" };
	struct past *p = *state;
	struct slices s;

	for (unsigned i = 0; i < 3; i++) {
		char body[64], id[8];

		snprintf(id, sizeof(id), "vm-%u", i);
		snprintf(body, sizeof(body), "{\"shape\": \"%s\"}", shapes[i]);
		past_event(p, "instance.creating", "acme", id, body);
		past_moves(p, id, "running");
		past_pass(p, 10 * S);
		past_moves(p, id, "stopped");
	}
	s = slices_of(p, USAGE_BY_SHAPE, METER_VCPU_TIME);
	assert_string_equal(s.text, "large=20 small=40 ");
}

/* Two lives of one are one row. */
static void test_by_instance(void **state)
{
	static const char *const ids[] = { "vm-a", "vm-b", "vm-a" };
	struct past *p = *state;
	struct slices s, whole;

	for (unsigned i = 0; i < 3; i++) {
		past_moves(p, ids[i], "running");
		past_pass(p, 10 * S);
		past_moves(p, ids[i], "stopped");
	}
	s = slices_of(p, USAGE_BY_INSTANCE, METER_VCPU_TIME);
	whole = slices_of(p, USAGE_WHOLE, METER_VCPU_TIME);
	assert_string_equal(s.text, "vm-a=40 vm-b=20 ");
	assert_int_equal(s.sum, whole.sum);
}

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no %s in %s", words, text);
}

static void test_texts(void **state)
{
	struct past *p = *state;
	char *invoice, *text;
	struct error err;

	past_has_plan(p, per_minute, "vm");
	past_moves(p, "vm-1", "running");
	past_pass(p, 60 * S);
	past_dies_unseen(p, "vm-1");
	past_moves(p, "vm-2", "running");
	past_pass(p, 60 * S);
	past_moves(p, "vm-2", "stopped");
	assert_int_equal(
		invoice_make(&p->books.truth, "acme", period_parse("2025-03"), 0, &invoice, &err),
		0);
	assert_int_equal(statement_csv(invoice, &text), 0);
	expect_in(text, "plan,version,meter,unit,adjustment,from,quantity");
	expect_in(text, "\r\nvm,1,vcpu_time,vCPU-us,no,0,120000000,11,1000000,1320,0\r\n");
	free(text);
	assert_int_equal(statement_html(invoice, &text), 0);
	expect_in(text, "<h1>Statement for acme, 2025-03</h1>");
	expect_in(text, "0.000001320 EUR");
	expect_in(text, "not billed");
	expect_in(text, "<td>vm-1</td>");
	free(text);
	free(invoice);
	assert_int_equal(statement_csv("no invoice", &text), -EINVAL);
	assert_int_equal(statement_html("{", &text), -EINVAL);
}

/* Names that would be something else where they go. */
static void test_hostile_texts(void **state)
{
	static const char *const members[] = { "a", "b", NULL };
	json_t *list = json_pack("[{s:s, s:s}, {s:s, s:i}]", "a", "=1+1", "b", "x,\"y\"\n", "a",
				 "-2", "b", -3);
	char *text;

	(void)state;
	assert_int_equal(statement_table(list, members, &text), 0);
	assert_string_equal(text, "a,b\r\n\"'=1+1\",\"x,\"\"y\"\"\n\"\r\n\"'-2\",-3\r\n");
	free(text);
	json_decref(list);
	assert_int_equal(statement_html("{\"tenant\": \"<script>&\\\"\"}", &text), 0);
	expect_in(text, "&lt;script&gt;&amp;&quot;");
	assert_null(strstr(text, "<script>"));
	free(text);
}

#define PAST_TEST(f) cmocka_unit_test_setup_teardown(f, past_open, past_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAST_TEST(test_by_day),
		PAST_TEST(test_by_shape),
		PAST_TEST(test_by_instance),
		PAST_TEST(test_texts),
		cmocka_unit_test(test_hostile_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
