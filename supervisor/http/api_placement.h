/* api_placement.h - where an instance wants to run, as a request says it: "placement". */
#ifndef SUPERVISOR_API_PLACEMENT_H
#define SUPERVISOR_API_PLACEMENT_H

#include "api/body.h"
#include "supervisor/host/place.h"

struct wispd;

struct placement_body {
	uint64_t node;
	uint32_t profile; /* enum place_profile */
	bool has_node, has_huge_pages, huge_pages;
};

extern const struct body_table placement_table; /* of struct placement_body */

/* runtime: as the request names it, "": not at all. -EINVAL: profile latency, and something is left to a
 * default; -ENOTSUP: nobody can be kept in a place without control groups. Loop thread. */
int placement_read(const struct wispd *d, const struct placement_body *b, const char *runtime,
		   struct place_wish *ret, struct error *err);

#endif
