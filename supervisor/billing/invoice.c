/* invoice.c - lines from quantities, a sum from lines, and the events that fix them. */
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/plan.h"
#include "supervisor/billing/usage.h"
#include "supervisor/books/hex.h"
#include "supervisor/books/instance.h"

struct draft {
	json_t *lines, *gaps;
	const char *currency; /* of the first line with a plan */
	int64_t sum_nano;
	/* Lines of one plan come together; support is a line behind them. */
	const struct plan *plan;
	bool adjustment;
	int64_t plan_sum_nano;
};

static int no_memory(struct error *err)
{
	error_set(err, -ENOMEM, NULL, NULL, "Out of memory");
	return -ENOMEM;
}

/* --- lines --- */

static int add_line(struct draft *d, const char *name, const char *unit, int64_t quantity,
		    const struct tier *tier, uint64_t per)
{
	const struct plan *p = d->plan;
	int64_t amount, remainder;
	json_t *line;

	if (!plan_amount(quantity, tier->price_nano, per, &amount, &remainder) ||
	    __builtin_add_overflow(d->sum_nano, amount, &d->sum_nano))
		return -ERANGE;
	d->plan_sum_nano += amount; /* a part of the sum, which fits */
	line = json_pack("{s:s, s:I, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "plan",
			 p ? p->name : "", "version", (json_int_t)(p ? p->version : 0), "meter",
			 name, "unit", unit, "adjustment", d->adjustment, "quantity",
			 (json_int_t)quantity, "from", (json_int_t)tier->from, "price_nano",
			 (json_int_t)tier->price_nano, "per", (json_int_t)per, "amount_nano",
			 (json_int_t)amount, "remainder", (json_int_t)remainder);
	return json_array_append_new(d->lines, line) < 0 ? -ENOMEM : 0;
}

/* The part of what the plan's lines come to, and what is missing up to the minimum, which
 * corrections of a month before do not owe again. */
static int add_support(struct draft *d)
{
	struct tier part = { 0 }, missing = { 0 };
	const struct plan *p = d->plan;
	const int64_t sum = d->plan_sum_nano;
	int r;

	if (!p || !p->support[0])
		return 0;
	part.price_nano = p->support_per_mille;
	d->plan_sum_nano = 0;
	r = add_line(d, "support", "nano", sum, &part, 1000);
	if (r < 0 || d->adjustment || d->plan_sum_nano >= (int64_t)p->support_minimum_nano)
		return r;
	missing.price_nano = p->support_minimum_nano - (uint64_t)d->plan_sum_nano;
	return add_line(d, "support_minimum", "1", 1, &missing, 1);
}

/* From here on lines are of this plan, adjustments or not. */
static int turn_to(struct draft *d, const struct plan *plan, bool adjustment)
{
	int r = 0;

	if (d->plan == plan && d->adjustment == adjustment)
		return 0;
	r = add_support(d);
	d->plan = plan;
	d->adjustment = adjustment;
	d->plan_sum_nano = 0;
	return r;
}

/* A line for each tier that the quantity reaches. */
static int add_row(void *ctx, const struct usage_row *row)
{
	static const struct tier nothing = { 0, 0 };
	const struct price *p = row->plan ? plan_price(row->plan, row->meter) : NULL;
	const struct meter_info *m = &meters[row->meter];
	struct draft *d = ctx;
	int r = turn_to(d, row->plan, row->adjustment);

	if (r == 0 && !p)
		return add_line(d, m->name, m->unit, row->quantity, &nothing, 1);
	if (r == 0)
		d->currency = row->plan->currency;
	for (unsigned i = 0; r == 0 && i < p->tier_count; i++) {
		int64_t part = plan_in_tier(p, i, row->quantity);

		if (part == 0)
			break;
		r = add_line(d, m->name, m->unit, part, &p->tiers[i], p->per);
	}
	return r;
}

static int add_gap(void *ctx, const struct usage_gap *gap)
{
	struct draft *d = ctx;

	return json_array_append_new(d->gaps, usage_describe_gap(gap)) < 0 ? -ENOMEM : 0;
}

/* --- an invoice --- */

/* What a draft comes to; credit: what the tenant has. */
struct outcome {
	int64_t credit_nano, total_nano;
	char sha256[LEDGER_HEX_BYTES]; /* of the invoice's text */
};

static struct outcome outcome_of(const struct draft *d, int64_t credit)
{
	struct outcome o = { .credit_nano = credit < d->sum_nano ? credit : d->sum_nano };

	o.total_nano = d->sum_nano - o.credit_nano;
	return o;
}

static char *print(const struct draft *d, const struct outcome *o, const char *host,
		   const char *tenant, int period, int64_t seq)
{
	char text[PERIOD_TEXT_BYTES], *printed;
	json_t *j =
		json_pack("{s:s, s:s, s:s, s:I, s:s, s:O, s:O, s:I, s:I, s:I}", "tenant", tenant,
			  "period", period_text(period, text), "host", host, "seq", (json_int_t)seq,
			  "currency", d->currency ? d->currency : "", "lines", d->lines, "gaps",
			  d->gaps, "sum_nano", (json_int_t)d->sum_nano, "credit_nano",
			  (json_int_t)o->credit_nano, "total_nano", (json_int_t)o->total_nano);

	printed = j ? json_dumps(j, JSON_SORT_KEYS | JSON_INDENT(1)) : NULL;
	json_decref(j);
	return printed;
}

static void hash_text(const char *text, char hex[LEDGER_HEX_BYTES])
{
	uint8_t digest[LEDGER_HASH_BYTES];
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, strlen(text), (const uint8_t *)text);
	sha256_digest(&hash, sizeof(digest), digest);
	hex_encode(digest, sizeof(digest), hex);
}

static int draft_fill(struct draft *d, struct usage *u, const char *tenant, int period,
		      struct error *err)
{
	int r = usage_settle(u, tenant, period, err);

	if (r < 0)
		return r;
	d->lines = json_array();
	d->gaps = json_array();
	if (!d->lines || !d->gaps)
		return no_memory(err);
	r = usage_each(u, tenant, period, add_row, d);
	if (r == 0)
		r = add_support(d);
	if (r == 0)
		r = usage_gaps(u, tenant, period, add_gap, d);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "The invoice of %s cannot be made: %s", tenant,
				 strerror(-r));
	return 0;
}

static void draft_clear(struct draft *d)
{
	json_decref(d->lines);
	json_decref(d->gaps);
}

/* As invoice_make(), of a replay up to seq, and what it came to. */
static int make_of(struct truth *t, struct usage *u, const char *tenant, int period, int64_t seq,
		   char **ret, struct outcome *outcome, struct error *err)
{
	struct draft d = { 0 };
	char *text = NULL;
	int r = draft_fill(&d, u, tenant, period, err);

	if (r == 0) {
		*outcome = outcome_of(&d, usage_credit_nano(u, tenant));
		text = print(&d, outcome, ledger_host_id(t->ledger), tenant, period, seq);
		r = text ? 0 : no_memory(err);
	}
	if (text) {
		hash_text(text, outcome->sha256);
		*ret = text;
	}
	draft_clear(&d);
	return r;
}

static int head_seq(struct truth *t, int64_t *seq, struct error *err)
{
	char hex[LEDGER_HEX_BYTES];

	return ledger_head(t->ledger, seq, hex, err);
}

/* The event up to which a closed period's invoice was made; 0: it is open. */
static int closing_seq(struct truth *t, const char *tenant, const char *period, int64_t *seq,
		       struct error *err)
{
	return store_number(t->store, seq, err,
			    "SELECT ifnull(max(body ->> 'seq'), 0) FROM event"
			    " WHERE " LEDGER_LANDMARKS
			    " AND type = 'period.closed' AND tenant = ? AND body ->> 'period' = ?",
			    "ss", tenant, period);
}

int invoice_make(struct truth *t, const char *tenant, int period, int64_t seq, char **ret,
		 struct error *err)
{
	char text[PERIOD_TEXT_BYTES];
	struct outcome outcome;
	struct usage *u = NULL;
	int r = 0;

	if (!seq)
		r = closing_seq(t, tenant, period_text(period, text), &seq, err);
	if (r == 0 && !seq)
		r = head_seq(t, &seq, err);
	if (r == 0)
		r = usage_replay(t->store, seq, &u, err);
	if (r == 0)
		r = make_of(t, u, tenant, period, seq, ret, &outcome, err);
	usage_free(u);
	return r;
}

/* --- closing --- */

/* Takes over the reference to body. */
static int append(struct truth *t, const char *type, const char *tenant, const char *actor,
		  json_t *body, struct error *err)
{
	const struct ledger_event e = {
		.type = type,
		.tenant = tenant,
		.actor = actor,
		.body = body,
	};
	int r = body ? ledger_append(t->ledger, &e, NULL, err) : no_memory(err);

	json_decref(body);
	return r;
}

/* Instances of the tenant that are alive and of which less is confirmed than the period. */
static int check_confirmed(struct truth *t, const char *tenant, int period, struct error *err)
{
	int64_t waiting;
	int r = store_number(
		t->store, &waiting, err,
		"SELECT count(*) FROM instance WHERE tenant = ?1 AND state IN (2,3,4,5,6,7,13,14,15)"
		" AND ifnull((SELECT max(wall_ns) FROM event WHERE type ="
		" 'meter.confirmed'), 0) < ?2",
		"si", tenant, period_start_ns(period + 1));

	if (r < 0 || waiting == 0)
		return r;
	return error_set(err, -EPERM, "period", "try again in a minute",
			 "%" PRId64
			 " instances of %s are not confirmed up to the end of the period",
			 waiting, tenant);
}

static int check_ended(int period, struct error *err)
{
	char text[PERIOD_TEXT_BYTES];

	if (period < period_of(ledger_wall_ns()))
		return 0;
	return error_set(err, -EPERM, "period", "wait for its end", "%s has not ended",
			 period_text(period, text));
}

static int check_open(const struct usage *u, const char *tenant, int period, struct error *err)
{
	const int closed = usage_closed(u, tenant);
	char text[PERIOD_TEXT_BYTES];

	if (closed == PERIOD_NONE || period > closed)
		return 0;
	return error_set(err, -EEXIST, "period", "what became known later is in the next one",
			 "%s is closed for %s, up to this one at least", period_text(period, text),
			 tenant);
}

/* By a replay up to seq. */
static int close_one(struct truth *t, struct usage *u, const char *tenant, int period, int64_t seq,
		     const char *actor, struct error *err)
{
	char *invoice = NULL, text[PERIOD_TEXT_BYTES];
	struct outcome o = { 0 };
	int r = check_confirmed(t, tenant, period, err);

	if (r == 0)
		r = make_of(t, u, tenant, period, seq, &invoice, &o, err);
	free(invoice);
	if (r < 0)
		return r;
	return append(t, "period.closed", tenant, actor,
		      json_pack("{s:s, s:I, s:I, s:I, s:s}", "period", period_text(period, text),
				"seq", (json_int_t)seq, "credit_nano", (json_int_t)o.credit_nano,
				"total_nano", (json_int_t)o.total_nano, "invoice_sha256", o.sha256),
		      err);
}

/* The replay by which a period that has ended is closed; *seq: up to where. */
static int begin_closing(struct truth *t, int period, int64_t *seq, struct usage **ret,
			 struct error *err)
{
	int r = check_ended(period, err);

	if (r == 0)
		r = head_seq(t, seq, err);
	return r < 0 ? r : usage_replay(t->store, *seq, ret, err);
}

int invoice_close(struct truth *t, const char *tenant, int period, const char *actor,
		  struct error *err)
{
	struct usage *u = NULL;
	int64_t seq = 0;
	int r = begin_closing(t, period, &seq, &u, err);

	if (r == 0)
		r = check_open(u, tenant, period, err);
	if (r == 0)
		r = close_one(t, u, tenant, period, seq, actor, err);
	usage_free(u);
	return r;
}

/* The first tenant behind this one. 1, or 0: there is none. */
static int next_tenant(struct truth *t, char tenant[NAME_BYTES], struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT name FROM tenant WHERE name > ? ORDER BY name LIMIT 1", "s",
			     tenant);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		rows_text(&rows, 0, tenant, NAME_BYTES);
	rows_end(&rows);
	return r;
}

int invoice_close_all(struct truth *t, int period, const char *actor, int64_t *closed,
		      struct error *err)
{
	char tenant[NAME_BYTES] = "";
	struct usage *u = NULL;
	struct error already;
	int64_t seq = 0;
	int r = begin_closing(t, period, &seq, &u, err);

	*closed = 0;
	while (r == 0 && (r = next_tenant(t, tenant, err)) > 0) {
		r = check_open(u, tenant, period, &already);
		if (r == 0)
			r = close_one(t, u, tenant, period, seq, actor, err);
		*closed += r == 0;
		r = r == -EEXIST ? 0 : r;
	}
	usage_free(u);
	return r;
}

/* --- verifying --- */

struct closing {
	int64_t event_seq, seq;
	char tenant[64], sha256[LEDGER_HEX_BYTES];
	int period;
};

static int next_closing(struct truth *t, int64_t after, struct closing *ret, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT seq, tenant, body ->> 'period', body ->> 'seq',"
			     " body ->> 'invoice_sha256' FROM event"
			     " WHERE " LEDGER_LANDMARKS
			     " AND type = 'period.closed' AND seq > ? ORDER BY seq LIMIT 1",
			     "i", after);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		ret->event_seq = rows_int(&rows, 0);
		rows_text(&rows, 1, ret->tenant, sizeof(ret->tenant));
		ret->period = period_parse(rows_string(&rows, 2));
		ret->seq = rows_int(&rows, 3);
		rows_text(&rows, 4, ret->sha256, sizeof(ret->sha256));
	}
	rows_end(&rows);
	return r;
}

/* Each was made up to an event that is not before the last one's: one replay goes on. */
int invoice_verify(struct truth *t, struct invoice_report *ret, struct error *err)
{
	struct closing c = { 0 };
	struct usage *u = NULL;
	int r = 0;

	*ret = (struct invoice_report){ 0 };
	while (!ret->bad_seq && (r = next_closing(t, c.event_seq, &c, err)) > 0) {
		struct outcome o = { 0 };
		char *invoice = NULL;

		r = u ? usage_follow(u, t->store, c.seq, err)
		      : usage_replay(t->store, c.seq, &u, err);
		if (r == 0)
			r = make_of(t, u, c.tenant, c.period, c.seq, &invoice, &o, err);
		free(invoice);
		if (r < 0)
			break;
		if (strcmp(o.sha256, c.sha256) != 0)
			ret->bad_seq = c.event_seq;
		else
			ret->checked++;
	}
	usage_free(u);
	return r < 0 ? r : 0;
}

/* --- plans and credits --- */

/* The published body of a plan; -ENOENT. */
static int find_plan(struct truth *t, const char *name, int64_t version, struct plan *ret,
		     struct error *err)
{
	json_t *body = NULL;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT body FROM event WHERE " LEDGER_LANDMARKS
			     " AND type = 'plan.published'"
			     " AND body ->> 'name' = ? AND body ->> 'version' = ?",
			     "si", name, version);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		body = json_loads(rows_string(&rows, 0), 0, NULL);
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, "plan", "publish it first",
				 "There is no version %" PRId64 " of plan %s", version, name);
	*ret = (struct plan){ 0 };
	if (r > 0)
		r = body_read(&plan_table, body, 0, ret, err);
	json_decref(body);
	return r < 0 ? r : 0;
}

int invoice_publish_plan(struct truth *t, const struct plan *p, const char *actor,
			 struct error *err)
{
	struct plan known;
	int r = find_plan(t, p->name, (int64_t)p->version, &known, err);

	if (r == 0)
		return error_set(err, -EEXIST, "version", "give it a new version",
				 "Version %" PRIu64 " of plan %s is published, and stays as it is",
				 p->version, p->name);
	if (r != -ENOENT)
		return r;
	return append(t, "plan.published", NULL, actor, body_write(&plan_table, p), err);
}

/* The currency of the plan that the tenant has, "" for none. */
static int tenant_currency(struct truth *t, const char *tenant, char currency[PLAN_CURRENCY_BYTES],
			   struct error *err)
{
	char name[PLAN_NAME_BYTES] = "";
	int64_t version = 0;
	struct plan p;
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT body ->> 'plan', body ->> 'version' FROM event"
			     " WHERE " LEDGER_LANDMARKS " AND type = 'tenant.plan' AND tenant = ?"
			     " ORDER BY seq DESC LIMIT 1",
			     "s", tenant);

	currency[0] = '\0';
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		rows_text(&rows, 0, name, sizeof(name));
		version = rows_int(&rows, 1);
	}
	rows_end(&rows);
	if (r <= 0)
		return r;
	r = find_plan(t, name, version, &p, err);
	if (r == 0)
		strcpy(currency, p.currency);
	return r;
}

int invoice_assign_plan(struct truth *t, const char *tenant, const char *plan, int64_t version,
			const char *actor, struct error *err)
{
	char currency[PLAN_CURRENCY_BYTES] = "";
	struct plan p;
	int r = find_plan(t, plan, version, &p, err);

	if (r == 0)
		r = tenant_currency(t, tenant, currency, err);
	if (r < 0)
		return r;
	if (*currency && strcmp(currency, p.currency) != 0)
		return error_set(err, -EINVAL, "plan", "choose one in that currency",
				 "%s pays in %s, and plan %s is in %s", tenant, currency, plan,
				 p.currency);
	return append(t, "tenant.plan", tenant, actor,
		      json_pack("{s:s, s:I}", "plan", plan, "version", (json_int_t)version), err);
}

int invoice_credit(struct truth *t, const char *tenant, int64_t amount_nano, const char *reason,
		   const char *actor, struct error *err)
{
	if (amount_nano <= 0)
		return error_set(err, -EINVAL, "amount_nano", "a number from 1",
				 "A credit of %" PRId64 " is none", amount_nano);
	return append(
		t, "tenant.credit", tenant, actor,
		json_pack("{s:I, s:s}", "amount_nano", (json_int_t)amount_nano, "reason", reason),
		err);
}
