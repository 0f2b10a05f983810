/* limiter.c - Eva on the token bucket: any configuration, any history, any question.
 *
 * Frama-C has no 128-bit integers. A float stands for them: it goes up to 2^128, one bit
 * further than they do, and Eva tells when it could pass that. What it cannot tell for a
 * float is what rounding does, and an integer is not rounded: exactness is the unit
 * test's (rate_is_exact, no_drift).
 *
 * A level lies within 2^112 on either side at any time: full is 2^62 tokens times 2^50
 * us, and an operation is charged only where the level was not negative. So a step from
 * any such level stands for any history.
 */
#include "tests/eva/any.h"

#ifdef __FRAMAC__
#define __int128 float
#endif

#include "devices/virtio/limiter.c"

#define LEVEL_MAX 0x1p112f

static void guest_writes(void)
{
}

static struct token_bucket any_bucket(void)
{
	return (struct token_bucket){ any_u64(), any_u64(), any_u64() };
}

static void any_history(struct limiter_bucket *b)
{
	if (b->size == 0)
		return;
	b->burst = Frama_C_unsigned_long_interval(0, MAX_TOKENS);
	b->seen_us = any_u64();
	b->level = Frama_C_float_interval(-LEVEL_MAX, LEVEL_MAX);
}

int main(void)
{
	const struct limiter_config c = {
		.bandwidth = any_bucket(),
		.ops = any_bucket(),
		.has_bandwidth = any_bool(),
		.has_ops = any_bool(),
	};
	struct limiter l = { 0 };

	guest_writes();
	limiter_configure(&l, &c, any_u64());
	any_history(&l.bytes);
	any_history(&l.ops);
	(void)limiter_take(&l, any_u64(), any_u64());
	/*@ check -0x1p127 <= l.bytes.level < 0x1p127; */
	/*@ check -0x1p127 <= l.ops.level < 0x1p127; */
	return 0;
}
