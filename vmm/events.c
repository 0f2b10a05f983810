/* events.c - what happens to a machine, told while it happens. */
#include "vmm/events.h"

void events_tell(const struct event_sink *sink, const char *name, json_t *data)
{
	if (data && sink)
		sink->tell(sink->ctx, name, data);
	json_decref(data);
}

const char *events_state_name(enum vm_state state)
{
	switch (state) {
	case VM_NOT_STARTED:
		return "Not started";
	case VM_RUNNING:
		return "Running";
	case VM_PAUSED:
		return "Paused";
	}
	return "";
}
