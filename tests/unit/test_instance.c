/* test_instance.c - states, moves, quotas and operations, in one transaction each. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/quota.h"
#include "tests/unit/books.h"

static int open_books(void **state)
{
	struct books *b = calloc(1, sizeof(*b));

	*state = b;
	b->truth.capacity[RESOURCE_INSTANCES] = 100;
	b->truth.capacity[RESOURCE_VCPUS] = 8;
	b->truth.capacity[RESOURCE_MEMORY_MIB] = 1024;
	return books_open(b);
}

static int close_books(void **state)
{
	books_close(*state);
	free(*state);
	return 0;
}

static struct instance plan(const char *name)
{
	struct instance i = {
		.tenant = "default",
		.owner_engine = "wispd",
		.runtime = "wisp",
		.vcpus = 2,
		.mem_mib = 128,
		.labels = "{}",
	};

	snprintf(i.name, sizeof(i.name), "%s", name);
	return i;
}

/* In a transaction of its own, which is undone when it is refused. */
static int create(struct truth *t, struct instance *i)
{
	struct error err;
	int r;

	assert_int_equal(store_begin(t->store, &err), 0);
	r = instance_create(t, i, "uid:0", &err);
	if (r < 0) {
		store_rollback(t->store);
		return r;
	}
	return store_commit(t->store, &err);
}

static int move_with(struct truth *t, struct instance *i, enum state to, const struct move *m)
{
	struct error err;
	int r;

	assert_int_equal(store_begin(t->store, &err), 0);
	r = instance_move(t, i, to, m, &err);
	if (r < 0) {
		store_rollback(t->store);
		return r;
	}
	return store_commit(t->store, &err);
}

static int move_to(struct truth *t, struct instance *i, enum state to)
{
	const struct move m = { .actor = "test" };

	return move_with(t, i, to, &m);
}

static int64_t used(struct truth *t, enum resource resource)
{
	struct error err;
	int64_t n, most;

	assert_int_equal(quota_get(t, "default", resource, &n, &most, &err), 0);
	return n;
}

static int64_t count(struct truth *t, const char *type)
{
	struct error err;
	int64_t n;

	assert_int_equal(store_number(t->store, &n, &err,
				      "SELECT count(*) FROM event WHERE type = ?", "s", type),
			 0);
	return n;
}

static void test_life(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct instance i = plan("one"), again;
	struct error err;

	assert_int_equal(create(t, &i), 0);
	assert_int_equal(used(t, RESOURCE_INSTANCES), 1);
	assert_int_equal(used(t, RESOURCE_VCPUS), 0);
	assert_int_equal(move_to(t, &i, STATE_CREATED), 0);
	assert_int_equal(move_to(t, &i, STATE_STARTING), 0);
	assert_int_equal(used(t, RESOURCE_VCPUS), 2);
	assert_int_equal(used(t, RESOURCE_MEMORY_MIB), 128);
	assert_int_equal(move_to(t, &i, STATE_RUNNING), 0);
	assert_int_equal(move_to(t, &i, STATE_STOPPING), 0);
	assert_int_equal(used(t, RESOURCE_VCPUS), 2);
	assert_int_equal(move_to(t, &i, STATE_STOPPED), 0);
	assert_int_equal(used(t, RESOURCE_VCPUS), 0);
	assert_int_equal(used(t, RESOURCE_INSTANCES), 1);
	assert_int_equal(move_to(t, &i, STATE_DELETING), 0);
	assert_int_equal(used(t, RESOURCE_INSTANCES), 1);
	assert_int_equal(instance_load(t, i.id, &again, &err), 0);
	assert_memory_equal(&again.generation, &i.generation, sizeof(i.generation));
	assert_int_equal(move_to(t, &i, STATE_DELETED), 0);
	assert_int_equal(used(t, RESOURCE_INSTANCES), 0);
	assert_int_equal(count(t, "instance.running"), 1);
	/* Its name is free, its record is there. */
	assert_int_equal(instance_find(t, "default", "one", &again, &err), -ENOENT);
	assert_int_equal(instance_find(t, "default", i.id, &again, &err), 0);
	assert_int_equal(again.state, STATE_DELETED);
}

/* Every pair: in the table or refused, and a refused one leaves no trace. */
static void test_every_move(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct instance i = plan("one");
	struct error err;

	assert_int_equal(create(t, &i), 0);
	for (unsigned from = 0; from < STATES_COUNT; from++) {
		for (unsigned to = 0; to < STATES_COUNT; to++) {
			struct instance now = i;
			const struct move m = { .actor = "test" };
			int r;

			now.state = from;
			assert_int_equal(store_begin(t->store, &err), 0);
			r = instance_move(t, &now, to, &m, &err);
			assert_int_equal(r, state_may_move(from, to) ? 0 : -EPERM);
			assert_int_equal(now.state, r == 0 ? to : from);
			store_rollback(t->store);
		}
	}
	assert_int_equal(count(t, "instance.running"), 0);
}

/* Each state can be reached, each but the last left, and each resting one has a name. */
static void test_table(void **state)
{
	bool reached[STATES_COUNT] = { [STATE_CREATING] = true }, left[STATES_COUNT] = { 0 };
	char names[128];
	json_t *j = states_describe();

	(void)state;
	for (size_t i = 0; i < state_moves_count; i++) {
		const struct state_move *m = &state_moves[i];

		reached[m->to] = left[m->from] = true;
		/* What a host's restart can end, and what a verb may begin, is not confused. */
		if (m->asked)
			assert_ptr_equal(state_find_move(m->from, m->by), m);
	}
	for (unsigned i = 0; i < STATES_COUNT; i++) {
		assert_true(reached[i]);
		assert_int_equal(left[i], i != STATE_DELETED);
	}
	assert_string_equal(state_names_for("start", names, sizeof(names)),
			    "created, stopped or failed");
	assert_string_equal(state_names_for("resume", names, sizeof(names)), "paused");
	assert_null(state_find_move(STATE_RUNNING, "resume"));
	assert_int_equal(json_array_size(json_object_get(j, "states")), STATES_COUNT);
	assert_int_equal(json_array_size(json_object_get(j, "moves")), state_moves_count);
	json_decref(j);
}

static void test_generation(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct instance i = plan("one"), other;
	struct error err;

	assert_int_equal(create(t, &i), 0);
	other = i;
	assert_int_equal(move_to(t, &i, STATE_CREATED), 0);
	/* Who loaded it before does not get through, even with a legal move. */
	assert_int_equal(move_to(t, &other, STATE_CREATED), -ESTALE);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_update(t, &other, "uid:0", &err), -ESTALE);
	assert_int_equal(instance_update(t, &i, "uid:0", &err), 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	assert_int_equal(i.generation, 3);
}

static void test_names(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct instance a = plan("same"), b = plan("same"), c = plan("same"), unnamed = plan("");

	assert_int_equal(create(t, &a), 0);
	assert_int_equal(create(t, &b), -EEXIST);
	assert_int_equal(move_to(t, &a, STATE_DELETING), 0);
	assert_int_equal(create(t, &b), -EEXIST);
	assert_int_equal(move_to(t, &a, STATE_DELETED), 0);
	assert_int_equal(create(t, &c), 0);
	assert_int_equal(create(t, &unnamed), 0);
	assert_string_equal(unnamed.name, unnamed.id);
	assert_true(instance_name_ok("a-1.b"));
	assert_false(instance_name_ok(""));
	assert_false(instance_name_ok("-a"));
	assert_false(instance_name_ok("a/b"));
	assert_false(instance_name_ok("A"));
	assert_false(instance_name_ok("a\n"));
}

static void test_quota(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct error err;
	unsigned made = 0, refused = 0;

	assert_int_equal(quota_set_limit(t, "default", RESOURCE_INSTANCES, 10, &err), 0);
	for (unsigned n = 0; n < 64; n++) {
		struct instance i = plan("");
		int r = create(t, &i);

		made += r == 0;
		refused += r == -EDQUOT;
	}
	assert_int_equal(made, 10);
	assert_int_equal(refused, 54);
	assert_int_equal(count(t, "instance.creating"), 10);
	assert_int_equal(quota_set_limit(t, "default", RESOURCE_INSTANCES, -1, &err), 0);

	struct instance i = plan("more");

	assert_int_equal(create(t, &i), 0);
}

/* The host is full for a start, and has room again when one has stopped. */
static void test_capacity(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	struct instance i[5];

	for (unsigned n = 0; n < 5; n++) {
		i[n] = plan("");
		assert_int_equal(create(t, &i[n]), 0);
		assert_int_equal(move_to(t, &i[n], STATE_CREATED), 0);
		assert_int_equal(move_to(t, &i[n], STATE_STARTING), n < 4 ? 0 : -EUSERS);
	}
	assert_int_equal(i[4].state, STATE_CREATED);
	assert_int_equal(move_to(t, &i[0], STATE_FAILED), 0);
	assert_int_equal(move_to(t, &i[4], STATE_STARTING), 0);
	/* One that is to start at once has its place from the beginning. */
	i[0] = plan("");
	i[0].start_wanted = true;
	assert_int_equal(create(t, &i[0]), -EUSERS);
	/* Deleting something that runs frees nothing yet. */
	assert_int_equal(move_to(t, &i[1], STATE_DELETING), 0);
	assert_int_equal(used(t, RESOURCE_VCPUS), 8);
}

static const char *operation_state(struct truth *t, const char *id, char *buf, size_t size)
{
	struct error err;
	json_t *j = operation_describe(t, "default", id, &err);

	assert_non_null(j);
	snprintf(buf, size, "%s %s", json_string_value(json_object_get(j, "state")),
		 json_string_value(json_object_get(j, "code")));
	json_decref(j);
	return buf;
}

static void test_operations(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	char start[OPERATION_ID_BYTES], pause[OPERATION_ID_BYTES], import[OPERATION_ID_BYTES];
	const struct move refused = { .actor = "test", .cause = "no", .code = "vmm_refused" };
	struct instance i = plan("one");
	struct error err;
	char text[64];

	i.start_wanted = true;
	assert_int_equal(create(t, &i), 0);
	assert_int_equal(operation_begin(t, "default", i.id, "create", STATE_RUNNING, start, &err),
			 0);
	assert_int_equal(move_to(t, &i, STATE_CREATED), 0);
	assert_string_equal(operation_state(t, start, text, sizeof(text)), "active ");
	assert_int_equal(move_to(t, &i, STATE_STARTING), 0);
	assert_int_equal(move_to(t, &i, STATE_RUNNING), 0);
	assert_string_equal(operation_state(t, start, text, sizeof(text)), "done ");

	assert_int_equal(operation_begin(t, "default", i.id, "pause", STATE_PAUSED, pause, &err),
			 0);
	assert_int_equal(move_to(t, &i, STATE_PAUSING), 0);
	assert_int_equal(move_with(t, &i, STATE_RUNNING, &refused), 0);
	assert_string_equal(operation_state(t, pause, text, sizeof(text)), "failed vmm_refused");
	assert_null(operation_describe(t, "other", pause, &err));

	assert_int_equal(
		operation_begin(t, "default", "x", "import", OPERATION_NO_GOAL, import, &err), 0);
	assert_int_equal(operation_fail_orphans(t, &err), 1);
	assert_string_equal(operation_state(t, import, text, sizeof(text)), "failed interrupted");
}

static void test_incarnations(void **state)
{
	struct truth *t = &((struct books *)*state)->truth;
	const struct move died = { .actor = "test", .exit_kind = "signal", .exit_code = 9 };
	struct instance i = plan("one");
	struct incarnation n;
	struct error err;

	assert_int_equal(create(t, &i), 0);
	assert_int_equal(instance_incarnation(t, &i, &n, &err), 0);
	assert_int_equal(move_to(t, &i, STATE_CREATED), 0);
	assert_int_equal(move_to(t, &i, STATE_STARTING), 0);
	assert_int_equal(store_begin(t->store, &err), 0);
	assert_int_equal(instance_spawned(t, &i, 4711, 99, "wispd", &err), 0);
	assert_int_equal(store_commit(t->store, &err), 0);
	assert_int_equal(instance_incarnation(t, &i, &n, &err), 1);
	assert_int_equal(n.pid, 4711);
	assert_int_equal(n.pid_start, 99);
	assert_false(n.ended);
	assert_int_equal(move_with(t, &i, STATE_FAILED, &died), 0);
	assert_int_equal(instance_incarnation(t, &i, &n, &err), 1);
	assert_true(n.ended);
}

#define BOOKS_TEST(f) cmocka_unit_test_setup_teardown(f, open_books, close_books)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOOKS_TEST(test_life),	       BOOKS_TEST(test_every_move),
		cmocka_unit_test(test_table),  BOOKS_TEST(test_generation),
		BOOKS_TEST(test_names),	       BOOKS_TEST(test_quota),
		BOOKS_TEST(test_capacity),     BOOKS_TEST(test_operations),
		BOOKS_TEST(test_incarnations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
