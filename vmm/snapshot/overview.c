/* overview.c - the section of a state that belongs to the microVM as a whole. */
#include "vmm/snapshot/overview.h"
#include "vmm/snapshot/plugged.h"

#define MAX_RAM_BYTES (UINT64_C(1) << 52) /* of guest addresses that a processor can have */

static void check_ram(const struct overview *o, struct state *s)
{
	if (!state_failed(s) && o->ram_bytes > MAX_RAM_BYTES)
		state_fail(s, "more memory than a machine can have");
}

void overview_state(struct overview *o, struct state *s)
{
	state_begin(s, STATE_MACHINE, 0);
	state_bytes(s, o->id.bytes, sizeof(o->id.bytes));
	state_u64(s, &o->ram_bytes);
	check_ram(o, s);
	state_bool(s, &o->pci);
	state_u32(s, &o->devices);
	if (o->devices > OVERVIEW_MAX_DEVICES) {
		state_fail(s, "more devices than a machine can have");
		o->devices = 0;
	}
	for (uint32_t i = 0; i < o->devices; i++) {
		state_u32(s, &o->device[i].place);
		state_string(s, o->device[i].kind, sizeof(o->device[i].kind));
		state_string(s, o->device[i].id, sizeof(o->device[i].id));
	}
	state_end(s);
	if (state_loading(s))
		o->memory_bytes = o->ram_bytes + plugged_room(s);
}
