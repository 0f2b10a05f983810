/* test_pace.c - when a thread stops to cut in on others, and when it does so again. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/base/pace.h"

enum { KIB = 1024, MS = 1000, NOW = 1000000 };

/* Ten steps of so many KiB, one each millisecond. */
static uint64_t move(struct pace *p, uint64_t now_us, size_t kib)
{
	for (unsigned i = 0; i < 10; i++, now_us += MS)
		pace_moved(p, kib * KIB, now_us);
	return now_us;
}

static void test_bulk(void **state)
{
	struct pace p = { 0 };
	uint64_t now_us;

	(void)state;
	now_us = move(&p, NOW, 50);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	now_us = move(&p, now_us, 150);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	now_us = move(&p, now_us, 150);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	now_us = move(&p, now_us, 50);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	pace_moved(&p, 1024 * KIB, now_us);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	pace_rest(&p);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

/* The first small thing after a silence is served like any other. */
static void test_silence(void **state)
{
	struct pace p = { 0 };

	(void)state;
	pace_moved(&p, 1024 * KIB, NOW);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	pace_moved(&p, 64, NOW + 20 * MS);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

/* What somebody chose for the thread stays. */
static void test_chosen(void **state)
{
	const struct sched_param none = { 0 };
	struct pace p = { 0 };

	(void)state;
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
	move(&p, move(&p, NOW, 150), 50);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	pace_rest(&p);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
