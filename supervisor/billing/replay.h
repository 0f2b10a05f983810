/* replay.h - what the two halves of a replay have in common.
 *
 * Private to billing/: usage.c follows the instances' states, usage_meters.c what was
 * counted and what is held. Functions return 0 or a negative errno: -EUCLEAN, the event makes
 * no sense; -ERANGE, a quantity does not fit; -ENOMEM.
 */
#ifndef SUPERVISOR_BILLING_REPLAY_H
#define SUPERVISOR_BILLING_REPLAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/billing/usage_book.h"

struct usage {
	struct book *book;
	enum usage_slice slice;
	int64_t seq;		 /* of the last event that was replayed */
	struct moment confirmed; /* all that should live did then */
};

/* One event, as it was read. */
struct event {
	int64_t seq, incarnation;
	const char *type, *tenant, *instance;
	struct moment at;
	const json_t *body;
};

/* How far is to be counted, and for whom. */
struct boundary {
	struct usage *usage;
	struct account *account;   /* NULL: all */
	const struct event *event; /* count up to it; NULL: up to what is confirmed */
	int64_t end_wall_ns;	   /* but not beyond this */
};

/* Which instance used something, and what it was made of; "": none. */
struct source {
	const char *instance, *shape;
};

/* Adds to a quantity of the account, by its present plan, where the moment lies; a closed
 * period's is an adjustment of the first open one. */
int replay_count(struct usage *u, struct account *a, const struct source *from, int64_t wall_ns,
		 enum meter meter, int64_t amount);

/* How much of a stretch of time that begins at a moment is counted in one. */
int64_t replay_part_ns(const struct usage *u, int64_t wall_ns, int64_t left_ns);

bool replay_same_boot(const struct moment *a, const struct moment *b);
bool replay_number(const struct event *e, const char *name, int64_t *ret);

/* Up to which moment of the boot of since something is known to have lasted. */
int64_t replay_confirmed(const struct usage *u, const struct moment *since);
/* The same within a boundary. */
int64_t replay_until(const struct boundary *b, const struct moment *since);

/* meter.counted, meter.gap, meter.held and host.recovered. */
int replay_counted(struct usage *u, const struct event *e);
int replay_gap(struct usage *u, const struct event *e);
int replay_held(struct usage *u, const struct event *e);
int replay_recovered(struct usage *u, const struct event *e);

/* What the account has reserved of processors (or of memory) has changed by so much: its runs
 * are counted up to the event, and then it is seen anew which of them are covered. */
int replay_reserve(struct usage *u, struct account *a, const struct event *e, enum meter meter,
		   int64_t more);

/* Counts what the boundary's account holds up to it. */
int replay_advance_holdings(const struct boundary *b);

#endif
