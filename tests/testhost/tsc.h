/* tsc.h - how fast this machine's time stamp counter runs. */
#ifndef TESTS_TESTHOST_TSC_H
#define TESTS_TESTHOST_TSC_H

/* In kHz, measured against the clock for some 20 ms. Any thread. */
unsigned tsc_khz(void);

#endif
