/* invoice.h - what a tenant owes for a period, and the acts that decide about it.
 *
 * An invoice is a function of the ledger up to one event: made again from the same
 * events it is the same, byte for byte. Closing a period writes the invoice's hash and
 * total into the ledger; after that nothing changes it.
 *
 * Loop thread. Those marked (T) want a transaction open. Errors as of store.h and usage.h.
 */
#ifndef SUPERVISOR_BILLING_INVOICE_H
#define SUPERVISOR_BILLING_INVOICE_H

#include <stdint.h>

#include "supervisor/billing/plan.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/truth.h"
#include "vmm/base/error.h"

/* The invoice of a tenant's period by the events up to seq, as canonical JSON, which the
 * caller frees. seq 0: all of them, or, for a closed period, those that it was closed by.
 *
 *   {"tenant", "period", "host", "seq", "currency",
 *    "lines": [{"plan", "version", "meter", "unit", "adjustment", "quantity", "from",
 *               "price_nano", "per", "amount_nano", "remainder"}],
 *    "gaps": [{"instance", "from_wall_ns", "lost_ns"}],
 *    "sum_nano", "credit_nano", "total_nano"}
 *
 * The lines' amounts add up to sum_nano; less the credit that is used they are the total.
 * "remainder" is what rounding left over of a line, in nano-units of money over "per".
 * -ERANGE: more than 2^63 nano-units. */
int invoice_make(struct truth *t, const char *tenant, int period, int64_t seq, char **ret,
		 struct error *err);

/* (T) Closes the period: its invoice is final. -EPERM: it has not ended, or what ran in it is
 * not confirmed yet; -EEXIST: it was closed, or a later one. */
int invoice_close(struct truth *t, const char *tenant, int period, const char *actor,
		  struct error *err);

/* (T) The same for all tenants of which it is open, by one replay; *closed: how many. */
int invoice_close_all(struct truth *t, int period, const char *actor, int64_t *closed,
		      struct error *err);

struct invoice_report {
	int64_t checked; /* closed periods whose invoice came out the same */
	int64_t bad_seq; /* the event of the first that did not; 0: none */
};

/* Makes every closed invoice again. 0 when all could be made, whatever came out. */
int invoice_verify(struct truth *t, struct invoice_report *ret, struct error *err);

/* (T) Makes a plan known. -EEXIST: this version is. */
int invoice_publish_plan(struct truth *t, const struct plan *p, const char *actor,
			 struct error *err);

/* (T) From now on the tenant pays by this plan. -ENOENT: it was not published; -EINVAL: it is
 * in another currency than the tenant's. */
int invoice_assign_plan(struct truth *t, const char *tenant, const char *plan, int64_t version,
			const char *actor, struct error *err);

/* (T) Gives the tenant so much, which its next invoices use up first. */
int invoice_credit(struct truth *t, const char *tenant, int64_t amount_nano, const char *reason,
		   const char *actor, struct error *err);

#endif
