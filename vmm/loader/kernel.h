/* kernel.h - a kernel file, recognised by its content and put into guest RAM.
 *
 * Understood: an uncompressed ELF vmlinux (System V gABI; started by the PVH note
 * when it has one, else at its 64-bit entry) and a bzImage of boot protocol 2.12
 * or later with a 64-bit entry (Documentation/arch/x86/boot.rst of the kernel).
 * All on the main thread, before the machine starts, into RAM that is still zero.
 */
#ifndef VMM_LOADER_KERNEL_H
#define VMM_LOADER_KERNEL_H

#include <asm/bootparam.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/error.h"
#include "vmm/memory/gmem.h"

/* How whole pages of the file reach guest RAM. KERNEL_MAP maps them private and
 * copy-on-write where alignment and backing allow: no copy, no memory of our own
 * for what the guest only reads. The price is that of every mapped executable:
 * the file must not be changed in place while the machine runs. A page that was
 * cut off by a truncation ends the machine when it is touched (SIGBUS in the VMM,
 * -EFAULT from KVM_RUN), and a write shows in pages that the guest has not yet
 * written. Replacing the file by rename is safe. KERNEL_COPY reads everything. */
enum kernel_load_policy { KERNEL_MAP, KERNEL_COPY };

enum boot_protocol {
	BOOT_PVH,     /* 32-bit protected mode, EBX = hvm_start_info */
	BOOT_LINUX64, /* long mode, RSI = boot_params */
};

struct kernel_image {
	enum boot_protocol protocol;
	gpa_t entry;
	gpa_t end;		    /* first byte behind it, bss and init_size included */
	bool has_header;	    /* a bzImage: header is valid */
	struct setup_header header; /* as in the file; code32_start = where it was put */
	uint64_t mapped_bytes, copied_bytes;
};

/* Loads the kernel behind fd, which stays the caller's and may be closed
 * afterwards; it should have been opened with O_NONBLOCK, so that a FIFO does not
 * hang the open. path is for messages. lowest: nothing is put below it.
 * 0 and *ret, or a negative errno and *err (field "kernel_image_path"); after a
 * failure the contents of guest RAM are undefined. */
int kernel_load(struct gmem *m, int fd, const char *path, gpa_t lowest,
		enum kernel_load_policy policy, struct kernel_image *ret, struct error *err);

#endif
