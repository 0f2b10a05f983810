/* limiter.c - token buckets in whole numbers.
 *
 * A level is kept in tokens times refill_us. In that unit a microsecond adds exactly
 * `size`, and an operation of n tokens costs n * refill_us: nothing is ever divided,
 * so nothing is rounded away and the rate is exact over any length of time, however
 * often it is asked. 128 bits hold every product of the clamped values below.
 */
#include "devices/virtio/limiter.h"

#define MAX_TOKENS  (UINT64_C(1) << 62)
#define MAX_TIME_MS (UINT64_C(1) << 40)

enum { US_PER_MS = 1000 };

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

static __int128 scaled(const struct limiter_bucket *b, uint64_t tokens)
{
	return (__int128)tokens * b->refill_us;
}

static void bucket_configure(struct limiter_bucket *b, const struct token_bucket *c,
			     uint64_t now_us)
{
	*b = (struct limiter_bucket){ 0 };
	if (c->size == 0 || c->refill_time_ms == 0)
		return;
	b->size = at_most(c->size, MAX_TOKENS);
	b->refill_us = at_most(c->refill_time_ms, MAX_TIME_MS) * US_PER_MS;
	b->burst = at_most(c->one_time_burst, MAX_TOKENS);
	b->seen_us = now_us;
	b->level = scaled(b, b->size);
}

void limiter_configure(struct limiter *l, const struct limiter_config *c, uint64_t now_us)
{
	if (c->has_bandwidth)
		bucket_configure(&l->bytes, &c->bandwidth, now_us);
	if (c->has_ops)
		bucket_configure(&l->ops, &c->ops, now_us);
}

static void bucket_refill(struct limiter_bucket *b, uint64_t now_us)
{
	__int128 full = scaled(b, b->size);

	if (now_us <= b->seen_us)
		return;
	b->level += (__int128)(now_us - b->seen_us) * b->size;
	if (b->level > full)
		b->level = full;
	b->seen_us = now_us;
}

/* Microseconds until the bucket has these tokens, as far as they can be counted; 0: it
 * has them. */
static uint64_t bucket_wait_us(struct limiter_bucket *b, uint64_t tokens, uint64_t now_us)
{
	if (b->size == 0)
		return 0;
	bucket_refill(b, now_us);
	tokens = at_most(tokens, MAX_TOKENS);
	tokens -= at_most(tokens, b->burst);

	__int128 missing = scaled(b, at_most(tokens, b->size)) - b->level;

	if (missing <= 0)
		return 0;
	missing = (missing + b->size - 1) / b->size;
	return missing < UINT64_MAX ? (uint64_t)missing : UINT64_MAX;
}

static void bucket_charge(struct limiter_bucket *b, uint64_t tokens)
{
	uint64_t from_burst;

	if (b->size == 0)
		return;
	tokens = at_most(tokens, MAX_TOKENS);
	from_burst = at_most(tokens, b->burst);
	b->burst -= from_burst;
	b->level -= scaled(b, tokens - from_burst);
}

bool limiter_limits(const struct limiter *l)
{
	return l->bytes.size > 0 || l->ops.size > 0;
}

uint64_t limiter_take(struct limiter *l, uint64_t bytes, uint64_t now_us)
{
	uint64_t bytes_us = bucket_wait_us(&l->bytes, bytes, now_us);
	uint64_t ops_us = bucket_wait_us(&l->ops, 1, now_us);

	if (bytes_us > 0 || ops_us > 0)
		return bytes_us > ops_us ? bytes_us : ops_us;
	bucket_charge(&l->bytes, bytes);
	bucket_charge(&l->ops, 1);
	return 0;
}
