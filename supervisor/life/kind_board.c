/* kind_board.c - the firmware of an instance, and what its disks hang on.
 *
 * UEFI keeps its variables (what to boot, above all) in flash of the instance's own: a copy
 * of the empty one, made once in its life, in the VMM's folder. The code is the host's.
 */
#include <errno.h>
#include <fcntl.h>

#include "supervisor/books/store.h"
#include "supervisor/images/blob.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

enum { OWNER_ONLY = 0600 };

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	return board_find(&d->truth, i, &l->board, err);
}

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM board WHERE instance = ?", "s", i->id);

	return r < 0 ? r : 0;
}

static int prepare(struct launch *l, struct error *err)
{
	int from, folder, r;

	if (l->board.firmware != BOARD_UEFI)
		return 0;
	from = open(BOARD_UEFI_VARIABLES, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return error_errno(err, "firmware", "install the package ovmf", "Cannot open %s",
				   BOARD_UEFI_VARIABLES);
	folder = l->runtime->open_folder(l, err);
	r = folder < 0 ? folder
		       : blob_copy_to(from, folder, LAUNCH_VARIABLES, l->uid, OWNER_ONLY, err);
	fd_close(folder);
	fd_close(from);
	return r;
}

const struct kind kind_board = {
	.name = "board",
	.release = release,
	.load = load,
	.prepare = prepare,
};
