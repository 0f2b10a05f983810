/* board.h - what kind of machine an instance is: its firmware, and what its disks hang on.
 *
 * A microVM starts a kernel itself, has disks of virtio's, and few processors. Who wants
 * anything else gets QEMU without a device of the host's. Whether that is so, and why, is
 * decided here alone, for those who choose a runtime, refuse one, and explain.
 *
 * An image without a kernel begins on its disk, by UEFI unless BIOS is asked for. What was
 * asked for is a row (table board); what follows from the image is not written down.
 *
 * Loop thread, but board_needs() and board_check(). Errors as of store.h.
 */
#ifndef SUPERVISOR_BOARD_H
#define SUPERVISOR_BOARD_H

#include "supervisor/books/instance.h"

enum {
	BOARD_MICROVM_VCPUS = 32, /* vmm/config.h, VM_MAX_VCPUS */
	BOARD_VCPUS_MAX = 240,	  /* of QEMU's q35 with an interrupt controller for bytes */
	BOARD_SATA_PORTS = 6,	  /* that a q35 has */
};

/* What UEFI is, in the file system that a VMM sees. */
#define BOARD_UEFI_CODE	     "/usr/share/OVMF/OVMF_CODE_4M.fd"
#define BOARD_UEFI_VARIABLES "/usr/share/OVMF/OVMF_VARS_4M.fd"

/* The numbers are in the database: they never change. */
enum board_firmware { BOARD_NO_FIRMWARE, BOARD_BIOS, BOARD_UEFI };
enum board_disks { BOARD_VIRTIO, BOARD_SATA, BOARD_NVME };

extern const char *const board_firmware_names[], *const board_disks_names[]; /* NULL-ended */

struct board {
	uint32_t firmware, disks; /* of the enums */
};

/* Why a microVM cannot be this machine; NULL: it can. */
const char *board_needs(const struct board *b, int64_t vcpus);

/* Adds what follows from the image (image.h). */
int board_settle(struct truth *t, const struct instance *i, struct board *b, struct error *err);

/* Within a transaction, with the instance: what was asked for, before that was settled. */
int board_write(struct truth *t, const struct instance *i, const struct board *b,
		struct error *err);

/* What an instance is, settled. */
int board_find(struct truth *t, const struct instance *i, struct board *ret, struct error *err);

/* -ENOTSUP: the instance's runtime, or this host, has no such machine. */
int board_check(const struct instance *i, const struct board *b, struct error *err);

#endif
