/* meter.h - counters and holdings become events: what billing/usage.h replays.
 *
 * The heartbeat samples every VMM (sample.h) and keeps what came of it in a row, and from
 * time to time, and always at a VMM's end, a meter.counted event tells how far its counters
 * have come since its beginning. So a crash costs no more than the time since the last
 * sample, and the ledger grows by what happens, not by how often one looks.
 *
 * A counter that began anew goes on from where it was, one that cannot be read stays as it
 * was, and both are told by a meter.gap event {meter, reason, from_wall_ns}: what is not
 * known is not zero.
 *
 * Loop thread; those marked (T) want a transaction open. Errors as of store.h.
 */
#ifndef SUPERVISOR_METER_H
#define SUPERVISOR_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/billing/plan.h"
#include "supervisor/books/instance.h"
#include "supervisor/books/truth.h"
#include "supervisor/metering/sample.h"

/* Up to where the lines of the instance's present incarnation are in the books. */
int meter_lines(struct truth *t, const struct instance *i, int64_t *ret, struct error *err);

/* (T) Keeps a sample of an incarnation that lives. tell: now an event says how far it is. */
int meter_note(struct truth *t, const struct instance *i, const struct sample *s, bool tell,
	       struct error *err);

/* (T) The same for the last sample of an incarnation, unless it has ended before. whole: its
 * VMM could write its last line. */
int meter_finish(struct truth *t, const struct instance *i, const struct sample *s, bool whole,
		 struct error *err);

/* (T) From now on the tenant has so much of a METER_HELD meter for a thing ("192.0.2.7"), up
 * to 127 bytes long; 0: no more. Amounts are those of the meter's unit without the time:
 * MiB, addresses, devices. instance: the thing goes with it; NULL: it does not. No event when
 * nothing changes. -EINVAL: no such meter, amount or thing. */
int meter_hold(struct truth *t, enum meter meter, const char *tenant, const char *thing,
	       const char *instance, int64_t amount, const char *actor, struct error *err);

/* (T) Whoever has the thing, by that meter, has it no more: for what has one owner, whom its
 * own rows do not name. */
int meter_let_go(struct truth *t, enum meter meter, const char *thing, const char *actor,
		 struct error *err);

/* (T) What the instance has by the rows of others and has a meter: addresses that are held of
 * the tenant's quota (quota.h), ports of the host that are published. */
int meter_follow(struct truth *t, const struct instance *i, struct error *err);

/* (T) The instance is gone, and what goes with it. */
int meter_release(struct truth *t, const struct instance *i, struct error *err);

#endif
