/* exists.h - the monthly audit record of each instance, as OpenStack's consumers know it.
 *
 * A record a month for each instance that existed in it, in the form of the notification
 * compute.instance.exists: what it is, the bounds of the period, and what it used in it.
 * Made of the books and a replay of the ledger when it is asked for, so the same month has
 * the same records, whose message_id tells a second copy. Loop thread.
 */
#ifndef SUPERVISOR_BILLING_EXISTS_H
#define SUPERVISOR_BILLING_EXISTS_H

#include <jansson.h>

#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

/* An array of a tenant's records of a period, the oldest instance first; the caller's. NULL
 * with *err as of usage.h. */
json_t *exists_describe(struct truth *t, const char *tenant, int period, struct error *err);

#endif
