/* period.h - what is invoiced together: a calendar month, UTC. Any thread.
 *
 * A period is a number: twelve times the year, plus the month from 0. So the next one is
 * one more.
 */
#ifndef SUPERVISOR_BILLING_PERIOD_H
#define SUPERVISOR_BILLING_PERIOD_H

#include <stdint.h>

enum { PERIOD_TEXT_BYTES = 16, PERIOD_NONE = -1 };

/* "2026-11", or PERIOD_NONE. */
int period_parse(const char *text);

/* Into buf; returns buf. */
const char *period_text(int period, char buf[PERIOD_TEXT_BYTES]);

/* The period of a moment of CLOCK_REALTIME, from 1970 to 2261. */
int period_of(int64_t wall_ns);

/* Its first moment, which is the end of the one before. */
int64_t period_start_ns(int period);

#endif
