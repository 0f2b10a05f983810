/* test_limiter.c - token buckets under a clock of the test's own. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on

#include "devices/virtio/limiter.h"

enum { SECOND_US = 1000000, START_US = 123456789 };

static struct limiter make(struct token_bucket bandwidth, struct token_bucket ops)
{
	const struct limiter_config c = { bandwidth, ops, true, true };
	struct limiter l = { 0 };

	limiter_configure(&l, &c, START_US);
	return l;
}

/* Bytes that get through in this time when somebody always asks again as told. */
static uint64_t moved(struct limiter *l, uint64_t op_bytes, uint64_t from_us, uint64_t span_us)
{
	uint64_t now_us = from_us, total = 0;

	while (now_us < from_us + span_us) {
		uint64_t wait_us = limiter_take(l, op_bytes, now_us);

		total += wait_us == 0 ? op_bytes : 0;
		now_us += wait_us;
	}
	return total;
}

static void assert_near(uint64_t got, uint64_t expected, uint64_t within)
{
	if (got + within < expected || got > expected + within)
		fail_msg("%llu is not %llu +- %llu", (unsigned long long)got,
			 (unsigned long long)expected, (unsigned long long)within);
}

static void no_limits(void **state)
{
	static const struct token_bucket off[] = { { 0, 0, 0 }, { 0, 100, 9 }, { 100, 0, 9 } };
	struct limiter zero = { 0 };

	(void)state;
	assert_int_equal(limiter_take(&zero, UINT64_MAX, 0), 0);
	for (int i = 0; i < 3; i++) {
		struct limiter l = make(off[i], off[i]);

		for (int n = 0; n < 1000; n++)
			assert_int_equal(limiter_take(&l, UINT64_MAX, START_US), 0);
	}
}

static void starts_full_then_waits(void **state)
{
	struct limiter l = make((struct token_bucket){ 1000, 100, 0 }, (struct token_bucket){ 0 });

	(void)state;
	assert_int_equal(limiter_take(&l, 600, START_US), 0);
	assert_int_equal(limiter_take(&l, 400, START_US), 0);
	/* 1000 bytes in 100 ms: 100 us a byte. */
	assert_int_equal(limiter_take(&l, 1, START_US), 100);
	assert_int_equal(limiter_take(&l, 250, START_US), 25000);
	assert_int_equal(limiter_take(&l, 250, START_US + 24999), 1);
	assert_int_equal(limiter_take(&l, 250, START_US + 25000), 0);
	/* It holds no more than its size, however long it rests. */
	assert_int_equal(limiter_take(&l, 1000, START_US + 60 * SECOND_US), 0);
	assert_int_equal(limiter_take(&l, 1, START_US + 60 * SECOND_US), 100);
}

static void refused_costs_nothing(void **state)
{
	struct limiter l =
		make((struct token_bucket){ 1000, 100, 0 }, (struct token_bucket){ 1, 100, 0 });

	(void)state;
	assert_int_equal(limiter_take(&l, 10, START_US), 0);
	/* The operations are used up; the bytes are not charged for trying. */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(limiter_take(&l, 500, START_US), 100000);
	assert_int_equal(limiter_take(&l, 1000, START_US + 100000), 0);
}

/* The one that is short of more decides. */
static void waits_for_both(void **state)
{
	struct limiter l =
		make((struct token_bucket){ 1000, 1000, 0 }, (struct token_bucket){ 1, 10, 0 });

	(void)state;
	assert_int_equal(limiter_take(&l, 1000, START_US), 0);
	assert_int_equal(limiter_take(&l, 0, START_US), 10000);
	assert_int_equal(limiter_take(&l, 100, START_US), 100000);
}

static void burst_comes_first_and_once(void **state)
{
	struct limiter l =
		make((struct token_bucket){ 1000, 100, 5000 }, (struct token_bucket){ 0 });

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(limiter_take(&l, 1000, START_US), 0);
	assert_int_equal(limiter_take(&l, 1000, START_US), 100000);
	/* A long rest fills the bucket, not the burst. */
	assert_int_equal(limiter_take(&l, 1000, START_US + 60 * SECOND_US), 0);
	assert_int_equal(limiter_take(&l, 1, START_US + 60 * SECOND_US), 100);
}

static void burst_may_run_out_within_an_operation(void **state)
{
	struct limiter l =
		make((struct token_bucket){ 1000, 100, 300 }, (struct token_bucket){ 0 });

	(void)state;
	assert_int_equal(limiter_take(&l, 1300, START_US), 0);
	assert_int_equal(limiter_take(&l, 1, START_US), 100);
}

static void oversize_goes_through_and_is_paid_for(void **state)
{
	struct limiter l = make((struct token_bucket){ 1000, 100, 0 }, (struct token_bucket){ 0 });

	(void)state;
	assert_int_equal(limiter_take(&l, 5000, START_US), 0);
	/* 4000 in debt: 400 ms, and then what is asked for. */
	assert_int_equal(limiter_take(&l, 100, START_US), 410000);
	assert_int_equal(limiter_take(&l, 100, START_US + 410000), 0);
	assert_int_equal(limiter_take(&l, 5000, START_US + 410000), 100000);
}

/* Whatever the size of the operations, and however awkward the numbers, the rate
 * over ten simulated seconds is the configured one. */
static void rate_is_exact(void **state)
{
	static const struct {
		uint64_t size, refill_ms, op;
	} cases[] = {
		{ 1 << 20, 100, 4096 },
		{ 1 << 20, 1000, 65536 },
		{ 1000003, 997, 512 },
		{ 7, 13, 1 },
		{ 100000, 100, 350000 },
		{ UINT64_C(10) << 30, 1000, 1 << 20 },
		{ 3, 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct limiter l =
			make((struct token_bucket){ cases[i].size, cases[i].refill_ms, 0 },
			     (struct token_bucket){ 0 });
		uint64_t got = moved(&l, cases[i].op, START_US, 10 * SECOND_US);
		uint64_t fair = cases[i].size * 10000 / cases[i].refill_ms;

		/* The full bucket of the start comes on top, and one operation may end it. */
		assert_near(got, fair + cases[i].size, fair / 1000 + 2 * cases[i].op);
	}
}

/* Asking every microsecond rounds nothing away. */
static void no_drift(void **state)
{
	struct limiter l = make((struct token_bucket){ 3, 1000, 0 }, (struct token_bucket){ 0 });
	unsigned granted = 0;

	(void)state;
	for (uint64_t us = 0; us <= 10 * SECOND_US; us++)
		granted += limiter_take(&l, 1, START_US + us) == 0;
	assert_int_equal(granted, 33);
}

static void absurd_values(void **state)
{
	struct token_bucket huge = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
	struct limiter l = make(huge, huge);

	(void)state;
	assert_int_equal(limiter_take(&l, UINT64_MAX, START_US), 0); /* the burst */
	assert_int_equal(limiter_take(&l, UINT64_MAX, START_US), 0); /* the bucket */
	assert_true(limiter_take(&l, UINT64_MAX, START_US) > 0);
	assert_int_equal(limiter_take(&l, UINT64_MAX, UINT64_MAX), 0);
	/* A clock that goes back gives nothing and takes nothing. */
	assert_true(limiter_take(&l, UINT64_MAX, 0) > 0);
}

static void reconfigured(void **state)
{
	struct limiter l =
		make((struct token_bucket){ 1000, 100, 0 }, (struct token_bucket){ 1, 1000, 0 });
	const struct limiter_config faster = { .ops = { 10, 1000, 0 }, .has_ops = true };
	const struct limiter_config off = { .has_ops = true };

	(void)state;
	assert_int_equal(limiter_take(&l, 1000, START_US), 0);
	limiter_configure(&l, &faster, START_US);
	/* New operations, the old bytes. */
	assert_int_equal(limiter_take(&l, 10, START_US), 1000);
	assert_int_equal(limiter_take(&l, 0, START_US), 0);
	limiter_configure(&l, &off, START_US);
	for (int i = 0; i < 100; i++)
		assert_int_equal(limiter_take(&l, 0, START_US), 0);
	assert_int_equal(limiter_take(&l, 10, START_US), 1000);
}

/* What a debt of the largest size takes to pay off is more than 64 bits can say. */
static void debt_beyond_counting(void **state)
{
	struct limiter l =
		make((struct token_bucket){ 1, UINT64_C(1) << 40, 0 }, (struct token_bucket){ 0 });

	(void)state;
	assert_int_equal(limiter_take(&l, UINT64_C(1) << 62, START_US), 0);
	assert_true(limiter_take(&l, 1, START_US) == UINT64_MAX);
	assert_true(limiter_take(&l, 1, UINT64_MAX) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_limits),
		cmocka_unit_test(starts_full_then_waits),
		cmocka_unit_test(refused_costs_nothing),
		cmocka_unit_test(waits_for_both),
		cmocka_unit_test(burst_comes_first_and_once),
		cmocka_unit_test(burst_may_run_out_within_an_operation),
		cmocka_unit_test(oversize_goes_through_and_is_paid_for),
		cmocka_unit_test(rate_is_exact),
		cmocka_unit_test(no_drift),
		cmocka_unit_test(absurd_values),
		cmocka_unit_test(debt_beyond_counting),
		cmocka_unit_test(reconfigured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
