/* cut.c - a range is walked and proved, its superseded events leave, one event tells of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/cut.h"
#include "supervisor/books/event_archive.h"
#include "supervisor/books/hex.h"
#include "supervisor/books/record.h"
#include "supervisor/books/store.h"

/* A walk over a range. */
struct walk {
	const int64_t *seqs; /* those that are to leave, and haven't been seen yet */
	size_t left;
	int64_t next_seq; /* of the event that has to follow */
	uint8_t previous[LEDGER_HASH_BYTES];
	FILE *lines;
	struct cut *cuts;
	size_t ncuts;
};

static void add_number(struct sha256_ctx *digest, int64_t n)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
	sha256_update(digest, sizeof(bytes), bytes);
}

void cut_digest(struct sha256_ctx *digest, const struct cut *c)
{
	add_number(digest, c->from_seq);
	add_number(digest, c->to_seq);
	sha256_update(digest, sizeof(c->before), c->before);
	sha256_update(digest, sizeof(c->hash), c->hash);
}

int cut_last(struct truth *t, int64_t *ret, struct error *err)
{
	return store_number(t->store, ret, err, "SELECT ifnull(max(to_seq), 0) FROM rollup", "");
}

/* --- the walk --- */

/* The hash of an event, also of the last one of a run that is not there. */
static int find_hash(struct truth *t, int64_t seq, uint8_t ret[LEDGER_HASH_BYTES],
		     struct error *err)
{
	struct rows rows;
	size_t len = 0;
	int r;

	memset(ret, 0, LEDGER_HASH_BYTES);
	if (seq == 0)
		return 0;
	r = store_select(t->store, &rows, err,
			 "SELECT hash FROM event WHERE seq = ?1 UNION ALL SELECT hash FROM cut"
			 " WHERE from_seq = (SELECT max(from_seq) FROM cut WHERE from_seq <= ?1)"
			 " AND to_seq = ?1",
			 "i", seq);
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		const void *hash = rows_blob(&rows, 0, &len);

		if (len == LEDGER_HASH_BYTES)
			memcpy(ret, hash, len);
	}
	rows_end(&rows);
	return r;
}

/* One that leaves: alone, or with those right before it. */
static int take_out(struct walk *w, const struct record *r, const uint8_t hash[LEDGER_HASH_BYTES])
{
	struct cut *c = w->ncuts > 0 ? &w->cuts[w->ncuts - 1] : NULL;

	if (!c || c->to_seq + 1 != r->seq) {
		c = &w->cuts[w->ncuts++];
		c->from_seq = r->seq;
		memcpy(c->before, w->previous, sizeof(c->before));
	}
	c->to_seq = r->seq;
	memcpy(c->hash, hash, sizeof(c->hash));
	w->seqs++;
	w->left--;
	return event_archive_print(w->lines, r, hash);
}

static int walk_event(struct walk *w, const struct rows *rows, struct error *err)
{
	const struct record r = record_of_row(rows);
	uint8_t hash[LEDGER_HASH_BYTES];
	int e = 0;

	record_hash(&r, w->previous, hash);
	if (r.seq != w->next_seq || !record_same_hash(rows, RECORD_HASH_COLUMN, hash))
		return error_set(err, -EUCLEAN, NULL, "wispctl ledger verify tells more",
				 "Event %" PRId64 " is not as it was written", w->next_seq);
	if (w->left > 0 && *w->seqs == r.seq)
		e = take_out(w, &r, hash);
	memcpy(w->previous, hash, sizeof(hash));
	w->next_seq++;
	return e < 0 ? error_set(err, e, NULL, NULL, "out of memory") : 0;
}

static int walk_range(struct truth *t, struct walk *w, int64_t to_seq, struct error *err)
{
	struct rows rows;
	int r = find_hash(t, w->next_seq - 1, w->previous, err);

	if (r >= 0)
		r = store_select(t->store, &rows, err,
				 "SELECT " RECORD_COLUMNS
				 " FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq",
				 "ii", w->next_seq, to_seq);
	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		r = walk_event(w, &rows, err);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	if (r == 0 && (w->left > 0 || w->next_seq != to_seq + 1))
		r = error_set(err, -EUCLEAN, NULL, "wispctl ledger verify tells more",
			      "There is no event %" PRId64, w->next_seq);
	return r;
}

/* --- writing --- */

static int note_cuts(struct truth *t, const struct walk *w, char hex[LEDGER_HEX_BYTES],
		     struct error *err)
{
	uint8_t hash[LEDGER_HASH_BYTES];
	struct sha256_ctx digest;
	int r = 0;

	sha256_init(&digest);
	for (size_t i = 0; i < w->ncuts && r >= 0; i++) {
		const struct cut *c = &w->cuts[i];

		cut_digest(&digest, c);
		r = store_run(t->store, err, "INSERT INTO cut VALUES (?, ?, ?)", "iib", c->from_seq,
			      c->to_seq, c->hash, sizeof(c->hash));
		if (r >= 0)
			r = store_run(t->store, err, "DELETE FROM event WHERE seq BETWEEN ? AND ?",
				      "ii", c->from_seq, c->to_seq);
	}
	sha256_digest(&digest, sizeof(hash), hash);
	hex_encode(hash, sizeof(hash), hex);
	return r < 0 ? r : 0;
}

static int tell(struct truth *t, int64_t from_seq, int64_t to_seq, size_t removed,
		const struct walk *w, const char *hex, const char *name, struct error *err)
{
	json_t *body = json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "from_seq", (json_int_t)from_seq,
				 "to_seq", (json_int_t)to_seq, "removed", (json_int_t)removed,
				 "cuts", (json_int_t)w->ncuts, "cuts_sha256", hex, "archive", name);
	const struct ledger_event e = { .type = "ledger.rolled_up",
					.actor = "wispd",
					.body = body };
	int64_t seq = 0;
	int r = body ? ledger_append(t->ledger, &e, &seq, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	if (r == 0)
		r = store_run(t->store, err, "INSERT INTO rollup VALUES (?, ?, ?)", "iii", to_seq,
			      from_seq, seq);
	return r < 0 ? r : 0;
}

/* "BYTES NAME". */
static int read_end(struct truth *t, struct event_archive_end *ret, struct error *err)
{
	struct rows rows;
	char *name;
	int r = store_select(t->store, &rows, err,
			     "SELECT value FROM meta WHERE key = 'archive_end'", "");

	*ret = (struct event_archive_end){ 0 };
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		ret->bytes = strtoll(rows_string(&rows, 0), &name, 10);
		snprintf(ret->name, sizeof(ret->name), "%s", *name ? name + 1 : "");
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

static int note_end(struct truth *t, const struct event_archive_end *end, struct error *err)
{
	char text[EVENT_ARCHIVE_NAME_BYTES + 24];
	int r;

	snprintf(text, sizeof(text), "%" PRId64 " %s", end->bytes, end->name);
	r = store_run(t->store, err,
		      "INSERT INTO meta VALUES ('archive_end', ?)"
		      " ON CONFLICT DO UPDATE SET value = excluded.value",
		      "s", text);
	return r < 0 ? r : 0;
}

static int put_away(struct truth *t, const char *archive, int64_t first_seq, const char *lines,
		    size_t len, struct event_archive_end *end, struct error *err)
{
	int r = read_end(t, end, err);

	if (r == 0)
		r = event_archive_add(archive, first_seq, lines, len, end, err);
	return r < 0 ? r : note_end(t, end, err);
}

int cut_make(struct truth *t, const char *archive, int64_t from_seq, int64_t to_seq,
	     const int64_t *seqs, size_t count, struct error *err)
{
	struct walk w = { .seqs = seqs, .left = count, .next_seq = from_seq };
	char *lines = NULL, hex[LEDGER_HEX_BYTES] = "";
	struct event_archive_end end;
	size_t len = 0;
	int r = -ENOMEM;

	w.cuts = calloc(count, sizeof(*w.cuts));
	w.lines = open_memstream(&lines, &len);
	if (w.cuts && w.lines)
		r = walk_range(t, &w, to_seq, err);
	else
		error_set(err, r, NULL, NULL, "out of memory");
	if (w.lines && fclose(w.lines) != 0 && r == 0)
		r = error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	if (r == 0)
		r = put_away(t, archive, seqs[0], lines, len, &end, err);
	if (r == 0)
		r = note_cuts(t, &w, hex, err);
	if (r == 0)
		r = tell(t, from_seq, to_seq, count, &w, hex, end.name, err);
	free(lines);
	free(w.cuts);
	return r;
}
