/* keeper.c - how many blanks of each pool there are to be, and which of them go.
 *
 * keeper_look() reads the pools, finds out what their blanks are to be made of now, lets go of
 * those that are of something else or too many, and makes new ones, of the pool that lacks
 * most first, as long as fewer than MAKING of them are under way. It is called soon after
 * something has happened, and each second while there are pools: so a new image under an old name,
 * a new version of a shape, the end of a cordon are found without anybody having to tell.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/pool/keeper.h"
#include "supervisor/pool/kept.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	LOOK_INTERVAL_US = 1000000,
	REFILL_DELAY_US = 10000,
	ACCURACY_US = 1000,
	BLANK_MIB = 8, /* of the host's memory, that a VMM without a guest takes */
};

static const int64_t NS_PER_S = 1000000000, RETRY_LAST_NS = 60000000000;
static const int64_t ANEW_FIRST_NS = 60000000000, ANEW_LAST_NS = 3600000000000;

/* --- pools --- */

static struct stock *find(const struct keeper *k, int64_t n)
{
	for (struct stock *s = k->stocks; s; s = s->next)
		if (s->pool.n == n)
			return s;
	return NULL;
}

static int read_one(void *ctx, const struct pool *p)
{
	struct keeper *k = ctx;
	struct stock *s = find(k, p->n);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->next = k->stocks;
		k->stocks = s;
	}
	s->pool = *p;
	s->seen = true;
	return 0;
}

static void forget_unseen(struct keeper *k)
{
	for (struct stock **at = &k->stocks; *at;) {
		struct stock *s = *at;

		if (s->seen) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
}

static void say(struct stock *s, const struct error *err)
{
	snprintf(s->cause, sizeof(s->cause), "%.*s", CAUSE_BYTES - 1, err->text);
}

static void fail(struct stock *s, const struct error *err)
{
	log_warn("pool %s: %s", s->pool.name, err->text);
	say(s, err);
	s->retry_ns = s->retry_ns ? 2 * s->retry_ns : NS_PER_S;
	if (s->retry_ns > RETRY_LAST_NS)
		s->retry_ns = RETRY_LAST_NS;
	s->retry_boot_ns = ledger_boot_ns() + s->retry_ns;
}

void keeper_fail(struct keeper *k, int64_t pool, const struct error *err)
{
	struct stock *s = find(k, pool);

	if (s)
		fail(s, err);
}

/* A golden snapshot that cannot be made is tried again later; blanks boot meanwhile. */
static void plan_golden(struct keeper *k, struct stock *s)
{
	struct error err;
	int r;

	s->golden = GOLDEN_NONE;
	if (s->golden_failed && ledger_boot_ns() < s->retry_boot_ns)
		return;
	r = golden_look(k->d, &s->pool, &s->plan, &err);
	if (r >= 0)
		s->golden = (enum golden_state)r;
	else
		fail(s, &err);
	if (r != GOLDEN_MAKING)
		s->golden_failed = r < 0;
}

/* What the pool's blanks are to be, and how many: none of what will be replaced at once. */
static void plan(struct keeper *k, struct stock *s)
{
	const struct pool *p = &s->pool;
	int64_t now_s = ledger_boot_ns() / NS_PER_S;
	struct error err;

	s->plan = (struct pool_plan){ 0 };
	s->planned = !p->leaving && pool_plan(&k->d->truth, p, &s->plan, &err) == 0;
	if (s->planned)
		plan_golden(k, s);
	else if (!p->leaving)
		say(s, &err);
	s->wanted = 0;
	if (s->planned && (s->golden != GOLDEN_MAKING || s->golden_failed))
		s->wanted = demand_target(&s->demand, now_s, p->keep_s, p->least, p->most);
}

static int read_pools(struct keeper *k, struct error *err)
{
	int r;

	for (struct stock *s = k->stocks; s; s = s->next)
		s->seen = false;
	r = pool_each(&k->d->truth, NULL, read_one, k, err);
	if (r < 0)
		return r;
	forget_unseen(k);
	for (struct stock *s = k->stocks; s; s = s->next)
		plan(k, s);
	return 0;
}

/* --- what there is --- */

static bool fits(const struct kept *b, const struct stock *s)
{
	const struct pool_plan *have = &b->row.plan, *want = &s->plan;

	return b->row.pool == s->pool.n && !b->leaving &&
	       have->shape_version == want->shape_version && have->vcpus == want->vcpus &&
	       have->mem_mib == want->mem_mib && strcmp(have->image, want->image) == 0 &&
	       strcmp(have->snapshot, want->snapshot) == 0;
}

static void tally(struct keeper *k)
{
	for (struct stock *s = k->stocks; s; s = s->next)
		s->rows = s->kept = s->ready = 0;
	for (const struct kept *b = k->blanks; b; b = b->next) {
		struct stock *s = find(k, b->row.pool);

		if (!s)
			continue;
		s->rows++;
		s->kept += fits(b, s);
		s->ready += fits(b, s) && b->ready;
	}
}

/* What is of another image or shape goes, and what is too many, the oldest first. */
static void let_go(struct keeper *k)
{
	for (struct kept *b = k->blanks; b; b = b->next) {
		struct stock *s = find(k, b->row.pool);
		bool fit = s && s->planned && fits(b, s);

		if (b->leaving || (fit && s->kept <= s->wanted))
			continue;
		if (fit) {
			s->kept--;
			s->ready -= b->ready;
		}
		b->leaving = true;
		b->ready = false;
	}
}

/* --- making --- */

static unsigned under_way(const struct keeper *k)
{
	unsigned n = 0;

	for (const struct kept *b = k->blanks; b; b = b->next)
		n += !b->ready && !b->leaving;
	return n;
}

static struct stock *neediest(const struct keeper *k)
{
	int64_t now = ledger_boot_ns(), most = 0;
	struct stock *ret = NULL;

	for (struct stock *s = k->stocks; s; s = s->next) {
		int64_t lack = now < s->retry_boot_ns ? 0 : s->wanted - s->kept;

		if (lack > most) {
			most = lack;
			ret = s;
		}
	}
	return ret;
}

static int write_blank(struct keeper *k, const struct pool *p, struct blank *b, struct error *err)
{
	struct truth *t = &k->d->truth;
	struct instance i;
	int r = store_begin(t->store, err);

	if (r == 0)
		r = blank_create(t, b, err);
	blank_instance(b, &i);
	if (r == 0)
		r = quota_hold(t, b->id, "", RESOURCE_MEMORY_MIB, BLANK_MIB, err);
	if (r == 0)
		r = kinds_reserve(k->d, &i, err);
	if (r == 0)
		r = lease_prepare(t, b->id, p->tenant, p->networks, err);
	if (r == 0)
		r = wispd_commit(k->d, err);
	if (r < 0)
		store_rollback(t->store);
	return r;
}

static void make_one(struct keeper *k, struct stock *s)
{
	struct blank row = { .pool = s->pool.n, .plan = s->plan, .disk_mib = -1 };
	struct error err = { .text = "out of memory" };
	struct kept *b = NULL;

	memcpy(row.cmdline, s->pool.cmdline, sizeof(row.cmdline));
	if (write_blank(k, &s->pool, &row, &err) == 0)
		b = kept_make(k, &row);
	if (!b) {
		keeper_fail(k, s->pool.n, &err);
		return;
	}
	s->rows++;
	s->kept++;
	kept_look(b);
}

static bool may_make(struct keeper *k)
{
	struct error err;
	int r = queue_check_cordon(k->d->queue, &err);

	if (r == 0 && !wispd_has_room(k->d))
		r = error_set(&err, -ENOSPC, NULL, NULL, "The disk is full");
	for (struct stock *s = k->stocks; r < 0 && s; s = s->next)
		say(s, &err);
	return r == 0;
}

static void make(struct keeper *k)
{
	const unsigned most = ((unsigned)k->d->config.workers + 1) / 2;
	struct stock *s;

	if (!neediest(k) || !may_make(k))
		return;
	while (under_way(k) < most && (s = neediest(k)) != NULL)
		make_one(k, s);
}

/* --- looking --- */

/* What there was of pools that were removed has gone. */
static void bury(struct keeper *k)
{
	struct truth *t = &k->d->truth;
	struct error err;

	for (struct stock *s = k->stocks; s; s = s->next) {
		int r;

		if (!s->pool.leaving || s->rows)
			continue;
		r = golden_drop(k->d, &s->pool, &err);
		if (r == 0)
			r = store_begin(t->store, &err);
		if (r == 0)
			r = pool_forget(t, s->pool.n, &err);
		if (r == 0)
			r = wispd_commit(k->d, &err);
		if (r < 0)
			store_rollback(t->store);
	}
}

/* All is well where as many are ready as are wanted. */
static void settle(struct keeper *k)
{
	for (struct stock *s = k->stocks; s; s = s->next) {
		if (!s->planned || s->golden_failed || s->ready < s->wanted)
			continue;
		s->cause[0] = '\0';
		s->retry_ns = s->retry_boot_ns = 0;
	}
}

static void keeper_look(struct keeper *k)
{
	struct error err;
	struct kept *next;

	if (k->ending)
		return;
	k->refilling = false;
	if (read_pools(k, &err) < 0) {
		log_warn("the pools cannot be read: %s", err.text);
	} else {
		tally(k);
		let_go(k);
		for (struct kept *b = k->blanks; b; b = next) {
			next = b->next;
			kept_look(b);
		}
		make(k);
		settle(k);
		bury(k);
	}
	sd_event_source_set_time_relative(k->timer, LOOK_INTERVAL_US);
	sd_event_source_set_enabled(k->timer, k->stocks ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

void keeper_wake(struct keeper *k)
{
	if (k)
		sd_event_source_set_enabled(k->soon, SD_EVENT_ONESHOT);
}

/* At once, the first time: then it was the snapshot, or what the host was when it was made. */
void keeper_refused(struct keeper *k, const char *snapshot)
{
	int64_t now = ledger_boot_ns();
	struct stock *s = k->stocks;
	struct error err;

	while (s && strcmp(s->plan.snapshot, snapshot) != 0)
		s = s->next;
	if (!s || now < s->anew_boot_ns)
		return;
	if (golden_spoil(k->d, &s->pool, &err) < 0) {
		log_warn("pool %s: %s", s->pool.name, err.text);
		return;
	}
	s->anew_ns = s->anew_ns ? 2 * s->anew_ns : ANEW_FIRST_NS;
	if (s->anew_ns > ANEW_LAST_NS)
		s->anew_ns = ANEW_LAST_NS;
	s->anew_boot_ns = now + s->anew_ns;
	keeper_wake(k);
}

/* --- taking --- */

/* Not at once: what was taken is to run first, on a processor that nobody else wants. */
static void refill_soon(struct keeper *k)
{
	if (k->refilling)
		return;
	k->refilling = true;
	sd_event_source_set_time_relative(k->timer, REFILL_DELAY_US);
	sd_event_source_set_enabled(k->timer, SD_EVENT_ONESHOT);
}

static bool is_for(const struct kept *b, const struct stock *s, const struct instance *i)
{
	const struct pool_plan *have = &b->row.plan;
	struct pollfd ended = { .fd = b->process.pidfd, .events = POLLIN };

	return b->row.pool == s->pool.n && b->ready && have->shape_version == i->shape_version &&
	       strcmp(have->image, i->image) == 0 && strcmp(b->row.cmdline, i->cmdline) == 0 &&
	       strcmp(have->snapshot, s->plan.snapshot) == 0 && poll(&ended, 1, 0) == 0;
}

bool keeper_choose(struct keeper *k, const struct pool *p, const struct instance *i,
		   struct blank *ret)
{
	const struct stock *s = k ? find(k, p->n) : NULL;

	*ret = (struct blank){ 0 };
	if (s && s->planned && s->plan.shape_version == i->shape_version &&
	    strcmp(s->plan.image, i->image) == 0)
		ret->plan = s->plan;
	for (const struct kept *b = s ? k->blanks : NULL; b; b = b->next) {
		if (!is_for(b, s, i))
			continue;
		*ret = b->row;
		return true;
	}
	return false;
}

void keeper_note(struct keeper *k, const struct pool *p, bool got)
{
	struct stock *s = k ? find(k, p->n) : NULL;

	if (!s)
		return;
	demand_note(&s->demand, ledger_boot_ns() / NS_PER_S);
	s->takes += got;
	s->kept -= got;
	s->ready -= got;
	s->misses += !got;
	refill_soon(k);
}

void keeper_hand_over(struct keeper *k, const char *id)
{
	struct kept *b = k->blanks;
	struct error err;

	while (b && strcmp(b->row.id, id) != 0)
		b = b->next;
	if (!b)
		return;
	b->ended = sd_event_source_disable_unref(b->ended);
	if (lifecycle_adopt(k->d->lifecycle, id, &b->process, &err) == 0)
		b->process.pidfd = -1;
	else
		log_error("%s", err.text);
	kept_free(b);
}

json_t *keeper_describe(const struct keeper *k, const struct pool *p)
{
	const struct stock *s = k ? find(k, p->n) : NULL;
	json_t *j = pool_describe(p), *more;

	more = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "ready", (json_int_t)(s ? s->ready : 0),
		"making", (json_int_t)(s ? s->kept - s->ready : 0), "wanted",
		(json_int_t)(s ? s->wanted : p->least), "takes", (json_int_t)(s ? s->takes : 0),
		"misses", (json_int_t)(s ? s->misses : 0), "cause", s ? s->cause : "", "golden",
		golden_state_names[s ? s->golden : GOLDEN_NONE]);
	if (j && more)
		json_object_update(j, more);
	json_decref(more);
	return j;
}

/* --- life --- */

static int on_soon(sd_event_source *source, void *arg)
{
	(void)source;
	keeper_look(arg);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	keeper_look(arg);
	return 0;
}

/* A blank that an earlier wispd made: one that lives is looked at again. */
static int take_up(void *ctx, const struct blank *row)
{
	struct keeper *k = ctx;
	struct kept *b = kept_make(k, row);
	struct process p;

	if (!b)
		return -ENOMEM;
	b->prepared = true;
	b->leaving = strcmp(row->boot_id, ledger_boot_id(k->d->truth.ledger)) != 0 ||
		     process_adopt(row->pid, row->pid_start, &p) < 0;
	log_info("%s, a blank: its VMM %s", row->id, b->leaving ? "has ended" : "is taken over");
	return b->leaving ? 0 : kept_watch(b, &p);
}

int keeper_create(struct wispd *d, struct keeper **ret, struct error *err)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int r = -ENOMEM;

	if (k) {
		k->d = d;
		r = sd_event_add_defer(d->loop, &k->soon, on_soon, k);
	}
	if (r >= 0)
		r = sd_event_add_time_relative(d->loop, &k->timer, CLOCK_MONOTONIC,
					       LOOK_INTERVAL_US, ACCURACY_US, on_timer, k);
	if (r >= 0)
		r = blank_each(&d->truth, take_up, k, err);
	if (r < 0) {
		keeper_destroy(k);
		return error_set(err, r, NULL, NULL, "Cannot keep pools: %s", strerror(-r));
	}
	*ret = k;
	return 0;
}

void keeper_end(struct keeper *k)
{
	if (k)
		k->ending = true;
}

void keeper_destroy(struct keeper *k)
{
	if (!k)
		return;
	while (k->blanks)
		kept_free(k->blanks);
	for (struct stock *s = k->stocks, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	sd_event_source_disable_unref(k->soon);
	sd_event_source_disable_unref(k->timer);
	free(k);
}
