/* stats.h - samples and what is said about them, in integers.
 *
 * A percentile is a sample that was seen (nearest rank), never a value between
 * two: with 20 samples p99 is the largest.
 */
#ifndef BENCHES_STATS_H
#define BENCHES_STATS_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	int64_t *v; /* owned; samples_free() */
	size_t n, room;
};

struct summary {
	size_t n;
	int64_t min, median, p90, p99;
};

/* 0 or -ENOMEM, with the samples as they were. */
int samples_add(struct samples *s, int64_t value);

/* Leaves an empty set that can be filled again. */
void samples_free(struct samples *s);

/* Sorts the samples and fills *ret; all zero when there are none. */
void samples_summarise(struct samples *s, struct summary *ret);

/* The nearest-rank percentile (1 to 100) of n > 0 values in ascending order. */
int64_t stats_percentile(const int64_t *sorted, size_t n, unsigned percent);

/* a/b in thousandths, rounded to nearest; -1 when b is not positive or a is
 * negative or too large for the sum. */
int64_t stats_ratio_milli(int64_t a, int64_t b);

#endif
