/* budget.c - rows of budgets, and a look at each: what is told, refused and stopped.
 *
 * What is open is taken from the rows that admission itself writes (hold, held), not from the
 * replay: an instance that is being made counts, so of two that are asked for at once the
 * second knows of the first.
 *
 * A replay that is behind is a matter of turns: whoever wants it takes one, and while that was
 * not all a timer takes the others, between which the loop does what else there is. After the
 * last one the queue is looked at, since somebody may have waited for it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/billing/period.h"
#include "supervisor/billing/projection.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/metering/budget.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { PER_MILLE = 1000, EVENTS_A_TURN = 2000, PAUSE_US = 1000, ACCURACY_US = 1000 };

static const int64_t NS_PER_MS = 1000000;
static const char actor[] = "wispd";

const char *const budget_action_names[] = {
	[BUDGET_WARN] = "warn",
	[BUDGET_REFUSE] = "refuse",
	[BUDGET_STOP] = "stop",
	NULL,
};

/* How far it is. The numbers are in the database. */
enum level { LEVEL_BELOW, LEVEL_WARNED, LEVEL_EXCEEDED };

static const char *const level_names[] = { "below", "warned", "exceeded" };

struct budgets {
	struct wispd *d;
	struct usage *usage;   /* NULL: there was no budget yet */
	sd_event_source *turn; /* NULL: there was none yet */
	bool behind;	       /* usage lacks events, and turns are under way */
};

struct budget_row {
	char tenant[NAME_BYTES];
	struct budget budget;
	enum level level;
	int period; /* of the level */
};

void budgets_destroy(struct budgets *b)
{
	if (!b)
		return;
	sd_event_source_disable_unref(b->turn);
	usage_free(b->usage);
	free(b);
}

/* --- the replay --- */

/* 1: it is not all yet. */
static int take_turn(struct budgets *b, struct error *err)
{
	int r = b->usage ? 0 : usage_begin(&b->usage, err);

	if (r == 0)
		r = usage_follow_some(b->usage, b->d->truth.store, EVENTS_A_TURN, err);
	if (r < 0) {
		usage_free(b->usage);
		b->usage = NULL;
	}
	b->behind = r > 0;
	return r;
}

static int arm(struct budgets *b, struct error *err);

static int on_turn(sd_event_source *source, uint64_t now_us, void *arg)
{
	struct budgets *b = arg;
	struct error err;
	int r = take_turn(b, &err);

	(void)source;
	(void)now_us;
	if (r > 0)
		r = arm(b, &err);
	else if (r == 0)
		queue_pump(b->d->queue);
	if (r < 0)
		log_error("what was spent could not be read: %s", err.text);
	return 0;
}

static int arm(struct budgets *b, struct error *err)
{
	int r = 0;

	if (!b->turn)
		r = sd_event_add_time_relative(b->d->loop, &b->turn, CLOCK_MONOTONIC, PAUSE_US,
					       ACCURACY_US, on_turn, b);
	else
		r = sd_event_source_set_time_relative(b->turn, PAUSE_US);
	if (r >= 0)
		r = sd_event_source_set_enabled(b->turn, SD_EVENT_ONESHOT);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot make a timer: %s", strerror(-r)) : 0;
}

static int refuse_behind(const struct budgets *b, struct error *err)
{
	return error_set(
		err, -EAGAIN, "budget", "try again in a moment, or wait: wait_ms",
		"What was spent is not known yet: the ledger was read up to event %" PRId64,
		usage_seq(b->usage));
}

/* The replay, up to what is committed; -EAGAIN: that takes more turns. */
static int follow(struct wispd *d, struct error *err)
{
	struct budgets *b = d->budgets;
	int r;

	if (b->behind)
		return refuse_behind(b, err);
	if (ledger_has_written(d->truth.ledger))
		return b->usage ? 0 : error_set(err, -EPERM, NULL, NULL, "Asked too late");
	r = take_turn(b, err);
	if (r > 0)
		r = arm(b, err);
	return b->behind && r == 0 ? refuse_behind(b, err) : r;
}

/* Begins the replay before anybody waits for it. */
int budgets_create(struct wispd *d, struct budgets **ret, struct error *err)
{
	int64_t count = 0;
	int r = store_number(d->truth.store, &count, err, "SELECT count(*) FROM budget", "");

	if (r < 0)
		return r;
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	(*ret)->d = d;
	r = count ? take_turn(*ret, err) : 0;
	return r > 0 ? arm(*ret, err) : r;
}

/* --- rows --- */

static void read_row(const struct rows *rows, struct budget_row *ret)
{
	*ret = (struct budget_row){
		.budget = { .limit_nano = (uint64_t)rows_int(rows, 1),
			    .warn_per_mille = (uint64_t)rows_int(rows, 2),
			    .ahead_ms = (uint64_t)rows_int(rows, 3),
			    .action = (uint32_t)rows_int(rows, 4) },
		.level = (enum level)rows_int(rows, 5),
		.period = (int)rows_int(rows, 6),
	};
	rows_text(rows, 0, ret->tenant, sizeof(ret->tenant));
}

static int read_one(struct rows *rows, struct budget_row *ret, struct error *err)
{
	int r = rows_next(rows, err);

	if (r > 0)
		read_row(rows, ret);
	rows_end(rows);
	return r;
}

/* 1, or 0: it has none. */
static int find(struct wispd *d, const char *tenant, struct budget_row *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err, "SELECT * FROM budget WHERE tenant = ?",
			     "s", tenant);

	return r < 0 ? r : read_one(&rows, ret, err);
}

/* The first of a tenant behind this one. */
static int find_next(struct wispd *d, const char *after, struct budget_row *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT * FROM budget WHERE tenant > ? ORDER BY tenant LIMIT 1", "s",
			     after);

	return r < 0 ? r : read_one(&rows, ret, err);
}

/* Takes over the reference to body. */
static int tell(struct wispd *d, const char *type, const char *tenant, const char *who,
		json_t *body, struct error *err)
{
	const struct ledger_event e = {
		.type = type, .tenant = tenant, .actor = who, .body = body
	};
	int r = body ? ledger_append(d->truth.ledger, &e, NULL, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

int budget_set(struct wispd *d, const char *tenant, const struct budget *b, const char *who,
	       struct error *err)
{
	int r = follow(d, err);

	if (r == 0 || r == -EAGAIN)
		r = store_run(d->truth.store, err,
			      "INSERT OR REPLACE INTO budget VALUES (?, ?, ?, ?, ?, 0, 0)", "siiii",
			      tenant, (int64_t)b->limit_nano, (int64_t)b->warn_per_mille,
			      (int64_t)b->ahead_ms, (int64_t)b->action);
	if (r < 0)
		return r;
	return tell(d, "budget.set", tenant, who,
		    json_pack("{s:I, s:I, s:I, s:s}", "limit_nano", (json_int_t)b->limit_nano,
			      "warn_per_mille", (json_int_t)b->warn_per_mille, "ahead_ms",
			      (json_int_t)b->ahead_ms, "action", budget_action_names[b->action]),
		    err);
}

static int refuse_missing(const char *tenant, struct error *err)
{
	return error_set(err, -ENOENT, "tenant", "wispctl budget set makes one",
			 "%.64s has no budget", tenant);
}

int budget_remove(struct wispd *d, const char *tenant, const char *who, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM budget WHERE tenant = ?", "s", tenant);

	if (r == 0)
		return refuse_missing(tenant, err);
	return r < 0 ? r : tell(d, "budget.removed", tenant, who, json_object(), err);
}

/* --- what it will come to --- */

static int find_held(struct wispd *d, const char *tenant, struct projection_open *open,
		     struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err,
			     "SELECT meter, sum(amount) FROM held WHERE tenant = ? GROUP BY meter",
			     "s", tenant);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		for (unsigned m = 0; m < METERS_COUNT; m++)
			if (strcmp(meters[m].name, rows_string(&rows, 0)) == 0)
				open->held[m] = rows_int(&rows, 1);
	}
	rows_end(&rows);
	return r;
}

static int64_t beyond(int64_t used, int64_t reserved)
{
	return used > reserved ? used - reserved : 0;
}

/* more: an instance that would be started, too; NULL: none. */
static int find_open(struct wispd *d, const struct budget_row *row, const struct instance *more,
		     struct projection_open *open, struct error *err)
{
	static const char sum[] = "SELECT ifnull(sum(amount), 0) FROM hold WHERE tenant = ?"
				  " AND resource = ?";
	int r = find_held(d, row->tenant, open, err);

	if (r == 0)
		r = store_number(d->truth.store, &open->vcpus, err, sum, "ss", row->tenant,
				 resource_names[RESOURCE_VCPUS]);
	if (r == 0)
		r = store_number(d->truth.store, &open->mem_mib, err, sum, "ss", row->tenant,
				 resource_names[RESOURCE_MEMORY_MIB]);
	if (more) {
		open->starts = 1;
		open->vcpus += more->vcpus;
		open->mem_mib += more->mem_mib;
	}
	open->vcpus = beyond(open->vcpus, open->held[METER_RESERVED_VCPUS]);
	open->mem_mib = beyond(open->mem_mib, open->held[METER_RESERVED_MEMORY]);
	return r;
}

static int project(struct wispd *d, const struct budget_row *row, const struct instance *more,
		   struct projection *ret, struct error *err)
{
	struct projection_open open = { 0 };
	int r = follow(d, err);

	if (r == 0)
		r = find_open(d, row, more, &open, err);
	if (r < 0)
		return r;
	open.ns = (int64_t)row->budget.ahead_ms * NS_PER_MS +
		  usage_unconfirmed_ns(d->budgets->usage, ledger_boot_id(d->truth.ledger),
				       ledger_boot_ns());
	return projection_make(d->budgets->usage, row->tenant, period_of(ledger_wall_ns()), &open,
			       ret, err);
}

int budget_check(struct wispd *d, const struct instance *i, struct error *err)
{
	struct projection p = { 0 };
	struct budget_row row = { 0 };
	int r = find(d, i->tenant, &row, err);

	if (r <= 0 || row.budget.action == BUDGET_WARN)
		return r < 0 ? r : 0;
	r = project(d, &row, i, &p, err);
	if (r < 0 || p.projected_nano <= (int64_t)row.budget.limit_nano)
		return r;
	return error_set(err, -EDQUOT, "budget", "stop instances, or ask for a larger budget",
			 "The budget of %s is %" PRIu64 " nano: %" PRId64 " are spent, and %" PRId64
			 " would be",
			 i->tenant, row.budget.limit_nano, p.spent_nano, p.projected_nano);
}

/* --- looking --- */

static enum level level_of(const struct budget *b, const struct projection *p)
{
	unsigned __int128 reached = (unsigned __int128)p->projected_nano * PER_MILLE;

	if ((uint64_t)p->projected_nano >= b->limit_nano)
		return LEVEL_EXCEEDED;
	return reached >= (unsigned __int128)b->limit_nano * b->warn_per_mille ? LEVEL_WARNED
									       : LEVEL_BELOW;
}

static json_t *told_body(const struct budget_row *row, const struct projection *p)
{
	char period[PERIOD_TEXT_BYTES];

	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "period", period_text(row->period, period),
			 "action", budget_action_names[row->budget.action], "limit_nano",
			 (json_int_t)row->budget.limit_nano, "spent_nano",
			 (json_int_t)p->spent_nano, "projected_nano",
			 (json_int_t)p->projected_nano);
}

/* What has changed since it was last told. */
static int note_level(struct wispd *d, struct budget_row *row, enum level level,
		      const struct projection *p, struct error *err)
{
	static const char *const types[] = { "budget.cleared", "budget.warned", "budget.exceeded" };
	const int period = period_of(ledger_wall_ns());
	const bool same = level == row->level, new_month = period != row->period;
	int r;

	if (same && (!new_month || level == LEVEL_BELOW))
		return 0;
	row->level = level;
	row->period = period;
	r = store_run(d->truth.store, err,
		      "UPDATE budget SET level = ?, period = ? WHERE tenant = ?", "iis",
		      (int64_t)level, (int64_t)period, row->tenant);
	return r < 0 ? r : tell(d, types[level], row->tenant, actor, told_body(row, p), err);
}

struct stopping {
	struct wispd *d;
	json_t *ids;
};

static int add_running(void *ctx, const struct instance *i)
{
	const struct stopping *s = ctx;

	if (!states[i->state].alive || !state_may_move(i->state, STATE_STOPPING))
		return 0;
	return json_array_append_new(s->ids, json_string(i->id));
}

static int stop_one(struct wispd *d, const char *id, struct error *err)
{
	const struct move move = { .actor = actor, .cause = "the budget is used up" };
	struct instance i;
	int r = instance_load(&d->truth, id, &i, err);

	if (r < 0)
		return r;
	i.stop_boot_ns = ledger_boot_ns() + (int64_t)d->config.stop_timeout_ms * NS_PER_MS;
	return instance_move(&d->truth, &i, STATE_STOPPING, &move, err);
}

/* ids: of those that are to be looked at after the commit. */
static int stop_all(struct wispd *d, const char *tenant, json_t *ids, struct error *err)
{
	struct stopping s = { d, ids };
	int r = instance_each(&d->truth, tenant, add_running, &s, err);
	json_t *id;
	size_t n;

	json_array_foreach(ids, n, id)
	{
		if (r == 0)
			r = stop_one(d, json_string_value(id), err);
	}
	return r;
}

static int look_at(struct wispd *d, struct budget_row *row, json_t *ids, struct error *err)
{
	struct projection p = { 0 };
	enum level level;
	int r = project(d, row, NULL, &p, err);

	if (r < 0)
		return r;
	level = level_of(&row->budget, &p);
	r = note_level(d, row, level, &p, err);
	if (r == 0 && level == LEVEL_EXCEEDED && row->budget.action == BUDGET_STOP)
		r = stop_all(d, row->tenant, ids, err);
	return r;
}

static int look_in_transaction(struct wispd *d, struct budget_row *row, struct error *err)
{
	json_t *ids = json_array(), *id;
	int r = store_begin(d->truth.store, err);
	size_t n;

	if (r == 0)
		r = look_at(d, row, ids, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	json_array_foreach(ids, n, id)
	{
		if (r == 0)
			lifecycle_kick(d->lifecycle, json_string_value(id));
	}
	json_decref(ids);
	return r;
}

void budgets_look(struct wispd *d)
{
	struct budget_row row = { 0 };
	struct error err;
	int r;

	while ((r = find_next(d, row.tenant, &row, &err)) > 0) {
		r = look_in_transaction(d, &row, &err);
		if (r < 0)
			break;
	}
	if (r < 0 && r != -EAGAIN)
		log_error("the budgets could not be looked at: %s", err.text);
}

/* --- showing --- */

json_t *budget_describe(struct wispd *d, const char *tenant, struct error *err)
{
	struct budget_row row = { 0 };
	struct projection p = { 0 };
	int r = find(d, tenant, &row, err);

	if (r == 0)
		r = refuse_missing(tenant, err);
	if (r > 0)
		r = project(d, &row, NULL, &p, err);
	if (r < 0)
		return NULL;
	return json_pack("{s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:s}", "tenant", tenant, "limit_nano",
			 (json_int_t)row.budget.limit_nano, "warn_per_mille",
			 (json_int_t)row.budget.warn_per_mille, "ahead_ms",
			 (json_int_t)row.budget.ahead_ms, "action",
			 budget_action_names[row.budget.action], "spent_nano",
			 (json_int_t)p.spent_nano, "projected_nano", (json_int_t)p.projected_nano,
			 "level", level_names[level_of(&row.budget, &p)]);
}
