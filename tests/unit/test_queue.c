/* test_queue.c - who may start, who waits, who is next: on real books. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "tests/unit/wispd_stage.h"

enum { WAIT_MS = 60000 };

/* What the host of these tests has, and a little memory for each processor. */
enum { VCPUS = 4, MEM_MIB = 64 };

static int set_up(void **state)
{
	int r = stage_set_up(state);
	struct stage *s = *state;

	s->d.truth.capacity[RESOURCE_VCPUS] = VCPUS;
	return r;
}

/* In the books, and moved there by hand: no worker makes it. */
static struct instance make(struct stage *s, const char *name, const char *tenant, int64_t vcpus,
			    int64_t priority, int64_t wait_ms)
{
	const struct move move = { .actor = "test" };
	struct instance i = {
		.owner_engine = "wispd",
		.runtime = "wisp",
		.labels = "{}",
		.vcpus = vcpus,
		.mem_mib = MEM_MIB,
		.priority = priority,
		.wait_ms = wait_ms,
	};
	struct error err;

	snprintf(i.name, sizeof(i.name), "%s", name);
	snprintf(i.tenant, sizeof(i.tenant), "%s", tenant);
	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(instance_create(&s->d.truth, &i, "test", &err), 0);
	assert_int_equal(instance_move(&s->d.truth, &i, STATE_CREATED, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
	return i;
}

static int decide(struct stage *s, const struct instance *i, struct error *err)
{
	*err = (struct error){ 0 };
	return queue_decide(s->d.queue, i, err);
}

static void move_to(struct stage *s, struct instance *i, enum state to)
{
	const struct move move = { .actor = "test" };
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(instance_move(&s->d.truth, i, to, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

/* Made, decided about, and moved to where that led. */
static struct instance start(struct stage *s, const char *name, const char *tenant, int64_t vcpus,
			     int64_t priority)
{
	struct instance i = make(s, name, tenant, vcpus, priority, WAIT_MS);
	struct error err;
	int to = decide(s, &i, &err);

	assert_true(to >= 0);
	move_to(s, &i, (enum state)to);
	return i;
}

/* As if it had waited for so long already. */
static void age(struct stage *s, const struct instance *i, int64_t ms)
{
	struct error err;

	assert_int_equal(store_run(s->d.truth.store, &err,
				   "UPDATE instance SET queued_boot_ns = queued_boot_ns - ?"
				   " WHERE id = ?",
				   "is", ms * 1000000, i->id),
			 1);
}

static enum state state_of(struct stage *s, const struct instance *i)
{
	struct instance now;
	struct error err;

	assert_int_equal(instance_load(&s->d.truth, i->id, &now, &err), 0);
	return now.state;
}

static void end(struct stage *s, struct instance *i)
{
	struct error err;

	assert_int_equal(instance_load(&s->d.truth, i->id, i, &err), 0);
	move_to(s, i, STATE_FAILED);
}

#define assert_state(s, i, state) assert_int_equal(state_of(s, &(i)), state)

static void test_waits_or_not(void **state)
{
	struct stage *s = *state;
	struct instance first = start(s, "first", "a", 3, 0), patient, other;
	struct error err;

	assert_state(s, first, STATE_STARTING);
	other = make(s, "other", "a", 2, 0, 0);
	assert_int_equal(decide(s, &other, &err), -EUSERS);
	assert_string_equal(err.field, "vcpus");
	patient = start(s, "patient", "a", 2, 0);
	assert_state(s, patient, STATE_QUEUED);
	/* What fits is not kept waiting by what does not. */
	other = start(s, "small", "a", 1, 0);
	assert_state(s, other, STATE_STARTING);
	queue_pump(s->d.queue);
	assert_state(s, patient, STATE_QUEUED);
	end(s, &first);
	queue_pump(s->d.queue);
	assert_state(s, patient, STATE_STARTING);
}

/* Priority first; waiting adds to it. */
static void test_priority(void **state)
{
	struct stage *s = *state;
	struct instance runs = start(s, "runs", "a", VCPUS, 0);
	struct instance low = start(s, "low", "a", VCPUS, 0);
	struct instance high = start(s, "high", "a", VCPUS, 2);

	end(s, &runs);
	queue_pump(s->d.queue);
	assert_state(s, high, STATE_STARTING);
	assert_state(s, low, STATE_QUEUED);
	runs = start(s, "again", "a", VCPUS, 2);
	age(s, &low, 3 * (int64_t)s->d.config.queue_age_ms);
	end(s, &high);
	queue_pump(s->d.queue);
	assert_state(s, low, STATE_STARTING);
	assert_state(s, runs, STATE_QUEUED);
}

/* Of two tenants, the one that holds less for its weight. */
static void test_share(void **state)
{
	struct stage *s = *state;
	struct instance a1 = start(s, "a1", "a", 2, 0), b1 = start(s, "b1", "b", 1, 0);
	struct instance last = start(s, "last", "a", 1, 0);
	struct instance a2 = start(s, "a2", "a", 1, 0), b2 = start(s, "b2", "b", 1, 0);

	end(s, &last);
	queue_pump(s->d.queue);
	assert_state(s, b2, STATE_STARTING);
	assert_state(s, a2, STATE_QUEUED);
	/* Now a holds 2 and b 2, and a is worth ten times as much. */
	assert_int_equal(stage_ask(s, &stage_admin, "PUT", "/tenants/a", "{\"weight\": 1000}"),
			 200);
	b1 = start(s, "b3", "b", 1, 0);
	age(s, &b1, 10);
	end(s, &b2);
	queue_pump(s->d.queue);
	assert_state(s, a2, STATE_STARTING);
	assert_state(s, b1, STATE_QUEUED);
	assert_state(s, a1, STATE_STARTING);
}

/* Small ones pass a large one, for a while. */
static void test_starving(void **state)
{
	struct stage *s = *state;
	struct instance half = start(s, "half", "a", 2, 0), other = start(s, "other", "a", 1, 0);
	struct instance large = start(s, "large", "a", VCPUS, 0), small;
	struct error err;

	small = start(s, "small", "a", 1, 0);
	assert_state(s, small, STATE_STARTING);
	age(s, &large, (int64_t)s->d.config.queue_starve_ms + 1);
	end(s, &small);
	small = make(s, "smaller", "b", 1, 0, 0);
	assert_int_equal(decide(s, &small, &err), -EUSERS);
	assert_non_null(strstr(err.text, "waited for long"));
	small = start(s, "smallest", "b", 1, 0);
	assert_state(s, small, STATE_QUEUED);
	queue_pump(s->d.queue);
	assert_state(s, small, STATE_QUEUED);
	end(s, &half);
	end(s, &other);
	queue_pump(s->d.queue);
	assert_state(s, large, STATE_STARTING);
	assert_state(s, small, STATE_QUEUED);
}

/* A tenant that has used up its quota keeps nobody else waiting. */
static void test_quota(void **state)
{
	struct stage *s = *state;
	struct instance full, mine, theirs;

	assert_int_equal(stage_ask(s, &stage_admin, "PUT", "/tenants/a", "{\"vcpus\": 2}"), 200);
	full = start(s, "full", "a", 2, 0);
	mine = start(s, "mine", "a", 1, 9);
	assert_state(s, mine, STATE_QUEUED);
	age(s, &mine, (int64_t)s->d.config.queue_starve_ms + 1);
	theirs = start(s, "theirs", "b", 1, 0);
	assert_state(s, theirs, STATE_STARTING);
	queue_pump(s->d.queue);
	assert_state(s, mine, STATE_QUEUED);
	end(s, &full);
	queue_pump(s->d.queue);
	assert_state(s, mine, STATE_STARTING);
}

/* A second's starts at once, then as many as time allows. */
static void test_rate(void **state)
{
	int64_t began = ledger_boot_ns(), passed_s;
	struct stage *s = *state;
	struct instance i, waits;
	struct error err;
	int started = 0;

	s->d.config.starts_per_s = 1;
	i = make(s, "one", "a", 1, 0, 0);
	while (decide(s, &i, &err) == STATE_STARTING)
		started++;
	assert_string_equal(err.text, "More than 1 would start in a second");
	passed_s = (ledger_boot_ns() - began) / 1000000000;
	assert_in_range(started, 1, 1 + passed_s + 1);
	s->d.config.starts_per_s = 1;
	do
		waits = start(s, "", "a", 1, 0);
	while (state_of(s, &waits) != STATE_QUEUED);
	s->d.config.starts_per_s = 0;
	queue_pump(s->d.queue);
	assert_state(s, waits, STATE_STARTING);
}

static void test_length(void **state)
{
	struct stage *s = *state;
	struct instance i;
	struct error err;

	s->d.config.queue_max = 1;
	start(s, "runs", "a", VCPUS, 0);
	start(s, "waits", "a", 1, 0);
	i = make(s, "too-many", "a", 1, 0, WAIT_MS);
	assert_int_equal(decide(s, &i, &err), -EUSERS);
	assert_non_null(strstr(err.text, "as many as may"));
}

static void test_cordon(void **state)
{
	struct stage *s = *state;
	struct instance i = make(s, "one", "a", 1, 0, 0), waits;
	struct error err;

	assert_int_equal(stage_ask(s, &stage_admin, "PUT", "/scheduling/cordon",
				   "{\"reason\": \"new kernel\"}"),
			 200);
	assert_int_equal(decide(s, &i, &err), -ESHUTDOWN);
	assert_non_null(strstr(err.text, "new kernel"));
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances/one/start", NULL), 503);
	assert_string_equal(stage_said(s, "code"), "cordoned");
	waits = start(s, "waits", "a", 1, 0);
	queue_pump(s->d.queue);
	assert_state(s, waits, STATE_QUEUED);
	assert_int_equal(stage_ask(s, &stage_alice, "GET", "/scheduling", NULL), 200);
	assert_string_equal(stage_said(s, "cordon"), "new kernel");
	assert_int_equal(json_array_size(json_object_get(s->reply, "waiting")), 1);
	/* Another's are not his to see. */
	assert_int_equal(stage_ask(s, &stage_bob, "GET", "/scheduling", NULL), 200);
	assert_int_equal(json_array_size(json_object_get(s->reply, "waiting")), 0);
	assert_int_equal(stage_ask(s, &stage_admin, "DELETE", "/scheduling/cordon", NULL), 200);
	queue_pump(s->d.queue);
	assert_state(s, waits, STATE_STARTING);
}

/* What runs is stopped, and after the cordon what was stopped runs again. */
static void test_drain(void **state)
{
	struct stage *s = *state;
	struct instance runs = start(s, "runs", "a", 1, 0), idle = make(s, "idle", "a", 1, 0, 0);
	struct error err;

	move_to(s, &runs, STATE_RUNNING);
	assert_int_equal(stage_ask(s, &stage_admin, "POST", "/scheduling/drain",
				   "{\"reason\": \"disk\", \"timeout_ms\": 60000}"),
			 202);
	assert_int_equal(json_array_size(json_object_get(s->reply, "stopping")), 1);
	assert_state(s, runs, STATE_STOPPING);
	assert_state(s, idle, STATE_CREATED);
	assert_int_equal(instance_load(&s->d.truth, runs.id, &runs, &err), 0);
	assert_true(runs.stop_boot_ns > ledger_boot_ns());
	move_to(s, &runs, STATE_STOPPED);
	assert_int_equal(
		stage_ask(s, &stage_admin, "DELETE", "/scheduling/cordon", "{\"restart\": true}"),
		200);
	assert_int_equal(json_integer_value(json_object_get(s->reply, "restarted")), 1);
	assert_state(s, runs, STATE_QUEUED);
	queue_pump(s->d.queue);
	assert_state(s, runs, STATE_STARTING);
	assert_state(s, idle, STATE_CREATED);
}

/* A reboot keeps what it holds, and under a cordon waits for the end of that. */
static void test_reboot(void **state)
{
	struct stage *s = *state;
	struct instance i = start(s, "n", "a", VCPUS, 0), other = start(s, "other", "a", 1, 0);
	struct error err;

	move_to(s, &i, STATE_RUNNING);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances/n/reboot", NULL), 202);
	assert_int_equal(instance_load(&s->d.truth, i.id, &i, &err), 0);
	assert_string_equal(i.cause, "reboot");
	assert_true(i.start_wanted);
	move_to(s, &i, STATE_STOPPED);
	queue_pump(s->d.queue);
	assert_state(s, other, STATE_QUEUED);
	assert_int_equal(
		stage_ask(s, &stage_admin, "PUT", "/scheduling/cordon", "{\"reason\": \"x\"}"),
		200);
	lifecycle_kick(s->d.lifecycle, i.id);
	assert_state(s, i, STATE_QUEUED);
	assert_int_equal(stage_ask(s, &stage_admin, "DELETE", "/scheduling/cordon", NULL), 200);
	age(s, &i, 20000);
	queue_pump(s->d.queue);
	assert_state(s, i, STATE_STARTING);
	assert_state(s, other, STATE_QUEUED);
}

/* What the ledger says of the stages, its wait among them. */
static void test_trace(void **state)
{
	static const char *const expected[] = { "prepare", "queue", NULL };
	struct stage *s = *state;
	struct instance runs = start(s, "runs", "a", VCPUS, 0), i = start(s, "n", "a", 1, 0);
	json_t *stages;

	end(s, &runs);
	queue_pump(s->d.queue);
	assert_state(s, i, STATE_STARTING);
	assert_int_equal(stage_ask(s, &stage_bob, "GET", "/instances/n/trace", NULL), 404);
	assert_int_equal(stage_ask(s, &stage_alice, "GET", "/instances/n/trace", NULL), 200);
	stages = json_object_get(s->reply, "stages");
	assert_int_equal(json_array_size(stages), 2);
	for (unsigned k = 0; expected[k]; k++) {
		json_t *stage = json_array_get(stages, k);

		assert_string_equal(json_string_value(json_object_get(stage, "stage")),
				    expected[k]);
		assert_true(json_integer_value(json_object_get(stage, "us")) >= 0);
	}
}

/* By the API, from the request on; and one that gives up. */
static void test_api(void **state)
{
	static const char body[] = "{\"image\": \"image\", \"name\": \"n\", \"start\": true, "
				   "\"wait_ms\": 1000, \"priority\": 3}";
	struct stage *s = *state;
	struct instance i;
	struct error err;

	start(s, "runs", "a", VCPUS, 0);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances",
				   "{\"image\": \"image\", \"start\": true}"),
			 503);
	assert_string_equal(stage_said(s, "code"), "no_capacity");
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances", body), 202);
	assert_int_equal(instance_find(&s->d.truth, "a", "n", &i, &err), 0);
	assert_int_equal(i.priority, 3);
	assert_int_equal(i.wait_ms, 1000);
	move_to(s, &i, STATE_CREATED);
	assert_int_equal(decide(s, &i, &err), STATE_QUEUED);
	move_to(s, &i, STATE_QUEUED);
	assert_int_equal(queue_deadline(&i), i.queued_boot_ns + 1000000000);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances/n/start", NULL), 409);
	assert_int_equal(stage_ask(s, &stage_alice, "POST", "/instances/n/stop", NULL), 202);
	assert_state(s, i, STATE_STOPPED);
}

#define QUEUE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, stage_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(test_waits_or_not), QUEUE_TEST(test_priority), QUEUE_TEST(test_share),
		QUEUE_TEST(test_starving),     QUEUE_TEST(test_quota),	  QUEUE_TEST(test_rate),
		QUEUE_TEST(test_length),       QUEUE_TEST(test_cordon),	  QUEUE_TEST(test_drain),
		QUEUE_TEST(test_api),	       QUEUE_TEST(test_trace),	  QUEUE_TEST(test_reboot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
