/* proof.c - the walk over the events, and over the runs of them that are not there. */
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/cut.h"
#include "supervisor/books/event_archive.h"
#include "supervisor/books/hex.h"
#include "supervisor/books/proof.h"
#include "supervisor/books/record.h"
#include "supervisor/books/store.h"

/* A range that was rolled up: its row, and what the walk saw of it. */
struct range {
	int64_t from_seq, to_seq, event_seq; /* to_seq 0: none */
	struct sha256_ctx cuts;
};

/* Between two calls of proof_wish.passed(). */
enum { EVENTS_BETWEEN = 1024 };

struct walk {
	struct ledger *ledger;
	const struct proof_wish *wish;
	struct event_archive *archive; /* NULL: none */
	int64_t next_seq;
	uint8_t previous[LEDGER_HASH_BYTES];
	int64_t anchor_seq;
	uint8_t anchor[LEDGER_HASH_BYTES];
	struct range range;
	struct proof_report *report;
};

/* Those that walk return 1, or 0 when it has come to its end. */
static int found(struct walk *w, int64_t seq, const char *what)
{
	w->report->bad_seq = seq;
	snprintf(w->report->fault, sizeof(w->report->fault), "event %" PRId64 " %s", seq, what);
	return 0;
}

/* The walk has passed an event, and knows its hash. */
static int pass(struct walk *w, int64_t seq, const uint8_t hash[LEDGER_HASH_BYTES],
		struct error *err)
{
	if (seq == w->anchor_seq && memcmp(hash, w->anchor, sizeof(w->anchor)) != 0)
		return found(w, seq, "is not the one that the anchor is of");
	memcpy(w->previous, hash, sizeof(w->previous));
	w->next_seq = seq + 1;
	if (w->wish->passed && seq % EVENTS_BETWEEN == 0) {
		int r = w->wish->passed(w->wish->ctx, seq);

		return r < 0 ? error_set(err, r, NULL, NULL, "The walk was ended") : 1;
	}
	return 1;
}

/* --- ranges that were rolled up --- */

/* Was that what was told of the range when it was rolled up? */
static int end_range(struct walk *w, struct error *err)
{
	struct range *g = &w->range;
	uint8_t hash[LEDGER_HASH_BYTES];
	char hex[LEDGER_HEX_BYTES];
	int64_t same = 0;
	int r;

	if (!g->to_seq)
		return 1;
	sha256_digest(&g->cuts, sizeof(hash), hash);
	hex_encode(hash, sizeof(hash), hex);
	r = store_number(ledger_store(w->ledger), &same, err,
			 "SELECT count(*) FROM event WHERE seq = ? AND type = 'ledger.rolled_up'"
			 " AND body ->> 'from_seq' = ? AND body ->> 'to_seq' = ?"
			 " AND body ->> 'cuts_sha256' = ?",
			 "iiis", g->event_seq, g->from_seq, g->to_seq, hex);
	if (r == 0)
		r = same ? 1 : found(w, g->from_seq, "or one behind it was changed in its roll-up");
	g->to_seq = 0;
	return r;
}

/* The range that a run of events which are not there belongs to. */
static int find_range(struct walk *w, const struct cut *c, struct error *err)
{
	struct range *g = &w->range;
	struct rows rows;
	int r;

	if (g->to_seq >= c->to_seq)
		return 1;
	r = end_range(w, err);
	if (r <= 0)
		return r;
	r = store_select(ledger_store(w->ledger), &rows, err,
			 "SELECT from_seq, to_seq, event_seq FROM rollup WHERE to_seq >= ?"
			 " ORDER BY to_seq LIMIT 1",
			 "i", c->to_seq);
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	g->from_seq = rows_int(&rows, 0);
	g->to_seq = rows_int(&rows, 1);
	g->event_seq = rows_int(&rows, 2);
	rows_end(&rows);
	sha256_init(&g->cuts);
	if (r == 0 || g->from_seq > c->from_seq)
		g->to_seq = 0;
	return r < 0 || g->to_seq ? r : found(w, c->from_seq, "was removed");
}

/* 1 and the run that begins with the next event, or 0: there is none. */
static int find_cut(struct walk *w, struct cut *ret, struct error *err)
{
	struct rows rows;
	size_t len = 0;
	int r = store_select(ledger_store(w->ledger), &rows, err,
			     "SELECT to_seq, hash FROM cut WHERE from_seq = ?", "i", w->next_seq);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		const void *hash = rows_blob(&rows, 1, &len);

		ret->from_seq = w->next_seq;
		ret->to_seq = rows_int(&rows, 0);
		memcpy(ret->before, w->previous, sizeof(ret->before));
		if (len == sizeof(ret->hash))
			memcpy(ret->hash, hash, len);
	}
	rows_end(&rows);
	return r > 0 && len == sizeof(ret->hash) ? 1 : r < 0 ? r : 0;
}

/* Event by event, as the archive has them. */
static int walk_archive(struct walk *w, const struct cut *c, struct error *err)
{
	int r = 1;

	while (w->next_seq <= c->to_seq && r > 0) {
		uint8_t hash[LEDGER_HASH_BYTES];

		r = event_archive_hash(w->archive, w->next_seq, w->previous, hash, err);
		if (r == 0)
			found(w, w->next_seq, "is not in the archive as it was written");
		if (r > 0)
			r = pass(w, w->next_seq, hash, err);
		w->report->checked += r > 0;
	}
	if (r > 0 && memcmp(w->previous, c->hash, sizeof(c->hash)) != 0)
		r = found(w, c->to_seq, "is not the one that was rolled up");
	return r;
}

static int walk_over(struct walk *w, const struct cut *c, struct error *err)
{
	if (w->anchor_seq >= c->from_seq && w->anchor_seq < c->to_seq)
		return error_set(err, -ENODATA, "anchor", "verify with the archive",
				 "Event %" PRId64 " was rolled up", w->anchor_seq);
	w->report->rolled_up += c->to_seq - c->from_seq + 1;
	return pass(w, c->to_seq, c->hash, err);
}

/* Up to an event that is there. */
static int walk_cuts(struct walk *w, int64_t to_seq, struct error *err)
{
	int r = 1;

	while (w->next_seq < to_seq && r > 0) {
		struct cut c;

		r = find_cut(w, &c, err);
		if (r == 0 || (r > 0 && c.to_seq >= to_seq))
			return found(w, w->next_seq, "was removed");
		if (r > 0)
			r = find_range(w, &c, err);
		if (r > 0) {
			cut_digest(&w->range.cuts, &c);
			r = w->archive ? walk_archive(w, &c, err) : walk_over(w, &c, err);
		}
	}
	return r;
}

/* --- the walk --- */

static int walk_event(struct walk *w, const struct rows *rows, struct error *err)
{
	const struct record r = record_of_row(rows);
	uint8_t hash[LEDGER_HASH_BYTES], id[LEDGER_HASH_BYTES];
	int e = walk_cuts(w, r.seq, err);

	if (e <= 0)
		return e;
	record_hash(&r, w->previous, hash);
	record_id(&r, ledger_host_id(w->ledger), id);
	if (r.seq != w->next_seq || !record_same_hash(rows, RECORD_HASH_COLUMN, hash) ||
	    !record_same_hash(rows, RECORD_ID_COLUMN, id))
		return found(w, w->next_seq, "was changed, or one before it");
	e = pass(w, r.seq, hash, err);
	w->report->checked += e > 0;
	return e;
}

/* Behind the event that the last ones follow, whose hash is believed. */
static int skip(struct walk *w, struct error *err)
{
	struct rows rows;
	size_t len = 0;
	int r = store_select(ledger_store(w->ledger), &rows, err,
			     "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1 OFFSET ?", "i",
			     w->wish->last);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		const void *hash = rows_blob(&rows, 1, &len);

		if (len == sizeof(w->previous))
			memcpy(w->previous, hash, len);
		w->next_seq = rows_int(&rows, 0) + 1;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

/* A range is proven whole: the walk begins before all of them, or behind. */
static int begin(struct walk *w, struct error *err)
{
	int64_t inside = 0;
	int r = w->wish->last ? skip(w, err) : 0;

	if (r == 0 && w->next_seq > 1)
		r = store_number(ledger_store(w->ledger), &inside, err,
				 "SELECT count(*) FROM rollup WHERE to_seq >= ?", "i", w->next_seq);
	if (r < 0 || !inside)
		return r;
	w->next_seq = 1;
	memset(w->previous, 0, sizeof(w->previous));
	return 0;
}

static int walk_events(struct walk *w, struct error *err)
{
	struct rows rows;
	int r = store_select(ledger_store(w->ledger), &rows, err,
			     "SELECT " RECORD_COLUMNS " FROM event WHERE seq >= ? ORDER BY seq",
			     "i", w->next_seq);

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		r = walk_event(w, &rows, err);
		if (r <= 0)
			break;
	}
	rows_end(&rows);
	if (r == 0 && !w->report->bad_seq)
		r = end_range(w, err);
	return r < 0 ? r : 0;
}

static int check_head(struct walk *w, struct error *err)
{
	const int64_t last = w->next_seq - 1;
	char head[LEDGER_HEX_BYTES], hex[LEDGER_HEX_BYTES];
	int64_t seq;
	int r = ledger_head(w->ledger, &seq, head, err);

	if (r < 0 || w->report->bad_seq)
		return r;
	hex_encode(w->previous, sizeof(w->previous), hex);
	if (seq > last || w->anchor_seq > last)
		found(w, last + 1, "and what follows were cut off");
	else if (seq < last || strcmp(head, hex) != 0)
		found(w, last, "is not the last one that was written");
	return 0;
}

int proof_walk(struct ledger *l, const struct proof_wish *wish, struct proof_report *ret,
	       struct error *err)
{
	static const struct proof_wish none = { 0 };
	struct walk w = { .ledger = l, .next_seq = 1, .report = ret };
	int r = 0;

	wish = wish ? wish : &none;
	w.wish = wish;
	w.anchor_seq = wish->anchor_seq;
	*ret = (struct proof_report){ 0 };
	if (w.anchor_seq && hex_decode(wish->anchor_hex, w.anchor, sizeof(w.anchor)) < 0)
		return error_set(err, -EINVAL, "anchor", "as ledger head prints it: SEQ:HASH",
				 "The anchor is no hash");
	if (wish->archive)
		r = event_archive_open(wish->archive, &w.archive, err);
	if (r == 0)
		r = begin(&w, err);
	if (r == 0)
		r = walk_events(&w, err);
	if (r == 0)
		r = check_head(&w, err);
	event_archive_close(w.archive);
	return r;
}
