/* root.h - the one device that the guest's root file system is on.
 *
 * Main thread.
 */
#ifndef VMM_ROOT_H
#define VMM_ROOT_H

#include "vmm/base/error.h"
#include "vmm/loader/cmdline.h"
#include "vmm/slots.h"

/* Whether the device of this kind (SLOT_DRIVE, SLOT_PMEM) and id may become the root:
 * nobody else is, though it itself may be already. 0, or -EINVAL and *err. */
int root_check(const struct slots *s, enum slot_kind kind, const char *id, struct error *err);

/* Tells the kernel of its root: "root=" and "ro" or "rw"; nothing without a root. 0, or
 * a negative errno and *err. */
int root_add_words(struct slots *s, struct cmdline *line, struct error *err);

#endif
