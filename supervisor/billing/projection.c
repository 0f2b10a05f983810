/* projection.c - quantities of now, and of later, at the same prices. */
#include <string.h>

#include "supervisor/billing/projection.h"

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, PER_MILLE = 1000 };

/* What was used in the period: by the plan that the tenant has, and what the rest came to. */
struct amounts {
	const struct plan *plan;
	int64_t quantity[METERS_COUNT];
	int64_t others_nano;
};

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int64_t times(int64_t a, int64_t b)
{
	int64_t product;

	return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static int64_t rate(const struct plan *p, enum meter meter, int64_t quantity)
{
	const struct price *price = p ? plan_price(p, meter) : NULL;
	int64_t amount;

	if (!price)
		return 0;
	return plan_rate(price, quantity, &amount) ? amount : INT64_MAX;
}

static int64_t with_support(const struct plan *p, int64_t sum_nano, bool whole)
{
	int64_t part;

	if (!p || !p->support[0])
		return sum_nano;
	if (!plan_amount(sum_nano, p->support_per_mille, PER_MILLE, &part, NULL))
		return INT64_MAX;
	if (whole && part < (int64_t)p->support_minimum_nano)
		part = (int64_t)p->support_minimum_nano;
	return add(sum_nano, part);
}

static int take(void *ctx, const struct usage_row *row)
{
	struct amounts *a = ctx;
	int64_t nano;

	if (row->plan == a->plan && !row->adjustment) {
		a->quantity[row->meter] = row->quantity;
		return 0;
	}
	nano = rate(row->plan, row->meter, row->quantity);
	a->others_nano = add(a->others_nano, with_support(row->plan, nano, false));
	return 0;
}

static int64_t sum_up(const struct amounts *a)
{
	int64_t sum = 0, used = 0;

	for (unsigned m = 0; m < METERS_COUNT; m++) {
		used |= a->quantity[m];
		sum = add(sum, rate(a->plan, (enum meter)m, a->quantity[m]));
	}
	return add(a->others_nano, used ? with_support(a->plan, sum, true) : sum);
}

static void go_on(struct amounts *a, const struct projection_open *open)
{
	int64_t *q = a->quantity;

	q[METER_STARTS] = add(q[METER_STARTS], open->starts);
	q[METER_VCPU_TIME] = add(q[METER_VCPU_TIME], times(open->vcpus, open->ns / NS_PER_US));
	q[METER_MEMORY_TIME] =
		add(q[METER_MEMORY_TIME], times(open->mem_mib, open->ns / NS_PER_MS));
	for (unsigned m = 0; m < METERS_COUNT; m++)
		q[m] = add(q[m], times(open->held[m], open->ns / NS_PER_MS));
}

int projection_make(struct usage *u, const char *tenant, int period,
		    const struct projection_open *open, struct projection *ret, struct error *err)
{
	struct amounts a = { .plan = usage_plan(u, tenant) };
	int r = usage_settle(u, tenant, period, err);

	if (r < 0)
		return r;
	usage_each(u, tenant, period, take, &a);
	ret->spent_nano = sum_up(&a);
	go_on(&a, open);
	ret->projected_nano = sum_up(&a);
	return 0;
}
