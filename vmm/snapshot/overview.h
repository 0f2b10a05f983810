/* overview.h - the section of a state that belongs to the microVM as a whole. */
#ifndef VMM_SNAPSHOT_OVERVIEW_H
#define VMM_SNAPSHOT_OVERVIEW_H

#include "vmm/snapshot/memory_file.h"
#include "vmm/snapshot/state.h"

enum { OVERVIEW_KIND_LEN = 31, OVERVIEW_ID_LEN = 64, OVERVIEW_MAX_DEVICES = 32 };

struct overview {
	struct snapshot_id id; /* the memory file's label has it, too */
	uint64_t ram_bytes;
	uint64_t memory_bytes; /* what the memory file has room for; loading: not a field */
	bool pci;
	uint32_t devices;
	struct {
		uint32_t place; /* the number of its window, or slot */
		char kind[OVERVIEW_KIND_LEN + 1], id[OVERVIEW_ID_LEN + 1];
	} device[OVERVIEW_MAX_DEVICES];
};

/* Saves or loads it. Loading: what memory_bytes adds to RAM is another section's. */
void overview_state(struct overview *o, struct state *s);

#endif
