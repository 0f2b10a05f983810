/* kind_image.c - kernel, initrd and root disk of an instance, in its VMM's folder.
 *
 * Kernel and initrd are the image's own files, linked: one copy in memory for all. The root
 * disk is linked, too, where it is read-only; else it is the instance's copy, made once, of
 * the image's or of a snapshot's.
 * Everything lies in the VMM's folder and goes with it.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/images/blob.h"
#include "supervisor/images/image.h"
#include "supervisor/images/image_source.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct launch_drive *drive = &l->drives[l->ndrives];
	struct image image;
	int r = image_find(&d->truth, i->image, &image, err);

	if (r < 0)
		return r;
	memcpy(l->kernel, image.kernel, sizeof(l->kernel));
	memcpy(l->initrd, image.initrd, sizeof(l->initrd));
	memcpy(l->rootfs, image.rootfs, sizeof(l->rootfs));
	l->rootfs_read_only = image.rootfs_read_only;
	/* Whom nobody can reach is not waited for. */
	l->agent = image.agent && l->runtime->open_way;
	snprintf(l->cmdline, sizeof(l->cmdline), "%s%s%s", image.cmdline,
		 image.cmdline[0] && i->cmdline[0] ? " " : "", i->cmdline);
	if (image.rootfs[0]) {
		*drive = (struct launch_drive){ .id = "rootfs",
						.file = "rootfs",
						.root = true,
						.read_only = image.rootfs_read_only };
		l->ndrives++;
	}
	return 0;
}

static int put_files(struct launch *l, int folder, struct error *err)
{
	int r = blob_link(l->config, l->kernel, folder, "kernel", err);

	if (r == 0 && l->initrd[0])
		r = blob_link(l->config, l->initrd, folder, "initrd", err);
	if (r < 0 || !l->rootfs[0])
		return r;
	if (l->rootfs_read_only)
		return blob_link(l->config, l->rootfs, folder, "rootfs", err);
	if (l->load.snapshot[0])
		return snapshot_files_give_disk(l, folder, err);
	return blob_copy(l->config, l->rootfs, folder, "rootfs", l->uid, err);
}

static int prepare(struct launch *l, struct error *err)
{
	int folder = l->runtime->open_folder(l, err), r;

	if (folder < 0)
		return folder;
	r = put_files(l, folder, err);
	fd_close(folder);
	return r;
}

/* Imports were cut off with the wispd that made them. */
static int sweep(struct wispd *d, struct error *err)
{
	int folders = image_source_sweep(&d->config, err);
	int blobs = folders < 0 ? folders : image_sweep(&d->truth, &d->config, err);

	return blobs < 0 ? blobs : folders + blobs;
}

const struct kind kind_image = {
	.name = "image",
	.load = load,
	.prepare = prepare,
	.sweep = sweep,
};
