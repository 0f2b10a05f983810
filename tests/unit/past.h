/* past.h - ledgers of chosen times.
 *
 * Events are written into the table as the ledger would have written them then, with the hashes
 * of a true chain. Everything is of the tenant "acme",
 * whose instances have 2 vCPUs and 512 MiB. What fails fails the test.
 */
#ifndef TESTS_UNIT_PAST_H
#define TESTS_UNIT_PAST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/billing/plan.h"
#include "tests/unit/books.h"

#define S    INT64_C(1000000000)
#define HOUR (3600 * S)

struct past {
	struct books books;
	int64_t seq, wall_ns, boot_ns; /* of the next event; it begins in March 2025 */
	unsigned boot;
	int64_t incarnation;
	uint8_t hash[LEDGER_HASH_BYTES]; /* of the last one */
};

/* cmocka's set-up and tear-down; *state is the struct past. */
int past_open(void **state);
int past_close(void **state);

/* In a transaction of its own, unless one is open. */
void past_event(struct past *b, const char *type, const char *tenant, const char *instance,
		const char *body);
void past_pass(struct past *b, int64_t ns);
void past_moves(struct past *b, const char *instance, const char *to);
void past_dies_unseen(struct past *b, const char *instance);
void past_confirmed(struct past *b);
void past_has_plan(struct past *b, const char *json, const char *name);

/* Others have written events: the next follows theirs. */
void past_go_on(struct past *b);

/* Takes what is superseded, and is older, out of the ledger into the folder "archive" beside it;
 * how many events that were. */
int64_t past_roll_up(struct past *b, int64_t before_wall_ns);

/* Of a period ("2025-03"), by all that was written. */
int64_t past_used_as(struct past *b, const char *period, enum meter meter, bool adjustment);
int64_t past_used(struct past *b, const char *period, enum meter meter);
json_t *past_invoice(struct past *b, const char *period);
int64_t past_figure(const json_t *j, const char *name);

#endif
