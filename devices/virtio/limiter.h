/* limiter.h - how much a device may move: two token buckets, bytes and operations.
 *
 * A bucket of `size` tokens starts full and refills evenly, all of it in
 * refill_time_ms; one_time_burst is taken before it and never comes back. An
 * operation that needs more than a whole bucket waits for a full one, goes through,
 * and leaves a debt that later operations wait out.
 *
 * Pure: the time is the caller's, in microseconds of a clock that does not go back.
 * No allocation, no lock: whoever calls has the device's.
 */
#ifndef DEVICES_VIRTIO_LIMITER_H
#define DEVICES_VIRTIO_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

/* As the API has it. No limit when size or refill_time_ms is 0. What is larger than
 * a limiter can count (2^62 tokens, 2^40 ms) counts as that. */
struct token_bucket {
	uint64_t size;
	uint64_t refill_time_ms;
	uint64_t one_time_burst;
};

struct limiter_config {
	struct token_bucket bandwidth; /* bytes */
	struct token_bucket ops;
	bool has_bandwidth, has_ops;
};

/* Private. */
struct limiter_bucket {
	uint64_t size, refill_us; /* size 0: no limit */
	uint64_t burst;
	uint64_t seen_us;
	__int128 level; /* tokens times refill_us; below 0: debt */
};

/* All zeroes is a limiter without limits. */
struct limiter {
	struct limiter_bucket bytes, ops;
};

/* Replaces the buckets that the configuration has, full from now on; the others
 * keep what is in them. */
void limiter_configure(struct limiter *l, const struct limiter_config *c, uint64_t now_us);

/* Whether there is any limit. */
bool limiter_limits(const struct limiter *l);

/* Asks for one operation of this many bytes. 0: it was granted and charged to both
 * buckets. Otherwise nothing was charged, and it is the number of microseconds
 * after which the same question is granted if nobody else takes tokens meanwhile. */
uint64_t limiter_take(struct limiter *l, uint64_t bytes, uint64_t now_us);

#endif
