/* take.c - a blank becomes an instance. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/life/queue.h"
#include "supervisor/metering/meter.h"
#include "supervisor/pool/keeper.h"
#include "supervisor/pool/take.h"
#include "supervisor/snapshot/snapshot.h"
#include "supervisor/wispd.h"

/* --- which --- */

static int refuse(struct wispd *d, const struct instance *i, const char *name, bool plain,
		  struct error *err)
{
	struct pool pool;
	int r = pool_find(&d->truth, i->tenant, name, &pool, err);

	if (r < 0)
		return r;
	if (!plain)
		return error_set(
			err, -EINVAL, "pool", "leave the pool out",
			"What comes of a pool is started, has no volumes or devices of its "
			"own, and the addresses that its networks give it");
	return error_set(err, -EINVAL, "pool", "wispctl pool inspect shows what it is made of",
			 "Pool %s is of image %s, shape %s, and another command line or other "
			 "networks",
			 pool.name, pool.image, pool.shape);
}

/* Who would have to wait for room takes nothing: he is queued, and starts as others do. */
static bool has_room(struct wispd *d, const struct instance *i)
{
	struct error err;

	return !i->wait_ms || queue_decide(d->queue, i, &err) == STATE_STARTING;
}

/* What was the pool's: the instance holds its own. */
static int release_blank(struct truth *t, const struct blank *b, struct error *err)
{
	int r = blank_forget(t, b->id, err);

	if (r == 0)
		return error_set(err, -ESTALE, "pool", "repeat it", "The blank has gone meanwhile");
	return r < 0 ? r : quota_hold(t, b->id, "", RESOURCE_MEMORY_MIB, 0, err);
}

int take_choose(struct wispd *d, struct instance *i, const struct take_wish *wish, struct take *ret,
		struct error *err)
{
	char networks[LEASE_NETWORKS_BYTES];
	bool plain =
		wish->plain && lease_list_networks(wish->interfaces, wish->ninterfaces, networks);
	int r = plain ? pool_match(&d->truth, i, networks, wish->pool, &ret->pool, err) : 0;

	if (r < 0)
		return r;
	if (r == 0)
		return wish->pool[0] ? refuse(d, i, wish->pool, plain, err) : 0;
	ret->asked = true;
	if (!keeper_choose(d->keeper, &ret->pool, i, &ret->blank))
		ret->why = "no blank was ready";
	else if (!has_room(d, i))
		ret->why = "it has to wait for room";
	else
		ret->found = true;
	if (!ret->found)
		return 0;
	memcpy(i->id, ret->blank.id, sizeof(i->id));
	return release_blank(&d->truth, &ret->blank, err);
}

/* --- binding --- */

static int begin(struct truth *t, struct instance *i, const struct take *take, const char *actor,
		 struct error *err)
{
	const struct move move = { .actor = actor, .cause = "taken from a pool" };
	const struct blank *b = &take->blank;
	int r = instance_move(t, i, STATE_CREATED, &move, err);

	if (r == 0)
		r = instance_move(t, i, STATE_STARTING, &move, err);
	if (r == 0)
		r = instance_spawned(t, i, b->pid, b->pid_start, actor, err);
	if (r == 0 && b->disk_mib >= 0)
		r = meter_hold(t, METER_DISK_SPACE, i->tenant, i->id, i->id, b->disk_mib, actor,
			       err);
	return r < 0 ? r : meter_follow(t, i, err);
}

int take_bind(struct wispd *d, struct instance *i, const struct take *take, const char *actor,
	      struct error *err)
{
	int r = 0;

	if (!take->asked)
		return 0;
	if (take->blank.plan.snapshot[0])
		r = snapshot_use(&d->truth, take->blank.plan.snapshot, i->id, err);
	if (r == 0 && take->found)
		r = begin(&d->truth, i, take, actor, err);
	if (r == 0)
		r = instance_tell(&d->truth, i,
				  take->found ? "instance.taken" : "instance.not_taken", actor,
				  take_describe(take), NULL, err);
	if (r == 0)
		keeper_note(d->keeper, &take->pool, take->found);
	return r;
}

void take_follow(struct wispd *d, void *id)
{
	keeper_hand_over(d->keeper, id);
}

json_t *take_describe(const struct take *take)
{
	json_t *j;

	if (!take->asked)
		return json_null();
	j = json_pack("{s:s, s:s, s:b, s:s}", "name", take->pool.name, "tenant", take->pool.tenant,
		      "taken", take->found, "snapshot", take->blank.plan.snapshot);
	if (j && !take->found)
		json_object_set_new(j, "why", json_string(take->why));
	return j;
}
