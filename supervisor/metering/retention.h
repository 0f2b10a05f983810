/* retention.h - the ledger kept small: what is old is rolled up, a little at a time.
 *
 * Events that are older than roll_up_after_days, and that every receiver of events has
 * (outbox.h), are gone through by billing/rollup.h: a few thousand in a transaction, then the
 * loop does other things. What leaves the table is in the folder "archive" of state_dir. It
 * begins by itself, when wispd starts and then twice an hour.
 *
 * A ledger that is not as it was written is left as it is, and that is logged.
 *
 * Loop thread.
 */
#ifndef SUPERVISOR_RETENTION_H
#define SUPERVISOR_RETENTION_H

#include "vmm/base/error.h"

struct retention;
struct wispd;

/* Begins, unless the configuration says never: then *ret is NULL. */
int retention_create(struct wispd *d, struct retention **ret, struct error *err);
void retention_destroy(struct retention *r); /* accepts NULL */

#endif
