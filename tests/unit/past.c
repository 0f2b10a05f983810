/* past.c - writing events of chosen times, and reading what they come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/usage.h"
#include "tests/unit/past.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* One name for the host, so that a text of then is one of now. Nothing here is to survive a
 * power cut, so no disk is waited for. */
static int name_host(struct truth *t)
{
	struct error err;

	ledger_close(t->ledger);
	t->ledger = NULL;
	if (store_run(t->store, &err, "PRAGMA synchronous = OFF", "") < 0 ||
	    store_run(t->store, &err, "UPDATE meta SET value = 'past' WHERE key = 'host_id'", "") <
		    0)
		return -1;
	return ledger_open(t->store, &t->ledger, &err);
}

int past_open(void **state)
{
	struct past *b = calloc(1, sizeof(*b));

	*state = b;
	b->wall_ns = period_start_ns(period_parse("2025-03")) + HOUR;
	b->boot_ns = 50 * S;
	return books_open(&b->books) < 0 ? -1 : name_host(&b->books.truth);
}

int past_close(void **state)
{
	struct past *b = *state;

	books_close(&b->books);
	free(b);
	return 0;
}

/* --- writing the past --- */

void past_event(struct past *b, const char *type, const char *tenant, const char *instance,
		const char *body)
{
	static const uint8_t no_hash[LEDGER_HASH_BYTES];
	const bool within = store_in_transaction(b->books.truth.store);
	char head[128], boot[16];
	struct error err;
	int64_t id = ++b->seq;

	snprintf(boot, sizeof(boot), "boot-%u", b->boot);
	snprintf(head, sizeof(head), "%lld " ZEROS, (long long)id);
	if (!within)
		assert_int_equal(store_begin(b->books.truth.store, &err), 0);
	if (store_run(b->books.truth.store, &err,
		      "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'test', ?, ?)",
		      "ibisiissssb", id, &id, sizeof(id), id, boot, b->boot_ns, b->wall_ns, type,
		      tenant, instance, body, no_hash, sizeof(no_hash)) < 0)
		fail_msg("%s", err.text);
	assert_true(store_run(b->books.truth.store, &err,
			      "INSERT INTO meta VALUES ('ledger_head', ?)"
			      " ON CONFLICT DO UPDATE SET value = excluded.value",
			      "s", head) >= 0);
	if (!within)
		assert_int_equal(store_commit(b->books.truth.store, &err), 0);
}

void past_pass(struct past *b, int64_t ns)
{
	b->boot_ns += ns;
	b->wall_ns += ns;
}

void past_moves(struct past *b, const char *instance, const char *to)
{
	char type[32], body[128];

	snprintf(type, sizeof(type), "instance.%s", to);
	snprintf(body, sizeof(body), "{\"to\": \"%s\", \"vcpus\": 2, \"mem_mib\": 512}", to);
	past_event(b, type, "acme", instance, body);
}

void past_dies_unseen(struct past *b, const char *instance)
{
	past_event(
		b, "instance.failed", "acme", instance,
		"{\"to\": \"failed\", \"vcpus\": 2, \"mem_mib\": 512, \"exit_kind\": \"unknown\"}");
}

void past_confirmed(struct past *b)
{
	past_event(b, "meter.confirmed", "", "", "{}");
}

void past_has_plan(struct past *b, const char *json, const char *name)
{
	char body[64];

	past_event(b, "plan.published", "", "", json);
	snprintf(body, sizeof(body), "{\"plan\": \"%s\", \"version\": 1}", name);
	past_event(b, "tenant.plan", "acme", "", body);
}

/* --- reading what came of it --- */

struct sum {
	enum meter meter;
	bool adjustment;
	int64_t quantity;
};

static int add_up(void *ctx, const struct usage_row *row)
{
	struct sum *s = ctx;

	if (row->meter == s->meter && row->adjustment == s->adjustment)
		s->quantity += row->quantity;
	return 0;
}

int64_t past_used_as(struct past *b, const char *period, enum meter meter, bool adjustment)
{
	struct sum s = { meter, adjustment, 0 };
	struct usage *u;
	struct error err;

	if (usage_replay(b->books.truth.store, 0, &u, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(usage_settle(u, "acme", period_parse(period), &err), 0);
	assert_int_equal(usage_each(u, "acme", period_parse(period), add_up, &s), 0);
	usage_free(u);
	return s.quantity;
}

int64_t past_used(struct past *b, const char *period, enum meter meter)
{
	return past_used_as(b, period, meter, false);
}

json_t *past_invoice(struct past *b, const char *period)
{
	struct error err;
	char *text;
	json_t *j;

	if (invoice_make(&b->books.truth, "acme", period_parse(period), 0, &text, &err) < 0)
		fail_msg("%s", err.text);
	j = json_loads(text, 0, NULL);
	assert_non_null(j);
	free(text);
	return j;
}

int64_t past_figure(const json_t *j, const char *name)
{
	assert_true(json_is_integer(json_object_get(j, name)));
	return json_integer_value(json_object_get(j, name));
}
