/* state_sections.c - the table of sections, in the order of a file. */
#include "vmm/snapshot/state_sections.h"

#define KIB ((size_t)1024)

enum {
	VCPUS = 32, /* VM_MAX_VCPUS */
	PLACES = 32 /* PCI_SLOTS: no machine has more virtio devices */
};

const struct state_kind state_kinds[] = {
	{ STATE_MANIFEST, 1, 1, 512 * KIB, "manifest" },
	{ STATE_MACHINE, 1, 1, 16 * KIB, "machine" },
	{ STATE_PLUGGED, 1, PLACES, 1024 * KIB, "plugged" },
	{ STATE_CPU, 1, 1, KIB, "cpu" },
	{ STATE_VCPU, 1, VCPUS, 64 * KIB, "vcpu" },
	{ STATE_CLOCK, 1, 1, KIB, "clock" },
	{ STATE_IOAPIC, 1, 1, KIB, "ioapic" },
	{ STATE_SERIAL, 1, 1, KIB, "serial" },
	{ STATE_I8042, 1, 1, KIB, "i8042" },
	{ STATE_ACPI_PM, 1, 1, KIB, "acpi-pm" },
	{ STATE_GENERATION, 1, 1, KIB, "generation" },
	{ STATE_PCI_HOTPLUG, 1, 1, KIB, "pci-hotplug" },
	{ STATE_TRANSPORT, 1, PLACES, 8 * KIB, "transport" },
	{ STATE_BALLOON, 1, PLACES, KIB, "balloon" },
	{ STATE_BLK, 1, PLACES, KIB, "blk" },
	{ STATE_CONSOLE, 1, PLACES, KIB, "console" },
	{ STATE_NET, 1, PLACES, KIB, "net" },
	{ STATE_PMEM, 1, PLACES, KIB, "pmem" },
	{ STATE_RNG, 1, PLACES, KIB, "rng" },
	{ STATE_VSOCK, 1, PLACES, KIB, "vsock" },
	{ STATE_VHOST_BLK, 1, PLACES, KIB, "vhost-blk" },
	{ STATE_MEM, 1, PLACES, KIB, "mem" },
	{ STATE_FIELDS, 1, 1, 512 * KIB, "fields" },
};
const size_t state_kinds_count = sizeof(state_kinds) / sizeof(state_kinds[0]);

const struct state_kind *state_kind(unsigned type)
{
	for (size_t i = 0; i < state_kinds_count; i++) {
		if (state_kinds[i].type == type)
			return &state_kinds[i];
	}
	return NULL;
}
