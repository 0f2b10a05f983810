/* usage_meters.c - the replay of what was counted, and of what is held.
 *
 * meter.counted tells how far an incarnation's counters have come since its beginning; what
 * is new is the difference to the event before, so that an event more or less changes no
 * sum. meter.held tells how much of a thing a tenant has from then on: an amount that
 * becomes a quantity as time passes, like a state of an instance.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/billing/replay.h"

enum { NS_PER_MS = 1000000 };

/* --- counters --- */

static int count_more(struct usage *u, struct run *r, const struct event *e, enum meter meter)
{
	const struct source from = { r->instance, r->shape };
	int64_t now, before = r->counted[meter];

	if (!replay_number(e, meters[meter].name, &now))
		return 0;
	if (now < before)
		return -EUCLEAN;
	r->counted[meter] = now;
	return replay_count(u, r->account, &from, e->at.wall_ns, meter,
			    meters[meter].kind == METER_GREATEST ? now : now - before);
}

int replay_counted(struct usage *u, const struct event *e)
{
	struct account *a = book_account(u->book, e->tenant);
	struct run *r = a ? book_run(a, e->instance) : NULL;
	int fault = 0;

	if (!r)
		return -ENOMEM;
	if (!r->account)
		return -EUCLEAN;
	if (r->incarnation != e->incarnation) {
		memset(r->counted, 0, sizeof(r->counted));
		r->incarnation = e->incarnation;
	}
	for (unsigned m = 0; m < METERS_COUNT && fault == 0; m++) {
		if (meters[m].kind == METER_COUNTED || meters[m].kind == METER_GREATEST)
			fault = count_more(u, r, e, (enum meter)m);
	}
	return fault;
}

int replay_gap(struct usage *u, const struct event *e)
{
	const char *meter = json_string_value(json_object_get(e->body, "meter"));
	const char *reason = json_string_value(json_object_get(e->body, "reason"));
	struct account *a = book_account(u->book, e->tenant);
	struct usage_gap gap = { .lost_ns = -1 };

	if (!a)
		return -ENOMEM;
	if (!meter || !reason || !replay_number(e, "from_wall_ns", &gap.from_wall_ns))
		return -EUCLEAN;
	snprintf(gap.instance, sizeof(gap.instance), "%s", e->instance);
	snprintf(gap.meter, sizeof(gap.meter), "%s", meter);
	snprintf(gap.reason, sizeof(gap.reason), "%s", reason);
	return book_add_gap(a, &gap) ? 0 : -ENOMEM;
}

/* --- holdings --- */

/* Whole milliseconds since the amount is the same: parts add up. */
static int count_held(struct usage *u, struct holding *h, int64_t ns)
{
	static const struct source nobody = { "", "" };
	int64_t before = h->counted_ns / NS_PER_MS, quantity;

	h->counted_ns += ns;
	if (__builtin_mul_overflow(h->counted_ns / NS_PER_MS - before, h->amount, &quantity))
		return -ERANGE;
	return replay_count(u, h->account, &nobody, h->since.wall_ns, h->meter, quantity);
}

static int advance(struct usage *u, struct holding *h, int64_t until_boot_ns)
{
	int fault = 0;

	while (fault == 0 && h->since.boot_ns < until_boot_ns) {
		int64_t part =
			replay_part_ns(u, h->since.wall_ns, until_boot_ns - h->since.boot_ns);

		fault = count_held(u, h, part);
		h->since.boot_ns += part;
		h->since.wall_ns += part;
	}
	return fault;
}

static int advance_one(void *ctx, struct holding *h)
{
	const struct boundary *b = ctx;

	return advance(b->usage, h, replay_until(b, &h->since));
}

int replay_advance_holdings(const struct boundary *b)
{
	return book_each_holding(b->account, advance_one, (void *)b);
}

static enum meter held_meter(const json_t *body)
{
	const char *name = json_string_value(json_object_get(body, "meter"));

	for (unsigned m = 0; name && m < METERS_COUNT; m++) {
		if (meters[m].kind == METER_HELD && strcmp(meters[m].name, name) == 0)
			return (enum meter)m;
	}
	return METERS_COUNT;
}

int replay_held(struct usage *u, const struct event *e)
{
	const char *thing = json_string_value(json_object_get(e->body, "thing"));
	const enum meter meter = held_meter(e->body);
	const struct boundary now = { u, NULL, e, INT64_MAX };
	struct account *a = book_account(u->book, e->tenant);
	struct holding *h;
	int64_t amount;
	int fault;

	if (!a)
		return -ENOMEM;
	if (meter == METERS_COUNT || !thing || !replay_number(e, "amount", &amount) || amount < 0)
		return -EUCLEAN;
	h = book_holding(a, meter, thing);
	if (!h)
		return -ENOMEM;
	h->account = a;
	fault = advance(u, h, replay_until(&now, &h->since));
	if (fault == 0 && (meter == METER_RESERVED_VCPUS || meter == METER_RESERVED_MEMORY))
		fault = replay_reserve(u, a, e, meter, amount - h->amount);
	h->since = e->at;
	h->amount = amount;
	h->counted_ns = 0;
	if (amount == 0)
		book_drop_holding(a, h);
	return fault;
}

/* While the host was down, nobody could use what he holds. */
static int begin_boot(void *ctx, struct holding *h)
{
	const struct boundary *b = ctx;
	int fault;

	if (replay_same_boot(&h->since, &b->event->at))
		return 0;
	fault = advance(b->usage, h, replay_confirmed(b->usage, &h->since));
	h->since = b->event->at;
	return fault;
}

int replay_recovered(struct usage *u, const struct event *e)
{
	struct boundary b = { u, NULL, e, INT64_MAX };

	return book_every_holding(u->book, begin_boot, &b);
}
