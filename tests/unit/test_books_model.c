/* test_books_model.c - the books against a simple model, through operations at random.
 *
 * Instances of a few tenants are made, moved, lost sight of and deleted, wherever the table of
 * states allows a move; clocks step, and the host sleeps. The model knows what each holds and
 * how long it was billed; it is held against the quota's rows, the chain, the replay of the
 * ledger and its invoices. Time is the test's own. A seed that has failed once stays in
 * seeds[]; "test_books_model SEED" tries another one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/instance.h"
#include "supervisor/books/proof.h"
#include "supervisor/books/quota.h"
#include "tests/unit/books.h"

enum { TENANTS = 3, SLOTS = 12, OPERATIONS = 700, CHECK_EVERY = 35, HOST_VCPUS = 14 };

static const int64_t NS = 1, MS = 1000000, S = 1000000000;
static const uint32_t seeds[] = { 1, 2, 3, 1789, 65537 };

static const char plan[] =
	"{\"name\": \"p\", \"version\": 1, \"currency\": \"EUR\", \"rounding_ms\": 1,"
	" \"minimum_ms\": 0, \"bill_boot\": true, \"prices\": [{\"meter\": \"vcpu_time\","
	" \"per\": 1000, \"tiers\": [{\"from\": 0, \"price_nano\": 7}]}]}";

/* --- the test's own clock --- */

static struct {
	int64_t boot_ns, wall_ns;
} now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int64_t ns = clock == CLOCK_REALTIME ? now.wall_ns : now.boot_ns;

	ret->tv_sec = ns / S;
	ret->tv_nsec = ns % S;
	return 0;
}

static void pass(int64_t ns)
{
	now.boot_ns += ns;
	now.wall_ns += ns;
}

/* --- the model --- */

static const char *const tenants[TENANTS] = { "a", "b", "c" };

/* Of each tenant; below 0: none. */
static const int64_t quota[TENANTS][RESOURCES_COUNT] = {
	{ [RESOURCE_INSTANCES] = 4, [RESOURCE_VCPUS] = 4, [RESOURCE_MEMORY_MIB] = 1024 },
	{ [RESOURCE_INSTANCES] = 5, [RESOURCE_VCPUS] = 9, [RESOURCE_MEMORY_MIB] = 700 },
	{ [RESOURCE_INSTANCES] = -1, [RESOURCE_VCPUS] = -1, [RESOURCE_MEMORY_MIB] = -1 },
};

static const enum resource resources[] = { RESOURCE_INSTANCES, RESOURCE_VCPUS,
					   RESOURCE_MEMORY_MIB };
enum { KINDS = sizeof(resources) / sizeof(resources[0]) };

struct thing {
	bool there;
	unsigned tenant;
	struct instance i;
	int64_t held[KINDS];
	int64_t since_ns;	    /* of its state */
	int64_t vcpu_ns, memory_ns; /* of this start */
};

struct bill {
	int64_t starts, vcpu_us, memory_mib_ms;
};

struct model {
	struct books books;
	struct thing things[SLOTS];
	struct bill bills[TENANTS];
	int64_t confirmed_ns;
	uint32_t random;
	unsigned operation;
};

static uint32_t choose(struct model *m, uint32_t below)
{
	m->random = m->random * 1664525u + 1013904223u;
	return (m->random >> 8) % below;
}

static int64_t sum_of(const struct model *m, int tenant, unsigned kind)
{
	int64_t sum = 0;

	for (unsigned n = 0; n < SLOTS; n++)
		if (m->things[n].there && (tenant < 0 || m->things[n].tenant == (unsigned)tenant))
			sum += m->things[n].held[kind];
	return sum;
}

/* What it would hold in a state. */
static void wants(const struct thing *t, enum state state, int64_t ret[KINDS])
{
	const enum hold hold = states[state].hold;

	if (hold == HOLD_SAME) {
		memcpy(ret, t->held, sizeof(t->held));
		return;
	}
	ret[0] = hold != HOLD_NOTHING;
	ret[1] = hold == HOLD_ALL ? t->i.vcpus : 0;
	ret[2] = hold == HOLD_ALL ? t->i.mem_mib : 0;
}

/* 0, -EDQUOT or -EUSERS: the first limit that would be passed. */
static int predict(const struct model *m, const struct thing *t, enum state state)
{
	int64_t want[KINDS];

	wants(t, state, want);
	for (unsigned k = 0; k < KINDS; k++) {
		int64_t more = want[k] - (t->there ? t->held[k] : 0);
		int64_t most = quota[t->tenant][resources[k]];

		if (more <= 0)
			continue;
		if (most >= 0 && sum_of(m, (int)t->tenant, k) + more > most)
			return -EDQUOT;
		if (k == 1 && sum_of(m, -1, k) + more > HOST_VCPUS)
			return -EUSERS;
	}
	return 0;
}

/* Adds the time up to a moment to what is billed of this start. */
static void count(struct thing *t, int64_t until_ns)
{
	const enum state s = t->i.state;
	int64_t ns = until_ns > t->since_ns ? until_ns - t->since_ns : 0;
	bool memory = s == STATE_PAUSED || s == STATE_RESUMING || s == STATE_SAVING;
	bool all = s == STATE_STARTING || s == STATE_RUNNING || s == STATE_PAUSING ||
		   s == STATE_STOPPING || s == STATE_RESIZING || s == STATE_SAVING_LIVE;

	t->vcpu_ns += all ? ns : 0;
	t->memory_ns += all || memory ? ns : 0;
	t->since_ns = now.boot_ns;
}

/* A start has ended: it is rounded, once. */
static void bill(struct model *m, struct thing *t)
{
	struct bill *b = &m->bills[t->tenant];

	b->vcpu_us += (t->vcpu_ns + MS - NS) / MS * 1000 * t->i.vcpus;
	b->memory_mib_ms += (t->memory_ns + MS - NS) / MS * t->i.mem_mib;
	t->vcpu_ns = t->memory_ns = 0;
}

/* --- operations --- */

static void begin(struct model *m)
{
	struct error err;

	if (store_begin(m->books.truth.store, &err) < 0)
		fail_msg("%s", err.text);
}

/* Commits what went well, undoes the rest; the two must agree about it. */
static bool end(struct model *m, int result, int expected, const struct error *err)
{
	struct error fault;

	if (result != expected)
		fail_msg("operation %u: %d, and the model says %d: %s", m->operation, result,
			 expected, err->text);
	if (result < 0)
		store_rollback(m->books.truth.store);
	else
		assert_int_equal(store_commit(m->books.truth.store, &fault), 0);
	return result == 0;
}

static void create(struct model *m, struct thing *t)
{
	struct error err = { 0 };
	int expected;

	*t = (struct thing){ .tenant = choose(m, TENANTS),
			     .i = { .owner_engine = "wispd", .runtime = "wisp", .labels = "{}" } };
	t->i.vcpus = 1 + choose(m, 4);
	t->i.mem_mib = 64 * (1 + choose(m, 6));
	strcpy(t->i.tenant, tenants[t->tenant]);
	expected = predict(m, t, STATE_CREATING);
	begin(m);
	if (!end(m, instance_create(&m->books.truth, &t->i, "test", &err), expected, &err))
		return;
	wants(t, STATE_CREATING, t->held);
	t->there = true;
	t->since_ns = now.boot_ns;
}

static const struct state_move *choose_move(struct model *m, const struct thing *t)
{
	const struct state_move *move;

	do
		move = &state_moves[choose(m, (uint32_t)state_moves_count)];
	while (move->from != t->i.state);
	return move;
}

static int move_it(struct model *m, struct thing *t, const struct state_move *to, bool unseen,
		   struct error *err)
{
	struct move move = { .actor = "test" };

	if (states[to->from].alive && !states[to->to].alive)
		move.exit_kind = unseen ? "unknown" : "exit";
	return instance_move(&m->books.truth, &t->i, to->to, &move, err);
}

/* Unseen, a VMM's end is billed as far as it was confirmed. */
static void note_move(struct model *m, struct thing *t, const struct thing *before, bool unseen)
{
	struct thing counted = *before;

	count(&counted, unseen && m->confirmed_ns < now.boot_ns ? m->confirmed_ns : now.boot_ns);
	t->vcpu_ns = counted.vcpu_ns;
	t->memory_ns = counted.memory_ns;
	t->since_ns = now.boot_ns;
	wants(t, t->i.state, t->held);
	if (t->i.state == STATE_STARTING) {
		bill(m, t);
		m->bills[t->tenant].starts++;
	}
	if (t->i.state == STATE_DELETED) {
		bill(m, t);
		t->there = false;
	}
}

static void move(struct model *m, struct thing *t)
{
	const struct state_move *to = choose_move(m, t);
	const struct thing before = *t;
	const bool ends = states[to->from].alive && !states[to->to].alive;
	const bool unseen = ends && choose(m, 3) == 0;
	struct error err = { 0 };
	int r, expected = predict(m, t, to->to);

	begin(m);
	r = move_it(m, t, to, unseen, &err);
	if (r == 0 && to->to == STATE_STARTING)
		r = instance_spawned(&m->books.truth, &t->i, 1, 1, "test", &err);
	if (end(m, r, expected, &err))
		note_move(m, t, &before, unseen);
	else
		*t = before;
}

static void tell(struct model *m, const char *type, const char *tenant, json_t *body)
{
	const struct ledger_event e = {
		.type = type, .tenant = tenant, .actor = "test", .body = body
	};
	struct error err;

	begin(m);
	if (ledger_append(m->books.truth.ledger, &e, NULL, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(m->books.truth.store, &err), 0);
	json_decref(body);
}

static void confirm(struct model *m)
{
	tell(m, "meter.confirmed", NULL, json_object());
	m->confirmed_ns = now.boot_ns;
}

/* All stand still, and nobody pays for that. */
static void sleep_a_while(struct model *m)
{
	int64_t slept_ns = choose(m, 7200) * S;

	for (unsigned n = 0; n < SLOTS; n++)
		if (m->things[n].there)
			count(&m->things[n], now.boot_ns);
	pass(slept_ns);
	tell(m, "host.suspended", NULL, json_pack("{s:I}", "suspended_ns", (json_int_t)slept_ns));
	for (unsigned n = 0; n < SLOTS; n++)
		m->things[n].since_ns = now.boot_ns;
}

/* Changes no duration. */
static void step_clock(struct model *m)
{
	int64_t step_ns = ((int64_t)choose(m, 14400) - 7200) * S;

	now.wall_ns += step_ns;
	tell(m, "clock.stepped", NULL, json_pack("{s:I}", "step_ns", (json_int_t)step_ns));
}

static void operate(struct model *m)
{
	struct thing *t = &m->things[choose(m, SLOTS)];

	pass(choose(m, 40000) * MS + choose(m, 1000000));
	switch (choose(m, 40)) {
	case 0:
		sleep_a_while(m);
		break;
	case 1:
		step_clock(m);
		break;
	case 2:
	case 3:
		confirm(m);
		break;
	default:
		if (t->there)
			move(m, t);
		else
			create(m, t);
	}
}

/* --- what must hold --- */

static void check_holds(struct model *m)
{
	struct error err;
	int64_t held;

	for (unsigned n = 0; n < TENANTS; n++)
		for (unsigned k = 0; k < KINDS; k++) {
			assert_int_equal(store_number(m->books.truth.store, &held, &err,
						      "SELECT ifnull(sum(amount), 0) FROM hold"
						      " WHERE tenant = ? AND resource = ?",
						      "ss", tenants[n],
						      resource_names[resources[k]]),
					 0);
			assert_int_equal(held, sum_of(m, (int)n, k));
		}
}

static void check_chain(struct model *m)
{
	struct proof_report report;
	struct error err;

	assert_int_equal(proof_walk(m->books.truth.ledger, NULL, &report, &err), 0);
	assert_string_equal(report.fault, "");
}

static int add_up(void *ctx, const struct usage_row *row)
{
	struct bill *b = ctx;

	b->starts += row->meter == METER_STARTS ? row->quantity : 0;
	b->vcpu_us += row->meter == METER_VCPU_TIME ? row->quantity : 0;
	b->memory_mib_ms += row->meter == METER_MEMORY_TIME ? row->quantity : 0;
	return 0;
}

/* What the model bills of what has ended, and of what goes on as far as it is confirmed. */
static struct bill bill_of(const struct model *m, unsigned tenant)
{
	struct model copy = *m;

	for (unsigned n = 0; n < SLOTS; n++) {
		struct thing *t = &copy.things[n];

		if (!t->there || t->tenant != tenant)
			continue;
		count(t, m->confirmed_ns);
		bill(&copy, t);
	}
	return copy.bills[tenant];
}

static void check_usage(struct model *m, struct usage *u)
{
	struct error err;

	for (unsigned n = 0; n < TENANTS; n++) {
		const int march = period_parse("2025-03");
		struct bill expected = bill_of(m, n), found = { 0 };

		assert_int_equal(usage_settle(u, tenants[n], march, &err), 0);
		assert_int_equal(usage_each(u, tenants[n], march, add_up, &found), 0);
		if (memcmp(&found, &expected, sizeof(found)) != 0)
			fail_msg("operation %u, tenant %s: %lld us, and the model says %lld",
				 m->operation, tenants[n], (long long)found.vcpu_us,
				 (long long)expected.vcpu_us);
	}
}

/* Made twice they are one text, and closing keeps it. */
static void check_invoices(struct model *m)
{
	const int march = period_parse("2025-03");
	char *first, *second;
	struct error err;

	for (unsigned n = 0; n < TENANTS; n++) {
		assert_int_equal(invoice_make(&m->books.truth, tenants[n], march, 0, &first, &err),
				 0);
		assert_int_equal(invoice_make(&m->books.truth, tenants[n], march, 0, &second, &err),
				 0);
		assert_string_equal(first, second);
		free(first);
		free(second);
	}
}

static void check(struct model *m, struct usage *followed)
{
	struct usage *whole = NULL;
	struct error err;

	check_holds(m);
	check_chain(m);
	if (usage_follow(followed, m->books.truth.store, 0, &err) < 0 ||
	    usage_replay(m->books.truth.store, 0, &whole, &err) < 0)
		fail_msg("%s", err.text);
	check_usage(m, whole);
	check_usage(m, followed);
	usage_free(whole);
}

/* --- a run --- */

static void set_up(struct model *m, uint32_t seed)
{
	struct error err;

	memset(m, 0, sizeof(*m));
	m->random = seed;
	now.boot_ns = 100 * S;
	now.wall_ns = period_start_ns(period_parse("2025-03")) + 10 * 86400 * S;
	assert_int_equal(books_open(&m->books), 0);
	assert_true(store_run(m->books.truth.store, &err, "PRAGMA synchronous = OFF", "") >= 0);
	for (unsigned r = 0; r < RESOURCES_COUNT; r++)
		m->books.truth.capacity[r] = r == RESOURCE_VCPUS ? HOST_VCPUS : -1;
	tell(m, "plan.published", NULL, json_loads(plan, 0, NULL));
	for (unsigned n = 0; n < TENANTS; n++) {
		assert_int_equal(store_run(m->books.truth.store, &err,
					   "INSERT INTO tenant (name, created_seq) VALUES (?, 0)",
					   "s", tenants[n]),
				 1);
		tell(m, "tenant.plan", tenants[n],
		     json_pack("{s:s, s:i}", "plan", "p", "version", 1));
		for (unsigned k = 0; k < KINDS; k++)
			assert_int_equal(quota_set_limit(&m->books.truth, tenants[n], resources[k],
							 quota[n][resources[k]], &err),
					 0);
	}
}

static void run(uint32_t seed)
{
	struct model *m = malloc(sizeof(*m));
	struct usage *followed = NULL;
	struct error err;

	assert_non_null(m);
	print_message("seed %u\n", seed);
	set_up(m, seed);
	assert_int_equal(usage_replay(m->books.truth.store, 0, &followed, &err), 0);
	for (m->operation = 0; m->operation < OPERATIONS; m->operation++) {
		operate(m);
		if (m->operation % CHECK_EVERY == 0)
			check(m, followed);
	}
	check(m, followed);
	check_invoices(m);
	usage_free(followed);
	books_close(&m->books);
	free(m);
}

static const char *wanted;

static void test_seeds(void **state)
{
	(void)state;
	if (wanted)
		run((uint32_t)strtoul(wanted, NULL, 10));
	for (size_t i = 0; !wanted && i < sizeof(seeds) / sizeof(seeds[0]); i++)
		run(seeds[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeds) };

	wanted = argc == 2 ? argv[1] : NULL;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
