/* board.c - rows of boards, and what a microVM is not. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/books/store.h"
#include "supervisor/images/image.h"
#include "supervisor/life/board.h"
#include "supervisor/life/runtime.h"

const char *const board_firmware_names[] = { "none", "bios", "uefi", NULL };
const char *const board_disks_names[] = { "virtio", "sata", "nvme", NULL };

const char *board_needs(const struct board *b, int64_t vcpus)
{
	if (b->firmware != BOARD_NO_FIRMWARE)
		return "a microVM has no firmware: it starts a kernel itself";
	if (b->disks != BOARD_VIRTIO)
		return "a microVM has no disks but virtio's";
	return vcpus > BOARD_MICROVM_VCPUS ? "a microVM has at most 32 processors" : NULL;
}

int board_settle(struct truth *t, const struct instance *i, struct board *b, struct error *err)
{
	struct image image;
	int r = image_find(t, i->image, &image, err);

	if (r < 0)
		return r;
	if (!image.kernel[0] && b->firmware == BOARD_NO_FIRMWARE)
		b->firmware = BOARD_UEFI;
	return 0;
}

int board_write(struct truth *t, const struct instance *i, const struct board *b, struct error *err)
{
	int r = 0;

	if (b->firmware != BOARD_NO_FIRMWARE || b->disks != BOARD_VIRTIO)
		r = store_run(t->store, err, "INSERT INTO board VALUES (?, ?, ?)", "sii", i->id,
			      (int64_t)b->firmware, (int64_t)b->disks);
	return r < 0 ? r : 0;
}

int board_find(struct truth *t, const struct instance *i, struct board *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT firmware, disks FROM board WHERE instance = ?", "s", i->id);

	if (r < 0)
		return r;
	*ret = (struct board){ 0 };
	r = rows_next(&rows, err);
	if (r > 0)
		*ret = (struct board){ .firmware = (uint32_t)rows_int(&rows, 0),
				       .disks = (uint32_t)rows_int(&rows, 1) };
	rows_end(&rows);
	return r < 0 ? r : board_settle(t, i, ret, err);
}

int board_check(const struct instance *i, const struct board *b, struct error *err)
{
	const struct runtime *runtime = runtime_find(i->runtime);
	const char *why = board_needs(b, i->vcpus);

	if (why && runtime && !runtime->boards)
		return error_set(err, -ENOTSUP, "runtime", "leave the runtime out, or say qemu",
				 "The runtime %s cannot run it: %s", i->runtime, why);
	if (b->firmware != BOARD_UEFI || access(BOARD_UEFI_CODE, R_OK) == 0)
		return 0;
	return error_set(err, -ENOTSUP, "firmware", "install the package ovmf",
			 "This host has no UEFI for guests: %s is missing", BOARD_UEFI_CODE);
}
