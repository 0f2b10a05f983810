/* placement.h - where memory beside RAM goes: its guest addresses and its memslots.
 *
 * Windows (window.h) are put one behind the other, above RAM, and never moved; those of a
 * machine that is loaded come where the guest knows them. Main thread; before the machine
 * runs, or while it does (a memslot then costs the guest 7 to 20 ms, see machine.c).
 */
#ifndef VMM_PLACEMENT_H
#define VMM_PLACEMENT_H

#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"

struct placement {
	struct memslot_sink sink;
	struct gmem *mem;
	uint64_t start, end; /* guest addresses that memory beside RAM may have */
	uint64_t next;	     /* behind all windows */
	unsigned next_slot, end_slot;
};

/* For a machine whose RAM is in place. What sink and mem lead to must outlive every window;
 * slots: how many KVM has, RAM's included. */
void placement_init(struct placement *p, const struct memslot_sink *sink, unsigned slots,
		    struct gmem *mem);

/* Puts a window into the machine, which owns it from the call on, also when it fails:
 * -ENOSPC without room for it, or what KVM said. */
int placement_add(struct placement *p, struct window *w, struct error *err);

/* What a state says of a window, which need not be true. */
struct placement_saved {
	const char *device; /* its section, for messages */
	unsigned place;
	gpa_t base;
};

/* The same at the address that it had: -EBADMSG where none of its kind can be, or other
 * memory is. */
int placement_restore(struct placement *p, struct window *w, const struct placement_saved *saved,
		      struct error *err);

#endif
