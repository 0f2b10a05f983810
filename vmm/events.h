/* events.h - what happens to a machine, told while it happens.
 *
 *   state        {"state": "Running"}, and with "Ended" the "exit_status"
 *   guest_ended  {"reason": "reset"}: the guest's own doing; the machine may boot again
 *   device       {"device": "drives", "id": "root", "change": "plugged"}, or "unplugged",
 *                or "reconfigured"
 *   device_fault {"device": "drives", "id": "root", "reason": "..."}
 *   balloon      {"target_mib": 64, "actual_mib": 12}
 *   memory       {"requested_size_mib": 512, "plugged_size_mib": 128}
 *
 * Main thread throughout.
 */
#ifndef VMM_EVENTS_H
#define VMM_EVENTS_H

#include <jansson.h>

#include "vmm/vm.h"

/* Takes the event for its client. data is an object that the sink may add to, and that
 * is gone afterwards. Must not call back into the machine. */
struct event_sink {
	void (*tell)(void *ctx, const char *name, json_t *data);
	void *ctx;
};

/* Tells the sink, unless it is NULL, and lets go of data; NULL, for lack of memory: nothing
 * is told. */
void events_tell(const struct event_sink *sink, const char *name, json_t *data);

/* The state as it is called in the API. */
const char *events_state_name(enum vm_state state);

#endif
