/* bench_ledger.c - what the ledger costs: a commit, events by the thousand, the proof.
 *
 * A database in the folder for temporary files ($TMPDIR: what a commit costs is what its
 * disk takes to make it safe), with the events of a small body that instances have.
 *
 *   commit_us            one event in a transaction of its own, as a move of an instance is
 *   batch_events_per_s   events a second, a thousand in a transaction
 *   batch_cpu_ns         processor time of one of them, and
 *   batch_written_bytes  what is written for it: those are the same on a machine that others use
 *   verify_events_per_s  events a second of the walk over the whole chain
 *   backup_ms            a checked copy of all that
 *   replay_events_per_s  events a second of what usage and invoices are made of
 *
 * WISP_LEDGER_EVENTS: how many events there are to be, for a look at a long ledger by hand.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "benches/bench.h"
#include "benches/host_wispd.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/backup.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/proof.h"
#include "supervisor/books/store.h"
#include "vmm/base/clock.h"

enum { LEDGER_RUNS = 3, COMMITS = 500, BATCH = 1000, EVENTS = 100000, INSTANCES = 1000 };

struct books {
	struct store *store;
	struct ledger *ledger;
	json_t *body;
	unsigned n;
};

static void books_close(struct books *books)
{
	ledger_close(books->ledger);
	store_close(books->store);
	json_decref(books->body);
}

static int books_open(const struct config *c, struct books *ret, struct error *err)
{
	char path[PATH_MAX + 16];
	int r;

	snprintf(path, sizeof(path), "%s/wispd.db", c->state_dir);
	remove(path);
	*ret = (struct books){ .body = json_pack("{s:s, s:s, s:s, s:i, s:i}", "from", "starting",
						 "to", "running", "cause", "started", "vcpus", 1,
						 "mem_mib", 128) };
	r = store_open(path, &ret->store, err);
	return r < 0 ? r : ledger_open(ret->store, &ret->ledger, err);
}

/* So many events in one transaction. */
static int write_events(struct books *books, unsigned count, struct error *err)
{
	int r = store_begin(books->store, err);

	for (unsigned i = 0; i < count && r == 0; i++) {
		char instance[24];
		const struct ledger_event e = {
			.type = "instance.running",
			.tenant = "default",
			.instance = instance,
			.incarnation = 1,
			.actor = "wispd",
			.body = books->body,
		};

		snprintf(instance, sizeof(instance), "vm-%06u", books->n++ % INSTANCES);
		r = ledger_append(books->ledger, &e, NULL, err);
	}
	return r < 0 ? r : store_commit(books->store, err);
}

static int time_commits(struct bench *b, struct books *books, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < COMMITS && r == 0; i++) {
		uint64_t start_us = clock_now_us();

		r = write_events(books, 1, err);
		if (r == 0)
			r = report_add(&b->report, "wisp", "commit_us",
				       (int64_t)(clock_now_us() - start_us));
	}
	return r;
}

static int64_t per_second(int64_t count, uint64_t start_us)
{
	return count * 1000000 / (int64_t)(clock_now_us() - start_us + 1);
}

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int time_batches(struct bench *b, struct books *books, struct error *err)
{
	const char *wanted = getenv("WISP_LEDGER_EVENTS");
	const int64_t batches = (wanted ? strtoll(wanted, NULL, 10) : EVENTS) / BATCH;
	const int64_t events = batches * BATCH, bytes = host_written_bytes(getpid()), ns = cpu_ns();
	uint64_t start_us = clock_now_us();
	int r = 0;

	for (int64_t i = 0; i < batches && r == 0; i++)
		r = write_events(books, BATCH, err);
	if (r == 0)
		r = report_add(&b->report, "wisp", "batch_events_per_s",
			       per_second(events, start_us));
	if (r == 0)
		r = report_add(&b->report, "wisp", "batch_cpu_ns", (cpu_ns() - ns) / events);
	return r < 0 ? r
		     : report_add(&b->report, "wisp", "batch_written_bytes",
				  (host_written_bytes(getpid()) - bytes) / events);
}

static int time_proof(struct bench *b, struct books *books, struct error *err)
{
	uint64_t start_us = clock_now_us();
	struct proof_report report;
	int r = proof_walk(books->ledger, NULL, &report, err);

	if (r == 0 && report.bad_seq)
		r = error_set(err, -EUCLEAN, NULL, NULL, "%s", report.fault);
	return r < 0 ? r
		     : report_add(&b->report, "wisp", "verify_events_per_s",
				  per_second(report.checked, start_us));
}

static int time_replay(struct bench *b, struct books *books, struct error *err)
{
	uint64_t start_us = clock_now_us();
	struct usage *usage = NULL;
	int r = usage_replay(books->store, 0, &usage, err);

	if (r == 0)
		r = report_add(&b->report, "wisp", "replay_events_per_s",
			       per_second(books->n, start_us));
	usage_free(usage);
	return r;
}

static int time_backup(struct bench *b, const struct config *c, struct error *err)
{
	uint64_t start_us = clock_now_us();
	struct backup_report report;
	char path[PATH_MAX + 16];
	int r;

	snprintf(path, sizeof(path), "%s/copy", c->state_dir);
	r = backup_make(c, path, &report, err);
	if (r == 0)
		r = report_add(&b->report, "wisp", "backup_ms",
			       (int64_t)(clock_now_us() - start_us) / 1000);
	remove(path);
	return r;
}

static int measure(struct bench *b, const struct config *c, struct error *err)
{
	struct books books = { 0 };
	int r = books_open(c, &books, err);

	if (r == 0)
		r = time_commits(b, &books, err);
	if (r == 0)
		r = time_batches(b, &books, err);
	if (r == 0)
		r = time_proof(b, &books, err);
	if (r == 0)
		r = time_replay(b, &books, err);
	if (r == 0)
		r = time_backup(b, c, err);
	books_close(&books);
	return r;
}

static int ledger_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, LEDGER_RUNS);
	struct config *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	snprintf(c->state_dir, sizeof(c->state_dir), "%s", b->dir);
	for (unsigned i = 0; i < runs && r == 0; i++)
		r = measure(b, c, err);
	free(c);
	return r;
}

const struct bench_row bench_ledger = {
	.name = "ledger",
	.help = "what the supervisor's ledger costs: commits, batches, the proof, a copy",
	.in_process = true,
	.run = ledger_run,
};
