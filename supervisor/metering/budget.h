/* budget.h - what a tenant may spend in a month, and what happens before it is too much.
 *
 * A budget acts on what is projected (billing/projection.h): what was spent in this month, and
 * what all that the tenant has open costs for ahead_ms more. Looked at with each heartbeat:
 *
 *   a part of the limit is reached (warn_per_mille)   event budget.warned
 *   the limit is reached                              event budget.exceeded
 *   both are not any more, or a month has begun       event budget.cleared
 *
 * A start is looked at when it is admitted, with what it would cost itself: where the action is
 * "refuse" or "stop" it is refused, or waits as for a quota. "stop" ends what runs, too, as
 * soon as the limit is reached.
 *
 * While there is a budget, wispd keeps a replay of the ledger and goes on with it as events
 * are written. The first time it reads all of it, a few thousand events at each turn of the loop,
 * and until it is through nobody can say what was spent: -EAGAIN, and no instance starts whose
 * budget would refuse it. Loop thread; (T) as in instance.h.
 */
#ifndef SUPERVISOR_BUDGET_H
#define SUPERVISOR_BUDGET_H

#include <jansson.h>
#include <stdint.h>

#include "supervisor/books/instance.h"

struct budgets;
struct wispd;

/* The numbers are in the database: they never change. */
enum budget_action { BUDGET_WARN, BUDGET_REFUSE, BUDGET_STOP };
extern const char *const budget_action_names[]; /* NULL-ended */

struct budget {
	uint64_t limit_nano, warn_per_mille, ahead_ms;
	uint32_t action; /* enum budget_action */
};

int budgets_create(struct wispd *d, struct budgets **ret, struct error *err);
void budgets_destroy(struct budgets *b); /* accepts NULL */

/* (T) Sets it anew: what was told of the one before is told again. */
int budget_set(struct wispd *d, const char *tenant, const struct budget *b, const char *actor,
	       struct error *err);
/* (T) -ENOENT: there is none. */
int budget_remove(struct wispd *d, const char *tenant, const char *actor, struct error *err);

/* (T) May it start, as far as money goes? -EDQUOT; -EAGAIN. Before the transaction writes
 * events. */
int budget_check(struct wispd *d, const struct instance *i, struct error *err);

/* Looks at all of them, in transactions of its own. */
void budgets_look(struct wispd *d);

/* Limit, spent, projected and what has been told; the caller owns it. NULL and *err, which may
 * be -EAGAIN. */
json_t *budget_describe(struct wispd *d, const char *tenant, struct error *err);

#endif
