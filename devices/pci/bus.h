/* bus.h - a PCI host bridge with one bus: 32 slots, ECAM, one memory window.
 *
 * Slot 0 is the bridge itself. Configuration space is reached through ECAM (PCI
 * Express 6.0, 7.2.2) and nowhere else; each function has one BAR, which wisp puts
 * into the window and the guest may move. Interrupts are not the bus's business:
 * they are messages (msix.h).
 *
 * Slots are filled on the main thread, also while the guest runs; the bus operations
 * are for vCPU threads.
 */
#ifndef DEVICES_PCI_BUS_H
#define DEVICES_PCI_BUS_H

#include "devices/bus.h"
#include "devices/pci/config.h"
#include "vmm/snapshot/state.h"

enum {
	PCI_SLOTS = 32,		/* slot 0 has the bridge */
	PCI_ECAM_LEN = 1 << 20, /* bytes for one bus */
	PCI_BAR_MAX = 1 << 19,	/* a function's BAR; what the window has for each slot */
	PCI_WINDOW_LEN = PCI_SLOTS * PCI_BAR_MAX,
};

struct pci_function;

/* All on vCPU threads; the first three one at a time for the whole bus. */
struct pci_function_ops {
	/* The guest is about to read these bytes of f->config, has written these. NULL:
	 * nothing depends on it. */
	void (*config_reading)(struct pci_function *f, uint64_t off, size_t len);
	void (*config_written)(struct pci_function *f, uint64_t off, size_t len);

	/* The BAR answers at base now, and not at pci_bus_bar() or where it did the last
	 * time. NULL: no matter. */
	void (*bar_moved)(struct pci_function *f, uint64_t base);

	/* Inside the BAR always. */
	void (*bar_read)(struct pci_function *f, uint64_t off, void *data, size_t len);
	void (*bar_write)(struct pci_function *f, uint64_t off, const void *data, size_t len);
};

/* Embedded by a device, which fills in ops and config. */
struct pci_function {
	const struct pci_function_ops *ops;
	struct pci_config config;

	/* The bus's own. */
	bool decodes;
	uint64_t base; /* where the BAR answers, or did the last time */
};

struct pci_bus;

/* For the machine's MMIO bus. The device argument is the struct pci_bus. */
extern const struct bus_ops pci_ecam_bus_ops, pci_window_bus_ops;

/* window: its guest address, a multiple of PCI_BAR_MAX. 0 and *ret, or -ENOMEM. */
int pci_bus_create(uint64_t window, struct pci_bus **ret);

/* Accepts NULL. Functions still plugged are their owners' to free. */
void pci_bus_destroy(struct pci_bus *b);

/* The place in the window that belongs to a slot. */
uint64_t pci_bus_bar(const struct pci_bus *b, unsigned slot);

/* Fills a slot from 1 on: f->config is complete but for the BAR's address. f is not
 * owned. 0, -EINVAL for a slot that does not exist, -EBUSY for one that is taken. */
int pci_bus_plug(struct pci_bus *b, unsigned slot, struct pci_function *f);

/* Empties it: afterwards no vCPU is inside of the function. False for a slot with
 * nothing in it. Any thread that is not inside of a function. */
bool pci_bus_unplug(struct pci_bus *b, unsigned slot);

/* Saves or loads the configuration space of the function in a slot, the bridge's in slot
 * 0: what its guest has written there, and where its BAR answers. The vCPUs must not run;
 * main thread. */
void pci_bus_state(struct pci_bus *b, unsigned slot, struct state *s);

#endif
