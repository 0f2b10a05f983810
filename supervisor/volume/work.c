/* work.c - one table: what each verb does, and what is written when it went well or badly. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/http/api.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/runtime.h"
#include "supervisor/unknown.h"
#include "supervisor/volume/work.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

void volume_drive(const struct volume *v, struct launch_drive *ret)
{
	*ret = (struct launch_drive){
		.read_only = v->read_only,
		.busy = v->state != VOLUME_READY,
		.unmade = v->state == VOLUME_MAKING,
		.size_mib = v->size_mib,
	};
	snprintf(ret->id, sizeof(ret->id), "volume%lld", (long long)v->slot);
	memcpy(ret->file, ret->id, sizeof(ret->file));
	snprintf(ret->volume, sizeof(ret->volume), "%s", v->id);
}

int volume_work_aim(struct volume_work *w, struct error *err)
{
	struct instance i;
	int r = instance_load(&w->d->truth, w->volume.instance, &i, err);

	volume_drive(&w->volume, &w->drive);
	if (r == 0)
		r = lifecycle_load(w->d, &i, &w->launch, err);
	w->live = r == 0 && states[i.state].alive;
	return r;
}

/* --- what is done; a worker's thread --- */

static int make(struct volume_work *w)
{
	return disk_make(&w->d->config, w->volume.id, w->volume.size_mib,
			 w->volume.format == VOLUME_EXT4, &w->err);
}

static int copy(struct volume_work *w)
{
	return disk_copy(&w->d->config, w->source.id, w->volume.id, &w->shared, &w->err);
}

static int grow(struct volume_work *w)
{
	int r = disk_grow(&w->d->config, w->volume.id, w->volume.size_mib, &w->err);

	if (r < 0 || !w->live || !w->launch.runtime->refresh_drive)
		return r;
	return w->launch.runtime->refresh_drive(&w->launch, &w->drive, &w->err);
}

static int back_up(struct volume_work *w)
{
	return disk_back_up(&w->d->config, w->volume.id, w->path, &w->err);
}

static int remove_file(struct volume_work *w)
{
	return disk_remove(&w->d->config, w->volume.id, &w->err);
}

static int erase(struct volume_work *w)
{
	return disk_erase(&w->d->config, w->volume.id, &w->erasure, &w->err);
}

static int take_back(struct volume_work *w, struct error *err)
{
	int folder = w->launch.runtime->open_folder(&w->launch, err), r;

	if (folder < 0)
		return folder;
	r = disk_take_back(&w->d->config, w->volume.id, folder, w->drive.file, err);
	fd_close(folder);
	return r;
}

static int unplug(struct volume_work *w)
{
	const struct launch *l = &w->launch;
	int r = l->runtime->unplug_drive(l, &w->drive, &w->err);

	return r < 0 ? r : take_back(w, &w->err);
}

/* What could not be plugged is taken back, whatever the VMM has seen of it. */
static int plug(struct volume_work *w)
{
	const struct launch *l = &w->launch;
	int folder = l->runtime->open_folder(l, &w->err), r;
	struct error later;

	if (folder < 0)
		return folder;
	r = disk_lend(&w->d->config, w->volume.id, folder, w->drive.file, l->uid,
		      w->drive.read_only, &w->err);
	fd_close(folder);
	if (r == 0)
		r = l->runtime->plug_drive(l, &w->drive, &w->err);
	if (r < 0 && l->runtime->unplug_drive(l, &w->drive, &later) == 0)
		(void)take_back(w, &later);
	return r;
}

/* --- what is written; the loop's thread, within a transaction --- */

static int be_ready(struct volume_work *w, const char *event, json_t *body, struct error *err)
{
	struct truth *t = &w->d->truth;
	struct volume now;
	int r = volume_find(t, NULL, w->volume.id, &now, err);

	w->volume.state = VOLUME_READY;
	/* Its instance was deleted meanwhile. */
	if (r == 0 && now.place == VOLUME_FREE)
		w->volume.place = VOLUME_FREE;
	if (r == 0)
		r = volume_update(t, &w->volume, err);
	if (r == 0 && event)
		return volume_tell(t, event, &w->volume, w->actor, body, err);
	json_decref(body);
	return r;
}

static int made(struct volume_work *w, struct error *err)
{
	return be_ready(w, "volume.created",
			json_pack("{s:s}", "format", volume_format_names[w->volume.format]), err);
}

static int not_made(struct volume_work *w, struct error *err)
{
	return volume_forget(&w->d->truth, &w->volume, err);
}

static int release_source(struct volume_work *w, struct error *err)
{
	w->source.state = VOLUME_READY;
	return volume_update(&w->d->truth, &w->source, err);
}

static int copied(struct volume_work *w, struct error *err)
{
	int r = release_source(w, err);

	return r < 0 ? r
		     : be_ready(w, "volume.copied",
				json_pack("{s:s, s:b}", "from", w->source.id, "shares_blocks",
					  w->shared),
				err);
}

static int not_copied(struct volume_work *w, struct error *err)
{
	int r = release_source(w, err);

	return r < 0 ? r : not_made(w, err);
}

static int grown(struct volume_work *w, struct error *err)
{
	return be_ready(w, "volume.grown", NULL, err);
}

/* Its file may be larger already, which harms nobody. */
static int not_grown(struct volume_work *w, struct error *err)
{
	w->volume.size_mib = w->old_size_mib;
	return be_ready(w, NULL, NULL, err);
}

static int backed_up(struct volume_work *w, struct error *err)
{
	return be_ready(w, "volume.backed_up", json_pack("{s:s}", "path", w->path), err);
}

static int still_there(struct volume_work *w, struct error *err)
{
	return be_ready(w, NULL, NULL, err);
}

static int removed(struct volume_work *w, struct error *err)
{
	int r = volume_tell(&w->d->truth, "volume.removed", &w->volume, w->actor, NULL, err);

	return r < 0 ? r : volume_forget(&w->d->truth, &w->volume, err);
}

/* From then on there is a file to be removed. */
static int erased(struct volume_work *w, struct error *err)
{
	char what[128];
	int r;

	snprintf(what, sizeof(what), "volume %s of tenant %s", w->volume.id, w->volume.tenant);
	w->volume.state = VOLUME_REMOVING;
	r = volume_update(&w->d->truth, &w->volume, err);
	if (r < 0)
		return r;
	return volume_tell(&w->d->truth, "volume.erased", &w->volume, w->actor,
			   erasure_certify(what, &w->erasure), err);
}

static int plugged(struct volume_work *w, struct error *err)
{
	w->volume.place = VOLUME_ATTACHED;
	return be_ready(w, "volume.attached", NULL, err);
}

static int not_plugged(struct volume_work *w, struct error *err)
{
	w->volume.place = VOLUME_FREE;
	return be_ready(w, NULL, NULL, err);
}

static int unplugged(struct volume_work *w, struct error *err)
{
	w->volume.place = VOLUME_FREE;
	return be_ready(w, "volume.detached", NULL, err);
}

static int not_unplugged(struct volume_work *w, struct error *err)
{
	w->volume.place = VOLUME_ATTACHED;
	return be_ready(w, NULL, NULL, err);
}

static const struct {
	int (*run)(struct volume_work *w);
	int (*well)(struct volume_work *w, struct error *err);
	int (*badly)(struct volume_work *w, struct error *err);
} verbs[VERBS_COUNT] = {
	[VERB_MAKE] = { make, made, not_made },
	[VERB_COPY] = { copy, copied, not_copied },
	[VERB_GROW] = { grow, grown, not_grown },
	[VERB_BACK_UP] = { back_up, backed_up, still_there },
	[VERB_REMOVE] = { remove_file, removed, still_there },
	[VERB_ERASE] = { erase, erased, still_there },
	[VERB_PLUG] = { plug, plugged, not_plugged },
	[VERB_UNPLUG] = { unplug, unplugged, not_unplugged },
};

/* --- walking through it --- */

static void run(struct work *work)
{
	struct volume_work *w = (struct volume_work *)work;

	w->result = verbs[w->verb].run(w);
}

/* What is erased is then removed: its operation goes on. */
static bool goes_on(const struct volume_work *w)
{
	return w->verb == VERB_ERASE && w->result == 0;
}

static int settle(struct volume_work *w, struct error *err)
{
	const char *code = NULL;
	int r = w->result == 0 ? verbs[w->verb].well(w, err) : verbs[w->verb].badly(w, err);

	if (w->result < 0)
		api_status_of(w->result, &code);
	if (r < 0 || !w->operation[0] || goes_on(w))
		return r;
	return operation_end(&w->d->truth, w->operation, code, w->err.text, w->volume.id, err);
}

/* Books that cannot be written now leave it to the next start. */
static void done(struct work *work)
{
	struct volume_work *w = (struct volume_work *)work;
	struct store *store = w->d->truth.store;
	struct error err = { 0 };
	int r = store_begin(store, &err);

	if (r == 0)
		r = settle(w, &err);
	if (r == 0)
		r = wispd_commit(w->d, &err);
	/* At wispd's end it is left to the next one. */
	if (r == 0 && goes_on(w) && w->d->server) {
		w->verb = VERB_REMOVE;
		w->result = -ECANCELED;
		workers_add(w->d->workers, &w->work);
		return;
	}
	if (r < 0) {
		store_rollback(store);
		log_error("volume %s: %s", w->volume.id, err.text);
	}
	free(w);
}

void volume_work_begin(struct wispd *d, void *w)
{
	struct volume_work *own = malloc(sizeof(*own));

	if (!own) {
		log_error("a volume: out of memory");
		return;
	}
	memcpy(own, w, sizeof(*own));
	own->d = d;
	own->work = (struct work){ .run = run, .done = done };
	own->result = -ECANCELED;
	workers_add(d->workers, &own->work);
}

/* --- after a crash --- */

struct found {
	struct wispd *d;
	struct error *err;
	unsigned count;
	struct volume *cut_off; /* to be freed */
};

static int find_cut_off(void *ctx, const struct volume *v)
{
	struct found *f = ctx;
	struct volume *more;

	if (v->state == VOLUME_READY && (v->place == VOLUME_FREE || v->place == VOLUME_ATTACHED))
		return 0;
	/* It is made, or removed, with its instance. */
	if (v->state == VOLUME_MAKING && v->place != VOLUME_FREE)
		return 0;
	more = realloc(f->cut_off, (f->count + 1) * sizeof(*more));
	if (!more)
		return error_set(f->err, -ENOMEM, NULL, NULL, "out of memory");
	f->cut_off = more;
	f->cut_off[f->count++] = *v;
	return 0;
}

static bool is_nobodys(void *ctx, const char *id)
{
	struct wispd *d = ctx;
	char path[NAME_MAX + 16];
	struct volume v;
	struct error err;

	snprintf(path, sizeof(path), "volumes/%.*s", NAME_MAX, id);
	return volume_find(&d->truth, NULL, id, &v, &err) == -ENOENT &&
	       !unknown_keep(d, -1, path, id);
}

/* What was begun is gone on with, but for what nobody waits for any more. */
static int go_on(struct volume_work *w, struct error *err)
{
	struct truth *t = &w->d->truth;
	struct volume *v = &w->volume;
	bool moving = v->place == VOLUME_PLUGGING || v->place == VOLUME_UNPLUGGING;

	if (v->state == VOLUME_MAKING)
		return volume_forget(t, v, err);
	if (v->state == VOLUME_REMOVING || v->state == VOLUME_ERASING) {
		w->verb = v->state == VOLUME_ERASING ? VERB_ERASE : VERB_REMOVE;
		volume_work_begin(w->d, w);
		return 0;
	}
	if (v->state == VOLUME_GROWING) {
		int r = disk_grow(&w->d->config, v->id, v->size_mib, err);

		if (r < 0)
			return r;
	}
	v->state = VOLUME_READY;
	if (moving && volume_work_aim(w, err) == 0) {
		w->verb = VERB_UNPLUG;
		volume_work_begin(w->d, w);
	}
	return volume_update(t, v, err);
}

static int go_on_with(struct wispd *d, const struct volume *v, struct error *err)
{
	struct volume_work *w = calloc(1, sizeof(*w));
	int r = w ? store_begin(d->truth.store, err) : -ENOMEM;

	if (r == 0) {
		w->d = d;
		w->volume = *v;
		snprintf(w->actor, sizeof(w->actor), "wispd");
		r = go_on(w, err);
	}
	if (r == 0)
		r = wispd_commit(d, err);
	if (r < 0 && w)
		store_rollback(d->truth.store);
	free(w);
	return r;
}

int volume_recover(struct wispd *d, struct error *err)
{
	struct found f = { .d = d, .err = err };
	int r = volume_each(&d->truth, NULL, find_cut_off, &f, err);

	for (unsigned i = 0; i < f.count && r == 0; i++)
		r = go_on_with(d, &f.cut_off[i], err);
	free(f.cut_off);
	return r < 0 ? r : disk_sweep(&d->config, is_nobodys, d, err);
}
