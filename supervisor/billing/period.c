/* period.c - months, by the C library's calendar. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/billing/period.h"

enum { FIRST_YEAR = 1970, LAST_YEAR = 2261, NS_PER_S = 1000000000 };

int period_parse(const char *text)
{
	static const char form[] = "dddd-dd";
	int year, month;

	if (strlen(text) != strlen(form))
		return PERIOD_NONE;
	for (size_t i = 0; form[i]; i++) {
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return PERIOD_NONE;
	}
	year = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] -
	       '0';
	month = (text[5] - '0') * 10 + text[6] - '0';
	if (year < FIRST_YEAR || year > LAST_YEAR || month < 1 || month > 12)
		return PERIOD_NONE;
	return year * 12 + month - 1;
}

const char *period_text(int period, char buf[PERIOD_TEXT_BYTES])
{
	snprintf(buf, PERIOD_TEXT_BYTES, "%04d-%02d", period / 12, period % 12 + 1);
	return buf;
}

int period_of(int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm t;

	gmtime_r(&seconds, &t);
	return (t.tm_year + 1900) * 12 + t.tm_mon;
}

int64_t period_start_ns(int period)
{
	struct tm t = { .tm_year = period / 12 - 1900, .tm_mon = period % 12, .tm_mday = 1 };

	return (int64_t)timegm(&t) * NS_PER_S;
}
