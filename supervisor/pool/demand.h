/* demand.h - how many blanks a pool should have ready, by how many were asked for.
 *
 * As many as were asked for in the busiest ten seconds of the last keep_s, but no fewer than
 * its least and no more than its most. So a pool grows with the first burst, is ready for the
 * next as large, and forgets it when none came for as long as blanks are to be kept idle.
 *
 * Any thread; times are seconds of a clock that never goes back.
 */
#ifndef SUPERVISOR_DEMAND_H
#define SUPERVISOR_DEMAND_H

#include <stdint.h>

enum { DEMAND_SLOT_S = 10, DEMAND_SLOTS = 361 };

/* Zeroed: nothing was asked for yet. */
struct demand {
	uint32_t asked[DEMAND_SLOTS]; /* in slot n % DEMAND_SLOTS */
	int64_t last;		      /* the latest slot that was written to */
};

void demand_note(struct demand *d, int64_t now_s);

/* keep_s: at most (DEMAND_SLOTS - 1) * DEMAND_SLOT_S counts. */
int64_t demand_target(const struct demand *d, int64_t now_s, int64_t keep_s, int64_t least,
		      int64_t most);

#endif
