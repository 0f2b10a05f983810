/* vfio.h - a group of VFIO's, opened for a moment to look at it and to reset what is in it. */
#ifndef SUPERVISOR_DEVICE_VFIO_H
#define SUPERVISOR_DEVICE_VFIO_H

#include "vmm/base/error.h"

enum vfio_reset { VFIO_RESET_NONE, VFIO_RESET_FUNCTION, VFIO_RESET_BUS };

/* Resets a function that vfio-pci has, through /dev/vfio/GROUP, or if it cannot by itself, the
 * bus that its group has for itself. What was done, of enum vfio_reset; or -EPERM: the group is
 * not viable, a driver of the host has part of it; -EBUSY: somebody has it, and still had after
 * some seconds. Any thread. */
int vfio_reset(int group, const char *address, struct error *err);

#endif
