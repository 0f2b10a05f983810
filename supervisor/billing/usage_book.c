/* usage_book.c - the C library's trees, and two lists. What is an account's hangs on it, so that
 * one of many is looked at without the others. */
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
	struct usage_gap gap;
	struct kept_gap *next;
};

struct book {
	void *accounts;
	struct kept_plan *plans;
};

struct book *book_create(void)
{
	return calloc(1, sizeof(struct book));
}

static void free_account(void *member)
{
	struct account *a = member;

	tdestroy(a->runs, free);
	tdestroy(a->holdings, free);
	tdestroy(a->quantities, free);
	while (a->gaps) {
		struct kept_gap *g = a->gaps;

		a->gaps = g->next;
		free(g);
	}
	free(a);
}

void book_free(struct book *b)
{
	if (!b)
		return;
	tdestroy(b->accounts, free_account);
	while (b->plans) {
		struct kept_plan *p = b->plans;

		b->plans = p->next;
		free(p);
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
	int r = order(a->period, b->period);

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

struct run *book_run(struct account *a, const char *instance)
{
	struct run key = { .state = STATE_CREATING };

	strncpy(key.instance, instance, sizeof(key.instance) - 1);
	return find_or_add(&a->runs, &key, sizeof(key), compare_text);
}

void book_drop_run(struct account *a, struct run *r)
{
	tdelete(r, &a->runs, compare_text);
	free(r);
}

void book_drop_holding(struct account *a, struct holding *h)
{
	tdelete(h, &a->holdings, compare_text);
	free(h);
}

struct holding *book_holding(struct account *a, enum meter meter, const char *thing)
{
	struct holding key = { .meter = meter };
	int n = snprintf(key.key, sizeof(key.key), "%s/%s", meters[meter].name, thing);

	if (n < 0 || n >= HOLDING_KEY_BYTES)
		return NULL;
	return find_or_add(&a->holdings, &key, sizeof(key), compare_text);
}

struct quantity *book_quantity(struct account *a, const struct quantity *key)
{
	return find_or_add(&a->quantities, key, sizeof(*key), compare_quantities);
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

int book_each_run(const struct account *a, int (*fn)(void *ctx, struct run *r), void *ctx)
{
	struct run_walk inner = { fn, ctx };
	struct walk w = { visit_run, &inner, 0 };

	twalk_r(a->runs, visit, &w);
	return w.r < 0 ? w.r : 0;
}

static int visit_runs_of(void *ctx, void *member)
{
	struct run_walk *w = ctx;

	return book_each_run(member, w->fn, w->ctx);
}

int book_every_run(const struct book *b, int (*fn)(void *ctx, struct run *r), void *ctx)
{
	struct run_walk inner = { fn, ctx };
	struct walk w = { visit_runs_of, &inner, 0 };

	twalk_r(b->accounts, visit, &w);
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

int book_each_holding(const struct account *a, int (*fn)(void *ctx, struct holding *h), void *ctx)
{
	struct holding_walk inner = { fn, ctx };
	struct walk w = { visit_holding, &inner, 0 };

	twalk_r(a->holdings, visit, &w);
	return w.r < 0 ? w.r : 0;
}

static int visit_holdings_of(void *ctx, void *member)
{
	struct holding_walk *w = ctx;

	return book_each_holding(member, w->fn, w->ctx);
}

int book_every_holding(const struct book *b, int (*fn)(void *ctx, struct holding *h), void *ctx)
{
	struct holding_walk inner = { fn, ctx };
	struct walk w = { visit_holdings_of, &inner, 0 };

	twalk_r(b->accounts, visit, &w);
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

int book_each_quantity(const struct account *a, int (*fn)(void *ctx, const struct quantity *q),
		       void *ctx)
{
	struct quantity_walk inner = { fn, ctx };
	struct walk w = { visit_quantity, &inner, 0 };

	twalk_r(a->quantities, visit, &w);
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

bool book_add_gap(struct account *a, const struct usage_gap *gap)
{
	struct kept_gap *kept = malloc(sizeof(*kept));

	if (!kept)
		return false;
	*kept = (struct kept_gap){ .gap = *gap };
	if (a->last_gap)
		a->last_gap->next = kept;
	else
		a->gaps = kept;
	a->last_gap = kept;
	return true;
}

int book_each_gap(const struct account *a, usage_gap_fn fn, void *ctx)
{
	int r = 0;

	for (const struct kept_gap *g = a->gaps; g && r >= 0; g = g->next)
		r = fn(ctx, &g->gap);
	return r < 0 ? r : 0;
}
