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
#include "supervisor/volume/work.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = volume_drop(&d->truth, i, err);

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

		if (!d->volume[0])
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
	.attach = attach,
	.detach = detach,
	.sweep = sweep,
};
