/* usage_result.c - what came of a replay: quantities, gaps, credits. */
#include <string.h>

#include "supervisor/billing/period.h"
#include "supervisor/billing/replay.h"

struct quantity_choice {
	int period;
	usage_fn fn;
	void *ctx;
};

static int choose_quantity(void *ctx, const struct quantity *q)
{
	const struct quantity_choice *c = ctx;
	const struct usage_row row = {
		.plan = q->plan,
		.meter = q->meter,
		.adjustment = q->adjustment,
		.quantity = q->amount,
		.slice = q->slice,
	};

	return q->period == c->period ? c->fn(c->ctx, &row) : 0;
}

int usage_each(const struct usage *u, const char *tenant, int period, usage_fn fn, void *ctx)
{
	const struct account *a = book_find_account(u->book, tenant);
	struct quantity_choice c = { period, fn, ctx };

	return a ? book_each_quantity(a, choose_quantity, &c) : 0;
}

struct gap_choice {
	int period;
	usage_gap_fn fn;
	void *ctx;
};

static int choose_gap(void *ctx, const struct usage_gap *gap)
{
	const struct gap_choice *c = ctx;

	return period_of(gap->from_wall_ns) == c->period ? c->fn(c->ctx, gap) : 0;
}

int usage_gaps(const struct usage *u, const char *tenant, int period, usage_gap_fn fn, void *ctx)
{
	const struct account *a = book_find_account(u->book, tenant);
	struct gap_choice c = { period, fn, ctx };

	return a ? book_each_gap(a, choose_gap, &c) : 0;
}

json_t *usage_describe_gap(const struct usage_gap *gap)
{
	json_t *j = json_pack("{s:s, s:I, s:I}", "instance", gap->instance, "from_wall_ns",
			      (json_int_t)gap->from_wall_ns, "lost_ns", (json_int_t)gap->lost_ns);

	if (j && gap->meter[0]) {
		json_object_set_new(j, "meter", json_string(gap->meter));
		json_object_set_new(j, "reason", json_string(gap->reason));
	}
	return j;
}

int64_t usage_credit_nano(const struct usage *u, const char *tenant)
{
	const struct account *a = book_find_account(u->book, tenant);

	return a ? a->credit_nano : 0;
}

int usage_closed(const struct usage *u, const char *tenant)
{
	const struct account *a = book_find_account(u->book, tenant);

	return a ? a->closed : PERIOD_NONE;
}

const struct plan *usage_plan(const struct usage *u, const char *tenant)
{
	const struct account *a = book_find_account(u->book, tenant);

	return a ? a->plan : NULL;
}

int64_t usage_unconfirmed_ns(const struct usage *u, const char *boot_id, int64_t boot_ns)
{
	const struct moment *m = &u->confirmed;

	return strcmp(m->boot_id, boot_id) == 0 && boot_ns > m->boot_ns ? boot_ns - m->boot_ns : 0;
}
