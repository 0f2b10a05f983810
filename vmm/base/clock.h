/* clock.h - time, in microseconds. */
#ifndef VMM_BASE_CLOCK_H
#define VMM_BASE_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC: for durations and for the timeline. Any thread. */
uint64_t clock_now_us(void);

/* CPU time used so far by this process (CLOCK_PROCESS_CPUTIME_ID). Any thread. */
uint64_t clock_cpu_us(void);

#endif
