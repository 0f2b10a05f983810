/* clock.h - time, in microseconds, and dates. */
#ifndef VMM_BASE_CLOCK_H
#define VMM_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: for durations and for the timeline. Any thread. */
uint64_t clock_now_us(void);

/* CPU time used so far by this process (CLOCK_PROCESS_CPUTIME_ID). Any thread. */
uint64_t clock_cpu_us(void);

/* A time in UTC; month and day count from 1. */
struct clock_date {
	unsigned year, month, day, hour, minute, second;
};

/* Of seconds since 1970, 0 or more, as CLOCK_REALTIME has them. gmtime(3) would read the time
 * zone's file first, at its first call in a process. Any thread, and a signal's handler. */
void clock_date(int64_t seconds, struct clock_date *ret);

#endif
