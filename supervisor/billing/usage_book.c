/* usage_book.c - the C library's trees, and two lists. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/billing/period.h"
#include "supervisor/billing/usage_book.h"

struct kept_plan {
	struct plan plan;
	struct kept_plan *next;
};

struct kept_gap {
	const struct account *account;
	struct usage_gap gap;
	struct kept_gap *next;
};

struct book {
	void *accounts, *runs, *holdings, *quantities;
	struct kept_plan *plans;
	struct kept_gap *gaps, **gaps_end;
};

struct book *book_create(void)
{
	struct book *b = calloc(1, sizeof(*b));

	if (b)
		b->gaps_end = &b->gaps;
	return b;
}

void book_free(struct book *b)
{
	if (!b)
		return;
	tdestroy(b->accounts, free);
	tdestroy(b->runs, free);
	tdestroy(b->holdings, free);
	tdestroy(b->quantities, free);
	while (b->plans) {
		struct kept_plan *p = b->plans;

		b->plans = p->next;
		free(p);
	}
	while (b->gaps) {
		struct kept_gap *g = b->gaps;

		b->gaps = g->next;
		free(g);
	}
	free(b);
}

/* --- the trees --- */

static int compare_text(const void *a, const void *b)
{
	return strcmp(a, b); /* the key is the first member */
}

static int order(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_plans(const struct plan *a, const struct plan *b)
{
	int r;

	if (!a || !b)
		return (a != NULL) - (b != NULL);
	r = strcmp(a->name, b->name);
	return r ? r : order((int64_t)a->version, (int64_t)b->version);
}

static int compare_quantities(const void *left, const void *right)
{
	const struct quantity *a = left, *b = right;
	int r = strcmp(a->account->tenant, b->account->tenant);

	if (r == 0)
		r = order(a->period, b->period);
	if (r == 0)
		r = order(a->adjustment, b->adjustment);
	if (r == 0)
		r = compare_plans(a->plan, b->plan);
	if (r == 0)
		r = order(a->meter, b->meter);
	return r ? r : strcmp(a->slice, b->slice);
}

/* The member of the tree that equals key, or a copy of key that has become one. */
static void *find_or_add(void **tree, const void *key, size_t size,
			 int (*compare)(const void *, const void *))
{
	void **node = tfind(key, tree, compare);
	void *copy;

	if (node)
		return *node;
	copy = malloc(size);
	if (!copy)
		return NULL;
	memcpy(copy, key, size);
	if (!tsearch(copy, tree, compare)) {
		free(copy);
		return NULL;
	}
	return copy;
}

struct account *book_account(struct book *b, const char *tenant)
{
	struct account key = { .closed = PERIOD_NONE };

	strncpy(key.tenant, tenant, sizeof(key.tenant) - 1);
	return find_or_add(&b->accounts, &key, sizeof(key), compare_text);
}

const struct account *book_find_account(const struct book *b, const char *tenant)
{
	void **node = tfind(tenant, &b->accounts, compare_text);

	return node ? *node : NULL;
}

struct run *book_run(struct book *b, const char *instance)
{
	struct run key = { .state = STATE_CREATING };

	strncpy(key.instance, instance, sizeof(key.instance) - 1);
	return find_or_add(&b->runs, &key, sizeof(key), compare_text);
}

void book_drop_run(struct book *b, struct run *r)
{
	tdelete(r, &b->runs, compare_text);
	free(r);
}

void book_drop_holding(struct book *b, struct holding *h)
{
	tdelete(h, &b->holdings, compare_text);
	free(h);
}

struct holding *book_holding(struct book *b, enum meter meter, const char *tenant,
			     const char *thing)
{
	struct holding key = { .meter = meter };
	int n = snprintf(key.key, sizeof(key.key), "%s/%s/%s", meters[meter].name, tenant, thing);

	if (n < 0 || n >= HOLDING_KEY_BYTES)
		return NULL;
	return find_or_add(&b->holdings, &key, sizeof(key), compare_text);
}

struct quantity *book_quantity(struct book *b, const struct quantity *key)
{
	return find_or_add(&b->quantities, key, sizeof(*key), compare_quantities);
}

struct walk {
	int (*fn)(void *ctx, void *member);
	void *ctx;
	int r;
};

static void visit(const void *node, VISIT which, void *closure)
{
	struct walk *w = closure;

	if (w->r >= 0 && (which == postorder || which == leaf))
		w->r = w->fn(w->ctx, *(void *const *)node);
}

struct run_walk {
	int (*fn)(void *ctx, struct run *r);
	void *ctx;
};

static int visit_run(void *ctx, void *member)
{
	struct run_walk *w = ctx;

	return w->fn(w->ctx, member);
}

int book_each_run(const struct book *b, int (*fn)(void *ctx, struct run *r), void *ctx)
{
	struct run_walk inner = { fn, ctx };
	struct walk w = { visit_run, &inner, 0 };

	twalk_r(b->runs, visit, &w);
	return w.r < 0 ? w.r : 0;
}

struct holding_walk {
	int (*fn)(void *ctx, struct holding *h);
	void *ctx;
};

static int visit_holding(void *ctx, void *member)
{
	struct holding_walk *w = ctx;

	return w->fn(w->ctx, member);
}

int book_each_holding(const struct book *b, int (*fn)(void *ctx, struct holding *h), void *ctx)
{
	struct holding_walk inner = { fn, ctx };
	struct walk w = { visit_holding, &inner, 0 };

	twalk_r(b->holdings, visit, &w);
	return w.r < 0 ? w.r : 0;
}

struct quantity_walk {
	int (*fn)(void *ctx, const struct quantity *q);
	void *ctx;
};

static int visit_quantity(void *ctx, void *member)
{
	struct quantity_walk *w = ctx;

	return w->fn(w->ctx, member);
}

int book_each_quantity(const struct book *b, int (*fn)(void *ctx, const struct quantity *q),
		       void *ctx)
{
	struct quantity_walk inner = { fn, ctx };
	struct walk w = { visit_quantity, &inner, 0 };

	twalk_r(b->quantities, visit, &w);
	return w.r < 0 ? w.r : 0;
}

/* --- the lists --- */

const struct plan *book_add_plan(struct book *b, const struct plan *p)
{
	struct kept_plan *kept = malloc(sizeof(*kept));

	if (!kept)
		return NULL;
	kept->plan = *p;
	kept->next = b->plans;
	b->plans = kept;
	return &kept->plan;
}

const struct plan *book_plan(const struct book *b, const char *name, int64_t version)
{
	for (const struct kept_plan *p = b->plans; p; p = p->next) {
		if ((int64_t)p->plan.version == version && strcmp(p->plan.name, name) == 0)
			return &p->plan;
	}
	return NULL;
}

bool book_add_gap(struct book *b, const struct account *a, const struct usage_gap *gap)
{
	struct kept_gap *kept = malloc(sizeof(*kept));

	if (!kept)
		return false;
	*kept = (struct kept_gap){ .account = a, .gap = *gap };
	*b->gaps_end = kept;
	b->gaps_end = &kept->next;
	return true;
}

int book_each_gap(const struct book *b, const struct account *a, usage_gap_fn fn, void *ctx)
{
	int r = 0;

	for (const struct kept_gap *g = b->gaps; g && r >= 0; g = g->next) {
		if (g->account == a)
			r = fn(ctx, &g->gap);
	}
	return r < 0 ? r : 0;
}
