/* reconcile.h - what the books say, held against what the kernel says.
 *
 * Once a minute, and when a period is closed:
 *
 *   unbilled_vm   a process lives in the jail of an instance that the books have as ended
 *   ghost         the books bill an instance in whose jail no process lives
 *   overrun       a VMM used more processor time than its vCPUs and threads can have
 *   memory        a VMM used more memory than its limit
 *   not_sampled   nothing was heard of a VMM's counters for several heartbeats
 *   no_netns      the network namespace that was given is gone, or its tap there
 *   no_link       somebody has removed the tap of an interface whose guest runs
 *   net_said      a VMM says that it carried more than passed by its taps
 *   net_classes   what passed by its taps, and the sum of its classes, differ by more than
 *                 1 MiB and a thousandth (to the guest: and a tenth, since a large packet may be
 *                 cut up behind the counters, and what found no room)
 *
 * A finding is a row and an event (finding.opened, finding.cleared), an alarm of the doctor
 * and a number in the metrics. Nothing is repaired: what is billed follows from the ledger
 * alone. What may be a matter of the moment has to be seen in two rounds.
 *
 * Loop thread. Errors as of store.h.
 */
#ifndef SUPERVISOR_RECONCILE_H
#define SUPERVISOR_RECONCILE_H

#include <jansson.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct reconcile;
struct wispd;

/* Begins, once recovery has looked at every VMM. */
int reconcile_create(struct wispd *d, struct reconcile **ret, struct error *err);
void reconcile_destroy(struct reconcile *r); /* accepts NULL */

/* A round now, in the caller's transaction. */
int reconcile_now(struct reconcile *r, struct error *err);

/* How many findings are open. */
int reconcile_open(struct wispd *d, int64_t *ret, struct error *err);

/* [{"kind", "subject", "detail", "opened_seq", "cleared_seq"}], the open ones first, then the
 * last that were cleared; subject: only what is open about this instance, NULL: all. The
 * caller owns the reference; NULL with *err. */
json_t *reconcile_list(struct wispd *d, const char *subject, struct error *err);

#endif
