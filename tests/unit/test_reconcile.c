/* test_reconcile.c - books that do not fit: what is found, when, and how it is cleared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/books/instance.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/reconcile.h"
#include "tests/unit/scratch.h"
#include "tests/unit/wispd_stage.h"

enum { SKIPPED = 77 };

static int set_up(void **state)
{
	struct stage *h;
	struct error err;

	if (stage_set_up(state) < 0)
		return -1;
	h = *state;
	h->d.config.confirm_interval_ms = 3600000;
	snprintf(h->d.config.jail_dir, sizeof(h->d.config.jail_dir), "%s",
		 scratch_path(h->dir, "jails"));
	return mkdir(h->d.config.jail_dir, 0755) < 0
		       ? -1
		       : reconcile_create(&h->d, &h->d.reconcile, &err);
}

static int tear_down(void **state)
{
	struct stage *h = *state;

	reconcile_destroy(h->d.reconcile);
	return stage_tear_down(state);
}

static void move(struct stage *h, struct instance *i, enum state to)
{
	const struct move how = { .actor = "test" };
	struct error err;

	assert_int_equal(store_begin(h->d.truth.store, &err), 0);
	if (instance_move(&h->d.truth, i, to, &how, &err) < 0)
		fail_msg("%s", err.text);
	if (to == STATE_STARTING)
		assert_int_equal(instance_spawned(&h->d.truth, i, 1, 1, "test", &err), 0);
	assert_int_equal(store_commit(h->d.truth.store, &err), 0);
}

static struct instance running(struct stage *h)
{
	struct instance i = { .tenant = "default",
			      .owner_engine = "wispd",
			      .runtime = "wisp",
			      .name = "vm",
			      .vcpus = 2,
			      .mem_mib = 64,
			      .labels = "{}" };
	struct error err;

	assert_int_equal(store_begin(h->d.truth.store, &err), 0);
	assert_int_equal(instance_create(&h->d.truth, &i, "test", &err), 0);
	assert_int_equal(store_commit(h->d.truth.store, &err), 0);
	move(h, &i, STATE_CREATED);
	move(h, &i, STATE_STARTING);
	move(h, &i, STATE_RUNNING);
	return i;
}

/* A round; how many findings of a kind are open after it. */
static int64_t round_of(struct stage *h, const char *kind)
{
	struct error err;
	int64_t n;

	assert_int_equal(store_begin(h->d.truth.store, &err), 0);
	if (reconcile_now(h->d.reconcile, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(h->d.truth.store, &err), 0);
	assert_int_equal(store_number(h->d.truth.store, &n, &err,
				      "SELECT count(*) FROM finding WHERE kind = ?"
				      " AND cleared_seq IS NULL",
				      "s", kind),
			 0);
	return n;
}

static int64_t events(struct stage *h, const char *type)
{
	struct error err;
	int64_t n;

	assert_int_equal(store_number(h->d.truth.store, &n, &err,
				      "SELECT count(*) FROM event WHERE type = ?", "s", type),
			 0);
	return n;
}

/* Billed, and nobody there: believed when it is seen again, told once, cleared at its end. */
static void test_ghost(void **state)
{
	struct stage *h = *state;
	struct instance i = running(h);
	json_t *list;
	struct error err;
	int64_t open;

	assert_int_equal(round_of(h, "ghost"), 0);
	assert_int_equal(round_of(h, "ghost"), 1);
	assert_int_equal(round_of(h, "ghost"), 1);
	assert_int_equal(events(h, "finding.opened"), 1);
	assert_int_equal(reconcile_open(&h->d, &open, &err), 0);
	assert_int_equal(open, 1);
	/* Nothing was repaired. */
	assert_int_equal(instance_load(&h->d.truth, i.id, &i, &err), 0);
	assert_int_equal(i.state, STATE_RUNNING);
	move(h, &i, STATE_STOPPED);
	assert_int_equal(round_of(h, "ghost"), 0);
	assert_int_equal(events(h, "finding.cleared"), 1);
	list = reconcile_list(&h->d, &err);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
}

/* Two vCPUs cannot use an hour in a moment, nor 64 MiB a gigabyte. */
static void test_too_much(void **state)
{
	struct stage *h = *state;
	struct instance i = running(h);
	struct error err;

	assert_int_equal(round_of(h, "overrun"), 0);
	assert_true(store_run(h->d.truth.store, &err,
			      "INSERT INTO sample VALUES (?, 1, ?, 0,"
			      " '{\"cpu_used\": [0, 3600000000, 0, 1],"
			      " \"memory_peak\": [0, 1073741824, 0, 1]}')",
			      "si", i.id, ledger_wall_ns()) > 0);
	assert_int_equal(round_of(h, "overrun"), 1);
	assert_int_equal(round_of(h, "memory"), 1);
	assert_true(store_run(h->d.truth.store, &err, "DELETE FROM sample", "") > 0);
	assert_int_equal(round_of(h, "overrun"), 0);
}

/* Its counters were not read for longer than three heartbeats. */
static void test_silence(void **state)
{
	struct stage *h = *state;

	h->d.config.confirm_interval_ms = 0;
	running(h);
	assert_int_equal(round_of(h, "not_sampled"), 0);
	assert_int_equal(round_of(h, "not_sampled"), 1);
	h->d.config.confirm_interval_ms = 3600000;
	assert_int_equal(round_of(h, "not_sampled"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ghost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_much, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silence, set_up, tear_down),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "jails are root's\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
