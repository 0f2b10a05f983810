/* rollup.c - a range of events, and those of it that the next of their kind supersedes.
 *
 * A range ends before an event at which somebody looks ("landmark"), or with the one that an
 * invoice of a closed period was made up to. So all that can come between an event and the next
 * of its kind is within the range, but for counters, whose next event may lie behind it: that
 * one has to be before the same end.
 *
 * Of the confirmations of a range the first and the last stay, so that of each boot the first
 * and the last do: what began in another boot is only ever confirmed by that boot's.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/billing/rollup.h"
#include "supervisor/books/cut.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"

enum { ROWS_MAX = 2000, LANDMARKS_MAX = 200, BOOT_BYTES = 40 };

static const int64_t NS_PER_HOUR = INT64_C(3600) * 1000000000;

enum { SEQ, BOOT, WALL_NS, TYPE, INSTANCE, INCARNATION, SUBJECT_N, BODY, UNSEEN };

/* A confirmation, and what came since. */
struct confirmation {
	int64_t seq; /* 0: none yet */
	int64_t hour;
	char boot[BOOT_BYTES];
	bool first;	/* of its boot, or of the range */
	bool looked_at; /* somebody looks at it before the next one */
};

struct range {
	struct truth *t;
	int64_t from_seq, to_seq; /* what is looked at */
	int64_t end_seq;	  /* nobody looks in between up to here */
	int64_t before_wall_ns;
	struct confirmation last;
	int64_t seqs[ROWS_MAX]; /* of the superseded */
	size_t count;
	bool young; /* it ends before one that is too young */
};

/* --- counters --- */

/* Whether all that the body tells is told by the later one, too, which is not less. */
static bool tells_all(const char *body, const char *later)
{
	json_t *a = json_loads(body, 0, NULL), *b = json_loads(later, 0, NULL);
	const char *name;
	json_t *value;
	bool all = json_is_object(a) && json_is_object(b);

	json_object_foreach(a, name, value)
	{
		const json_t *now = json_object_get(b, name);

		if (json_is_integer(value))
			all = all && json_is_integer(now) &&
			      json_integer_value(now) >= json_integer_value(value);
	}
	json_decref(a);
	json_decref(b);
	return all;
}

/* 1: superseded, 0: not. */
static int counted(struct range *g, const struct rows *event, struct error *err)
{
	struct rows next;
	int superseded = 0;
	int r = store_select(g->t->store, &next, err,
			     /* To the first part (LEDGER_PARTS) that has one. */
			     "WITH RECURSIVE part (n, last) AS (SELECT ?3 >> 13,"
			     " min(?4, last_seq) >> 13 FROM subject WHERE instance = ?1 UNION ALL"
			     " SELECT n + 1, last FROM part WHERE n < last AND NOT EXISTS"
			     " (SELECT 1 FROM event WHERE seq >> 13 = n AND instance = ?1"
			     " AND subject_n > ?2))"
			     " SELECT seq, boot_id, wall_ns, type, instance, incarnation,"
			     " subject_n, body FROM event WHERE seq >> 13 ="
			     " (SELECT max(n) FROM part) AND instance = ?1 AND subject_n > ?2"
			     " ORDER BY subject_n LIMIT 1",
			     "siii", rows_string(event, INSTANCE), rows_int(event, SUBJECT_N),
			     rows_int(event, SEQ), g->end_seq);

	if (r < 0)
		return r;
	r = rows_next(&next, err);
	if (r > 0)
		superseded = strcmp(rows_string(&next, TYPE), "meter.counted") == 0 &&
			     rows_int(&next, SEQ) <= g->end_seq &&
			     rows_int(&next, INCARNATION) == rows_int(event, INCARNATION) &&
			     rows_int(&next, WALL_NS) / NS_PER_HOUR ==
				     rows_int(event, WALL_NS) / NS_PER_HOUR &&
			     tells_all(rows_string(event, BODY), rows_string(&next, BODY));
	rows_end(&next);
	return r < 0 ? r : superseded;
}

/* --- confirmations --- */

/* Whether the last one is superseded by this one, which is the last one now. */
static bool confirmed(struct range *g, const struct rows *event)
{
	const struct confirmation before = g->last;
	struct confirmation *now = &g->last;

	*now = (struct confirmation){ .seq = rows_int(event, SEQ),
				      .hour = rows_int(event, WALL_NS) / NS_PER_HOUR };
	rows_text(event, BOOT, now->boot, sizeof(now->boot));
	now->first = before.seq == 0 || strcmp(before.boot, now->boot) != 0;
	return before.seq && !before.first && !before.looked_at && !now->first &&
	       before.hour == now->hour;
}

/* --- a range --- */

static int compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int look_at(struct range *g, const struct rows *event, struct error *err)
{
	const char *type = rows_string(event, TYPE);
	const int64_t last_seq = g->last.seq;
	int r;

	if (strcmp(type, "meter.confirmed") == 0) {
		if (confirmed(g, event))
			g->seqs[g->count++] = last_seq;
	} else if (strcmp(type, "meter.counted") == 0) {
		r = counted(g, event, err);
		if (r < 0)
			return r;
		if (r > 0)
			g->seqs[g->count++] = rows_int(event, SEQ);
	} else if (strcmp(type, "host.recovered") == 0 || rows_int(event, UNSEEN)) {
		g->last.looked_at = true;
	}
	return 0;
}

/* Sets to_seq to the last one that was looked at. */
static int look(struct range *g, struct error *err)
{
	struct rows rows;
	int r = store_select(g->t->store, &rows, err,
			     "SELECT seq, boot_id, wall_ns, type, instance, incarnation, subject_n,"
			     " body, type GLOB 'instance.*' AND body ->> 'exit_kind' IS 'unknown'"
			     " FROM event WHERE seq BETWEEN ? AND ? ORDER BY seq",
			     "ii", g->from_seq, g->to_seq);

	if (r < 0)
		return r;
	g->to_seq = g->from_seq - 1;
	while ((r = rows_next(&rows, err)) > 0) {
		g->young = rows_int(&rows, WALL_NS) >= g->before_wall_ns;
		r = g->young ? 0 : look_at(g, &rows, err);
		if (r < 0 || g->young)
			break;
		g->to_seq = rows_int(&rows, SEQ);
	}
	rows_end(&rows);
	/* A confirmation is found out about at the next one, behind others. */
	qsort(g->seqs, g->count, sizeof(g->seqs[0]), compare);
	return r;
}

/* Where nobody looks in between; behind end_seq somebody does. Invoices are made up to events in
 * the order in which their periods are closed. */
static int find_range(struct range *g, const struct rollup_wish *w, int64_t from_seq,
		      struct error *err)
{
	int64_t landmark = 0, closing = 0;
	int r = store_number(g->t->store, &landmark, err,
			     "SELECT ifnull(min(seq), 9223372036854775807) FROM event"
			     " WHERE " LEDGER_LANDMARKS " AND seq >= ?",
			     "i", from_seq);

	if (r == 0)
		r = store_number(g->t->store, &closing, err,
				 "SELECT ifnull((SELECT body ->> 'seq' FROM event"
				 " WHERE " LEDGER_LANDMARKS
				 " AND type = 'period.closed' AND seq > ?1"
				 " AND body ->> 'seq' >= ?1 ORDER BY seq LIMIT 1),"
				 " 9223372036854775807)",
				 "i", from_seq);
	g->from_seq = from_seq;
	g->end_seq = landmark - 1 < closing ? landmark - 1 : closing;
	g->end_seq = w->last_seq < g->end_seq ? w->last_seq : g->end_seq;
	g->to_seq = from_seq + ROWS_MAX - 1 < g->end_seq ? from_seq + ROWS_MAX - 1 : g->end_seq;
	g->before_wall_ns = w->before_wall_ns;
	return r;
}

/* The range from *next_seq on, or from behind landmarks that follow each other. */
static int next_range(struct range *g, const struct rollup_wish *w, int64_t *next_seq,
		      struct error *err)
{
	int64_t last = 0;
	int r = *next_seq ? 0 : cut_last(g->t, &last, err);

	*next_seq = *next_seq ? *next_seq : last + 1;
	for (unsigned n = 0; n < LANDMARKS_MAX && r == 0; n++) {
		r = find_range(g, w, *next_seq, err);
		if (r < 0 || g->to_seq >= g->from_seq || *next_seq > w->last_seq)
			break;
		(*next_seq)++;
	}
	return r;
}

/* 1: there may be more behind it. */
static int roll_up(struct range *g, const struct rollup_wish *w, int64_t *next_seq,
		   struct error *err)
{
	int64_t wanted;
	int r = next_range(g, w, next_seq, err);

	if (r < 0 || *next_seq > w->last_seq)
		return r;
	wanted = g->to_seq;
	if (wanted < g->from_seq)
		return 1;
	r = look(g, err);
	if (r == 0 && g->count > 0)
		r = cut_make(g->t, w->archive, g->from_seq, g->to_seq, g->seqs, g->count, err);
	if (r < 0)
		return r;
	*next_seq = g->to_seq + 1;
	return !g->young && g->to_seq == wanted;
}

int rollup_step(struct truth *t, const struct rollup_wish *w, int64_t *next_seq, int64_t *removed,
		struct error *err)
{
	struct range *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	g->t = t;
	r = roll_up(g, w, next_seq, err);
	*removed = r < 0 ? 0 : (int64_t)g->count;
	free(g);
	return r;
}
