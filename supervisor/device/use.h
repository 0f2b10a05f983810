/* use.h - what the host itself uses a PCI function for: disks, networks, keyboards, a screen. */
#ifndef SUPERVISOR_DEVICE_USE_H
#define SUPERVISOR_DEVICE_USE_H

#include "supervisor/device/inventory.h"

/* Fills `use` of each function of *v; root: a descriptor. Any thread. */
void use_find(int root, struct inventory *v);

#endif
