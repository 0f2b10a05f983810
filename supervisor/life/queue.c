/* queue.c - the queue for room on the host, and the cordon; see queue.h for its rules.
 *
 * Who waits is in the books: an instance that is "queued". Kept here is only what a restart
 * may forget: how many starts this second still has.
 *
 * A look at the queue (queue_pump) takes the first in order that may start, moves it to
 * "starting" in a transaction of its own, kicks it, and looks again, for that has changed
 * who holds what. What does not fit the room that is left is told by two comparisons, so a
 * long queue costs little at a full host.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/quota.h"
#include "supervisor/books/seats.h"
#include "supervisor/books/store.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/queue.h"
#include "supervisor/metering/budget.h"
#include "supervisor/wispd.h"
#include "vmm/base/log.h"

enum { ACCURACY_US = 1000 };

static const int64_t NS_PER_S = 1000000000, NS_PER_MS = 1000000;
static const char actor[] = "wispd";

/* In order. Of two as urgent, first the tenant that holds less for its weight. ?1: now, ?2:
 * queue_age_ns. */
#define IN_ORDER                                                               \
	"SELECT id, tenant, name, vcpus, mem_mib, priority, queued_boot_ns,"   \
	" priority + (?1 - queued_boot_ns) / ?2 AS urgency, cause,"            \
	" profile, node, huge_pages FROM instance WHERE state = 12"            \
	" ORDER BY urgency DESC, (SELECT ifnull(sum(amount), 0) FROM hold"     \
	"  WHERE resource = 'vcpus' AND hold.tenant = instance.tenant) * 1000" \
	"  / (SELECT weight FROM tenant WHERE tenant.name = instance.tenant)," \
	" queued_boot_ns, id"

struct queue {
	struct wispd *d;
	sd_event_source *soon, *timer;
	int64_t tokens_ns; /* time that is saved up for starts, at most a second */
	int64_t refilled_boot_ns;
};

/* --- the rate of starts: a bucket of time --- */

static int64_t price_ns(const struct queue *q)
{
	uint64_t rate = q->d->config.starts_per_s;

	return rate ? NS_PER_S / (int64_t)rate : 0;
}

/* How long until one more may start; 0: now. */
static int64_t rate_wait_ns(struct queue *q)
{
	int64_t now = ledger_boot_ns();

	q->tokens_ns += now - q->refilled_boot_ns;
	if (q->tokens_ns > NS_PER_S)
		q->tokens_ns = NS_PER_S;
	q->refilled_boot_ns = now;
	return q->tokens_ns >= price_ns(q) ? 0 : price_ns(q) - q->tokens_ns;
}

static void rate_take(struct queue *q)
{
	q->tokens_ns -= price_ns(q);
}

/* --- may it? --- */

static int count_waiting(struct queue *q, int64_t *ret, struct error *err)
{
	return store_number(q->d->truth.store, ret, err,
			    "SELECT count(*) FROM instance WHERE state = 12", "");
}

struct room {
	int64_t vcpus, mem_mib;
};

static int find_room(struct queue *q, struct room *ret, struct error *err)
{
	struct truth *t = &q->d->truth;
	int64_t used = 0, most = 0;
	int r = quota_get(t, NULL, RESOURCE_VCPUS, &used, &most, err);

	ret->vcpus = most - used;
	if (r == 0)
		r = quota_get(t, NULL, RESOURCE_MEMORY_MIB, &used, &most, err);
	ret->mem_mib = most - used;
	return r;
}

/* Somebody has waited for the host's room for so long that nobody may go before him. */
static int check_nobody_starves(struct queue *q, struct error *err)
{
	int64_t since = ledger_boot_ns() - (int64_t)q->d->config.queue_starve_ms * NS_PER_MS;
	struct room room;
	int64_t n = 0;
	int r = find_room(q, &room, err);

	if (r == 0)
		r = store_number(q->d->truth.store, &n, err,
				 "SELECT count(*) FROM instance WHERE state = 12"
				 " AND queued_boot_ns < ? AND (vcpus > ? OR mem_mib > ?)"
				 " AND profile = 0 AND node < 0 AND huge_pages = 0",
				 "iii", since, room.vcpus, room.mem_mib);

	if (r < 0 || n == 0)
		return r;
	return error_set(err, -EUSERS, NULL, "try again later, or wait: wait_ms",
			 "%" PRId64 " have waited for long, and start first", n);
}

/* Where starts are limited, those who wait come first. */
static int check_rate(struct queue *q, struct error *err)
{
	int64_t n = 0;
	int r = q->d->config.starts_per_s ? count_waiting(q, &n, err) : 0;

	if (r < 0 || (n == 0 && rate_wait_ns(q) == 0))
		return r;
	return error_set(err, -EAGAIN, NULL, "try again in a moment, or wait: wait_ms",
			 "More than %" PRIu64 " would start in a second",
			 q->d->config.starts_per_s);
}

static int read_cordon(struct queue *q, char reason[CORDON_BYTES], struct error *err)
{
	struct rows rows;
	int r = store_select(q->d->truth.store, &rows, err,
			     "SELECT value FROM meta WHERE key = 'cordon'", "");

	reason[0] = '\0';
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		rows_text(&rows, 0, reason, CORDON_BYTES);
	rows_end(&rows);
	return r < 0 ? r : 0;
}

int queue_check_cordon(struct queue *q, struct error *err)
{
	char reason[CORDON_BYTES];
	int r = read_cordon(q, reason, err);

	if (r < 0 || !reason[0])
		return r;
	return error_set(err, -ESHUTDOWN, NULL, "wait for the end of it: wait_ms",
			 "The host is cordoned: %s", reason);
}

static int check_resources(struct queue *q, const struct instance *i, struct error *err)
{
	const struct {
		enum resource resource;
		int64_t amount;
	} needs[] = { { RESOURCE_VCPUS, i->vcpus }, { RESOURCE_MEMORY_MIB, i->mem_mib } };
	int r = budget_check(q->d, i, err);

	for (unsigned k = 0; k < sizeof(needs) / sizeof(needs[0]) && r == 0; k++) {
		r = quota_check(&q->d->truth, i->tenant, needs[k].resource, needs[k].amount, err);
		if (r == 0 && place_is_plain(&i->wish))
			r = quota_check(&q->d->truth, NULL, needs[k].resource, needs[k].amount,
					err);
	}
	return r < 0 ? r : seats_check(&q->d->truth, i, err);
}

/* Room in the queue itself. */
static int check_length(struct queue *q, struct error *err)
{
	struct error why;
	int64_t n = 0;
	int r = count_waiting(q, &n, &why);

	if (r < 0)
		*err = why;
	if (r < 0 || (uint64_t)n < q->d->config.queue_max)
		return r;
	return error_set(err, -EUSERS, NULL, "try again later",
			 "%" PRId64 " wait already, which is as many as may", n);
}

static bool is_worth_waiting(int r)
{
	return r == -EUSERS || r == -EDQUOT || r == -EAGAIN || r == -ESHUTDOWN;
}

int queue_decide(struct queue *q, const struct instance *i, struct error *err)
{
	int r = queue_check_cordon(q, err);

	if (r == 0)
		r = check_resources(q, i, err);
	if (r == 0)
		r = check_nobody_starves(q, err);
	if (r == 0)
		r = check_rate(q, err);
	if (r == 0) {
		rate_take(q);
		return STATE_STARTING;
	}
	if (!i->wait_ms || !is_worth_waiting(r))
		return r;
	r = check_length(q, err);
	return r < 0 ? r : STATE_QUEUED;
}

int64_t queue_deadline(const struct instance *i)
{
	return i->wait_ms ? i->queued_boot_ns + i->wait_ms * NS_PER_MS : 0;
}

/* --- who is next --- */

static bool fits_room(const struct instance *i, const struct room *room)
{
	/* Who wants a place of his own is looked at more closely (check_resources). */
	return !place_is_plain(&i->wish) ||
	       (i->vcpus <= room->vcpus && i->mem_mib <= room->mem_mib);
}

/* What the columns of IN_ORDER tell. */
static void read_waiting(const struct rows *rows, struct instance *i)
{
	*i = (struct instance){ .vcpus = rows_int(rows, 3),
				.mem_mib = rows_int(rows, 4),
				.priority = rows_int(rows, 5),
				.queued_boot_ns = rows_int(rows, 6),
				.wish = { .profile = (enum place_profile)rows_int(rows, 9),
					  .has_node = rows_int(rows, 10) >= 0,
					  .node = (int)rows_int(rows, 10),
					  .huge_pages = rows_int(rows, 11) != 0 } };
	rows_text(rows, 0, i->id, sizeof(i->id));
	rows_text(rows, 1, i->tenant, sizeof(i->tenant));
	rows_text(rows, 2, i->name, sizeof(i->name));
	rows_text(rows, 8, i->cause, sizeof(i->cause));
}

static int select_waiting(struct queue *q, int64_t now, struct rows *rows, struct error *err)
{
	return store_select(q->d->truth.store, rows, err, IN_ORDER, "ii", now,
			    (int64_t)q->d->config.queue_age_ms * NS_PER_MS);
}

/* The first that may start, 1; or 0. A tenant's own quota keeps nobody else waiting. */
static int next_of(struct queue *q, const struct room *room, struct instance *ret,
		   struct error *err)
{
	int64_t now = ledger_boot_ns();
	int64_t patience = (int64_t)q->d->config.queue_starve_ms * NS_PER_MS;
	struct rows rows;
	bool found = false;
	int r = select_waiting(q, now, &rows, err);

	if (r < 0)
		return r;
	while (!found && (r = rows_next(&rows, err)) > 0) {
		read_waiting(&rows, ret);
		if (fits_room(ret, room)) {
			r = check_resources(q, ret, err);
			found = r == 0;
			if (r < 0 && !is_worth_waiting(r))
				break;
		} else if (now - ret->queued_boot_ns > patience) {
			break;
		}
	}
	rows_end(&rows);
	if (found)
		return 1;
	return r < 0 && !is_worth_waiting(r) ? r : 0;
}

static int start(struct queue *q, const char *id, struct error *err)
{
	const struct move move = { .actor = actor, .cause = "there is room" };
	struct truth *t = &q->d->truth;
	struct instance i;
	int r = store_begin(t->store, err);

	if (r == 0)
		r = instance_load(t, id, &i, err);
	if (r == 0)
		r = instance_move(t, &i, STATE_STARTING, &move, err);
	if (r == 0)
		r = wispd_commit(q->d, err);
	if (r < 0)
		store_rollback(t->store);
	return r;
}

/* 1: one was started; 0: nobody can be now. */
static int start_next(struct queue *q, struct error *err)
{
	struct instance next;
	struct room room;
	int r = find_room(q, &room, err);

	if (r == 0)
		r = next_of(q, &room, &next, err);
	if (r <= 0)
		return r;
	r = start(q, next.id, err);
	if (r < 0)
		return r;
	rate_take(q);
	lifecycle_kick(q->d->lifecycle, next.id);
	return 1;
}

static void look_again_in(struct queue *q, int64_t ns)
{
	sd_event_source_set_time_relative(q->timer, (uint64_t)ns / 1000 + 1);
	sd_event_source_set_enabled(q->timer, SD_EVENT_ONESHOT);
}

void queue_pump(struct queue *q)
{
	struct error err;
	int64_t waiting = 0, wait_ns;
	int r = 1;

	if (queue_check_cordon(q, &err) < 0 || !wispd_has_room(q->d))
		return;
	while (r > 0) {
		r = count_waiting(q, &waiting, &err);
		if (r < 0 || waiting == 0)
			break;
		wait_ns = rate_wait_ns(q);
		if (wait_ns) {
			look_again_in(q, wait_ns);
			return;
		}
		r = start_next(q, &err);
	}
	if (r < 0) {
		log_warn("nobody can be let in from the queue: %s; trying again", err.text);
		look_again_in(q, NS_PER_S);
	}
}

/* --- the cordon --- */

static int tell(struct queue *q, const char *type, const char *who, json_t *body, struct error *err)
{
	struct ledger_event e = { .type = type, .actor = who, .body = body };
	int r = body ? ledger_append(q->d->truth.ledger, &e, NULL, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

int queue_cordon(struct queue *q, const char *reason, const char *who, struct error *err)
{
	int r = tell(q, reason ? "host.cordoned" : "host.uncordoned", who,
		     reason ? json_pack("{s:s}", "reason", reason) : json_object(), err);

	if (r == 0 && reason)
		r = store_run(q->d->truth.store, err,
			      "INSERT INTO meta VALUES ('cordon', ?)"
			      " ON CONFLICT DO UPDATE SET value = excluded.value",
			      "s", reason);
	else if (r == 0)
		r = store_run(q->d->truth.store, err, "DELETE FROM meta WHERE key = 'cordon'", "");
	return r < 0 ? r : 0;
}

int queue_note_drained(struct queue *q, const struct instance *i, struct error *err)
{
	int r = store_run(q->d->truth.store, err,
			  "INSERT INTO drained VALUES (?) ON CONFLICT DO NOTHING", "s", i->id);

	return r < 0 ? r : 0;
}

static int add_drained(struct queue *q, json_t *ids, struct error *err)
{
	struct rows rows;
	int r = store_select(q->d->truth.store, &rows, err,
			     "SELECT id FROM drained JOIN instance ON id = instance"
			     " WHERE state = ? AND owner_engine = ?"
			     " ORDER BY created_wall_ns, id",
			     "is", (int64_t)STATE_STOPPED, INSTANCE_OWN_ENGINE);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0)
		json_array_append_new(ids, json_string(rows_string(&rows, 0)));
	rows_end(&rows);
	return r;
}

int queue_restart_drained(struct queue *q, const char *who, struct error *err)
{
	const struct move move = { .actor = who, .cause = "it ran before the drain" };
	struct truth *t = &q->d->truth;
	json_t *ids = json_array(), *id;
	struct instance i;
	size_t n;
	int r = add_drained(q, ids, err);

	json_array_foreach(ids, n, id)
	{
		if (r == 0)
			r = instance_load(t, json_string_value(id), &i, err);
		if (r == 0)
			r = instance_move(t, &i, STATE_QUEUED, &move, err);
	}
	if (r == 0)
		r = store_run(t->store, err, "DELETE FROM drained", "");
	r = r < 0 ? r : (int)json_array_size(ids);
	json_decref(ids);
	return r;
}

/* --- showing --- */

static json_t *describe_resources(struct queue *q, struct error *err)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < RESOURCES_COUNT; i++) {
		int64_t used = 0, most = 0;

		if (quota_get(&q->d->truth, NULL, i, &used, &most, err) < 0) {
			json_decref(all);
			return NULL;
		}
		json_object_set_new(all, resource_names[i],
				    json_pack("{s:I, s:I}", "used", (json_int_t)used, "most",
					      (json_int_t)most));
	}
	return all;
}

/* What stands in its way now, rather than when it came. */
static const char *why_it_waits(struct queue *q, const struct instance *i, struct error *err)
{
	if (queue_check_cordon(q, err) < 0 || check_resources(q, i, err) < 0)
		return err->text;
	return rate_wait_ns(q) ? "only so many start in a second" : "others are before it";
}

static int describe_waiting(struct queue *q, const char *tenant, json_t *list, struct error *err)
{
	int64_t now = ledger_boot_ns();
	struct rows rows;
	int r = select_waiting(q, now, &rows, err);

	if (r < 0)
		return r;
	for (json_int_t position = 1; (r = rows_next(&rows, err)) > 0; position++) {
		struct error why = { 0 };
		struct instance i;

		read_waiting(&rows, &i);
		if (tenant && strcmp(tenant, i.tenant) != 0)
			continue;
		json_array_append_new(list,
				      json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s}",
						"position", position, "id", i.id, "name", i.name,
						"tenant", i.tenant, "vcpus", (json_int_t)i.vcpus,
						"mem_mib", (json_int_t)i.mem_mib, "priority",
						(json_int_t)i.priority, "waited_ms",
						(json_int_t)((now - i.queued_boot_ns) / NS_PER_MS),
						"why", why_it_waits(q, &i, &why)));
	}
	rows_end(&rows);
	return r;
}

json_t *queue_describe(struct queue *q, const char *tenant, struct error *err)
{
	json_t *resources = describe_resources(q, err), *waiting = json_array();
	char reason[CORDON_BYTES];

	if (!resources || read_cordon(q, reason, err) < 0 ||
	    describe_waiting(q, tenant, waiting, err) < 0) {
		json_decref(resources);
		json_decref(waiting);
		return NULL;
	}
	return json_pack("{s:s, s:I, s:o, s:o}", "cordon", reason, "starts_per_s",
			 (json_int_t)q->d->config.starts_per_s, "resources", resources, "waiting",
			 waiting);
}

/* --- life --- */

static int on_soon(sd_event_source *source, void *arg)
{
	(void)source;
	queue_pump(arg);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	queue_pump(arg);
	return 0;
}

void queue_wake(struct queue *q)
{
	if (q)
		sd_event_source_set_enabled(q->soon, SD_EVENT_ONESHOT);
}

int queue_create(struct wispd *d, struct queue **ret, struct error *err)
{
	struct queue *q = calloc(1, sizeof(*q));
	int r = -ENOMEM;

	if (q) {
		q->d = d;
		q->tokens_ns = NS_PER_S;
		q->refilled_boot_ns = ledger_boot_ns();
		r = sd_event_add_defer(d->loop, &q->soon, on_soon, q);
	}
	if (r >= 0)
		r = sd_event_add_time(d->loop, &q->timer, CLOCK_BOOTTIME, 0, ACCURACY_US, on_timer,
				      q);
	if (r >= 0)
		r = sd_event_source_set_enabled(q->timer, SD_EVENT_OFF);
	if (r < 0) {
		queue_destroy(q);
		return error_set(err, r, NULL, NULL, "Cannot make the queue: %s", strerror(-r));
	}
	*ret = q;
	return 0;
}

void queue_destroy(struct queue *q)
{
	if (!q)
		return;
	sd_event_source_disable_unref(q->soon);
	sd_event_source_disable_unref(q->timer);
	free(q);
}
