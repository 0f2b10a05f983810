/* kind_image.c - kernel, initrd and root disk of an instance, in its VMM's folder.
 *
 * Kernel and initrd are the image's own files, linked: one copy in memory for all. The root
 * disk is linked, too, where it is read-only; else it is the instance's copy, made once, of
 * the image's or of a snapshot's.
 * Everything lies in the VMM's folder and goes with it; the disk overwritten before, and
 * certified, if that is wanted (table wipe).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/images/blob.h"
#include "supervisor/images/image.h"
#include "supervisor/images/image_source.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/root_disk.h"
#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct launch_drive *drive = &l->drives[l->ndrives];
	struct image image;
	int64_t wipe = 0;
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
	r = store_number(d->truth.store, &wipe, err, "SELECT count(*) FROM wipe WHERE instance = ?",
			 "s", i->id);
	l->wipe = wipe && image.rootfs[0] && !image.rootfs_read_only;
	return r;
}

static int put_files(struct launch *l, int folder, struct error *err)
{
	int r = 0;

	if (l->kernel[0])
		r = blob_link(l->config, l->kernel, folder, "kernel", err);
	if (r == 0 && l->initrd[0])
		r = blob_link(l->config, l->initrd, folder, "initrd", err);
	if (r == 0 && !l->rootfs[0] && unlinkat(folder, "rootfs", 0) < 0 && errno != ENOENT)
		r = error_errno(err, "image", NULL, "Cannot remove the disk of %s", l->id);
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

/* A disk that is not there any more has nothing to be overwritten. */
static int remove_disk(struct launch *l, struct error *err)
{
	int fd = l->wipe ? root_disk_open(l, err) : -ENOENT, r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = erasure_run(fd, &l->erasure);
	fd_close(fd);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "The disk of %s could not be erased: %s",
				 l->id, strerror(-r));
	l->wiped = true;
	return 0;
}

static int write_wiped(struct wispd *d, const struct launch *l, struct error *err)
{
	struct ledger_event e = { .type = "instance.wiped", .actor = "wispd", .instance = l->id };
	struct instance i;
	char what[128];
	json_t *body;
	int r = instance_load(&d->truth, l->id, &i, err);

	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "disk of instance %s of tenant %s", i.id, i.tenant);
	body = erasure_certify(what, &l->erasure);
	e.tenant = i.tenant;
	e.incarnation = i.incarnation;
	e.body = body;
	r = ledger_append(d->truth.ledger, &e, NULL, err);
	json_decref(body);
	if (r == 0)
		r = store_run(d->truth.store, err, "DELETE FROM wipe WHERE instance = ?", "s",
			      i.id);
	return r < 0 ? r : 0;
}

static int report(struct wispd *d, const struct launch *l, struct error *err)
{
	int r = l->wiped ? store_begin(d->truth.store, err) : 0;

	if (r < 0 || !l->wiped)
		return r;
	r = write_wiped(d, l, err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = store_run(d->truth.store, err, "DELETE FROM wipe WHERE instance = ?", "s", i->id);

	return r < 0 ? r : 0;
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
	.release = release,
	.load = load,
	.prepare = prepare,
	.remove = remove_disk,
	.report = report,
	.sweep = sweep,
};
