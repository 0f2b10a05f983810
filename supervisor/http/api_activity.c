/* api_activity.c - the route of what runs, and how busy it is. */
#include "supervisor/http/api.h"
#include "supervisor/http/api_areas.h"
#include "supervisor/metering/activity.h"
#include "supervisor/wispd.h"

static int get(struct api_call *call)
{
	json_t *all = activity_describe(&call->d->truth, call->tenant, &call->err);

	return all ? api_reply(call, json_pack("{s:o}", "activity", all)) : call->err.code;
}

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET", "/activity", ROLE_VIEWER, false, 200, NULL, get,
	  .what = "Each VMM that lives, with what its last sample said: sums since it began, `sampled_wall_ns` to make rates of." },
};
/* clang-format on */

const struct api_area api_activity = { "Activity", routes, sizeof(routes) / sizeof(routes[0]) };
