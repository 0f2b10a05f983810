/* usage_book.h - what a replay keeps: accounts, runs, quantities, gaps, plans.
 *
 * Private to the replay (replay.h). Everything is found by its key, and made when it is not there:
 * functions that return a pointer return NULL when memory is out.
 */
#ifndef SUPERVISOR_BILLING_USAGE_BOOK_H
#define SUPERVISOR_BILLING_USAGE_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/billing/usage.h"
#include "supervisor/books/instance.h"

struct account {
	char tenant[NAME_BYTES]; /* the key */
	const struct plan *plan; /* NULL: none */
	int closed;		 /* the last period that was */
	int64_t credit_nano;
	/* What it has reserved, and how much of that its runs take that are covered. */
	int64_t reserved_vcpus, reserved_mib, covered_vcpus, covered_mib;
	/* What is its own: trees, and a list (usage_book.c). */
	void *runs, *holdings, *quantities;
	struct kept_gap *gaps, *last_gap;
};

/* Where time is: a moment of a boot, and of the calendar. */
struct moment {
	char boot_id[40];
	int64_t boot_ns, wall_ns;
};

/* An instance, in one state since some moment. */
struct run {
	char instance[INSTANCE_ID_BYTES]; /* the key */
	struct account *account;
	enum state state;
	int64_t vcpus, mem_mib;
	char shape[NAME_BYTES]; /* "": it was made without one */
	struct moment since;
	const struct plan *rounding; /* the account's at the start; NULL: none */
	int64_t vcpu_ns, memory_ns;  /* counted since the start, not rounded */
	int64_t incarnation;	     /* of which counted[] is */
	int64_t counted[METERS_COUNT];
	bool covered; /* by the account's reservation, as a whole */
};

enum { HOLDING_KEY_BYTES = 256 };

/* An amount of something that a tenant has, by METER_HELD meters. */
struct holding {
	char key[HOLDING_KEY_BYTES]; /* the key: meter, thing */
	struct account *account;
	enum meter meter;
	int64_t amount;
	struct moment since;
	int64_t counted_ns; /* of this amount, since it is the same */
};

struct quantity {
	int period; /* the key, down to slice */
	const struct plan *plan;
	enum meter meter;
	bool adjustment;
	char slice[NAME_BYTES]; /* of the key, too */
	int64_t amount;
};

struct book;

struct book *book_create(void);
void book_free(struct book *b);

struct account *book_account(struct book *b, const char *tenant);
struct run *book_run(struct account *a, const char *instance);
/* The meter's name and the thing make the key; NULL also if they are too long. */
struct holding *book_holding(struct account *a, enum meter meter, const char *thing);
struct quantity *book_quantity(struct account *a, const struct quantity *key);
/* It will not come again. */
void book_drop_run(struct account *a, struct run *r);
void book_drop_holding(struct account *a, struct holding *h);

/* Keeps a copy. */
const struct plan *book_add_plan(struct book *b, const struct plan *p);
const struct plan *book_plan(const struct book *b, const char *name, int64_t version);

bool book_add_gap(struct account *a, const struct usage_gap *gap);

/* In the order of their keys, until fn returns a negative number, which is returned. Of an
 * account, or of all. */
int book_each_run(const struct account *a, int (*fn)(void *ctx, struct run *r), void *ctx);
int book_every_run(const struct book *b, int (*fn)(void *ctx, struct run *r), void *ctx);
int book_each_holding(const struct account *a, int (*fn)(void *ctx, struct holding *h), void *ctx);
int book_every_holding(const struct book *b, int (*fn)(void *ctx, struct holding *h), void *ctx);
int book_each_quantity(const struct account *a, int (*fn)(void *ctx, const struct quantity *q),
		       void *ctx);
int book_each_gap(const struct account *a, usage_gap_fn fn, void *ctx);

/* The account, without making one; NULL: there is none. */
const struct account *book_find_account(const struct book *b, const char *tenant);

#endif
