/* state_sections.h - what a saved state consists of.
 *
 * One table: writer, reader, inspector and the documents go by it. A number is never
 * given twice, and a version goes up when what a section holds changes.
 */
#ifndef VMM_SNAPSHOT_STATE_SECTIONS_H
#define VMM_SNAPSHOT_STATE_SECTIONS_H

#include <stddef.h>
#include <stdint.h>

/* In the order in which they are written. */
enum state_section {
	STATE_NO_SECTION = 0,
	STATE_MANIFEST = 1, /* JSON, for people and tools: the machine's configuration */
	STATE_MACHINE = 2,  /* memory's layout, which devices sit where */
	STATE_CPU = 3,	    /* what the guest expects of its processors */
	STATE_PLUGGED = 4,  /* blocks of memory of a device, by its place */
	STATE_VCPU = 16,    /* one each */
	STATE_CLOCK = 17,   /* KVM's clock */
	STATE_IOAPIC = 32,
	STATE_SERIAL = 33,
	STATE_I8042 = 34,
	STATE_ACPI_PM = 35,
	STATE_GENERATION = 36,
	STATE_PCI_HOTPLUG = 37,
	STATE_TRANSPORT = 64, /* a virtio device behind its transport; by its place */
	STATE_BALLOON = 65,   /* the rest is what such a device adds, by the same place */
	STATE_BLK = 66,
	STATE_CONSOLE = 67,
	STATE_NET = 68,
	STATE_PMEM = 69,
	STATE_RNG = 70,
	STATE_VSOCK = 71,
	STATE_VHOST_BLK = 72,
	STATE_MEM = 73,
	STATE_FIELDS = 255, /* what the fields of all others are called */
};

struct state_kind {
	uint16_t type; /* enum state_section */
	uint16_t version;
	uint32_t instances; /* at most, numbered from 0 */
	size_t max_bytes;
	const char *name;
};

extern const struct state_kind state_kinds[];
extern const size_t state_kinds_count;

/* The row of a type, NULL when there is none. */
const struct state_kind *state_kind(unsigned type);

#endif
