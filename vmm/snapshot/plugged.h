/* plugged.h - the section of a state that says which blocks of memory were plugged.
 *
 * It comes before all devices: where they are loaded, their queues may lie in such a block.
 * The memory file has room for a window's blocks behind RAM, a hole for each that is not
 * plugged. Main thread.
 */
#ifndef VMM_SNAPSHOT_PLUGGED_H
#define VMM_SNAPSHOT_PLUGGED_H

#include "vmm/base/error.h"
#include "vmm/memory/window.h"
#include "vmm/snapshot/state.h"

/* Saves the blocks of a window that was placed; does nothing for a file's. place: of its
 * device. */
void plugged_save(const struct window *w, struct state *s, unsigned place);

/* Where the window of a device was. That it can be there is still to be checked. 0 or a
 * negative errno and *err. */
int plugged_base(struct state *s, unsigned place, gpa_t *ret, struct error *err);

/* Plugs those that were, as zeros, in a window of which no block is plugged, placed there.
 * 0 or a negative errno and *err. */
int plugged_load(struct window *w, struct state *s, unsigned place, struct error *err);

/* What a memory file has room for behind RAM, by the state that is loaded: bytes. A state that
 * does not hold up fails, with 0. */
uint64_t plugged_room(struct state *s);

#endif
