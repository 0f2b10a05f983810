/* hotplug.h - the registers by which a guest learns that a slot's device came or is
 * to go, and lets go of it: twelve bytes of ports behind the ACPI tables' methods.
 *
 *   offset 0  slots that were filled since this was last read
 *          4  slots whose device was asked back since this was last read
 *          8  write: the slots whose device the guest ejects
 *
 * A bit a slot, in four bytes each; other widths read ones and are lost. The device
 * is off the bus when the write is over. Its owner learns it by an eventfd and frees
 * it in its own time.
 */
#ifndef DEVICES_PCI_HOTPLUG_H
#define DEVICES_PCI_HOTPLUG_H

#include "devices/bus.h"
#include "devices/pci/bus.h"
#include "vmm/snapshot/state.h"

enum {
	PCI_HOTPLUG_LEN = 12,
	PCI_HOTPLUG_FILLED = 0, /* offsets */
	PCI_HOTPLUG_WANTED = 4,
	PCI_HOTPLUG_EJECT = 8,
	PCI_HOTPLUG_REG_LEN = 4,
};

struct pci_hotplug;

/* The device argument on the bus is the struct pci_hotplug. vCPU threads. */
extern const struct bus_ops pci_hotplug_bus_ops;

/* irq_fd: signalled when one of the first two registers has news. bus and irq_fd are
 * not owned and must outlive it. 0 and *ret, or a negative errno. */
int pci_hotplug_create(struct pci_bus *bus, int irq_fd, struct pci_hotplug **ret);
void pci_hotplug_destroy(struct pci_hotplug *h); /* accepts NULL */

/* Tells the guest that the slot was filled; asks it for the slot's device. Main
 * thread. */
void pci_hotplug_announce(struct pci_hotplug *h, unsigned slot);
void pci_hotplug_ask_back(struct pci_hotplug *h, unsigned slot);

/* Signalled when pci_hotplug_take_ejected() has news. Owned by h. */
int pci_hotplug_fd(const struct pci_hotplug *h);

/* The slots that the guest has emptied since the last call, a bit each. Any thread. */
uint32_t pci_hotplug_take_ejected(struct pci_hotplug *h);

/* Saves or loads its section (vmm/snapshot/state.h). The vCPUs must not run; main thread.
 * A state is refused while an ejected device is still to be freed. */
void pci_hotplug_state(struct pci_hotplug *h, struct state *s);

#endif
