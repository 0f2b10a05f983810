/* boot_info.h - what every boot protocol tells a guest, whatever its form. */
#ifndef VMM_ARCH_X86_64_BOOT_INFO_H
#define VMM_ARCH_X86_64_BOOT_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/memory/gmem.h"

struct boot_info {
	gpa_t cmdline;	     /* NUL-terminated, written by the caller */
	size_t cmdline_len;  /* without the NUL */
	gpa_t initrd;	     /* with initrd_len 0: none */
	uint64_t initrd_len; /* bytes */
	gpa_t rsdp;	     /* ACPI; 0: none */
	bool pci;	     /* its configuration space is reserved */
};

#endif
