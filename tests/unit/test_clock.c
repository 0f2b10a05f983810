/* test_clock.c - the C library's calendar says the same, day by day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "vmm/base/clock.h"

enum { DAY_S = 24 * 60 * 60, DAYS = 300 * 366 };

static void check(int64_t seconds)
{
	struct clock_date date;
	time_t at = seconds;
	struct tm tm;

	assert_non_null(gmtime_r(&at, &tm));
	clock_date(seconds, &date);
	assert_int_equal(date.year, tm.tm_year + 1900);
	assert_int_equal(date.month, tm.tm_mon + 1);
	assert_int_equal(date.day, tm.tm_mday);
	assert_int_equal(date.hour, tm.tm_hour);
	assert_int_equal(date.minute, tm.tm_min);
	assert_int_equal(date.second, tm.tm_sec);
}

static void test_days(void **state)
{
	(void)state;
	for (int64_t day = 0; day < DAYS; day++) {
		check(day * DAY_S);
		check(day * DAY_S + DAY_S - 1);
	}
}

static void test_seconds(void **state)
{
	(void)state;
	for (int64_t second = 0; second < DAY_S; second++)
		check(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
