/* ioapic.h - the I/O APIC of a machine whose local APICs are in KVM.
 *
 * With KVM's split irqchip, KVM delivers the interrupts and this is only their
 * programming: the guest writes redirection entries here, and each entry becomes
 * the message (MSI) that KVM sends when the pin's irqfd is signalled.
 * Registers follow Intel's 82093AA data sheet; the version is that of its
 * successors in the ICH.
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "devices/bus.h"
#include "vmm/snapshot/state.h"

enum {
	IOAPIC_LEN = 0x100, /* bytes of MMIO */
	IOAPIC_MAX_PINS = 24,
};

/* What a pin sends; address and data are 0 when it is masked and sends nothing. */
struct ioapic_route {
	unsigned pin;
	uint64_t msi_address;
	uint32_t msi_data;
	bool masked;
};

/* Told of every change that matters to delivery, and of nothing else: routes are
 * all n pins of the I/O APIC in order, so that one KVM_SET_GSI_ROUTING serves it.
 * Called on a vCPU's thread under the I/O APIC's lock, which it must not take
 * again. 0, or a negative errno, after which the whole table is offered again at
 * the guest's next write. */
struct ioapic_ops {
	int (*set_routes)(void *ctx, const struct ioapic_route *routes, unsigned n);
};

struct ioapic;

/* The device argument on the bus is the struct ioapic. vCPU threads. */
extern const struct bus_ops ioapic_bus_ops;

/* With 1 to IOAPIC_MAX_PINS pins: a guest visits each of them several times while it
 * boots, so a machine has no more than it uses. All start masked; set_routes is not
 * called for that. ops must outlive the I/O APIC. 0 and *ret, -EINVAL or -ENOMEM. */
int ioapic_create(const struct ioapic_ops *ops, void *ctx, unsigned pins, struct ioapic **ret);

/* Accepts NULL. The bus must have let go. */
void ioapic_destroy(struct ioapic *a);

/* Saves or loads its section (vmm/snapshot/state.h). Loading: the routes of all pins are
 * told, as after a write. The vCPUs must not run; main thread. */
void ioapic_exchange(struct ioapic *a, struct state *s);

#endif
