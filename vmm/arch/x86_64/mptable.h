/* mptable.h - the MP table: what an x86 guest without ACPI knows of its machine
 * (Intel MultiProcessor Specification 1.4, chapter 4). */
#ifndef VMM_ARCH_X86_64_MPTABLE_H
#define VMM_ARCH_X86_64_MPTABLE_H

#include "vmm/arch/x86_64/tables.h"
#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"

/* Writes the floating pointer to LAYOUT_MPTABLE and the table behind it, all below
 * 640 KiB. 0, or a negative errno and *err: -ENOSPC when the processors do not
 * fit, -EINVAL when a device's line is no pin of the IOAPIC, -EFAULT
 * when guest RAM ends below. Before the guest starts; main thread. */
int mptable_write(struct gmem *m, const struct machine_tables *t, struct error *err);

#endif
