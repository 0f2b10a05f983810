/* demand.c - a ring of counts, one for each ten seconds of the last hour. */
#include "supervisor/pool/demand.h"

void demand_note(struct demand *d, int64_t now_s)
{
	int64_t slot = now_s / DEMAND_SLOT_S;
	int64_t old = slot - d->last > DEMAND_SLOTS ? slot - DEMAND_SLOTS : d->last;

	while (old < slot)
		d->asked[++old % DEMAND_SLOTS] = 0;
	if (d->last < slot)
		d->last = slot;
	d->asked[d->last % DEMAND_SLOTS]++;
}

int64_t demand_target(const struct demand *d, int64_t now_s, int64_t keep_s, int64_t least,
		      int64_t most)
{
	int64_t first = (now_s - keep_s) / DEMAND_SLOT_S, target = least;

	if (first <= d->last - DEMAND_SLOTS)
		first = d->last - DEMAND_SLOTS + 1;
	for (int64_t slot = first < 0 ? 0 : first; slot <= d->last; slot++)
		if (d->asked[slot % DEMAND_SLOTS] > target)
			target = d->asked[slot % DEMAND_SLOTS];
	return target < most ? target : most;
}
