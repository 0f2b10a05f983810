/* books.h - books of a test's own: a database and the ledger in it, in a scratch folder. */
#ifndef TESTS_UNIT_BOOKS_H
#define TESTS_UNIT_BOOKS_H

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/books/truth.h"
#include "tests/unit/scratch.h"

struct books {
	void *dir; /* of scratch.h */
	struct truth truth;
};

/* 0, or below when they cannot be had. */
static inline int books_open(struct books *b)
{
	struct error err;

	if (scratch_make(&b->dir) < 0)
		return -1;
	if (store_open(scratch_path(b->dir, "db"), &b->truth.store, &err) < 0)
		return -1;
	return ledger_open(b->truth.store, &b->truth.ledger, &err);
}

static inline void books_close(struct books *b)
{
	ledger_close(b->truth.ledger);
	store_close(b->truth.store);
	scratch_remove(&b->dir);
}

#endif
