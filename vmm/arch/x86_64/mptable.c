/* mptable.c - the MP table: what an x86 guest without ACPI knows of its machine.
 *
 * A guest looks for the floating pointer at multiples of 16 in the last KiB of
 * base memory, where it stands, with the table right behind it. That KiB holds
 * the entries of 32 processors and of all pins of the IOAPIC.
 *
 * One bus, ISA, on which "as the bus has it" means edge-triggered and active
 * high. Interrupt n is pin n, for the platform's devices and behind them for each
 * virtio device, which kernels expect that take the number from their command line
 * (virtio_mmio.device=).
 */
#include <errno.h>
#include <string.h>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/mptable.h"
#include "vmm/arch/x86_64/tablebuf.h"

#define BASE_MEMORY_END 0xa0000ull

enum {
	MP_REVISION = 4, /* of 1.4 */
	MP_PARAGRAPH = 16,
	ISA_BUS = 0,
	IOAPIC_ID = 0,
	LOCAL_APIC_VERSION = 0x14,
	IOAPIC_VERSION = 0x20,
	ALL_LOCAL_APICS = 0xff,
};

enum {
	MP_PROCESSOR,
	MP_BUS,
	MP_IOAPIC,
	MP_IO_INTERRUPT,
	MP_LOCAL_INTERRUPT,
};

enum { PROCESSOR_ENABLED = 1, PROCESSOR_BOOT = 2, IOAPIC_ENABLED = 1 };
enum { INTERRUPT_VECTORED = 0, INTERRUPT_NMI = 1, INTERRUPT_EXTINT = 3 };
enum { AS_THE_BUS = 0, ACTIVE_HIGH = 1 << 0, EDGE_TRIGGERED = 1 << 2 };

/* A guest takes the real ones from CPUID; these say: family 6, FPU, APIC. */
enum { CPU_SIGNATURE = 0x600, CPU_FEATURES = 0x201 };

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs;
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5]; /* all 0: there is a table, and no IMCR */
} __attribute__((packed));

struct mp_header {
	char signature[4];
	uint16_t len;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[8];
	char product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_len;
	uint16_t entries;
	uint32_t local_apic;
	uint16_t extended_len;
	uint8_t extended_checksum;
	uint8_t reserved;
} __attribute__((packed));

struct mp_processor {
	uint8_t type;
	uint8_t apic_id, apic_version;
	uint8_t flags;
	uint32_t signature, features;
	uint32_t reserved[2];
} __attribute__((packed));

struct mp_bus {
	uint8_t type;
	uint8_t id;
	char name[6];
} __attribute__((packed));

struct mp_ioapic {
	uint8_t type;
	uint8_t id, version, flags;
	uint32_t address;
} __attribute__((packed));

/* Of the IOAPIC, or of local APICs: then pin is the number of the LINT. */
struct mp_interrupt {
	uint8_t type;
	uint8_t kind;
	uint16_t flags;
	uint8_t bus, bus_irq;
	uint8_t apic_id, pin;
} __attribute__((packed));

_Static_assert(sizeof(struct mp_pointer) == MP_PARAGRAPH, "as the specification lays it out");
_Static_assert(sizeof(struct mp_header) == 44, "as the specification lays it out");
_Static_assert(sizeof(struct mp_processor) == 20, "as the specification lays it out");
_Static_assert(sizeof(struct mp_bus) == 8, "as the specification lays it out");
_Static_assert(sizeof(struct mp_ioapic) == 8, "as the specification lays it out");
_Static_assert(sizeof(struct mp_interrupt) == 8, "as the specification lays it out");
_Static_assert(LAYOUT_MPTABLE % MP_PARAGRAPH == 0, "a guest looks at these addresses only");
_Static_assert(LAYOUT_MPTABLE >= BASE_MEMORY_END - 1024, "a guest looks in the last KiB only");

/* The table being written: its bytes, and how many entries it has. */
struct mp {
	struct tablebuf out;
	uint16_t entries;
};

static void add_entry(struct mp *mp, const void *entry, size_t len)
{
	tablebuf_put(&mp->out, entry, len);
	mp->entries++;
}

static void add_processors(struct mp *mp, const struct machine_tables *t)
{
	for (unsigned i = 0; i < t->vcpus; i++) {
		const struct mp_processor processor = {
			.type = MP_PROCESSOR,
			.apic_id = (uint8_t)i,
			.apic_version = LOCAL_APIC_VERSION,
			.flags = i == 0 ? PROCESSOR_ENABLED | PROCESSOR_BOOT : PROCESSOR_ENABLED,
			.signature = CPU_SIGNATURE,
			.features = CPU_FEATURES,
		};

		add_entry(mp, &processor, sizeof(processor));
	}
}

static void add_bus_and_ioapic(struct mp *mp)
{
	const struct mp_bus isa = {
		.type = MP_BUS,
		.id = ISA_BUS,
		.name = { 'I', 'S', 'A', ' ', ' ', ' ' },
	};
	const struct mp_ioapic ioapic = {
		.type = MP_IOAPIC,
		.id = IOAPIC_ID,
		.version = IOAPIC_VERSION,
		.flags = IOAPIC_ENABLED,
		.address = LAYOUT_IOAPIC,
	};

	add_entry(mp, &isa, sizeof(isa));
	add_entry(mp, &ioapic, sizeof(ioapic));
}

static void add_pins(struct mp *mp, const struct machine_tables *t)
{
	for (unsigned pin = 0; pin < LAYOUT_PINS(t->nvirtio); pin++) {
		const struct mp_interrupt interrupt = {
			.type = MP_IO_INTERRUPT,
			.kind = INTERRUPT_VECTORED,
			.flags =
				pin < LAYOUT_GSI_VIRTIO ? AS_THE_BUS : ACTIVE_HIGH | EDGE_TRIGGERED,
			.bus = ISA_BUS,
			.bus_irq = (uint8_t)pin,
			.apic_id = IOAPIC_ID,
			.pin = (uint8_t)pin,
		};

		add_entry(mp, &interrupt, sizeof(interrupt));
	}
}

/* LINT0 of the boot processor is where a PC's 8259 would be; LINT1 gets NMIs. */
static void add_local_interrupts(struct mp *mp)
{
	const struct mp_interrupt extint = {
		.type = MP_LOCAL_INTERRUPT,
		.kind = INTERRUPT_EXTINT,
		.bus = ISA_BUS,
		.apic_id = 0,
		.pin = 0,
	};
	const struct mp_interrupt nmi = {
		.type = MP_LOCAL_INTERRUPT,
		.kind = INTERRUPT_NMI,
		.bus = ISA_BUS,
		.apic_id = ALL_LOCAL_APICS,
		.pin = 1,
	};

	add_entry(mp, &extint, sizeof(extint));
	add_entry(mp, &nmi, sizeof(nmi));
}

static void fill_pointer(struct mp_pointer *p)
{
	*p = (struct mp_pointer){
		.signature = { '_', 'M', 'P', '_' },
		.table = LAYOUT_MPTABLE + sizeof(*p),
		.paragraphs = sizeof(*p) / MP_PARAGRAPH,
		.revision = MP_REVISION,
	};
	p->checksum = tables_checksum(p, sizeof(*p));
}

/* bytes: the header's place and all entries behind it, len in all. */
static void fill_header(uint8_t *bytes, size_t len, uint16_t entries)
{
	struct mp_header h = {
		.signature = { 'P', 'C', 'M', 'P' },
		.len = (uint16_t)len,
		.revision = MP_REVISION,
		.entries = entries,
		.local_apic = LAYOUT_LAPIC,
	};

	memcpy(h.oem_id, "WISP    ", sizeof(h.oem_id));
	memcpy(h.product_id, "MICROVM     ", sizeof(h.product_id));
	memcpy(bytes, &h, sizeof(h));
	h.checksum = tables_checksum(bytes, len);
	memcpy(bytes, &h, sizeof(h));
}

static int check(const struct machine_tables *t, struct error *err)
{
	const unsigned pins = LAYOUT_PINS(t->nvirtio);

	for (unsigned i = 0; i < t->nvirtio; i++) {
		if (t->virtio[i].gsi >= pins)
			return error_set(err, -EINVAL, NULL, "remove a device",
					 "virtio device %u has line %u, and the IOAPIC has %u", i,
					 t->virtio[i].gsi, pins);
	}
	return 0;
}

int mptable_write(struct gmem *m, const struct machine_tables *t, struct error *err)
{
	uint8_t bytes[BASE_MEMORY_END - LAYOUT_MPTABLE] = { 0 };
	const size_t heads = sizeof(struct mp_pointer) + sizeof(struct mp_header);
	struct mp mp = { .out = { .bytes = bytes, .cap = sizeof(bytes), .len = heads } };
	int r = check(t, err);

	if (r < 0)
		return r;
	add_processors(&mp, t);
	add_bus_and_ioapic(&mp);
	add_pins(&mp, t);
	add_local_interrupts(&mp);
	if (mp.out.full)
		return error_set(err, -ENOSPC, "vcpu_count", "give fewer",
				 "the MP table of %u vCPUs does not fit below 640 KiB", t->vcpus);
	fill_pointer((struct mp_pointer *)bytes);
	fill_header(bytes + sizeof(struct mp_pointer), mp.out.len - sizeof(struct mp_pointer),
		    mp.entries);
	r = gmem_write(m, gpa(LAYOUT_MPTABLE), bytes, mp.out.len);
	if (r < 0)
		return error_set(err, r, "mem_size_mib", "give at least 1",
				 "no room for the MP table in guest memory");
	return 0;
}
