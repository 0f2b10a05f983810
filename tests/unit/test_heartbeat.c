/* test_heartbeat.c - clocks that step and a host that sleeps: what is told, and what is billed.
 *
 * The clocks are the test's. No worker runs, so a heartbeat's last word, at its end, is what
 * is looked at: it tells of the clocks as any other does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "supervisor/billing/period.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/heartbeat.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

static const int64_t MS = 1000000, S = 1000000000;

static struct {
	int64_t mono_ns, boot_ns, wall_ns;
} now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t ns = clock == CLOCK_REALTIME	? now.wall_ns
		     : clock == CLOCK_MONOTONIC ? now.mono_ns
						: now.boot_ns;

	ret->tv_sec = ns / S;
	ret->tv_nsec = ns % S;
	return 0;
}

static void pass(int64_t ns)
{
	now.mono_ns += ns;
	now.boot_ns += ns;
	now.wall_ns += ns;
}

static void host_sleeps(int64_t ns)
{
	now.boot_ns += ns;
	now.wall_ns += ns;
}

static int set_up(void **state)
{
	struct stage *s;

	now.mono_ns = 1000 * S;
	now.boot_ns = 1500 * S;
	now.wall_ns = period_start_ns(period_parse("2025-03")) + 86400 * S;
	if (stage_set_up(state) < 0)
		return -1;
	s = *state;
	snprintf(s->d.config.anchor_file, sizeof(s->d.config.anchor_file), "%s",
		 scratch_path(s->dir, "anchors"));
	return 0;
}

/* What the event of a type says; -1: there is none. */
static int64_t told(struct stage *s, const char *type, const char *member)
{
	struct error err;
	int64_t n = -1;

	assert_int_equal(store_number(s->d.truth.store, &n, &err,
				      "SELECT ifnull((SELECT sum(body ->> ?) FROM event"
				      " WHERE type = ?), -1)",
				      "ss", member, type),
			 0);
	return n;
}

/* A heartbeat's life, in which something happens to the clocks. */
static void beat(struct stage *s, void (*happens)(int64_t ns), int64_t ns)
{
	struct heartbeat *h = NULL;
	struct error err;

	if (heartbeat_create(&s->d, &h, &err) < 0)
		fail_msg("%s", err.text);
	pass(10 * S);
	happens(ns);
	heartbeat_destroy(h);
}

static void wall_steps(int64_t ns)
{
	now.wall_ns += ns;
}

static void test_steps(void **state)
{
	static const int64_t steps[] = { 7200, -7200, 1 };
	struct stage *s = *state;
	int64_t sum = 0;

	/* What takes time to read is no step. */
	beat(s, wall_steps, 90 * MS);
	beat(s, wall_steps, -90 * MS);
	assert_int_equal(told(s, "clock.stepped", "step_ns"), -1);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		beat(s, wall_steps, steps[i] * S);
		sum += steps[i] * S;
		assert_int_equal(told(s, "clock.stepped", "step_ns"), sum);
	}
	assert_int_equal(told(s, "host.suspended", "suspended_ns"), -1);
}

static void move_to(struct stage *s, enum state to)
{
	const struct move move = { .actor = "test" };
	struct instance i;
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(instance_find(&s->d.truth, "a", "vm", &i, &err), 0);
	assert_int_equal(instance_move(&s->d.truth, &i, to, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static int add_up(void *ctx, const struct usage_row *row)
{
	*(int64_t *)ctx += row->meter == METER_VCPU_TIME ? row->quantity : 0;
	return 0;
}

static int64_t used_us(struct stage *s)
{
	struct usage *u;
	struct error err;
	int64_t us = 0;

	assert_int_equal(usage_replay(s->d.truth.store, 0, &u, &err), 0);
	assert_int_equal(usage_settle(u, "a", period_parse("2025-03"), &err), 0);
	assert_int_equal(usage_each(u, "a", period_parse("2025-03"), add_up, &us), 0);
	usage_free(u);
	return us;
}

/* An instance runs through steps and a sleep: what is billed is the time that it ran. */
static void test_billed(void **state)
{
	struct stage *s = *state;

	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances",
				   "{\"image\": \"image\", \"name\": \"vm\", \"shape\": \"tiny\"}"),
			 202);
	move_to(s, STATE_CREATED);
	move_to(s, STATE_STARTING);
	move_to(s, STATE_RUNNING);
	beat(s, wall_steps, 5 * 3600 * S);
	assert_int_equal(used_us(s), 10 * 1000000);
	beat(s, host_sleeps, 9 * 3600 * S);
	assert_int_equal(told(s, "host.suspended", "suspended_ns"), 9 * 3600 * S);
	assert_int_equal(used_us(s), 20 * 1000000);
	beat(s, wall_steps, -5 * 3600 * S);
	assert_int_equal(used_us(s), 30 * 1000000);
	pass(5 * S);
	assert_int_equal(used_us(s), 30 * 1000000); /* not confirmed yet */
	move_to(s, STATE_STOPPING);
	move_to(s, STATE_STOPPED);
	assert_int_equal(used_us(s), 35 * 1000000);
	assert_int_equal(told(s, "clock.stepped", "step_ns"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_steps, set_up, stage_tear_down),
		cmocka_unit_test_setup_teardown(test_billed, set_up, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
