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
#include "supervisor/billing/rollup.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/hex.h"
#include "supervisor/books/record.h"
#include "tests/unit/past.h"

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
	const bool within = store_in_transaction(b->books.truth.store);
	char head[128], hex[LEDGER_HEX_BYTES], boot[16];
	uint8_t id[LEDGER_HASH_BYTES];
	struct error err;
	const struct record r = {
		.seq = ++b->seq,
		.subject_n = b->seq,
		.boot_id = boot,
		.boot_ns = b->boot_ns,
		.wall_ns = b->wall_ns,
		.type = type,
		.tenant = tenant,
		.instance = instance,
		.incarnation = b->incarnation,
		.actor = "test",
		.body = body,
	};

	snprintf(boot, sizeof(boot), "boot-%u", b->boot);
	record_id(&r, ledger_host_id(b->books.truth.ledger), id);
	record_hash(&r, b->hash, b->hash);
	hex_encode(b->hash, sizeof(b->hash), hex);
	snprintf(head, sizeof(head), "%lld %s", (long long)r.seq, hex);
	if (!within)
		assert_int_equal(store_begin(b->books.truth.store, &err), 0);
	if (store_run(b->books.truth.store, &err,
		      "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'test', ?, ?)",
		      "ibisiisssisb", r.seq, id, sizeof(id), r.subject_n, boot, r.boot_ns,
		      r.wall_ns, type, tenant, instance, r.incarnation, body, b->hash,
		      sizeof(b->hash)) < 0)
		fail_msg("%s", err.text);
	assert_true(store_run(b->books.truth.store, &err,
			      "INSERT INTO subject (instance, first_seq, last_seq, last_n)"
			      " VALUES (?1, ?2, ?2, ?2) ON CONFLICT (instance) DO UPDATE"
			      " SET last_seq = excluded.last_seq, last_n = excluded.last_n",
			      "si", instance, r.seq) >= 0);
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

void past_go_on(struct past *b)
{
	char hex[LEDGER_HEX_BYTES];
	struct error err;

	assert_int_equal(ledger_head(b->books.truth.ledger, &b->seq, hex, &err), 0);
	assert_int_equal(hex_decode(hex, b->hash, sizeof(b->hash)), 0);
}

int64_t past_roll_up(struct past *b, int64_t before_wall_ns)
{
	char archive[PATH_MAX];
	const struct rollup_wish wish = { archive, before_wall_ns, INT64_MAX };
	struct truth *t = &b->books.truth;
	int64_t next_seq = 0, removed = 0, all = 0;
	struct error err;
	int r;

	snprintf(archive, sizeof(archive), "%s", scratch_path(b->books.dir, "archive"));
	do {
		assert_int_equal(store_begin(t->store, &err), 0);
		r = rollup_step(t, &wish, &next_seq, &removed, &err);
		if (r < 0 || store_commit(t->store, &err) < 0)
			fail_msg("%s", err.text);
		all += removed;
	} while (r > 0);
	past_go_on(b);
	return all;
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
