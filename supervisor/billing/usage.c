/* usage.c - the replay: events in, quantities out; see usage.h for its rules. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/billing/period.h"
#include "supervisor/billing/replay.h"

enum { NS_PER_US = 1000, NS_PER_MS = 1000000 };

static const int64_t NS_PER_S = 1000000000, NS_PER_DAY = INT64_C(86400) * 1000000000;

/* What is billed in a state. The table that is published: docs/billing.md. */
enum billed { BILLED_NO, BILLED_BOOT, BILLED_MEMORY, BILLED_ALL };

static const enum billed billed_in[STATES_COUNT] = {
	[STATE_STARTING] = BILLED_BOOT,	  [STATE_RUNNING] = BILLED_ALL,
	[STATE_PAUSING] = BILLED_ALL,	  [STATE_PAUSED] = BILLED_MEMORY,
	[STATE_RESUMING] = BILLED_MEMORY, [STATE_STOPPING] = BILLED_ALL,
	[STATE_SAVING] = BILLED_MEMORY,	  [STATE_RESIZING] = BILLED_ALL,
	[STATE_SAVING_LIVE] = BILLED_ALL,
};

/* Of a tenant without a plan: exact to the millisecond, and free. */
static const struct plan no_plan = { .rounding_ms = 1 };

/* --- time becomes quantities --- */

static void slice_of(const struct usage *u, const struct source *from, int64_t wall_ns,
		     char slice[NAME_BYTES])
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	slice[0] = '\0';
	if (u->slice == USAGE_BY_SHAPE)
		snprintf(slice, NAME_BYTES, "%s", from->shape);
	else if (u->slice == USAGE_BY_INSTANCE)
		snprintf(slice, NAME_BYTES, "%s", from->instance);
	else if (u->slice == USAGE_BY_DAY && gmtime_r(&seconds, &tm))
		strftime(slice, NAME_BYTES, "%Y-%m-%d", &tm);
}

int64_t replay_part_ns(const struct usage *u, int64_t wall_ns, int64_t left_ns)
{
	int64_t part = period_start_ns(period_of(wall_ns) + 1) - wall_ns;

	if (u->slice == USAGE_BY_DAY)
		part = NS_PER_DAY - wall_ns % NS_PER_DAY;
	return left_ns < part ? left_ns : part;
}

int replay_count(struct usage *u, struct account *a, const struct source *from, int64_t wall_ns,
		 enum meter meter, int64_t amount)
{
	const int period = period_of(wall_ns);
	struct quantity key = { .period = period, .plan = a->plan, .meter = meter };
	struct quantity *q;

	if (amount == 0)
		return 0;
	if (period <= a->closed) {
		key.period = a->closed + 1;
		key.adjustment = true;
	}
	slice_of(u, from, wall_ns, key.slice);
	q = book_quantity(a, &key);
	if (!q)
		return -ENOMEM;
	if (meters[meter].kind == METER_GREATEST) {
		q->amount = amount > q->amount ? amount : q->amount;
		return 0;
	}
	return __builtin_add_overflow(q->amount, amount, &q->amount) ? -ERANGE : 0;
}

/* What ns more add to what was billed of *counted_ns so far. */
static int64_t billed_more(const struct run *r, int64_t *counted_ns, int64_t ns)
{
	const struct plan *p = r->rounding ? r->rounding : &no_plan;
	int64_t before = plan_billed_ns(p, *counted_ns);

	*counted_ns += ns;
	return plan_billed_ns(p, *counted_ns) - before;
}

static int count_time(struct usage *u, struct run *r, int64_t wall_ns, int64_t ns)
{
	const struct source from = { r->instance, r->shape };
	enum billed billed = billed_in[r->state];
	int64_t us, ms;
	int e = 0;

	if (billed == BILLED_BOOT)
		billed = r->rounding && r->rounding->bill_boot ? BILLED_ALL : BILLED_NO;
	if (billed == BILLED_ALL) {
		us = billed_more(r, &r->vcpu_ns, ns) / NS_PER_US;
		e = replay_count(u, r->account, &from, wall_ns,
				 r->covered ? METER_VCPU_TIME_RESERVED : METER_VCPU_TIME,
				 us * r->vcpus);
	}
	if (e == 0 && billed >= BILLED_MEMORY) {
		ms = billed_more(r, &r->memory_ns, ns) / NS_PER_MS;
		e = replay_count(u, r->account, &from, wall_ns,
				 r->covered ? METER_MEMORY_TIME_RESERVED : METER_MEMORY_TIME,
				 ms * r->mem_mib);
	}
	return e;
}

/* Counts what the instance did up to a moment of the boot that it is in. */
static int advance(struct usage *u, struct run *r, int64_t until_boot_ns)
{
	int e = 0;

	while (e == 0 && r->since.boot_ns < until_boot_ns) {
		int64_t part =
			replay_part_ns(u, r->since.wall_ns, until_boot_ns - r->since.boot_ns);

		e = count_time(u, r, r->since.wall_ns, part);
		r->since.boot_ns += part;
		r->since.wall_ns += part;
	}
	return e;
}

bool replay_same_boot(const struct moment *a, const struct moment *b)
{
	return strcmp(a->boot_id, b->boot_id) == 0;
}

int64_t replay_confirmed(const struct usage *u, const struct moment *since)
{
	return replay_same_boot(&u->confirmed, since) && u->confirmed.boot_ns > since->boot_ns
		       ? u->confirmed.boot_ns
		       : since->boot_ns;
}

int64_t replay_until(const struct boundary *b, const struct moment *since)
{
	int64_t left = b->end_wall_ns - since->wall_ns;
	int64_t until = b->event && replay_same_boot(since, &b->event->at)
				? b->event->at.boot_ns
				: replay_confirmed(b->usage, since);

	return until - since->boot_ns > left ? since->boot_ns + left : until;
}

static int note_gap(const struct run *r, const struct event *e)
{
	struct usage_gap gap = {
		.from_wall_ns = r->since.wall_ns,
		.lost_ns =
			replay_same_boot(&r->since, &e->at) ? e->at.boot_ns - r->since.boot_ns : -1,
	};

	strcpy(gap.instance, r->instance);
	return book_add_gap(r->account, &gap) ? 0 : -ENOMEM;
}

/* Counts up to an event that ends the state the instance was in. */
static int close_stretch(struct usage *u, struct run *r, const struct event *e)
{
	const char *exit_kind = json_string_value(json_object_get(e->body, "exit_kind"));
	bool seen = replay_same_boot(&r->since, &e->at) &&
		    !(exit_kind && strcmp(exit_kind, "unknown") == 0);
	int fault = advance(u, r, seen ? e->at.boot_ns : replay_confirmed(u, &r->since));

	if (fault == 0 && !seen && billed_in[r->state] != BILLED_NO)
		fault = note_gap(r, e);
	return fault;
}

/* --- the events --- */

bool replay_number(const struct event *e, const char *name, int64_t *ret)
{
	const json_t *n = json_object_get(e->body, name);

	if (!json_is_integer(n))
		return false;
	*ret = json_integer_value(n);
	return true;
}

static bool state_named(const char *name, enum state *ret)
{
	for (unsigned i = 0; name && i < STATES_COUNT; i++) {
		if (strcmp(states[i].name, name) == 0) {
			*ret = (enum state)i;
			return true;
		}
	}
	return false;
}

/* --- reservations --- */

/* If there is room for all of it. */
static void cover(struct run *r)
{
	struct account *a = r->account;

	if (a->covered_vcpus + r->vcpus > a->reserved_vcpus ||
	    a->covered_mib + r->mem_mib > a->reserved_mib)
		return;
	a->covered_vcpus += r->vcpus;
	a->covered_mib += r->mem_mib;
	r->covered = true;
}

static void uncover(struct run *r)
{
	if (!r->covered)
		return;
	r->account->covered_vcpus -= r->vcpus;
	r->account->covered_mib -= r->mem_mib;
	r->covered = false;
}

static int uncover_one(void *ctx, struct run *r)
{
	const struct boundary *b = ctx;
	int fault = 0;

	if (!r->account)
		return 0;
	if (replay_same_boot(&r->since, &b->event->at))
		fault = advance(b->usage, r, b->event->at.boot_ns);
	uncover(r);
	return fault;
}

static int cover_one(void *ctx, struct run *r)
{
	(void)ctx;
	if (r->account && states[r->state].alive)
		cover(r);
	return 0;
}

int replay_reserve(struct usage *u, struct account *a, const struct event *e, enum meter meter,
		   int64_t more)
{
	struct boundary b = { u, a, e, INT64_MAX };
	int fault = book_each_run(a, uncover_one, &b);

	if (meter == METER_RESERVED_VCPUS)
		a->reserved_vcpus += more;
	else
		a->reserved_mib += more;
	return fault < 0 ? fault : book_each_run(a, cover_one, NULL);
}

/* --- moves --- */

static int begin_start(struct usage *u, struct run *r, const struct event *e)
{
	const struct source from = { r->instance, r->shape };

	r->rounding = r->account->plan;
	r->vcpu_ns = r->memory_ns = 0;
	uncover(r);
	cover(r);
	return replay_count(u, r->account, &from, e->at.wall_ns, METER_STARTS, 1);
}

/* instance.creating tells of what shape it is. */
static int note_shape(struct usage *u, const struct event *e)
{
	const char *shape = json_string_value(json_object_get(e->body, "shape"));
	struct account *a = shape ? book_account(u->book, e->tenant) : NULL;
	struct run *r = a ? book_run(a, e->instance) : NULL;

	if (shape && !r)
		return -ENOMEM;
	if (r)
		snprintf(r->shape, sizeof(r->shape), "%s", shape);
	return 0;
}

/* Of one that is covered, too: it is as a whole, or not. */
static bool note_size(struct run *r, const struct event *e)
{
	bool was_covered = r->covered;

	uncover(r);
	if (!replay_number(e, "vcpus", &r->vcpus) || !replay_number(e, "mem_mib", &r->mem_mib))
		return false;
	if (was_covered)
		cover(r);
	return true;
}

/* instance.*; those without a "to" tell no move, nor does that of who went into a guest: to
 * what part of it. */
static int on_move(struct usage *u, const struct event *e)
{
	const char *to = json_string_value(json_object_get(e->body, "to"));
	struct account *a;
	struct run *r;
	int fault;

	if (!to || strcmp(e->type, "instance.entered") == 0)
		return note_shape(u, e);
	a = book_account(u->book, e->tenant);
	r = a ? book_run(a, e->instance) : NULL;
	if (!r)
		return -ENOMEM;
	fault = r->account ? close_stretch(u, r, e) : 0;
	r->account = a;
	r->since = e->at;
	if (!state_named(to, &r->state) || !note_size(r, e))
		return -EUCLEAN;
	if (fault == 0 && r->state == STATE_STARTING)
		fault = begin_start(u, r, e);
	if (!states[r->state].alive)
		uncover(r);
	if (r->state == STATE_DELETED)
		book_drop_run(a, r);
	return fault;
}

static int on_confirmed(struct usage *u, const struct event *e)
{
	u->confirmed = e->at;
	return 0;
}

static int on_published(struct usage *u, const struct event *e)
{
	struct plan p = { 0 };

	if (body_read(&plan_table, e->body, 0, &p, NULL) < 0 ||
	    book_plan(u->book, p.name, (int64_t)p.version))
		return -EUCLEAN;
	return book_add_plan(u->book, &p) ? 0 : -ENOMEM;
}

static int advance_to(void *ctx, struct run *r)
{
	const struct boundary *b = ctx;

	return r->account ? advance(b->usage, r, replay_until(b, &r->since)) : 0;
}

/* The host slept: nobody's instances ran. */
static int skip_sleep(void *ctx, struct run *r)
{
	const struct boundary *b = ctx;
	const struct event *e = b->event;
	int64_t slept, awake;
	int fault;

	if (!r->account || !replay_same_boot(&r->since, &e->at) ||
	    !replay_number(e, "suspended_ns", &slept))
		return 0;
	awake = e->at.boot_ns - slept;
	fault = awake > r->since.boot_ns ? advance(b->usage, r, awake) : 0;
	r->since = e->at;
	return fault;
}

static int on_suspended(struct usage *u, const struct event *e)
{
	struct boundary b = { u, NULL, e, INT64_MAX };

	return book_every_run(u->book, skip_sleep, &b);
}

/* The tenant's instances go on, at other prices. */
static int on_plan(struct usage *u, const struct event *e)
{
	struct account *a = book_account(u->book, e->tenant);
	const char *name = json_string_value(json_object_get(e->body, "plan"));
	struct boundary b = { u, a, e, INT64_MAX };
	const struct plan *p;
	int64_t version;
	int fault;

	if (!a)
		return -ENOMEM;
	if (!name || !replay_number(e, "version", &version))
		return -EUCLEAN;
	p = book_plan(u->book, name, version);
	if (!p)
		return -EUCLEAN;
	fault = book_each_run(a, advance_to, &b);
	if (fault == 0)
		fault = replay_advance_holdings(&b);
	a->plan = p;
	return fault;
}

static int on_credit(struct usage *u, const struct event *e)
{
	struct account *a = book_account(u->book, e->tenant);
	int64_t amount;

	if (!a)
		return -ENOMEM;
	if (!replay_number(e, "amount_nano", &amount) || amount <= 0 ||
	    __builtin_add_overflow(a->credit_nano, amount, &a->credit_nano))
		return -EUCLEAN;
	return 0;
}

static int settle(struct usage *u, struct account *a, int period)
{
	struct boundary b = { u, a, NULL, period_start_ns(period + 1) };
	int fault = book_each_run(a, advance_to, &b);

	return fault < 0 ? fault : replay_advance_holdings(&b);
}

static int on_closed(struct usage *u, const struct event *e)
{
	struct account *a = book_account(u->book, e->tenant);
	const char *text = json_string_value(json_object_get(e->body, "period"));
	int period = text ? period_parse(text) : PERIOD_NONE, fault;
	int64_t credit;

	if (!a)
		return -ENOMEM;
	if (period == PERIOD_NONE || period <= a->closed ||
	    !replay_number(e, "credit_nano", &credit))
		return -EUCLEAN;
	fault = settle(u, a, period);
	a->closed = period;
	a->credit_nano -= credit;
	return fault;
}

static const struct {
	const char *type;
	int (*on)(struct usage *u, const struct event *e);
} handlers[] = {
	{ "meter.confirmed", on_confirmed }, { "plan.published", on_published },
	{ "tenant.plan", on_plan },	     { "tenant.credit", on_credit },
	{ "period.closed", on_closed },	     { "host.suspended", on_suspended },
	{ "meter.counted", replay_counted }, { "meter.gap", replay_gap },
	{ "meter.held", replay_held },	     { "host.recovered", replay_recovered },
};

static int on_event(struct usage *u, const struct event *e)
{
	if (strncmp(e->type, "instance.", strlen("instance.")) == 0)
		return on_move(u, e);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (strcmp(handlers[i].type, e->type) == 0)
			return handlers[i].on(u, e);
	}
	return 0;
}

/* --- the replay --- */

static int replay_row(struct usage *u, const struct rows *rows, struct error *err)
{
	struct event e = {
		.seq = rows_int(rows, 0),
		.at = { .boot_ns = rows_int(rows, 2), .wall_ns = rows_int(rows, 3) },
		.type = rows_string(rows, 4),
		.tenant = rows_string(rows, 5),
		.instance = rows_string(rows, 6),
		.incarnation = rows_int(rows, 7),
	};
	json_t *body = json_loads(rows_string(rows, 8), 0, NULL);
	int r;

	rows_text(rows, 1, e.at.boot_id, sizeof(e.at.boot_id));
	e.body = body;
	r = on_event(u, &e);
	json_decref(body);
	if (r < 0)
		return error_set(err, r, NULL, "wispctl ledger verify",
				 "Event %" PRId64 " (%s) cannot be billed: %s", e.seq, e.type,
				 strerror(-r));
	return 0;
}

int usage_replay(struct store *s, int64_t seq, struct usage **ret, struct error *err)
{
	return usage_replay_sliced(s, seq, USAGE_WHOLE, ret, err);
}

int usage_follow(struct usage *u, struct store *s, int64_t seq, struct error *err)
{
	struct rows rows;
	int r = store_select(
		s, &rows, err,
		"SELECT seq, boot_id, boot_ns, wall_ns, type, tenant, instance, incarnation,"
		" body FROM event WHERE seq > ? AND seq <= ? ORDER BY seq",
		"ii", u->seq, seq ? seq : INT64_MAX);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0 && (r = replay_row(u, &rows, err)) == 0)
		u->seq = rows_int(&rows, 0);
	rows_end(&rows);
	return r;
}

int usage_follow_some(struct usage *u, struct store *s, int64_t most, struct error *err)
{
	struct rows rows;
	int64_t n = 0;
	int r = store_select(
		s, &rows, err,
		"SELECT seq, boot_id, boot_ns, wall_ns, type, tenant, instance, incarnation,"
		" body FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
		"ii", u->seq, most);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0 && (r = replay_row(u, &rows, err)) == 0) {
		u->seq = rows_int(&rows, 0);
		n++;
	}
	rows_end(&rows);
	return r < 0 ? r : n == most;
}

int64_t usage_seq(const struct usage *u)
{
	return u->seq;
}

int usage_begin(struct usage **ret, struct error *err)
{
	struct usage *u = calloc(1, sizeof(*u));

	if (u)
		u->book = book_create();
	if (!u || !u->book) {
		usage_free(u);
		error_set(err, -ENOMEM, NULL, NULL, "Out of memory");
		return -ENOMEM;
	}
	*ret = u;
	return 0;
}

int usage_replay_sliced(struct store *s, int64_t seq, enum usage_slice slice, struct usage **ret,
			struct error *err)
{
	struct usage *u = NULL;
	int r = usage_begin(&u, err);

	if (r < 0)
		return r;
	u->slice = slice;
	r = usage_follow(u, s, seq, err);
	if (r < 0) {
		usage_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

void usage_free(struct usage *u)
{
	if (!u)
		return;
	book_free(u->book);
	free(u);
}

int usage_settle(struct usage *u, const char *tenant, int period, struct error *err)
{
	struct account *a = book_account(u->book, tenant);
	int r = a ? settle(u, a, period) : -ENOMEM;

	return r < 0 ? error_set(err, r, NULL, NULL, "What runs cannot be counted: %s",
				 strerror(-r))
		     : 0;
}
