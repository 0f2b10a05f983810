/* acpi_pci.c - the part of the DSDT that a machine with PCI has.
 *
 * The bridge hands one bus and one window of memory on. Interrupts are messages, so
 * there is no table of lines (_PRT), and nothing of PCI Express is there to be
 * negotiated over (_OSC). Where configuration space is stands in the MCFG table,
 * which Linux believes when a motherboard device claims the place.
 *
 * Each slot can be ejected, which makes it one that Linux watches. The event device
 * of hot-plug is one of its own, beside the machine's: inside of the bridge, so that
 * it knows the slots by name, and with the registers of devices/pci/hotplug.h, each
 * of which tells its news once. In ASL:
 *
 *	Device (S01) {
 *	    Name (_ADR, 0x10000)
 *	    Name (_SUN, 1)
 *	    Method (_EJ0, 1) { EJCT = 1 << 1 }
 *	}
 *	Device (HPED) {
 *	    Name (_HID, "ACPI0013")
 *	    Method (_EVT, 1) {
 *		Local0 = FILL
 *		If (Local0 & 1 << 1) { Notify (S01, 1) }
 *		Local0 = WANT
 *		If (Local0 & 1 << 1) { Notify (S01, 3) }
 *	    }
 *	}
 */
#include <stdio.h>

#include "devices/pci/hotplug.h"
#include "vmm/arch/x86_64/acpi_pci.h"
#include "vmm/arch/x86_64/layout.h"

enum { NOTIFY_DEVICE_CHECK = 1, NOTIFY_EJECT_REQUEST = 3, ADR_SLOT_SHIFT = 16 };

struct slot_name {
	char text[16];
};

static struct slot_name slot_name(unsigned slot)
{
	struct slot_name name;

	snprintf(name.text, sizeof(name.text), "S%02X", slot);
	return name;
}

static void add_slot(struct aml *a, unsigned slot)
{
	aml_device(a, slot_name(slot).text);
	aml_name(a, "_ADR");
	aml_integer(a, slot << ADR_SLOT_SHIFT);
	aml_name(a, "_SUN");
	aml_integer(a, slot);
	aml_method(a, "_EJ0", 1);
	aml_store(a, 1u << slot, "EJCT");
	aml_end(a);
	aml_end(a);
}

/* Tells the driver of each slot that has its bit in a register. */
static void tell_slots(struct aml *a, const char *reg, uint8_t value)
{
	aml_set_local0(a, reg);
	for (unsigned i = 1; i < PCI_SLOTS; i++) {
		aml_if_local0(a, 1u << i);
		aml_notify(a, slot_name(i).text, value);
		aml_end(a);
	}
}

static void add_event_device(struct aml *a)
{
	aml_device(a, "HPED");
	aml_name(a, "_HID");
	aml_string(a, "ACPI0013");
	aml_name(a, "_UID");
	aml_integer(a, 1);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_interrupt(a, LAYOUT_GSI_HOTPLUG);
	aml_end(a);
	aml_method(a, "_EVT", 1);
	tell_slots(a, "FILL", NOTIFY_DEVICE_CHECK);
	tell_slots(a, "WANT", NOTIFY_EJECT_REQUEST);
	aml_end(a);
	aml_end(a);
}

static void add_bridge(struct aml *a)
{
	static const char *const registers[] = { "FILL", "WANT", "EJCT" };

	aml_device(a, "PCI0");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisa_id(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_BBN");
	aml_integer(a, 0);
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_bus_numbers(a, 0, 1);
	aml_memory_window(a, LAYOUT_PCI_WINDOW, PCI_WINDOW_LEN);
	aml_end(a);
	aml_io_region(a, "HPRG", LAYOUT_PCI_HOTPLUG, PCI_HOTPLUG_LEN);
	aml_dword_fields(a, "HPRG", registers, sizeof(registers) / sizeof(registers[0]));
	for (unsigned i = 1; i < PCI_SLOTS; i++)
		add_slot(a, i);
	add_event_device(a);
	aml_end(a);
}

static void add_motherboard(struct aml *a)
{
	aml_device(a, "MBRD");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0C02");
	aml_name(a, "_CRS");
	aml_resources(a);
	aml_memory32(a, LAYOUT_PCI_ECAM, LAYOUT_PCI_ECAM_LEN);
	aml_end(a);
	aml_end(a);
}

void acpi_pci_describe(struct aml *a)
{
	add_motherboard(a);
	add_bridge(a);
}
