/* recover.c - wispd comes back.
 *
 * It may have died at any instant, and the host with it. Because the books are ahead of the
 * world, what there can be is known: a process that was written down and lives, or does not;
 * or one that was not written down, which then never got past its gate (process.h). So:
 *
 *   1. Deadlines by this boot's clock are made anew if it is another boot.
 *   2. For each instance whose last incarnation has no end: the process with that number
 *      and that start time, in this boot, is taken over by its pidfd; or it has ended.
 *   3. Things without a row are removed, by each runtime and each kind.
 *   4. Every instance is looked at: steps that were cut off are done again.
 *
 * An operation that no instance's state can end (an import) has failed. What an older wispd
 * gave without a meter is metered from now on (metering/holdings.h).
 */
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"
#include "supervisor/books/store.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/process.h"
#include "supervisor/life/recover.h"
#include "supervisor/life/runtime.h"
#include "supervisor/metering/holdings.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

struct findings {
	struct wispd *d;
	struct error *err;
	int instances, adopted, lost, unfinished, removed, operations;
};

/* --- 1 --- */

/* A deadline of the last boot is as far away as the wall clock says. */
static int move_deadlines(struct truth *t, struct error *err)
{
	int64_t boot = ledger_boot_ns(), wall = ledger_wall_ns();
	int r = store_run(t->store, err,
			  "UPDATE instance SET stop_boot_ns = min(stop_boot_ns, 1),"
			  " expires_boot_ns = iif(expires_wall_ns = 0, 0,"
			  "  max(1, ?1 + expires_wall_ns - ?2)),"
			  " queued_boot_ns = iif(state = 12, ?1, 0) WHERE state <> 11",
			  "ii", boot, wall);

	return r < 0 ? r : 0;
}

static int note_boot(struct truth *t, struct error *err)
{
	int64_t same = 0;
	int r = store_number(t->store, &same, err,
			     "SELECT count(*) FROM meta WHERE key = 'last_boot' AND value = ?", "s",
			     ledger_boot_id(t->ledger));

	if (r < 0 || same)
		return r;
	r = move_deadlines(t, err);
	if (r == 0)
		r = store_run(t->store, err,
			      "INSERT INTO meta VALUES ('last_boot', ?)"
			      " ON CONFLICT DO UPDATE SET value = excluded.value",
			      "s", ledger_boot_id(t->ledger));
	return r < 0 ? r : 0;
}

/* --- 2 --- */

static int take_up(void *ctx, const struct instance *i)
{
	struct findings *f = ctx;
	struct incarnation last;
	struct process process;
	bool lives;
	int r = instance_incarnation(&f->d->truth, i, &last, f->err);

	f->instances++;
	f->unfinished += !states[i->state].resting;
	if (r <= 0 || last.ended)
		return r < 0 ? r : 0;
	lives = strcmp(last.boot_id, ledger_boot_id(f->d->truth.ledger)) == 0 &&
		process_adopt(last.pid, last.pid_start, &process) == 0;
	if (lives)
		f->adopted++;
	else
		f->lost++;
	log_info("%s, which is %s: its VMM %s", i->id, states[i->state].name,
		 lives ? "is taken over" : "has ended");
	return lifecycle_adopt(f->d->lifecycle, i->id, lives ? &process : NULL, f->err);
}

/* --- 3 --- */

static int sweep(struct findings *f)
{
	int r;

	for (const struct runtime *const *runtime = runtimes; *runtime; runtime++) {
		r = (*runtime)->sweep ? (*runtime)->sweep(*runtime, f->d, f->err) : 0;
		if (r < 0)
			return r;
		f->removed += r;
	}
	r = kinds_sweep(f->d, f->err);
	if (r < 0)
		return r;
	f->removed += r;
	return 0;
}

/* --- telling --- */

static int tell(struct findings *f)
{
	json_t *body = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "version", WISP_VERSION,
				 "instances", f->instances, "adopted", f->adopted, "lost", f->lost,
				 "unfinished", f->unfinished, "removed", f->removed, "operations",
				 f->operations);
	struct ledger_event e = { .type = "host.recovered", .actor = "wispd", .body = body };
	int r = body ? ledger_append(f->d->truth.ledger, &e, NULL, f->err) : -1;

	json_decref(body);
	log_info("%d instances: %d VMMs taken over, %d lost, %d moves to be finished; "
		 "%d left-overs removed",
		 f->instances, f->adopted, f->lost, f->unfinished, f->removed);
	return r;
}

static int write_down(struct findings *f)
{
	struct truth *t = &f->d->truth;
	int r = store_begin(t->store, f->err);

	if (r == 0)
		r = note_boot(t, f->err);
	if (r == 0)
		r = f->operations = operation_fail_orphans(t, f->err);
	if (r >= 0)
		r = holdings_tell(t, f->err);
	if (r > 0)
		log_info("%d things that had no meter before are on their tenants' bills now", r);
	if (r >= 0)
		r = tell(f);
	if (r == 0)
		r = store_run(t->store, f->err, "DELETE FROM meta WHERE key = 'restored'", "");
	if (r >= 0)
		r = wispd_commit(f->d, f->err);
	if (r < 0)
		store_rollback(t->store);
	return r;
}

static int was_restored(struct wispd *d, struct error *err)
{
	int64_t n = 0;
	int r = store_number(d->truth.store, &n, err,
			     "SELECT count(*) FROM meta WHERE key = 'restored'", "");

	d->restored = n > 0;
	return r;
}

int recover(struct wispd *d, struct error *err)
{
	struct findings f = { .d = d, .err = err };
	int r = was_restored(d, err);

	if (r == 0)
		r = instance_each(&d->truth, NULL, take_up, &f, err);
	if (r == 0)
		r = sweep(&f);
	if (r == 0)
		r = write_down(&f);
	return r < 0 ? r : lifecycle_kick_all(d->lifecycle, err);
}
