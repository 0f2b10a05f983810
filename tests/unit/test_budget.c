/* test_budget.c - budgets: what is projected, who is refused, what is told and stopped.
 *
 * On real books and through the API. A vCPU costs 1 nano a millisecond, so an hour 3,600,000.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include <cmocka.h>

#include "supervisor/billing/projection.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/queue.h"
#include "supervisor/metering/budget.h"
#include "tests/unit/wispd_stage.h"

enum { HOUR_NANO = 3600000, CREATES = 64 };

#define PLAN(support)                                                                         \
	"{\"name\": \"p\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1,"        \
	" \"minimum_ms\": 0, \"bill_boot\": true, " support "\"prices\": ["                   \
	"{\"meter\": \"starts\", \"per\": 1, \"tiers\": [{\"from\": 0, \"price_nano\": 0}]}," \
	"{\"meter\": \"vcpu_time\", \"per\": 1000, \"tiers\": [{\"from\": 0, \"price_nano\": 1}]}]}"
#define STARTED(name) \
	"{\"image\": \"image\", \"shape\": \"tiny\", \"name\": \"" name "\", \"start\": true}"

static void expect(struct stage *s, const struct caller *who, const char *verb, const char *path,
		   const char *body, int status)
{
	int got = stage_ask(s, who, verb, path, body);

	if (got != status)
		fail_msg("%s %s: %d %s", verb, path, got, stage_said(s, "fault_message"));
}

static int set_up_with(void **state, const char *plan)
{
	int r = stage_set_up(state);
	struct stage *s = *state;

	expect(s, &stage_admin, "POST", "/plans", plan, 201);
	expect(s, &stage_admin, "PUT", "/tenants/a/plan", "{\"plan\": \"p\", \"version\": 1}", 200);
	return r;
}

static int set_up(void **state)
{
	return set_up_with(state, PLAN(""));
}

static void set_budget(struct stage *s, int64_t nano, const char *action)
{
	char body[128];

	snprintf(body, sizeof(body), "{\"limit_nano\": %lld, \"action\": \"%s\"}", (long long)nano,
		 action);
	expect(s, &stage_admin, "PUT", "/tenants/a/budget", body, 200);
}

static int64_t figure(struct stage *s, const char *name)
{
	expect(s, &stage_alice, "GET", "/tenants/a/budget", NULL, 200);
	return json_integer_value(json_object_get(s->reply, name));
}

static int64_t events(struct stage *s, const char *type)
{
	struct error err;
	int64_t n = 0;

	assert_int_equal(store_number(s->d.truth.store, &n, &err,
				      "SELECT count(*) FROM event WHERE type = ?"
				      " AND tenant = 'a'",
				      "s", type),
			 0);
	return n;
}

/* By hand to a state: no worker makes it. */
static void move_to(struct stage *s, const char *name, enum state to)
{
	const struct move move = { .actor = "test" };
	struct instance i;
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	assert_int_equal(instance_find(&s->d.truth, "a", name, &i, &err), 0);
	assert_int_equal(instance_move(&s->d.truth, &i, to, &move, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
}

static void run(struct stage *s, const char *name)
{
	move_to(s, name, STATE_CREATED);
	move_to(s, name, STATE_STARTING);
	move_to(s, name, STATE_RUNNING);
}

static enum state state_of(struct stage *s, const char *name)
{
	struct instance i;
	struct error err;

	assert_int_equal(instance_find(&s->d.truth, "a", name, &i, &err), 0);
	return i.state;
}

/* Of many that come at once as many get in as the money is for, and not one more. */
static void test_admission(void **state)
{
	struct stage *s = *state;
	int admitted = 0;

	set_budget(s, 10 * HOUR_NANO, "refuse");
	for (int n = 0; n < CREATES; n++) {
		int status =
			stage_ask(s, &stage_alice, "POST", "/instances",
				  "{\"image\": \"image\", \"shape\": \"tiny\", \"start\": true}");

		admitted += status == 202;
		if (status != 202) {
			assert_int_equal(status, 409);
			assert_string_equal(stage_said(s, "code"), "quota_exceeded");
			assert_string_equal(stage_said(s, "field"), "budget");
		}
	}
	assert_int_equal(admitted, 10);
	assert_int_equal(figure(s, "projected_nano"), 10 * HOUR_NANO);
	assert_int_equal(figure(s, "spent_nano"), 0);
	/* One that does not run costs nothing, and another tenant has no budget. */
	expect(s, &stage_alice, "POST", "/instances", "{\"image\": \"image\"}", 202);
	expect(s, &stage_bob, "POST", "/instances", STARTED("vm"), 202);
	expect(s, &stage_admin, "DELETE", "/tenants/a/budget", NULL, 200);
	expect(s, &stage_alice, "POST", "/instances", STARTED("vm"), 202);
}

/* What waits goes on when there is money again. */
static void test_waiting(void **state)
{
	struct stage *s = *state;
	struct instance i;
	struct error err;

	set_budget(s, HOUR_NANO - 1, "refuse");
	expect(s, &stage_alice, "POST", "/instances", "{\"image\": \"image\", \"name\": \"vm\"}",
	       202);
	move_to(s, "vm", STATE_CREATED);
	assert_int_equal(instance_find(&s->d.truth, "a", "vm", &i, &err), 0);
	assert_int_equal(queue_decide(s->d.queue, &i, &err), -EDQUOT);
	i.wait_ms = 60000;
	assert_int_equal(queue_decide(s->d.queue, &i, &err), STATE_QUEUED);
	set_budget(s, HOUR_NANO, "refuse");
	assert_int_equal(queue_decide(s->d.queue, &i, &err), STATE_STARTING);
}

/* Each level is told once, and again when it is set anew. */
static void test_levels(void **state)
{
	struct stage *s = *state;

	set_budget(s, 2 * HOUR_NANO, "warn");
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	budgets_look(&s->d);
	assert_int_equal(events(s, "budget.warned"), 0);
	expect(s, &stage_alice, "POST", "/instances", STARTED("two"), 202);
	expect(s, &stage_alice, "POST", "/instances", STARTED("three"), 202);
	for (int n = 0; n < 3; n++)
		budgets_look(&s->d);
	assert_int_equal(events(s, "budget.exceeded"), 1);
	set_budget(s, 7 * HOUR_NANO / 2, "warn");
	budgets_look(&s->d);
	budgets_look(&s->d);
	assert_int_equal(events(s, "budget.warned"), 1);
	expect(s, &stage_admin, "DELETE", "/tenants/a/budget", NULL, 200);
	expect(s, &stage_admin, "DELETE", "/tenants/a/budget", NULL, 404);
	expect(s, &stage_alice, "GET", "/tenants/a/budget", NULL, 404);
}

static void test_cleared(void **state)
{
	struct stage *s = *state;

	set_budget(s, HOUR_NANO, "refuse");
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	run(s, "one");
	budgets_look(&s->d);
	assert_int_equal(events(s, "budget.exceeded"), 1);
	move_to(s, "one", STATE_STOPPED);
	budgets_look(&s->d);
	assert_int_equal(events(s, "budget.cleared"), 1);
	/* What it used in that moment is spent, so the whole hour is not there any more. */
	assert_true(figure(s, "spent_nano") > 0);
	expect(s, &stage_alice, "POST", "/instances/one/start", NULL, 409);
}

static void test_stop(void **state)
{
	struct stage *s = *state;

	set_budget(s, 5 * HOUR_NANO, "stop");
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	expect(s, &stage_alice, "POST", "/instances", STARTED("two"), 202);
	run(s, "one");
	budgets_look(&s->d);
	assert_int_equal(state_of(s, "one"), STATE_RUNNING);
	set_budget(s, HOUR_NANO, "stop");
	budgets_look(&s->d);
	assert_int_equal(state_of(s, "one"), STATE_STOPPING);
	assert_int_equal(state_of(s, "two"), STATE_CREATING);
	assert_int_equal(events(s, "budget.exceeded"), 1);
	budgets_look(&s->d);
	assert_int_equal(events(s, "instance.stopping"), 1);
}

/* Within it, time costs nothing more; what is reserved does. */
static void test_reservation(void **state)
{
	struct stage *s = *state;

	expect(s, &stage_admin, "PUT", "/tenants/a/reservation",
	       "{\"vcpus\": 2, \"mem_mib\": 1024}", 200);
	set_budget(s, HOUR_NANO, "refuse");
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	expect(s, &stage_alice, "POST", "/instances", STARTED("two"), 202);
	assert_int_equal(figure(s, "projected_nano"), 0);
	expect(s, &stage_alice, "POST", "/instances", STARTED("three"), 202);
	assert_int_equal(figure(s, "projected_nano"), HOUR_NANO);
	expect(s, &stage_alice, "POST", "/instances", STARTED("four"), 409);
	expect(s, &stage_alice, "GET", "/tenants/a/reservation", NULL, 200);
	assert_int_equal(json_integer_value(json_object_get(s->reply, "vcpus")), 2);
	expect(s, &stage_admin, "PUT", "/tenants/a/reservation", "{\"vcpus\": 0, \"mem_mib\": 0}",
	       200);
	assert_int_equal(figure(s, "projected_nano"), 3 * HOUR_NANO);
}

/* The arithmetic where it ends. */
static void test_limits(void **state)
{
	const struct projection_open much = { .vcpus = INT64_MAX / 2, .ns = INT64_MAX };
	struct stage *s = *state;
	struct projection p;
	struct usage *u;
	struct error err;

	assert_int_equal(usage_replay(s->d.truth.store, 0, &u, &err), 0);
	assert_int_equal(projection_make(u, "a", 24300, &much, &p, &err), 0);
	assert_int_equal(p.spent_nano, 0);
	assert_true(p.projected_nano >= INT64_MAX / 1000);
	usage_free(u);
}

static void test_bad_requests(void **state)
{
	struct stage *s = *state;

	expect(s, &stage_alice, "PUT", "/tenants/a/budget", "{\"limit_nano\": 1}", 403);
	expect(s, &stage_admin, "PUT", "/tenants/none/budget", "{\"limit_nano\": 1}", 404);
	expect(s, &stage_admin, "PUT", "/tenants/a/budget", "{}", 400);
	expect(s, &stage_admin, "PUT", "/tenants/a/budget", "{\"limit_nano\": -1}", 400);
	expect(s, &stage_admin, "PUT", "/tenants/a/budget",
	       "{\"limit_nano\": 1, \"action\": \"explode\"}", 400);
	expect(s, &stage_admin, "PUT", "/tenants/a/budget",
	       "{\"limit_nano\": 1, \"warn_per_mille\": 1001}", 400);
	expect(s, &stage_alice, "PUT", "/tenants/a/reservation", "{\"vcpus\": 1, \"mem_mib\": 1}",
	       403);
	expect(s, &stage_admin, "PUT", "/tenants/none/reservation",
	       "{\"vcpus\": 1, \"mem_mib\": 1}", 404);
	expect(s, &stage_admin, "PUT", "/tenants/a/reservation", "{\"vcpus\": 1}", 400);
	set_budget(s, 1, "warn");
	expect(s, &stage_bob, "GET", "/tenants/a/budget", NULL, 404);
	expect(s, &stage_bob, "GET", "/tenants/a/reservation", NULL, 404);
}

/* Support counts, with its minimum. */
static int set_up_support(void **state)
{
	return set_up_with(state, PLAN("\"support\": \"s\", \"support_per_mille\": 500,"
				       " \"support_minimum_nano\": 3000000, "));
}

static void test_support(void **state)
{
	struct stage *s = *state;

	set_budget(s, 10 * HOUR_NANO, "refuse");
	assert_int_equal(figure(s, "projected_nano"), 0);
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	assert_int_equal(figure(s, "projected_nano"), HOUR_NANO + 3000000);
	expect(s, &stage_alice, "POST", "/instances", STARTED("two"), 202);
	assert_int_equal(figure(s, "projected_nano"), 2 * HOUR_NANO + HOUR_NANO);
}

/* --- a long ledger --- */

enum { MANY = 10000 };

/* Events that cost nothing but to be read. */
static void write_many(struct stage *s)
{
	json_t *body = json_pack("{s:i}", "alive", 0);
	const struct ledger_event e = { .type = "meter.confirmed", .actor = "test", .body = body };
	struct error err;

	assert_int_equal(store_begin(s->d.truth.store, &err), 0);
	for (int n = 0; n < MANY; n++)
		assert_int_equal(ledger_append(s->d.truth.ledger, &e, NULL, &err), 0);
	assert_int_equal(store_commit(s->d.truth.store, &err), 0);
	json_decref(body);
}

/* Turns of the loop until the budget can be told; how many. */
static unsigned turns(struct stage *s)
{
	unsigned n = 0;

	while (stage_ask(s, &stage_alice, "GET", "/tenants/a/budget", NULL) == 503) {
		assert_string_equal(stage_said(s, "code"), "try_again");
		assert_true(sd_event_run(s->d.loop, UINT64_MAX) >= 0);
		n++;
	}
	return n;
}

/* The first budget of a long ledger: others are answered between its turns, nothing starts that
 * it could refuse, and what waits for it starts by itself. */
static void test_turns(void **state)
{
	struct stage *s = *state;

	write_many(s);
	set_budget(s, 10 * HOUR_NANO, "refuse");
	expect(s, &stage_alice, "GET", "/tenants/a/budget", NULL, 503);
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 503);
	assert_string_equal(stage_said(s, "field"), "budget");
	expect(s, &stage_alice, "POST", "/instances",
	       "{\"image\": \"image\", \"shape\": \"tiny\", \"name\": \"two\", \"start\": true,"
	       " \"wait_ms\": 600000}",
	       202);
	move_to(s, "two", STATE_CREATED);
	move_to(s, "two", STATE_QUEUED);
	expect(s, &stage_bob, "POST", "/instances", STARTED("other"), 202);
	budgets_look(&s->d);
	assert_true(turns(s) >= 4);
	assert_int_equal(state_of(s, "two"), STATE_STARTING);
	assert_in_range(figure(s, "projected_nano"), HOUR_NANO, 2 * HOUR_NANO - 1);
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	assert_in_range(figure(s, "projected_nano"), 2 * HOUR_NANO, 3 * HOUR_NANO - 1);
}

/* The same when wispd starts with a budget: what is read in parts is what is read at once. */
static void test_turns_at_start(void **state)
{
	struct stage *s = *state;
	struct error err;
	int64_t spent;

	set_budget(s, 10 * HOUR_NANO, "refuse");
	expect(s, &stage_alice, "POST", "/instances", STARTED("one"), 202);
	run(s, "one");
	write_many(s);
	move_to(s, "one", STATE_STOPPED);
	(void)turns(s);
	spent = figure(s, "spent_nano");
	assert_true(spent > 0);
	budgets_destroy(s->d.budgets);
	assert_int_equal(budgets_create(&s->d, &s->d.budgets, &err), 0);
	assert_true(turns(s) >= 4);
	assert_int_equal(figure(s, "spent_nano"), spent);
}

int main(void)
{
#define STAGE(f) cmocka_unit_test_setup_teardown(f, set_up, stage_tear_down)
	const struct CMUnitTest tests[] = {
		STAGE(test_admission),
		STAGE(test_waiting),
		STAGE(test_levels),
		STAGE(test_cleared),
		STAGE(test_stop),
		STAGE(test_reservation),
		STAGE(test_limits),
		STAGE(test_bad_requests),
		STAGE(test_turns),
		STAGE(test_turns_at_start),
		cmocka_unit_test_setup_teardown(test_support, set_up_support, stage_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
