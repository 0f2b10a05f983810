/* pvh.h - what a guest that starts by PVH is given: hvm_start_info. */
#ifndef VMM_ARCH_X86_64_PVH_H
#define VMM_ARCH_X86_64_PVH_H

#include "vmm/arch/x86_64/boot_info.h"

/* Writes the start info (version 1), the list of modules (the initrd, when there
 * is one) and the memory map to LAYOUT_PVH_INFO, the address that EBX must hold at
 * the entry. 0, or -EFAULT when guest RAM is too small for it. Main thread. */
int pvh_write(const struct gmem *m, const struct boot_info *info);

#endif
