/* zero_page.h - what a guest that starts at the Linux 64-bit entry is given. */
#ifndef VMM_ARCH_X86_64_ZERO_PAGE_H
#define VMM_ARCH_X86_64_ZERO_PAGE_H

#include <asm/bootparam.h>

#include "vmm/arch/x86_64/boot_info.h"

/* Writes struct boot_params to LAYOUT_ZERO_PAGE, the address that RSI must hold at
 * the entry. header: of the bzImage that is started, or NULL for an ELF vmlinux,
 * which has none. 0, or -EFAULT when guest RAM is too small for it. Main thread. */
int zero_page_write(const struct gmem *m, const struct setup_header *header,
		    const struct boot_info *info);

#endif
