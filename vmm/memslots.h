/* memslots.h - RAM's memslots, set while the main thread goes on.
 *
 * Where KVM has shadow page tables it makes a list with 8 bytes for each page of a memslot
 * when that is set: milliseconds for some GiB. Nothing needs a memslot before ioeventfds
 * are bound, so a thread sets those of a large machine, and is gone before any is confined.
 * Main thread.
 */
#ifndef VMM_MEMSLOTS_H
#define VMM_MEMSLOTS_H

#include "vmm/base/error.h"
#include "vmm/kvm.h"
#include "vmm/memory/gmem.h"

struct memslots;

/* Begins to set them; of a small machine, has done so. Both must outlive it. 0 and *ret, or
 * a negative errno and *err. */
int memslots_begin(const struct kvm *kvm, const struct gmem *mem, struct memslots **ret,
		   struct error *err);

/* Waits until they are set. 0, also for the second call; or what went wrong. */
int memslots_await(struct memslots *m, struct error *err);

/* Waits and frees. Accepts NULL. */
void memslots_destroy(struct memslots *m);

#endif
