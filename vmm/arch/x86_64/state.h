/* state.h - the registers of a vCPU at power-on.
 *
 * Boot protocols: the PVH direct boot ABI of Xen (32-bit, paging off, EBX points
 * at the start info) and the 64-bit boot protocol of Linux
 * (Documentation/arch/x86/boot.rst: long mode, identity map, RSI points at the
 * zero page).
 */
#ifndef VMM_ARCH_X86_64_STATE_H
#define VMM_ARCH_X86_64_STATE_H

#include "vmm/arch/arch.h"

/* Model-specific registers as firmware would leave them. */
int state_set_msrs(int vcpu_fd, struct error *err);

/* The local APIC's two interrupt pins: LINT0 takes the legacy controller's
 * interrupts, LINT1 is the NMI. */
int state_set_lapic(int vcpu_fd, struct error *err);

/* Puts the first vCPU at the kernel's entry. */
int state_set_entry(int vcpu_fd, const struct arch_boot *boot, struct error *err);

/* Writes what the 64-bit entry needs into guest memory: descriptors and page
 * tables that map the first 4 GiB onto themselves. */
int state_write_long_mode(struct gmem *mem, struct error *err);

#endif
