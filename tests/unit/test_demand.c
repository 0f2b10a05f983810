/* test_demand.c - how many blanks a pool should have, by what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/pool/demand.h"

enum { BEGIN = 100000, KEEP_S = 300 };

static void ask(struct demand *d, int64_t now_s, unsigned times)
{
	while (times-- > 0)
		demand_note(d, now_s);
}

static void test_bounds(void **state)
{
	struct demand d = { 0 };

	(void)state;
	assert_int_equal(demand_target(&d, 0, KEEP_S, 2, 9), 2);
	assert_int_equal(demand_target(&d, BEGIN, KEEP_S, 2, 9), 2);
	ask(&d, BEGIN, 1);
	assert_int_equal(demand_target(&d, BEGIN, KEEP_S, 2, 9), 2);
	ask(&d, BEGIN, 4);
	assert_int_equal(demand_target(&d, BEGIN, KEEP_S, 2, 9), 5);
	ask(&d, BEGIN, 50);
	assert_int_equal(demand_target(&d, BEGIN, KEEP_S, 2, 9), 9);
	/* A pool that is shut has none, whatever is asked for. */
	assert_int_equal(demand_target(&d, BEGIN, KEEP_S, 0, 0), 0);
}

static void test_memory(void **state)
{
	static const struct {
		int64_t after_s, target;
	} rows[] = {
		{ 0, 7 },	    { DEMAND_SLOT_S, 7 },
		{ KEEP_S, 7 },	    { KEEP_S + DEMAND_SLOT_S, 3 },
		{ KEEP_S + 60, 3 }, { KEEP_S + 100 + DEMAND_SLOT_S, 1 },
		{ 10 * KEEP_S, 1 },
	};
	struct demand d = { 0 };

	(void)state;
	ask(&d, BEGIN, 7);
	ask(&d, BEGIN + 100, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(demand_target(&d, BEGIN + rows[i].after_s, KEEP_S, 1, 9),
				 rows[i].target);
	/* The busiest ten seconds count, not the sum. */
	for (int64_t s = 0; s < 60; s++)
		ask(&d, 2 * BEGIN + s, 1);
	assert_int_equal(demand_target(&d, 2 * BEGIN + 60, KEEP_S, 1, 90), DEMAND_SLOT_S);
}

/* The ring is as long as the longest memory, and what is older is not found in it again. */
static void test_ring(void **state)
{
	const int64_t longest = (int64_t)(DEMAND_SLOTS - 1) * DEMAND_SLOT_S;
	struct demand d = { 0 };

	(void)state;
	ask(&d, BEGIN, 8);
	assert_int_equal(demand_target(&d, BEGIN + longest, longest, 0, 9), 8);
	assert_int_equal(demand_target(&d, BEGIN + longest, 100 * longest, 0, 9), 8);
	ask(&d, BEGIN + longest + DEMAND_SLOT_S, 1);
	assert_int_equal(demand_target(&d, BEGIN + longest + DEMAND_SLOT_S, 100 * longest, 0, 9),
			 1);
	ask(&d, 50 * (BEGIN + longest), 2);
	assert_int_equal(demand_target(&d, 50 * (BEGIN + longest), longest, 0, 9), 2);
	/* From the host's start on. */
	memset(&d, 0, sizeof(d));
	ask(&d, 3, 2);
	assert_int_equal(demand_target(&d, 4, longest, 0, 9), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
