/* ledger.h - what happened, in order, for good: events chained by their hashes.
 *
 * Each event holds SHA-256 over the hash before it and its own content, so that a changed
 * or removed event shows, and the number and hash of the last one are kept apart
 * (meta.ledger_head), so that a missing end shows. Whoever wrote down a head at some time
 * can later ask whether it is still part of the chain (proof.h).
 *
 * An event says when by two clocks: boot_ns (CLOCK_BOOTTIME) together with boot_id is for
 * durations; wall_ns only places it in time. All numbers are integers.
 *
 * Loop thread. Errors as of store.h.
 */
#ifndef SUPERVISOR_LEDGER_H
#define SUPERVISOR_LEDGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/books/store.h"
#include "vmm/base/error.h"

enum { LEDGER_HASH_BYTES = 32, LEDGER_HEX_BYTES = 65, LEDGER_ID_BYTES = 40 };

/* Rare events that a tenant's bills depend on. A query that says this beside the type that it
 * wants is answered by an index of their own (store_schema.c), not by a walk over all. */
#define LEDGER_LANDMARKS \
	"(type = 'period.closed' OR type = 'plan.published' OR type = 'tenant.plan')"

/* The index of instances' events has parts of 8192 events each (store_schema.c). Of one instance
 * after an event (both texts of SQL):
 * LEDGER_PARTS(id, after) "SELECT ... FROM " LEDGER_EVENTS_OF(id). They may come in any order. */
#define LEDGER_PARTS(id, after)                                                     \
	"WITH RECURSIVE part (n, last) AS (SELECT max(first_seq, " after ") >> 13," \
	" last_seq >> 13 FROM subject WHERE instance = " id                         \
	" UNION ALL SELECT n + 1, last FROM part WHERE n < last) "
#define LEDGER_EVENTS_OF(id) \
	"part CROSS JOIN event ON event.seq >> 13 = part.n AND event.instance = " id

struct ledger;

/* The ledger in a database; notes this boot of the host if it is new. -EUCLEAN: its last
 * event is not the one that was written last. The store must outlive it. */
int ledger_open(struct store *s, struct ledger **ret, struct error *err);
/* The ledger of a copy (store_open_copy()), to be verified. */
int ledger_open_copy(struct store *s, struct ledger **ret, struct error *err);
void ledger_close(struct ledger *l);

const char *ledger_host_id(const struct ledger *l);
const char *ledger_boot_id(const struct ledger *l);
struct store *ledger_store(const struct ledger *l);

struct ledger_event {
	const char *type;     /* "instance.running" */
	const char *tenant;   /* NULL or "": the host's own */
	const char *instance; /* or "" */
	int64_t incarnation;
	const char *actor;  /* who wanted it: "uid:0", "wispd" */
	const json_t *body; /* of integers, texts and objects; NULL: nothing more to say */
};

/* Inside a transaction. *seq, the event's number, may be NULL. -EINVAL: the body has a
 * number that is no integer. */
int ledger_append(struct ledger *l, const struct ledger_event *e, int64_t *seq, struct error *err);

/* Whether the transaction that is open has written events. */
bool ledger_has_written(const struct ledger *l);

/* The number of the last event (0: none), and its hash in hexadecimal. */
int ledger_head(struct ledger *l, int64_t *seq, char hex[LEDGER_HEX_BYTES], struct error *err);

/* Now, by the two clocks. Any thread. */
int64_t ledger_boot_ns(void);
int64_t ledger_wall_ns(void);

#endif
