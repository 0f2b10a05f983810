/* clock.c - time, in microseconds, and dates. */
#include <stdbool.h>
#include <time.h>

#include "vmm/base/clock.h"

static const int64_t day_s = INT64_C(24) * 60 * 60;

static uint64_t read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t clock_now_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

uint64_t clock_cpu_us(void)
{
	return read_us(CLOCK_PROCESS_CPUTIME_ID);
}

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

void clock_date(int64_t seconds, struct clock_date *ret)
{
	unsigned second = (unsigned)(seconds % day_s), length;
	int64_t days = seconds / day_s;

	*ret = (struct clock_date){
		.year = 1970,
		.month = 1,
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
	};
	for (; days >= (length = is_leap(ret->year) ? 366 : 365); ret->year++)
		days -= length;
	for (; days >= (length = days_of_month(ret->year, ret->month)); ret->month++)
		days -= length;
	ret->day = (unsigned)days + 1;
}
