/* verification.h - the proof of the ledger (books/proof.h) and of its pages, beside all else.
 *
 * A worker walks a store of its own, which is the database as it was when the walk began, so
 * that wispd goes on as ever. It is an operation, whose result is a text of JSON:
 *
 *   {"whole", "checked", "rolled_up", "bad_seq", "fault"}	as in struct proof_report
 *   {"database"}	what SQLite finds first in its pages; "": nothing. Else it is not whole
 *
 * One at a time: it takes a worker, and as long as the ledger is. While it lasts SQLite's log
 * grows, since what is read stays. Loop thread; (T) as in instance.h; errors as of store.h.
 */
#ifndef SUPERVISOR_VERIFICATION_H
#define SUPERVISOR_VERIFICATION_H

#include <jansson.h>
#include <stdbool.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/operation.h"

struct verification;
struct wispd;

struct verification_wish {
	char operation[OPERATION_ID_BYTES];
	int64_t anchor_seq; /* 0: none */
	char anchor_hex[LEDGER_HEX_BYTES];
	bool archive; /* what was rolled up, too */
};

/* (T) Begins the operation, whose id is written to w. -EBUSY: one is under way. */
int verification_prepare(struct wispd *d, const char *tenant, struct verification_wish *w,
			 struct error *err);
/* Begins the work itself, after the commit; wish: a struct verification_wish. */
void verification_begin(struct wispd *d, void *wish);

/* How far it is, as imports_progress(); NULL: it is not that operation. */
json_t *verification_progress(const struct wispd *d, const char *operation);

/* wispd ends: so does the walk, soon. */
void verification_end(struct wispd *d);

#endif
