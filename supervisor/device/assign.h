/* assign.h - taking a function from its driver, proving it clean, and giving it back.
 *
 * root: "/", or a tree that a test made, where there is no VFIO. All bear to be repeated, and
 * to be cut off at any point. Any thread, one at a time for a function. 0 or a negative errno
 * and *err.
 */
#ifndef SUPERVISOR_DEVICE_ASSIGN_H
#define SUPERVISOR_DEVICE_ASSIGN_H

#include "supervisor/device/inventory.h"

/* To vfio-pci, by driver_override. -ENXIO: another driver took it; -EBUSY: the host uses it;
 * -ENODEV: it is gone. */
int assign_bind(const char *root, const char *address, struct error *err);

/* To the driver and the override that it had before; "": none. A driver that is gone or
 * does not want it any more leaves it without one: *now says what it has. */
int assign_give_back(const char *root, const char *address, const char *driver,
		     const char *override, char now[PCI_NAME_BYTES], struct error *err);

/* Its IOMMU group, which another boot or another slot may have numbered anew: unchanged if it
 * has none; and the number of the memory node that it is at, -1: unknown. */
void assign_locate(const char *root, const char *address, int *group, int *node);

/* Its configuration space answers, a reset works, and it answers again. how: by what it was
 * reset, also when that failed. -EIO: it is not fit to be anybody's. */
int assign_prove(const char *root, const char *address, int group, char how[PCI_NAME_BYTES],
		 struct error *err);

#endif
