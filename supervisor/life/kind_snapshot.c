/* kind_snapshot.c - snapshots: the one that an instance begins with, the one made of it.
 *
 * Where an instance begins with one (snapshot.h, use) its state and memory lie in the VMM's
 * folder from attach() on, until the VMM has loaded them.
 */
#include <string.h>

#include "supervisor/books/size.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"
#include "supervisor/pool/golden.h"
#include "supervisor/pool/keeper.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/snapshot/volumes.h"
#include "supervisor/snapshot/work.h"
#include "supervisor/wispd.h"

/* What was being made of it is not made any more. */
static int release(struct wispd *d, const struct instance *i, struct error *err)
{
	int r = snapshot_drop(&d->truth, i->id, err);

	return r < 0 ? r
		     : snapshot_not_made(&d->truth, i->id, "its instance was deleted", "wispd",
					 err);
}

/* How large may be what its VMM has for a disk: what was reserved for all, but for the rest. */
static int load_saving(struct wispd *d, const struct instance *i, const struct snapshot *s,
		       struct launch *l, struct error *err)
{
	struct volume volumes[VOLUMES_MAX];
	int64_t memory_mib = 0;
	int r = size_memory_room(&d->truth, i, &memory_mib, err), count;

	if (r < 0)
		return r;
	l->save.disk_most_mib = s->most_mib - memory_mib;
	count = snapshot_volumes_load(&d->truth, s->id, volumes, err);
	for (int n = 0; n < count; n++)
		l->save.disk_most_mib -= volumes[n].read_only ? 0 : volumes[n].size_mib;
	return count < 0 ? count : 0;
}

static int load(struct wispd *d, const struct instance *i, struct launch *l, struct error *err)
{
	struct snapshot s;
	int r = snapshot_of_use(&d->truth, i->id, &s, err);

	if (r > 0) {
		memcpy(l->load.snapshot, s.id, sizeof(l->load.snapshot));
		l->load.or_boot = strcmp(s.tenant, GOLDEN_TENANT) == 0;
	}
	if (r >= 0)
		r = snapshot_of_saving(&d->truth, i->id, &s, err);
	if (r > 0) {
		memcpy(l->save.snapshot, s.id, sizeof(l->save.snapshot));
		l->save.resume = s.resume;
		l->save.live = i->state == STATE_SAVING_LIVE;
		r = load_saving(d, i, &s, l, err);
	}
	return r < 0 ? r : 0;
}

static int attach(struct launch *l, struct error *err)
{
	return l->load.snapshot[0] ? snapshot_files_lend(l, err) : snapshot_files_take_back(l, err);
}

static int detach(struct launch *l, struct error *err)
{
	return snapshot_files_take_back(l, err);
}

/* Its pool's: others go on from it, too. */
static int report(struct wispd *d, const struct launch *l, struct error *err)
{
	(void)err;
	if (l->load.refused)
		keeper_refused(d->keeper, l->load.snapshot);
	return 0;
}

static int sweep(struct wispd *d, struct error *err)
{
	return snapshots_recover(d, err);
}

const struct kind kind_snapshot = {
	.name = "snapshot",
	.release = release,
	.load = load,
	.attach = attach,
	.detach = detach,
	.report = report,
	.sweep = sweep,
};
