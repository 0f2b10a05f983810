/* placement.h - where memory beside RAM goes: its guest addresses and its memslots.
 *
 * Windows (window.h) are put one behind the other, above RAM, and never moved. Main
 * thread; before the machine runs, or while it does (a memslot then costs the guest 7 to
 * 20 ms, see machine.c).
 */
#ifndef VMM_PLACEMENT_H
#define VMM_PLACEMENT_H

#include "vmm/base/error.h"
#include "vmm/kvm.h"
#include "vmm/memory/gmem.h"

struct placement {
	const struct kvm *kvm;
	struct gmem *mem;
	uint64_t next, end; /* guest addresses that are free */
	unsigned next_slot, end_slot;
};

/* For a machine whose RAM is in place. kvm and mem must outlive every window. */
void placement_init(struct placement *p, const struct kvm *kvm, struct gmem *mem);

/* Puts a window into the machine, which owns it from the call on, also when it fails:
 * -ENOSPC without room for it, or what KVM said. */
int placement_add(struct placement *p, struct window *w, struct error *err);

#endif
