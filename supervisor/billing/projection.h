/* projection.h - what a tenant has spent in a period, and will have if things go on.
 *
 * Spent is what the invoice of now comes to, before credits. Projected is that and what all
 * that is open costs for some time more, at the prices that it has reached by then. The
 * arithmetic is the invoice's; what does not fit a number is INT64_MAX.
 *
 * Loop thread. Errors as of usage.h.
 */
#ifndef SUPERVISOR_BILLING_PROJECTION_H
#define SUPERVISOR_BILLING_PROJECTION_H

#include <stdint.h>

#include "supervisor/billing/usage.h"

/* What is open, and for how much longer it is taken to be. */
struct projection_open {
	int64_t starts, vcpus, mem_mib; /* beyond what is reserved */
	int64_t held[METERS_COUNT];	/* of METER_HELD meters */
	int64_t ns;
};

struct projection {
	int64_t spent_nano, projected_nano;
};

int projection_make(struct usage *u, const char *tenant, int period,
		    const struct projection_open *open, struct projection *ret, struct error *err);

#endif
