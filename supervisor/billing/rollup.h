/* rollup.h - which old events no replay needs any more, and a part of the ledger without them.
 *
 * Nearly all events are of two kinds that only say how far things have come: meter.confirmed,
 * every ten seconds, and meter.counted, every quarter of an hour for each VMM. One of them is
 * superseded by the next of its kind, of the same start of the same instance, in the same hour
 * of the wall clock, unless somebody looks in between: where a tenant's plan changes, where a
 * period is closed or its invoice was made up to, and, for confirmations, where a VMM was found
 * dead, or the host began anew. So of a day an hourly row of each stays, and with them any
 * replay (usage.h) comes to the same quantities, slices and invoices, to the byte: those that
 * are open, those that are closed, and those that are proved again.
 *
 * What is superseded goes into the archive, and the chain still proves what stays (cut.h).
 *
 * Loop thread; (T) wants a transaction open. Errors as of store.h.
 */
#ifndef SUPERVISOR_BILLING_ROLLUP_H
#define SUPERVISOR_BILLING_ROLLUP_H

#include <stdint.h>

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

struct rollup_wish {
	const char *archive;	/* the folder */
	int64_t before_wall_ns; /* younger events stay */
	int64_t last_seq;	/* and those behind this one: not everybody has them yet */
};

/* (T) Goes on from event *next_seq, 0: from where ranges end that were rolled up; looks at a
 * few thousand events at most. 1: there may be more, from *next_seq on; 0: there is not.
 * *removed: so many left the table. -EUCLEAN: the ledger is not as it was written. */
int rollup_step(struct truth *t, const struct rollup_wish *w, int64_t *next_seq, int64_t *removed,
		struct error *err);

#endif
