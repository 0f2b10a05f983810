/* kind_volume.c - volumes of an instance: its for its life, or until they are detached.
 *
 * A volume's file is its VMM's while that may run, and root's again afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/volume/work.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

/* What was to be made for it alone is not any more. */
static int forget_unmade(struct wispd *d, const struct instance *i, struct error *err)
{
	struct volume volumes[VOLUMES_MAX];
	int count = volume_load(&d->truth, i->id, volumes, err), r = count < 0 ? count : 0;

	for (int n = 0; n < count && r == 0; n++)
		if (volumes[n].state == VOLUME_MAKING)
			r = volume_forget(&d->truth, &volumes[n], err);
	return r;
}

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = forget_unmade(d, i, err);

	if (r == 0)
		r = volume_drop(&d->truth, i, err);

	if (r == 0)
		r = store_run(d->truth.store, err, "DELETE FROM hotplug WHERE instance = ?", "s",
			      i->id);
	return r < 0 ? r : 0;
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct volume volumes[VOLUMES_MAX];
	int64_t hotplug = 0;
	int count = volume_load(&d->truth, i->id, volumes, err), r;

	if (count < 0)
		return count;
	for (int n = 0; n < count && l->ndrives < LAUNCH_DRIVES_MAX; n++)
		volume_drive(&volumes[n], &l->drives[l->ndrives++]);
	r = store_number(d->truth.store, &hotplug, err,
			 "SELECT count(*) FROM hotplug WHERE instance = ?", "s", i->id);
	l->hotplug = hotplug != 0;
	return r;
}

/* --- those that are copied out of the snapshot that it begins with (snapshot/volumes.h) --- */

static int make(const struct launch *l, struct launch_drive *d, struct error *err)
{
	int r;

	if (!l->load.snapshot[0])
		return error_set(err, -ENOENT, "volumes", "delete it, and restore it again",
				 "What volume %s was to be a copy of is gone", d->volume);
	r = snapshot_files_give_volume(l, d, &d->shared, err);
	d->made = r == 0;
	return r;
}

static int prepare(struct launch *l, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->ndrives && r == 0; i++)
		if (l->drives[i].unmade)
			r = make(l, &l->drives[i], err);
	return r;
}

static int remove_unmade(struct launch *l, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->ndrives && r == 0; i++)
		if (l->drives[i].unmade)
			r = disk_remove(l->config, l->drives[i].volume, err);
	return r;
}

static int write_made(struct wispd *d, const struct launch *l, const struct launch_drive *drive,
		      struct error *err)
{
	struct volume v = { 0 };
	int r = volume_find(&d->truth, NULL, drive->volume, &v, err);

	v.state = VOLUME_READY;
	if (r == 0)
		r = volume_update(&d->truth, &v, err);
	return r < 0 ? r
		     : volume_tell(&d->truth, "volume.copied", &v, "wispd",
				   json_pack("{s:s, s:b}", "from", l->load.snapshot,
					     "shares_blocks", drive->shared),
				   err);
}

static int write_all_made(struct wispd *d, const struct launch *l, struct error *err)
{
	int r = store_begin(d->truth.store, err);

	for (unsigned i = 0; i < l->ndrives && r == 0; i++)
		if (l->drives[i].made)
			r = write_made(d, l, &l->drives[i], err);
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0)
		store_rollback(d->truth.store);
	return r;
}

static int report(struct wispd *d, const struct launch *l, struct error *err)
{
	for (unsigned i = 0; i < l->ndrives; i++)
		if (l->drives[i].made)
			return write_all_made(d, l, err);
	return 0;
}

/* --- those that are there --- */

/* One that is being copied or grown must not change under that. */
static int lend(const struct launch *l, const struct launch_drive *d, int folder, struct error *err)
{
	if (d->busy)
		return error_set(err, -EBUSY, "volume", "start it when that has ended",
				 "Something is being done to volume %s", d->volume);
	return disk_lend(l->config, d->volume, folder, d->file, l->uid, d->read_only, err);
}

static int attach(struct launch *l, struct error *err)
{
	int folder = l->runtime->open_folder(l, err), r = 0;

	if (folder < 0)
		return folder;
	for (unsigned i = 0; i < l->ndrives && r == 0; i++)
		if (l->drives[i].volume[0])
			r = lend(l, &l->drives[i], folder, err);
	fd_close(folder);
	return r;
}

/* A folder that is not there has nothing of ours. */
static int detach(struct launch *l, struct error *err)
{
	struct error later;
	int folder = -1, first = 0;

	for (unsigned i = 0; i < l->ndrives; i++) {
		const struct launch_drive *d = &l->drives[i];
		int r;

		if (!d->volume[0] || d->unmade)
			continue;
		if (folder < 0)
			folder = l->runtime->open_folder(l, first ? &later : err);
		if (folder < 0)
			return folder == -ENOENT ? 0 : folder;
		r = disk_take_back(l->config, d->volume, folder, d->file, first ? &later : err);
		first = first ? first : r;
	}
	fd_close(folder);
	return first;
}

static int sweep(struct wispd *d, struct error *err)
{
	return volume_recover(d, err);
}

const struct kind kind_volume = {
	.name = "volume",
	.release = release,
	.load = load,
	.prepare = prepare,
	.remove = remove_unmade,
	.report = report,
	.attach = attach,
	.detach = detach,
	.sweep = sweep,
};
