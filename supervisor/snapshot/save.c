/* save.c - what an instance is, for its snapshot. */
#include <errno.h>
#include <string.h>

#include "supervisor/books/size.h"
#include "supervisor/books/store.h"
#include "supervisor/images/image.h"
#include "supervisor/life/runtime.h"
#include "supervisor/network/given.h"
#include "supervisor/network/lease.h"
#include "supervisor/share/share.h"
#include "supervisor/snapshot/save.h"
#include "supervisor/snapshot/volumes.h"
#include "supervisor/volume/disk.h"
#include "supervisor/wispd.h"

/* What a snapshot would not have is not left out in silence. */
int snapshot_check_saveable(struct wispd *d, const struct instance *i, struct error *err)
{
	const struct runtime *runtime = runtime_find(i->runtime);
	struct share shares[SHARES_MAX];
	struct netns given;
	int count;

	if (!runtime || !runtime->save)
		return error_set(
			err, -ENOTSUP, "runtime", "only what wisp itself runs can be saved",
			"%s is run by %s: a device of the host's has state that nobody can "
			"save",
			i->name, i->runtime);
	count = given_load(&d->truth, i->id, &given, err);
	if (count == 0 && given.path[0])
		return error_set(err, -EBUSY, "netns", "run it in a network of wispd's",
				 "%s has what is one guest's: %s of %.200s", i->name, given.link,
				 given.path);
	if (count == 0)
		count = share_load(&d->truth, i->id, shares, err);
	if (count > 0)
		return error_set(err, -EBUSY, "shares", "run it without, and copy what it needs",
				 "%s has %s, whose open files nobody could open again", i->name,
				 shares[0].path);
	return count;
}

/* As a request for the like of it; NULL: memory is short. */
static json_t *request_of(const struct lease *l)
{
	json_t *j = json_pack("{s:s, s:I, s:I}", "network", l->network.name, "rx_bytes_per_s",
			      (json_int_t)l->rx_bytes_per_s, "tx_bytes_per_s",
			      (json_int_t)l->tx_bytes_per_s);

	if (strcmp(l->egress, l->network.egress) != 0)
		json_object_set_new(j, "egress", network_egress_list(l->egress));
	return j;
}

static int note_interfaces(struct wispd *d, const struct instance *i, struct snapshot *s,
			   struct error *err)
{
	struct lease leases[LEASES_MAX];
	int count = lease_load(&d->truth, i->id, leases, err);
	json_t *list = json_array();
	size_t len;

	for (int n = 0; n < count; n++)
		json_array_append_new(list, request_of(&leases[n]));
	len = json_dumpb(list, s->interfaces, sizeof(s->interfaces) - 1, JSON_COMPACT);
	json_decref(list);
	if (count < 0)
		return count;
	if (len == 0 || len >= sizeof(s->interfaces))
		return error_set(err, -E2BIG, "interfaces", NULL,
				 "The rules of its interfaces are too long");
	s->interfaces[len] = '\0';
	return 0;
}

static int note_room(struct wispd *d, const struct instance *i, struct snapshot *s,
		     struct error *err)
{
	struct image image;
	int64_t hotplug = 0, memory_mib = 0, volumes_mib = 0, disk_mib;
	int r = image_find(&d->truth, i->image, &image, err);

	if (r == 0)
		r = store_number(d->truth.store, &hotplug, err,
				 "SELECT count(*) FROM hotplug WHERE instance = ?", "s", i->id);
	if (r == 0)
		r = size_memory_room(&d->truth, i, &memory_mib, err);
	if (r == 0)
		r = size_disk(&d->truth, i->id, &s->disk_mib, err);
	if (r == 0)
		r = snapshot_volumes_room(&d->truth, i, &volumes_mib, err);
	if (r < 0)
		return r;
	s->hotplug = hotplug != 0;
	disk_mib = (int64_t)(image.bytes >> 20) + 1;
	s->most_mib = memory_mib + volumes_mib + (s->disk_mib > disk_mib ? s->disk_mib : disk_mib);
	return disk_check_room(&d->config, s->most_mib, err);
}

static int check_live(struct wispd *d, const struct instance *i, struct error *err)
{
	if (!d->config.live_snapshots)
		return error_set(err, -ENOTSUP, "live",
				 "leave it out, or have live_snapshots in wispd's configuration",
				 "No guest of this host runs on while it is saved");
	if (i->wish.huge_pages)
		return error_set(err, -ENOTSUP, "live", "leave it out",
				 "The memory of %s is of huge pages, and cannot be saved while it "
				 "runs",
				 i->name);
	return 0;
}

int snapshot_begin(struct wispd *d, struct instance *i, struct snapshot *s, bool live,
		   const char *actor, struct error *err)
{
	const struct move move = { .actor = actor };
	int r;

	memcpy(s->tenant, i->tenant, sizeof(s->tenant));
	memcpy(s->instance, i->id, sizeof(s->instance));
	memcpy(s->image, i->image, sizeof(s->image));
	memcpy(s->shape, i->shape, sizeof(s->shape));
	memcpy(s->cmdline, i->cmdline, sizeof(s->cmdline));
	s->shape_version = i->shape_version;
	s->vcpus = i->vcpus;
	s->mem_mib = i->mem_mib;
	s->resume = i->state == STATE_RUNNING;
	r = live ? check_live(d, i, err) : 0;
	if (r == 0)
		r = snapshot_check_saveable(d, i, err);
	if (r == 0)
		r = note_interfaces(d, i, s, err);
	if (r == 0)
		r = note_room(d, i, s, err);
	if (r == 0)
		r = snapshot_add(&d->truth, s, err);
	if (r == 0)
		r = snapshot_volumes_note(&d->truth, s, err);
	return r < 0 ? r
		     : instance_move(&d->truth, i, live ? STATE_SAVING_LIVE : STATE_SAVING, &move,
				     err);
}
