/* placement.c - where memory beside RAM goes.
 *
 * Each window starts at a multiple of its own length, rounded up to a power of two, and
 * of 2 GiB at most: pages of every size fit, and so do the blocks in which Linux adds
 * memory (128 MiB, and up to 2 GiB in a large machine). RAM's memslots come first, then
 * those of the windows in the same order as their addresses.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/arch/arch.h"
#include "vmm/placement.h"

#define MAX_ALIGN (UINT64_C(1) << 31)

static int set_memslot(void *ctx, const struct memslot *slot)
{
	return kvm_set_memslot(ctx, slot);
}

void placement_init(struct placement *p, const struct kvm *kvm, struct gmem *mem)
{
	*p = (struct placement){
		.kvm = kvm,
		.mem = mem,
		.next_slot = GMEM_MAX_REGIONS,
		.end_slot = kvm_max_memslots(kvm),
	};
	arch_device_memory(mem, &p->next, &p->end);
}

static uint64_t alignment(uint64_t len)
{
	uint64_t align = WINDOW_PAGE_BYTES;

	while (align < len && align < MAX_ALIGN)
		align <<= 1;
	return align;
}

static int place(struct placement *p, struct window *w, struct error *err)
{
	const struct memslot_sink sink = { set_memslot, (void *)p->kvm };
	uint64_t align = alignment(window_len(w));
	uint64_t base = (p->next + align - 1) & ~(align - 1);
	int r;

	if (base > p->end || window_len(w) > p->end - base)
		return error_set(err, -ENOSPC, NULL, "give less memory",
				 "no room for %zu bytes in the guest's address space of %" PRIu64
				 " bytes",
				 window_len(w), p->end);
	if (window_slots(w) > p->end_slot - p->next_slot)
		return error_set(err, -ENOSPC, "slot_size_mib", "give larger slots",
				 "this host's KVM has memory slots for %u more, not for %u",
				 p->end_slot - p->next_slot, window_slots(w));
	r = window_place(w, gpa(base), &sink, p->next_slot);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "KVM refused %zu bytes of device memory: %s",
				 window_len(w), strerror(-r));
	p->next = base + window_len(w);
	p->next_slot += window_slots(w);
	return 0;
}

int placement_add(struct placement *p, struct window *w, struct error *err)
{
	int r = place(p, w, err);

	if (r == 0) {
		r = gmem_attach(p->mem, w);
		if (r < 0)
			error_set(err, r, NULL, "remove a device",
				  "this machine has room for %u devices with memory",
				  GMEM_MAX_WINDOWS);
	}
	if (r < 0)
		window_destroy(w);
	return r;
}
