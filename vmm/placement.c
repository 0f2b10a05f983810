/* placement.c - where memory beside RAM goes.
 *
 * Each window starts at a multiple of its own length, rounded up to a power of two, and
 * of 2 GiB at most: pages of every size fit, and so do the blocks in which Linux adds
 * memory (128 MiB, and up to 2 GiB in a large machine). RAM's memslots come first, then
 * those of the windows, in the order in which they were added.
 *
 * A guest has noted the addresses of its windows, and gaps are left where some were
 * unplugged: only the state can tell where a loaded machine's are. It is held to the rules
 * above, and to room that nothing else has.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vmm/arch/arch.h"
#include "vmm/placement.h"

#define MAX_ALIGN (UINT64_C(1) << 31)

void placement_init(struct placement *p, const struct memslot_sink *sink, unsigned slots,
		    struct gmem *mem)
{
	*p = (struct placement){
		.sink = *sink,
		.mem = mem,
		.next_slot = GMEM_MAX_REGIONS,
		.end_slot = slots,
	};
	arch_device_memory(mem, &p->start, &p->end);
	p->next = p->start;
}

static uint64_t alignment(const struct window *w)
{
	uint64_t align = WINDOW_PAGE_BYTES;

	while (align < window_len(w) && align < MAX_ALIGN)
		align <<= 1;
	return align;
}

static bool fits(const struct placement *p, uint64_t base, size_t len)
{
	return base >= p->start && base <= p->end && len <= p->end - base;
}

/* At a base where it fits. */
static int place(struct placement *p, struct window *w, uint64_t base, struct error *err)
{
	int r;

	if (window_slots(w) > p->end_slot - p->next_slot)
		return error_set(err, -ENOSPC, "slot_size_mib", "give larger slots",
				 "this host's KVM has memory slots for %u more, not for %u",
				 p->end_slot - p->next_slot, window_slots(w));
	r = window_place(w, gpa(base), &p->sink, p->next_slot);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "KVM refused %zu bytes of device memory: %s",
				 window_len(w), strerror(-r));
	if (p->next < base + window_len(w))
		p->next = base + window_len(w);
	p->next_slot += window_slots(w);
	return 0;
}

static int place_next(struct placement *p, struct window *w, struct error *err)
{
	uint64_t align = alignment(w);
	uint64_t base = (p->next + align - 1) & ~(align - 1);

	if (fits(p, base, window_len(w)))
		return place(p, w, base, err);
	return error_set(err, -ENOSPC, NULL, "give less memory",
			 "no room for %zu bytes in the guest's address space of %" PRIu64 " bytes",
			 window_len(w), p->end);
}

static const char *find_fault(const struct placement *p, const struct window *w, uint64_t base)
{
	if (base % alignment(w) != 0)
		return "is not aligned";
	if (!fits(p, base, window_len(w)))
		return "is not among the addresses for it";
	if (!gmem_is_free(p->mem, gpa(base), window_len(w)))
		return "is where other memory is";
	return NULL;
}

static int place_saved(struct placement *p, struct window *w, const struct placement_saved *saved,
		       struct error *err)
{
	const char *why = find_fault(p, w, saved->base.v);
	char hint[160];

	if (!why)
		return place(p, w, saved->base.v, err);
	snprintf(hint, sizeof(hint),
		 "it must be a multiple of 0x%" PRIx64 " between 0x%" PRIx64 " and 0x%" PRIx64
		 ", with %zu free bytes behind it",
		 alignment(w), p->start, p->end, window_len(w));
	return error_set(err, -EBADMSG, NULL, hint,
			 "The state's section %s %u: base 0x%" PRIx64 " %s", saved->device,
			 saved->place, saved->base.v, why);
}

/* r: of its placing. */
static int attach(struct placement *p, struct window *w, int r, struct error *err)
{
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

int placement_add(struct placement *p, struct window *w, struct error *err)
{
	return attach(p, w, place_next(p, w, err), err);
}

int placement_restore(struct placement *p, struct window *w, const struct placement_saved *saved,
		      struct error *err)
{
	return attach(p, w, place_saved(p, w, saved, err), err);
}
