/* test_stats.c - percentiles, ratios and sample sets of the benchmarks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "benches/stats.h"

static void test_percentile(void **state)
{
	static const int64_t ten[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
	static const struct {
		size_t n;
		unsigned percent;
		int64_t want;
	} rows[] = {
		{ 1, 1, 1 },	{ 1, 99, 1 },	{ 2, 50, 1 },	 { 2, 51, 2 },	{ 3, 50, 2 },
		{ 10, 1, 1 },	{ 10, 10, 1 },	{ 10, 11, 2 },	 { 10, 50, 5 }, { 10, 90, 9 },
		{ 10, 91, 10 }, { 10, 99, 10 }, { 10, 100, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(stats_percentile(ten, rows[i].n, rows[i].percent), rows[i].want);
}

static void test_summary(void **state)
{
	struct samples s = { 0 };
	struct summary sum;

	(void)state;
	samples_summarise(&s, &sum);
	assert_int_equal(sum.n, 0);
	assert_int_equal(sum.median, 0);

	for (int64_t i = 200; i > 0; i--)
		assert_int_equal(samples_add(&s, i), 0);
	samples_summarise(&s, &sum);
	assert_int_equal(sum.n, 200);
	assert_int_equal(sum.min, 1);
	assert_int_equal(sum.median, 100);
	assert_int_equal(sum.p90, 180);
	assert_int_equal(sum.p99, 198);
	samples_free(&s);
	assert_int_equal(s.n, 0);
}

/* The difference of two samples would overflow an int, and their own type. */
static void test_wide_values(void **state)
{
	struct samples s = { 0 };
	struct summary sum;

	(void)state;
	samples_add(&s, INT64_MAX);
	samples_add(&s, INT64_MIN);
	samples_add(&s, 0);
	samples_summarise(&s, &sum);
	assert_true(sum.min == INT64_MIN && sum.median == 0 && sum.p99 == INT64_MAX);
	samples_free(&s);
}

static void test_ratio(void **state)
{
	(void)state;
	assert_int_equal(stats_ratio_milli(1, 2), 500);
	assert_int_equal(stats_ratio_milli(2, 3), 667);
	assert_int_equal(stats_ratio_milli(1, 3), 333);
	assert_int_equal(stats_ratio_milli(0, 7), 0);
	assert_int_equal(stats_ratio_milli(7, 7), 1000);
	assert_int_equal(stats_ratio_milli(1, 0), -1);
	assert_int_equal(stats_ratio_milli(-1, 5), -1);
	assert_int_equal(stats_ratio_milli(INT64_MAX, 5), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentile),
		cmocka_unit_test(test_summary),
		cmocka_unit_test(test_wide_values),
		cmocka_unit_test(test_ratio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
