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
#include "supervisor/metering/engine_figures.h"
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
	list = reconcile_list(&h->d, NULL, &err);
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

/* A guest in a network, whose tap there is not: it is in what is told of the instance. */
static void test_no_link(void **state)
{
	struct stage *h = *state;
	struct store *store = h->d.truth.store;
	struct instance i = running(h);
	json_t *list;
	struct error err;

	assert_int_equal(store_run(store, &err,
				   "INSERT INTO network (n, tenant, name, mode, prefix4, prefix6,"
				   " nat, leaving, egress, created_seq) VALUES (1, 'default',"
				   " 'net', 'routed', '10.0.0.0/24', '', 0, 0, '', 1)",
				   ""),
			 1);
	assert_int_equal(store_run(store, &err,
				   "INSERT INTO lease (n, instance, slot, network, place,"
				   " rx_bytes_per_s, tx_bytes_per_s, egress)"
				   " VALUES (1, ?, 0, 1, 2, 0, 0, '')",
				   "s", i.id),
			 1);
	assert_int_equal(round_of(h, "no_link"), 0);
	assert_int_equal(round_of(h, "no_link"), 1);
	list = reconcile_list(&h->d, i.id, &err);
	assert_int_equal(json_array_size(list), 2); /* a ghost, too */
	json_decref(list);
	list = reconcile_list(&h->d, "vm-another", &err);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	assert_true(store_run(store, &err, "DELETE FROM lease", "") > 0);
	assert_int_equal(round_of(h, "no_link"), 0);
}

/* A VMM cannot carry more than passes by its taps. */
static void test_net_said(void **state)
{
	static const char row[] = "INSERT OR REPLACE INTO sample VALUES (?, 1, ?, 0,"
				  " '{\"net_in\": [0, 5, 0, 1], \"net_out\": [0, 7, 0, 1],"
				  " \"net_in_said\": [0, 0, 0, 1],"
				  " \"net_out_said\": [0, 12, 0, 1]}')";
	struct stage *h = *state;
	struct instance i = running(h);
	struct error err;

	assert_true(store_run(h->d.truth.store, &err, row, "si", i.id, ledger_wall_ns()) > 0);
	assert_int_equal(round_of(h, "net_said"), 0);
	assert_true(store_run(h->d.truth.store, &err,
			      "UPDATE sample SET counters = replace(counters, '12', '13')",
			      "") > 0);
	assert_int_equal(round_of(h, "net_said"), 1);
}

/* Rows of two counters of taps and four of classes; how many findings two rounds find. */
static int64_t classes_found(struct stage *h, const struct instance *i, const char *in,
			     const char *classes, const char *rest)
{
	char row[512];
	struct error err;

	snprintf(row, sizeof(row),
		 "{\"net_in\": [0, %s, 0, 1], \"net_out\": [0, 0, 0, 1],"
		 " \"net_in_world\": [0, %s, 0, 1], \"net_in_internal\": [0, 7, 0, 1],"
		 " \"net_out_world\": [0, 0, 0, 1], \"net_out_internal\": [0, 0, 0, 1], %s}",
		 in, classes, rest);
	assert_true(store_run(h->d.truth.store, &err,
			      "INSERT OR REPLACE INTO sample VALUES (?, 1, ?, 0, ?)", "sis", i->id,
			      ledger_wall_ns(), row) > 0);
	(void)round_of(h, "net_classes");
	return round_of(h, "net_classes");
}

/* Taps and classes: of a gigabyte a tenth may be headers, and what was dropped is no matter. */
static void test_net_classes(void **state)
{
	static const char known[] = "\"net_in_dropped\": [0, 0, 0, 1], \"classed\": true",
			  dropped[] = "\"net_in_dropped\": [0, 4000, 0, 1], \"classed\": true",
			  gap[] = "\"net_in_dropped\": [0, 0, 0, 1], \"classed\": false";
	struct stage *h = *state;
	struct instance i = running(h);

	assert_int_equal(classes_found(h, &i, "1000000000", "1000000000", known), 0);
	assert_int_equal(classes_found(h, &i, "1000000000", "901000000", known), 0);
	assert_int_equal(classes_found(h, &i, "1000000000", "890000000", known), 1);
	assert_int_equal(classes_found(h, &i, "1000000000", "1110000000", known), 1);
	assert_int_equal(classes_found(h, &i, "1000000000", "1110000000", dropped), 0);
	assert_int_equal(classes_found(h, &i, "1000000000", "1", gap), 0);
	assert_int_equal(classes_found(h, &i, "3000000", "1000000", known), 1);
}

/* What differs between an engine's figures and ours; NULL: it is no instance of that engine. */
static const char *judge(struct stage *h, const struct engine_figures *f)
{
	static char detail[ENGINE_DETAIL_BYTES];
	struct instance i;
	struct error err;
	int r;

	assert_int_equal(store_begin(h->d.truth.store, &err), 0);
	r = engine_figures_judge(&h->d.truth, f, &i, detail, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(h->d.truth.store, &err), 0);
	return r ? detail : NULL;
}

/* A running instance that is an engine's, and was metered at two seconds. */
static void give_to_engine(struct stage *h, const struct instance *i)
{
	struct error err;

	assert_int_equal(store_run(h->d.truth.store, &err,
				   "UPDATE instance SET owner_engine = 'slurm' WHERE id = ?", "s",
				   i->id),
			 1);
	assert_int_equal(store_run(h->d.truth.store, &err,
				   "INSERT INTO adopted (instance, ref) VALUES (?, '4711.0')", "s",
				   i->id),
			 1);
	assert_int_equal(store_run(h->d.truth.store, &err,
				   "INSERT INTO sample VALUES (?, 1, ?, 0,"
				   " '{\"cpu_used\": [0, 2000000, 0, 1]}')",
				   "si", i->id, ledger_wall_ns()),
			 1);
}

/* It has two vCPUs and 64 MiB, and has lived for a moment. */
static void test_engine(void **state)
{
	static const struct engine_figures good = { .engine = "slurm",
						    .ref = "4711.0",
						    .has_elapsed = true,
						    .elapsed_ms = 2000,
						    .has_cpu = true,
						    .cpu_us = 2300000,
						    .has_vcpus = true,
						    .vcpus = 2,
						    .has_mem = true,
						    .mem_mib = 512 },
					   bad = { .engine = "slurm",
						   .ref = "4711.0",
						   .has_elapsed = true,
						   .elapsed_ms = 3600000,
						   .has_cpu = true,
						   .cpu_us = 9000000,
						   .has_vcpus = true,
						   .vcpus = 1 },
					   strange = { .engine = "slurm", .ref = "4711" },
					   other = { .engine = "podman", .ref = "4711.0" };
	struct stage *h = *state;
	struct instance i = running(h);
	const char *detail;

	give_to_engine(h, &i);
	assert_null(judge(h, &strange));
	assert_null(judge(h, &other));
	assert_string_equal(judge(h, &good), "");
	assert_int_equal(events(h, "finding.opened"), 0);
	detail = judge(h, &bad);
	assert_non_null(strstr(detail, "elapsed 3600000 ms"));
	assert_non_null(strstr(detail, "cpu 9000000 us, metered 2000000"));
	assert_non_null(strstr(detail, "1 processors, has 2"));
	(void)judge(h, &bad);
	assert_int_equal(events(h, "finding.opened"), 1);
	/* The kernel does not clear what an engine has said. */
	assert_int_equal(round_of(h, "engine"), 1);
	assert_string_equal(judge(h, &good), "");
	assert_int_equal(round_of(h, "engine"), 0);
	assert_int_equal(events(h, "finding.cleared"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ghost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_much, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silence, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_net_said, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_net_classes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_engine, set_up, tear_down),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "jails are root's\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
