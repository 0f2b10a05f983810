/* volumes.c - the rows of volumes in snapshots, and what is made of them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/snapshot/volumes.h"
#include "supervisor/volume/disk.h"
#include "supervisor/wispd.h"

/* --- saving --- */

/* What is being copied, grown or plugged is not what it will be. */
static int check_still(const struct instance *i, const struct volume *v, struct error *err)
{
	if (v->state == VOLUME_READY && v->place == VOLUME_ATTACHED)
		return 0;
	return error_set(err, -EBUSY, "volumes", "try again when that has ended",
			 "Something is being done to volume %s of %s", v->name, i->name);
}

int snapshot_volumes_room(struct truth *t, const struct instance *i, int64_t *mib,
			  struct error *err)
{
	struct volume volumes[VOLUMES_MAX];
	int count = volume_load(t, i->id, volumes, err), r = count < 0 ? count : 0;

	*mib = 0;
	for (int n = 0; n < count && r == 0; n++) {
		r = check_still(i, &volumes[n], err);
		if (!volumes[n].read_only)
			*mib += volumes[n].size_mib;
	}
	return r;
}

int snapshot_volumes_note(struct truth *t, const struct snapshot *s, struct error *err)
{
	int r = store_run(t->store, err,
			  "INSERT INTO snapshot_volume SELECT ?1, slot, id, name, format, size_mib,"
			  " read_only FROM volume WHERE instance = ?2",
			  "ss", s->id, s->instance);

	return r < 0 ? r : 0;
}

int snapshot_volumes_forget(struct truth *t, const char *snapshot, struct error *err)
{
	int r = store_run(t->store, err, "DELETE FROM snapshot_volume WHERE snapshot = ?", "s",
			  snapshot);

	return r < 0 ? r : 0;
}

/* --- reading --- */

static void read_row(const struct rows *r, struct volume *v)
{
	*v = (struct volume){
		.slot = rows_int(r, 0),
		.format = (enum volume_format)rows_int(r, 3),
		.size_mib = rows_int(r, 4),
		.read_only = rows_int(r, 5) != 0,
	};
	rows_text(r, 1, v->id, sizeof(v->id));
	rows_text(r, 2, v->name, sizeof(v->name));
}

int snapshot_volumes_load(struct truth *t, const char *snapshot, struct volume ret[VOLUMES_MAX],
			  struct error *err)
{
	struct rows rows;
	int count = 0;
	int r = store_select(t->store, &rows, err,
			     "SELECT slot, volume, name, format, size_mib, read_only"
			     " FROM snapshot_volume WHERE snapshot = ? ORDER BY slot",
			     "s", snapshot);

	if (r < 0)
		return r;
	while (count < VOLUMES_MAX && (r = rows_next(&rows, err)) > 0)
		read_row(&rows, &ret[count++]);
	rows_end(&rows);
	return r < 0 ? r : count;
}

int snapshot_volumes_check_unused(struct truth *t, const struct volume *v, struct error *err)
{
	int64_t uses = 0;
	int r = store_number(t->store, &uses, err,
			     "SELECT count(*) FROM snapshot_volume WHERE volume = ? AND read_only",
			     "s", v->id);

	if (r < 0 || uses == 0)
		return r;
	return error_set(err, -EBUSY, "volume", "remove them first",
			 "%lld snapshots are of guests that read volume %s", (long long)uses,
			 v->name);
}

json_t *snapshot_volumes_describe(struct truth *t, const char *snapshot)
{
	struct volume volumes[VOLUMES_MAX];
	struct error err;
	int count = snapshot_volumes_load(t, snapshot, volumes, &err);
	json_t *list = json_array();

	for (int n = 0; n < count; n++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b}", "id", volumes[n].id,
						      "name", volumes[n].name, "size_mib",
						      (json_int_t)volumes[n].size_mib, "read_only",
						      volumes[n].read_only));
	return list;
}

/* --- giving --- */

static int attach(struct truth *t, struct volume *v, const struct volume *saved,
		  const struct instance *i, struct error *err)
{
	v->place = VOLUME_ATTACHED;
	v->slot = saved->slot;
	v->read_only = saved->read_only;
	memcpy(v->instance, i->id, sizeof(v->instance));
	return volume_update(t, v, err);
}

/* Its name tells of what, and whose it is. */
static int give_copy(struct wispd *d, const struct volume *saved, const struct instance *i,
		     struct error *err)
{
	struct volume v = { .format = saved->format, .size_mib = saved->size_mib };
	int room = (int)(NAME_BYTES - 2 - strlen(i->id));
	int r = disk_check_room(&d->config, saved->size_mib, err);

	if (r < 0)
		return r;
	memcpy(v.tenant, i->tenant, sizeof(v.tenant));
	snprintf(v.name, sizeof(v.name), "%.*s-%s", room, saved->name, i->id);
	r = volume_add(&d->truth, &v, err);
	return r < 0 ? r : attach(&d->truth, &v, saved, i, err);
}

/* The guest has parts of it in memory: whether it was written to since, its VMM sees. */
static int give_same(struct wispd *d, const struct volume *saved, const struct instance *i,
		     const char *actor, struct error *err)
{
	struct volume v = { 0 };
	int r = volume_find_ready(&d->truth, i->tenant, saved->id, &v, err);

	if (r < 0)
		return r;
	if (v.place != VOLUME_FREE)
		return error_set(err, -EBUSY, "volumes", "detach it there first",
				 "Volume %s, which the guest reads, is %s's, and no two can have "
				 "one",
				 v.name, v.instance);
	if (v.size_mib != saved->size_mib)
		return error_set(err, -EBUSY, "volumes", NULL,
				 "Volume %s, which the guest reads, is larger than it was", v.name);
	r = attach(&d->truth, &v, saved, i, err);
	return r < 0 ? r : volume_tell(&d->truth, "volume.attached", &v, actor, NULL, err);
}

int snapshot_volumes_give(struct wispd *d, const struct snapshot *s, const struct instance *i,
			  const char *actor, struct error *err)
{
	struct volume saved[VOLUMES_MAX];
	int count = snapshot_volumes_load(&d->truth, s->id, saved, err), r = count < 0 ? count : 0;

	for (int n = 0; n < count && r == 0; n++)
		r = saved[n].read_only ? give_same(d, &saved[n], i, actor, err)
				       : give_copy(d, &saved[n], i, err);
	return r;
}
