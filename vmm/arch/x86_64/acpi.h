/* acpi.h - the ACPI tables: what an x86 guest with ACPI knows of its machine.
 *
 * RSDP, XSDT, FADT, MADT and DSDT (ACPI 6.5, chapter 5), hardware-reduced: no
 * fixed hardware but the reset and sleep registers, and no SCI, so a guest looks
 * for its events at the generic event device.
 */
#ifndef VMM_ARCH_X86_64_ACPI_H
#define VMM_ARCH_X86_64_ACPI_H

#include "vmm/arch/x86_64/tables.h"
#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"

enum {
	/* SLP_TYP of \_S5: what a guest writes to the sleep control register, from
	 * bit 2 on and with SLP_EN (bit 5), to power off. */
	ACPI_SLP_TYP_S5 = 5,
};

/* Writes the tables between LAYOUT_ACPI and LAYOUT_ACPI_END; *rsdp is the guest
 * address of the first. 0, or a negative errno and *err: -EFAULT when guest RAM
 * ends below, -ENOSPC when the tables do not fit, -EINVAL when a device cannot be
 * described. Before the guest starts; main thread. */
int acpi_write(struct gmem *m, const struct machine_tables *t, gpa_t *rsdp, struct error *err);

#endif
