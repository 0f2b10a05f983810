/* devices.h - a machine's virtio devices: behind their transports, bound to KVM.
 *
 * All of a machine's devices have the same transport. With MMIO, device n has the
 * n-th window and interrupt line of the board. With PCI, it has slot n + 1 of the
 * bus, and devices may come and go while the guest runs. Main thread.
 */
#ifndef VMM_DEVICES_H
#define VMM_DEVICES_H

#include "devices/bus.h"
#include "devices/pci/hotplug.h"
#include "devices/virtio/device.h"
#include "vmm/base/error.h"
#include "vmm/base/loop.h"
#include "vmm/gsi.h"
#include "vmm/snapshot/state.h"

struct devices;

/* The guest has let go of a device, which is destroyed after this. */
struct gone_sink {
	void (*fn)(void *ctx, const struct virtio_dev *dev);
	void *ctx;
};

struct devices_config {
	const struct kvm *kvm;
	const struct gmem *mem;
	struct bus *mmio;
	struct loop *loop;
	struct lanes *lanes; /* for devices that can use them */
	struct gsi_table *gsi;

	/* NULL: MMIO. */
	struct pci_bus *pci;
	struct pci_hotplug *hotplug;
	struct gone_sink gone;
};

/* What config names must outlive it. 0 and *ret, or a negative errno. */
int devices_create(const struct devices_config *config, struct devices **ret);

/* Detaches and frees all devices; no vCPU may run any more. Accepts NULL. */
void devices_destroy(struct devices *d);

/* Before the start: takes a device, the next in the guest's order. It is the machine's
 * from the call on, also when that fails. */
int devices_add(struct devices *d, struct virtio_dev *dev, struct error *err);

/* Binds what was added to KVM and the loop: after the vCPUs were made. */
int devices_connect(struct devices *d, struct error *err);

void devices_pause(struct devices *d);
void devices_resume(struct devices *d);

/* With PCI, after the start: the same, connects it and tells the guest. */
int devices_plug(struct devices *d, struct virtio_dev *dev, struct error *err);

/* Asks the guest to let go of a device; the sink hears when it has. -ENODEV without
 * PCI, or for a device that is not here. */
int devices_ask_back(struct devices *d, const struct virtio_dev *dev);

/* With PCI, for a machine that is loaded: as devices_add(), into this place. */
int devices_add_at(struct devices *d, struct virtio_dev *dev, unsigned place, struct error *err);

/* Where a device is: its window's or slot's number; -ENODEV: not here. */
int devices_place(const struct devices *d, const struct virtio_dev *dev);

/* Saves which blocks of memory are plugged (vmm/snapshot/plugged.h): before the sections of
 * anything that may lie in them. */
void devices_save_blocks(const struct devices *d, struct state *s);

/* Saves or loads the sections of all devices. Paused, or before the guest runs, then
 * after devices_connect(). 0; or a negative errno and *err, which names a device that
 * cannot be saved. */
int devices_state(struct devices *d, struct state *s, struct error *err);

/* After a load, with all interrupts in place. */
void devices_wake(struct devices *d);

#endif
