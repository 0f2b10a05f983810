/* usage.h - what was used, by whom, when: the ledger, replayed.
 *
 * Usage is never counted on the side. A replay walks the events up to one of them, and
 * keeps for every instance since when it has been in which state; each change closes a
 * stretch of time, which becomes quantities of the tenant's meters in the period that it
 * lies in. The same events give the same quantities, always.
 *
 * - Durations are differences of CLOCK_BOOTTIME within one boot. The wall clock only says
 *   in which period a stretch lies; a stretch over its end is split there.
 * - What nobody saw is not billed: a VMM that was found dead, or that a host's restart took
 *   away, is billed up to the last "meter.confirmed" event, which says that all VMMs that
 *   should live do. The time after that is a gap, and reported as one.
 * - Rounding is by the plan under which the instance was started, once for each start.
 *   Prices are those of the plan at the time.
 * - A period that was closed does not change. What becomes known later about it is an
 *   adjustment in the first open period.
 *
 * - Who has reserved processors and memory (meter.held of the meters reserved_*) pays for that;
 *   an instance that fits into what is left of it when it starts is covered until it ends, and
 *   its time is of the meters *_time_reserved. When the reservation changes it is seen anew
 *   which of those that run are covered, in the order of their ids.
 * - What a VMM's counters say is of the period in which it was read (supervisor/metering/meter.h),
 *   and of the tenant's plan of then. What is held (an address, space on a disk) is counted
 *   like time: while the host is up, as far as it is confirmed.
 *
 * Events that it reads: instance.* that tell a move, meter.confirmed, meter.counted,
 * meter.gap, meter.held, host.recovered, host.suspended {suspended_ns}, plan.published
 * (plan.h), tenant.plan {plan, version}, tenant.credit {amount_nano, reason}, and
 * period.closed {period, credit_nano}.
 *
 * Loop thread. Errors as of store.h, and -EUCLEAN: an event that makes no sense.
 */
#ifndef SUPERVISOR_BILLING_USAGE_H
#define SUPERVISOR_BILLING_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/billing/plan.h"
#include "supervisor/books/store.h"
#include "vmm/base/error.h"

struct usage;

/* What quantities are told apart by, beside plan and meter. The sums are the same. */
enum usage_slice { USAGE_WHOLE, USAGE_BY_DAY, USAGE_BY_SHAPE, USAGE_BY_INSTANCE };

/* Replays the events up to number seq; 0: all. */
int usage_replay(struct store *s, int64_t seq, struct usage **ret, struct error *err);
int usage_replay_sliced(struct store *s, int64_t seq, enum usage_slice slice, struct usage **ret,
			struct error *err);

/* Goes on with the events that follow, up to number seq, 0: all: it is then what a replay of
 * all of them would be. After an error it can only be freed. Not while a transaction is open that has written events. */
int usage_follow(struct usage *u, struct store *s, int64_t seq, struct error *err);

/* The same in parts: at most so many events. 1: there may be more. */
int usage_follow_some(struct usage *u, struct store *s, int64_t most, struct error *err);
/* The last event that was replayed; 0: none. */
int64_t usage_seq(const struct usage *u);

/* One that has replayed nothing yet. */
int usage_begin(struct usage **ret, struct error *err);

/* Accepts NULL. */
void usage_free(struct usage *u);

/* Counts what still runs as far as it is confirmed, but not beyond the end of the period. What
 * comes later of the same replay is not changed by it, unless it is told apart. */
int usage_settle(struct usage *u, const char *tenant, int period, struct error *err);

struct usage_row {
	const struct plan *plan; /* NULL: the tenant had none */
	enum meter meter;
	bool adjustment; /* of a period before, which was closed */
	int64_t quantity;
	const char *slice; /* "2026-11-22", UTC, the shape's name, or the instance's id; "": none */
};

/* Calls fn for each quantity of the tenant in the period, ordered by plan, version, meter, slice,
 * and adjustments last; until it returns a negative number, which is returned. */
typedef int (*usage_fn)(void *ctx, const struct usage_row *row);
int usage_each(const struct usage *u, const char *tenant, int period, usage_fn fn, void *ctx);

struct usage_gap {
	char instance[24];
	char meter[24];	      /* of which it is not known; "": of the time */
	char reason[24];      /* "" where meter is */
	int64_t from_wall_ns; /* the last moment that is known */
	int64_t lost_ns;      /* up to when it was found; -1: nobody can tell */
};

/* The gaps of a tenant that begin in the period. */
typedef int (*usage_gap_fn)(void *ctx, const struct usage_gap *gap);
int usage_gaps(const struct usage *u, const char *tenant, int period, usage_gap_fn fn, void *ctx);

/* {"instance", "from_wall_ns", "lost_ns"}, and "meter" and "reason" where there is one. The
 * caller owns the reference; NULL when memory is short. */
json_t *usage_describe_gap(const struct usage_gap *gap);

/* What a tenant has left of its credits. */
int64_t usage_credit_nano(const struct usage *u, const char *tenant);

/* By which the tenant pays now; NULL: none. */
const struct plan *usage_plan(const struct usage *u, const char *tenant);

/* How long ago it was, at a moment of a boot, that what runs was confirmed; 0: not in this boot. */
int64_t usage_unconfirmed_ns(const struct usage *u, const char *boot_id, int64_t boot_ns);

/* The last period of the tenant that was closed, or PERIOD_NONE. */
int usage_closed(const struct usage *u, const char *tenant);

#endif
