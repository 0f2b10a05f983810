/* acpi.c - the ACPI tables: what an x86 guest with ACPI knows of its machine.
 *
 * The guest finds the RSDP by its boot protocol, or by looking for it from
 * 0xe0000 on, where it is the first thing. From there:
 *
 *	RSDP -> XSDT -> FADT -> DSDT: devices, and how to power off
 *	             -> MADT: local APICs and the IOAPIC
 *	             -> MCFG: PCI's configuration space, on a machine with PCI
 *
 * The machine is a hardware-reduced one: with no PM timer, no PM1 blocks and no
 * SCI there is nothing to emulate that a guest would poll. In their place stand
 * three single registers (sleep control, sleep status, reset), and the power
 * button is a device of the DSDT: its event is an interrupt of the generic event
 * device, whose method reads one register and tells the button's driver.
 *
 * Every table starts at a multiple of 16 bytes. All are little-endian, and all of
 * a table's bytes add up to 0. They are written in place into guest RAM, before
 * the guest runs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/generation.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/acpi_pci.h"
#include "vmm/arch/x86_64/aml.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/tablebuf.h"

#define OEM_ID	       "WISP  "
#define OEM_TABLE_ID   "WISPVM  "
#define CREATOR_ID     "WISP"
#define HYPERVISOR_ID  "WISP    "
#define RSDP_SIGNATURE "RSD PTR "

enum { RSDP_REVISION = 2, XSDT_REVISION = 1, FADT_REVISION = 6, MADT_REVISION = 5 };
enum { MCFG_REVISION = 1 };
enum { DSDT_REVISION = 2 }; /* 2 or more: integers have 64 bits */
enum { FADT_MINOR_REVISION = 5, TABLE_ALIGN = 16 };

/* Bits of the FADT. */
enum {
	BOOT_ARCH_8042 = 1 << 1,
	BOOT_ARCH_NO_VGA = 1 << 2,
	BOOT_ARCH_NO_CMOS_RTC = 1 << 5,
};
enum {
	FADT_WBINVD = 1 << 0,
	FADT_POWER_BUTTON_IS_DEVICE = 1 << 4, /* or absent; not fixed hardware */
	FADT_SLEEP_BUTTON_IS_DEVICE = 1 << 5,
	FADT_RESET_REG_SUP = 1 << 10,
	FADT_HW_REDUCED_ACPI = 1 << 20,
};

/* What a device's driver is told (5.6.6); 0x80 on means what the device says. */
enum { NOTIFY_POWER_BUTTON = 0x80, NOTIFY_CHANGED = 0x80 };

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first RSDP_V1_LEN bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t len;
	uint64_t xsdt;
	uint8_t checksum_all;
	uint8_t reserved[3];
} __attribute__((packed));

enum { RSDP_V1_LEN = 20 };

struct header {
	char signature[4];
	uint32_t len;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* Generic Address Structure (5.2.3.2). */
struct gas {
	uint8_t space;
	uint8_t bits;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
} __attribute__((packed));

/* 5.2.9; what a hardware-reduced machine must leave 0 is summed up. */
struct fadt {
	struct header header;
	uint32_t facs32, dsdt32;
	uint8_t pm_fixed_hardware[65]; /* SCI, SMI, PM1, PM2, timer, GPE, C states */
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	struct gas reset;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t facs, dsdt;
	struct gas pm_fixed_registers[8];
	struct gas sleep_control, sleep_status;
	char hypervisor_id[8];
} __attribute__((packed));

/* 5.2.12; each of its entries starts with a type and its length. */
struct madt {
	struct header header;
	uint32_t local_apic;
	uint32_t flags; /* bit 0: a pair of 8259s is there, too */
} __attribute__((packed));

enum { MADT_LOCAL_APIC, MADT_IOAPIC, MADT_LOCAL_NMI = 4, MADT_X2APIC = 9, MADT_X2APIC_NMI };
enum { MADT_ENABLED = 1, MADT_NMI_LINT = 1 };

struct madt_local_apic {
	uint8_t type, len;
	uint8_t uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_x2apic {
	uint8_t type, len;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, len;
	uint8_t id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_local_nmi {
	uint8_t type, len;
	uint8_t uid;	/* UINT8_MAX: all processors */
	uint16_t flags; /* 0: as the bus has it */
	uint8_t lint;
} __attribute__((packed));

struct madt_x2apic_nmi {
	uint8_t type, len;
	uint16_t flags;
	uint32_t uid; /* UINT32_MAX: all processors */
	uint8_t lint;
	uint8_t reserved[3];
} __attribute__((packed));

/* PCI Firmware Specification 3.3, 4.1.2; with its one allocation. */
struct mcfg {
	struct header header;
	uint64_t reserved;
	uint64_t ecam;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved2;
} __attribute__((packed));

_Static_assert(sizeof(struct rsdp) == 36, "as ACPI lays it out");
_Static_assert(sizeof(struct header) == 36, "as ACPI lays it out");
_Static_assert(sizeof(struct fadt) == 276, "as ACPI lays it out");
_Static_assert(sizeof(struct madt) == 44, "as ACPI lays it out");
_Static_assert(sizeof(struct madt_local_apic) == 8, "as ACPI lays it out");
_Static_assert(sizeof(struct madt_x2apic) == 16, "as ACPI lays it out");
_Static_assert(sizeof(struct madt_ioapic) == 12, "as ACPI lays it out");
_Static_assert(sizeof(struct madt_local_nmi) == 6, "as ACPI lays it out");
_Static_assert(sizeof(struct madt_x2apic_nmi) == 12, "as ACPI lays it out");
_Static_assert(sizeof(struct mcfg) == 60, "as ACPI lays it out");

/* Appends a table whose bytes are `table` so far, and gives it its header's
 * constant part. Returns where it starts. */
static size_t begin_table(struct tablebuf *b, const char *signature, uint8_t revision, void *table,
			  size_t len)
{
	struct header *h = table;
	size_t at;

	*h = (struct header){
		.revision = revision,
		.oem_id = OEM_ID,
		.oem_revision = 1,
		.creator_revision = 1,
	};
	memcpy(h->signature, signature, sizeof(h->signature));
	memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	memcpy(h->creator_id, CREATOR_ID, sizeof(h->creator_id));
	tablebuf_align(b, TABLE_ALIGN);
	at = b->len;
	tablebuf_put(b, table, len);
	return at;
}

/* Everything from `at` on is the table: fills in length and checksum, and returns
 * its guest address. */
static uint64_t end_table(struct tablebuf *b, size_t at)
{
	struct header *h = (struct header *)(b->bytes + at);

	if (b->full)
		return 0;
	h->len = (uint32_t)(b->len - at);
	h->checksum = tables_checksum(h, h->len);
	return LAYOUT_ACPI + at;
}

/* --- DSDT: devices --- */

static void add_virtio(struct aml *a, const struct virtio_window *w, unsigned n)
{
	char name[16];

	snprintf(name, sizeof(name), "V%03X", n);
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_name(a, "_UID");
	aml_integer(a, n);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_memory32(a, (uint32_t)w->base, w->len);
	aml_interrupt(a, w->gsi);
	aml_end(a);
	aml_end(a);
}

static void add_serial(struct aml *a)
{
	aml_device(a, "COM1");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0501");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_io(a, LAYOUT_SERIAL, LAYOUT_SERIAL_LEN);
	aml_irq(a, LAYOUT_GSI_SERIAL);
	aml_end(a);
	aml_end(a);
}

/* Data and command port; what lies between them belongs to other devices of a PC. */
static void add_keyboard(struct aml *a)
{
	aml_device(a, "KBD");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0303");
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_io(a, LAYOUT_I8042, 1);
	aml_io(a, LAYOUT_I8042 + 4, 1);
	aml_irq(a, LAYOUT_GSI_KEYBOARD);
	aml_end(a);
	aml_end(a);
}

static void add_power_button(struct aml *a)
{
	aml_device(a, "PWRB");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0C0C");
	aml_end(a);
}

/* Linux finds it by _CID, and its page by ADDR: the low and the high half. */
static void add_generation(struct aml *a)
{
	aml_device(a, "VGEN");
	aml_name(a, "_HID");
	aml_string(a, "WISP0001");
	aml_name(a, "_CID");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "_DDN");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "ADDR");
	aml_package(a, 2);
	aml_integer(a, (uint32_t)LAYOUT_GENERATION);
	aml_integer(a, LAYOUT_GENERATION >> 32);
	aml_end(a);
	aml_end(a);
}

static void add_clock(struct aml *a)
{
	aml_device(a, "VCLK");
	aml_name(a, "_HID");
	aml_string(a, "AMZNC10C");
	aml_name(a, "_CID");
	aml_string(a, "VMCLOCK");
	aml_name(a, "_DDN");
	aml_string(a, "VMCLOCK");
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_memory32(a, LAYOUT_VMCLOCK, GENERATION_PAGE_BYTES);
	aml_end(a);
	aml_end(a);
}

/* Who hears of which event, by the bit of the event register that tells of it. */
static const struct {
	uint8_t bit;
	const char *device;
	uint8_t value; /* for the device's driver */
} events[] = {
	{ ACPI_PM_EVENT_POWER_BUTTON, "PWRB", NOTIFY_POWER_BUTTON },
	{ ACPI_PM_EVENT_GENERATION, "VGEN", NOTIFY_CHANGED },
	{ ACPI_PM_EVENT_CLOCK, "VCLK", NOTIFY_CHANGED },
};

/* The generic event device (5.6.9). Its register forgets what it has told, so the
 * method reads it once. */
static void add_event_device(struct aml *a)
{
	aml_device(a, "GED");
	aml_name(a, "_HID");
	aml_string(a, "ACPI0013");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_interrupt(a, LAYOUT_GSI_GED);
	aml_end(a);
	aml_io_region(a, "EREG", LAYOUT_ACPI_GED, 1);
	aml_byte_field(a, "EREG", "ESEL");
	aml_method(a, "_EVT", 1);
	aml_set_local0(a, "ESEL");
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		aml_if_local0(a, events[i].bit);
		aml_notify(a, events[i].device, events[i].value);
		aml_end(a);
	}
	aml_end(a);
	aml_end(a);
}

/* SLP_TYPa, SLP_TYPb, and two reserved elements (7.4.2). */
static void add_s5(struct aml *a)
{
	aml_name(a, "\\_S5");
	aml_package(a, 4);
	aml_integer(a, ACPI_SLP_TYP_S5);
	aml_integer(a, ACPI_SLP_TYP_S5);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_end(a);
}

static uint64_t add_dsdt(struct tablebuf *b, const struct machine_tables *t)
{
	struct header header;
	size_t at = begin_table(b, "DSDT", DSDT_REVISION, &header, sizeof(header));
	struct aml a = { .out = b };

	add_s5(&a);
	aml_scope(&a, "\\_SB");
	add_serial(&a);
	add_keyboard(&a);
	add_power_button(&a);
	add_generation(&a);
	add_clock(&a);
	add_event_device(&a);
	for (unsigned i = 0; i < t->nvirtio; i++)
		add_virtio(&a, &t->virtio[i], i);
	if (t->pci)
		acpi_pci_describe(&a);
	aml_end(&a);
	return end_table(b, at);
}

/* --- the others --- */

/* One register of 8 bits in port space. */
static struct gas port_register(uint16_t port)
{
	enum { SYSTEM_IO = 1, BYTE_ACCESS = 1 };

	return (struct gas){
		.space = SYSTEM_IO,
		.bits = 8,
		.access_size = BYTE_ACCESS,
		.address = port,
	};
}

static uint64_t add_fadt(struct tablebuf *b, uint64_t dsdt)
{
	struct fadt fadt = {
		.boot_arch = BOOT_ARCH_8042 | BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_CMOS_RTC,
		.flags = FADT_WBINVD | FADT_POWER_BUTTON_IS_DEVICE | FADT_SLEEP_BUTTON_IS_DEVICE |
			 FADT_RESET_REG_SUP | FADT_HW_REDUCED_ACPI,
		.reset = port_register(LAYOUT_ACPI_RESET),
		.reset_value = LAYOUT_RESET_VALUE,
		.minor_revision = FADT_MINOR_REVISION,
		.dsdt = dsdt,
		.sleep_control = port_register(LAYOUT_ACPI_SLEEP),
		.sleep_status = port_register(LAYOUT_ACPI_SLEEP + 1),
	};

	memcpy(fadt.hypervisor_id, HYPERVISOR_ID, sizeof(fadt.hypervisor_id));
	return end_table(b, begin_table(b, "FACP", FADT_REVISION, &fadt, sizeof(fadt)));
}

/* APIC id and UID are the vCPU's number. In 8 bits 255 means all processors, so
 * from there on it takes the longer form. */
static bool needs_x2apic(unsigned id)
{
	return id >= UINT8_MAX;
}

static void add_processor(struct tablebuf *b, unsigned id)
{
	const struct madt_local_apic apic = {
		.type = MADT_LOCAL_APIC,
		.len = sizeof(apic),
		.uid = (uint8_t)id,
		.apic_id = (uint8_t)id,
		.flags = MADT_ENABLED,
	};
	const struct madt_x2apic x2apic = {
		.type = MADT_X2APIC,
		.len = sizeof(x2apic),
		.apic_id = id,
		.flags = MADT_ENABLED,
		.uid = id,
	};

	if (needs_x2apic(id))
		tablebuf_put(b, &x2apic, sizeof(x2apic));
	else
		tablebuf_put(b, &apic, sizeof(apic));
}

/* NMIs arrive at LINT1 of every processor. */
static void add_nmi(struct tablebuf *b, bool has_x2apic)
{
	const struct madt_local_nmi nmi = {
		.type = MADT_LOCAL_NMI,
		.len = sizeof(nmi),
		.uid = UINT8_MAX,
		.lint = MADT_NMI_LINT,
	};
	const struct madt_x2apic_nmi x2apic_nmi = {
		.type = MADT_X2APIC_NMI,
		.len = sizeof(x2apic_nmi),
		.uid = UINT32_MAX,
		.lint = MADT_NMI_LINT,
	};

	tablebuf_put(b, &nmi, sizeof(nmi));
	if (has_x2apic)
		tablebuf_put(b, &x2apic_nmi, sizeof(x2apic_nmi));
}

static uint64_t add_madt(struct tablebuf *b, const struct machine_tables *t)
{
	struct madt madt = { .local_apic = LAYOUT_LAPIC };
	const struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.len = sizeof(ioapic),
		.address = LAYOUT_IOAPIC,
	};
	size_t at = begin_table(b, "APIC", MADT_REVISION, &madt, sizeof(madt));

	for (unsigned i = 0; i < t->vcpus; i++)
		add_processor(b, i);
	tablebuf_put(b, &ioapic, sizeof(ioapic));
	add_nmi(b, t->vcpus > 0 && needs_x2apic(t->vcpus - 1));
	return end_table(b, at);
}

static uint64_t add_mcfg(struct tablebuf *b)
{
	struct mcfg mcfg = { .ecam = LAYOUT_PCI_ECAM };

	return end_table(b, begin_table(b, "MCFG", MCFG_REVISION, &mcfg, sizeof(mcfg)));
}

/* mcfg 0: the machine has none. */
static uint64_t add_xsdt(struct tablebuf *b, uint64_t fadt, uint64_t madt, uint64_t mcfg)
{
	struct {
		struct header header;
		uint64_t tables[3];
	} __attribute__((packed)) xsdt = { .tables = { fadt, madt, mcfg } };
	size_t len = sizeof(xsdt) - (mcfg ? 0 : sizeof(mcfg));

	return end_table(b, begin_table(b, "XSDT", XSDT_REVISION, &xsdt, len));
}

static void fill_rsdp(struct rsdp *r, uint64_t xsdt)
{
	*r = (struct rsdp){
		.oem_id = OEM_ID,
		.revision = RSDP_REVISION,
		.len = sizeof(*r),
		.xsdt = xsdt,
	};
	memcpy(r->signature, RSDP_SIGNATURE, sizeof(r->signature));
	r->checksum = tables_checksum(r, RSDP_V1_LEN);
	r->checksum_all = tables_checksum(r, sizeof(*r));
}

static int check_virtio(const struct machine_tables *t, struct error *err)
{
	if (t->nvirtio > LAYOUT_MAX_VIRTIO)
		return error_set(err, -EINVAL, NULL, "remove a device",
				 "this machine has room for %u virtio devices, not %u",
				 LAYOUT_MAX_VIRTIO, t->nvirtio);
	for (unsigned i = 0; i < t->nvirtio; i++) {
		const struct virtio_window *w = &t->virtio[i];

		if (w->base > UINT32_MAX || w->len > UINT32_MAX - w->base)
			return error_set(err, -EINVAL, NULL, NULL,
					 "virtio device %u lies above 4 GiB", i);
	}
	return 0;
}

int acpi_write(struct gmem *m, const struct machine_tables *t, gpa_t *rsdp, struct error *err)
{
	struct tablebuf b = { .cap = LAYOUT_ACPI_END - LAYOUT_ACPI };
	struct rsdp root = { 0 };
	uint64_t fadt, madt, mcfg, xsdt;
	int r = check_virtio(t, err);

	if (r < 0)
		return r;
	b.bytes = gmem_span(m, gpa(LAYOUT_ACPI), b.cap);
	if (!b.bytes)
		return error_set(err, -EFAULT, "mem_size_mib", "give at least 1",
				 "no room for the ACPI tables in guest memory");
	tablebuf_put(&b, &root, sizeof(root));
	fadt = add_fadt(&b, add_dsdt(&b, t));
	madt = add_madt(&b, t);
	mcfg = t->pci ? add_mcfg(&b) : 0;
	xsdt = add_xsdt(&b, fadt, madt, mcfg);
	if (b.full)
		return error_set(err, -ENOSPC, "vcpu_count", "give fewer",
				 "the ACPI tables of %u vCPUs do not fit into %zu KiB", t->vcpus,
				 b.cap / 1024);
	fill_rsdp(&root, xsdt);
	memcpy(b.bytes, &root, sizeof(root));
	*rsdp = gpa(LAYOUT_ACPI);
	return 0;
}
