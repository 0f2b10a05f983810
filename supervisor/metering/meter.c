/* meter.c - from samples to events.
 *
 * A row of the table sample holds, for each counter, an array in JSON:
 *
 *   [the last reading, the sum since the incarnation began, the sum that was last told, known]
 *
 * known: 1, the last sample had it; 0, it did not, and a gap was told. Where the network is
 * counted by links, "links" has an array [index, in, out] for each, as it was last read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/meter.h"

static const char actor[] = "wispd";

struct account_row {
	int64_t raw, sum, told, known;
};

struct book_row {
	bool there;
	int64_t wall_ns, lines;
	struct account_row counter[COUNTERS_COUNT];
	bool linked; /* it was counted by links before */
	unsigned nlinks;
	struct sample_link link[LAUNCH_NETS_MAX];
};

static int no_memory(struct error *err)
{
	return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
}

/* --- the row --- */

static void read_links(const json_t *links, struct book_row *row)
{
	const json_t *link;
	size_t n;

	row->linked = links != NULL;
	json_array_foreach(links, n, link)
	{
		if (row->nlinks < LAUNCH_NETS_MAX)
			row->link[row->nlinks++] = (struct sample_link){
				.index = json_integer_value(json_array_get(link, 0)),
				.in = json_integer_value(json_array_get(link, 1)),
				.out = json_integer_value(json_array_get(link, 2)),
			};
	}
}

static void read_counters(const char *text, struct book_row *row)
{
	json_t *j = json_loads(text, 0, NULL);

	for (unsigned c = 0; c < COUNTERS_COUNT; c++) {
		const json_t *a = json_object_get(j, counters[c].name);

		row->counter[c] = (struct account_row){
			.raw = json_integer_value(json_array_get(a, 0)),
			.sum = json_integer_value(json_array_get(a, 1)),
			.told = json_integer_value(json_array_get(a, 2)),
			.known = json_integer_value(json_array_get(a, 3)),
		};
	}
	read_links(json_object_get(j, "links"), row);
	json_decref(j);
}

static int load(struct truth *t, const struct instance *i, struct book_row *row, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT wall_ns, lines, counters FROM sample WHERE instance = ?"
			     " AND incarnation = ?",
			     "si", i->id, i->incarnation);

	*row = (struct book_row){ 0 };
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0) {
		row->there = true;
		row->wall_ns = rows_int(&rows, 0);
		row->lines = rows_int(&rows, 1);
		read_counters(rows_string(&rows, 2), row);
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

int meter_lines(struct truth *t, const struct instance *i, int64_t *ret, struct error *err)
{
	struct book_row row;
	int r = load(t, i, &row, err);

	*ret = row.lines;
	return r;
}

static json_t *print_links(const struct book_row *row)
{
	json_t *links = json_array();

	for (unsigned n = 0; n < row->nlinks; n++)
		json_array_append_new(links, json_pack("[I, I, I]", (json_int_t)row->link[n].index,
						       (json_int_t)row->link[n].in,
						       (json_int_t)row->link[n].out));
	return links;
}

static int save(struct truth *t, const struct instance *i, const struct book_row *row,
		struct error *err)
{
	json_t *j = json_object();
	char *text;
	int r;

	for (unsigned c = 0; c < COUNTERS_COUNT; c++) {
		const struct account_row *a = &row->counter[c];

		json_object_set_new(j, counters[c].name,
				    json_pack("[I, I, I, I]", (json_int_t)a->raw,
					      (json_int_t)a->sum, (json_int_t)a->told,
					      (json_int_t)a->known));
	}
	if (row->linked)
		json_object_set_new(j, "links", print_links(row));
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	if (!text)
		return no_memory(err);
	r = store_run(t->store, err,
		      "INSERT INTO sample VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
		      " wall_ns = excluded.wall_ns, lines = excluded.lines,"
		      " counters = excluded.counters",
		      "siiis", i->id, i->incarnation, row->wall_ns, row->lines, text);
	free(text);
	return r < 0 ? r : 0;
}

/* --- events --- */

/* Takes over the reference to body. */
static int tell(struct truth *t, const struct instance *i, const char *type, json_t *body,
		struct error *err)
{
	const struct ledger_event e = {
		.type = type,
		.tenant = i->tenant,
		.instance = i->id,
		.incarnation = i->incarnation,
		.actor = actor,
		.body = body,
	};
	int r = body ? ledger_append(t->ledger, &e, NULL, err) : no_memory(err);

	json_decref(body);
	return r;
}

static int tell_gap(struct truth *t, const struct instance *i, enum counter c, const char *reason,
		    int64_t from_wall_ns, struct error *err)
{
	return tell(t, i, "meter.gap",
		    json_pack("{s:s, s:s, s:I}", "meter", counters[c].name, "reason", reason,
			      "from_wall_ns", (json_int_t)from_wall_ns),
		    err);
}

/* How far all counters are that were ever known, if a meter has moved since it was last told. */
static int tell_counted(struct truth *t, const struct instance *i, struct book_row *row, bool final,
			struct error *err)
{
	json_t *body = json_object();
	bool moved = false;

	for (unsigned c = 0; c < COUNTERS_COUNT; c++) {
		struct account_row *a = &row->counter[c];

		if (!a->known && a->sum == 0)
			continue;
		json_object_set_new(body, counters[c].name, json_integer(a->sum));
		moved = moved || (a->sum != a->told && counters[c].metered);
		a->told = a->sum;
	}
	if (!moved) {
		json_decref(body);
		return 0;
	}
	json_object_set_new(body, "final", json_boolean(final));
	return tell(t, i, "meter.counted", body, err);
}

/* --- samples --- */

static bool is_peak(enum counter c)
{
	return c == COUNTER_MEMORY_PEAK;
}

/* A reading that is there; the reason of a gap, or NULL. */
static const char *take_in(struct account_row *a, enum counter c, int64_t value)
{
	const bool anew = counters[c].kind == COUNTER_TOTAL && value < a->raw;

	switch (counters[c].kind) {
	case COUNTER_TOTAL:
		a->sum += anew ? value : value - a->raw;
		break;
	case COUNTER_ADDED:
		a->sum += value;
		break;
	case COUNTER_LEVEL:
		a->sum = is_peak(c) && a->sum > value ? a->sum : value;
		break;
	}
	a->raw = value;
	a->known = 1;
	return anew ? "began anew" : NULL;
}

static bool is_net(unsigned c)
{
	return c == COUNTER_NET_IN || c == COUNTER_NET_OUT;
}

static const struct sample_link *find_link(const struct sample_link *list, unsigned count,
					   int64_t index)
{
	for (unsigned n = 0; n < count; n++)
		if (list[n].index == index)
			return &list[n];
	return NULL;
}

/* Adds to sum what came by a link since it was last read. True: it began anew. */
static bool add_link(const struct book_row *row, const struct sample_link *now,
		     struct sample_link *sum)
{
	static const struct sample_link nothing;
	const struct sample_link *last = find_link(row->link, row->nlinks, now->index);
	const bool anew = last && (now->in < last->in || now->out < last->out);

	if (!last || anew)
		last = &nothing;
	sum->in += now->in - last->in;
	sum->out += now->out - last->out;
	return anew;
}

/* Those of the sample, and those that could not be found now. True: one is gone, and another
 * is there in its place. */
static bool replace_links(struct book_row *row, const struct sample *s)
{
	const bool all = s->counter[COUNTER_NET_IN].reading == READING_DONE;
	struct sample_link list[LAUNCH_NETS_MAX];
	unsigned count = s->nlinks;
	bool replaced = false;

	memcpy(list, s->link, sizeof(list));
	for (unsigned n = 0; n < row->nlinks; n++) {
		if (find_link(s->link, s->nlinks, row->link[n].index))
			continue;
		replaced = replaced || all;
		if (!all && count < LAUNCH_NETS_MAX)
			list[count++] = row->link[n];
	}
	memcpy(row->link, list, sizeof(list));
	row->nlinks = count;
	return replaced;
}

/* True: a link began anew. */
static bool take_in_links(struct book_row *row, const struct sample *s)
{
	int64_t *in = &row->counter[COUNTER_NET_IN].sum, *out = &row->counter[COUNTER_NET_OUT].sum;
	struct sample_link sum = { 0 };
	bool anew = false;

	for (unsigned n = 0; n < s->nlinks; n++)
		anew = add_link(row, &s->link[n], &sum) || anew;
	anew = replace_links(row, s) || anew;
	/* What was counted up to now by the VMM's word passed by the same links. */
	if (!row->linked)
		sum = (struct sample_link){ .in = sum.in > *in ? sum.in - *in : 0,
					    .out = sum.out > *out ? sum.out - *out : 0 };
	row->linked = true;
	*in += sum.in;
	*out += sum.out;
	return anew;
}

static int take_in_all(struct truth *t, const struct instance *i, const struct sample *s,
		       struct book_row *row, struct error *err)
{
	const bool anew = s->by_links && take_in_links(row, s);
	int r = 0;

	for (unsigned c = 0; c < COUNTERS_COUNT && r == 0; c++) {
		struct account_row *a = &row->counter[c];
		const char *gap = NULL;

		if (s->counter[c].reading == READING_DONE) {
			gap = take_in(a, (enum counter)c, s->counter[c].value);
		} else if (s->counter[c].reading == READING_LOST && (a->known || !row->there)) {
			a->known = 0;
			gap = "cannot be read";
		}
		if (!gap && anew && is_net(c))
			gap = "began anew";
		if (gap && counters[c].metered)
			r = tell_gap(t, i, (enum counter)c, gap,
				     row->there ? row->wall_ns : ledger_wall_ns(), err);
	}
	return r;
}

static int note(struct truth *t, const struct instance *i, const struct sample *s,
		struct book_row *row, struct error *err)
{
	int r = load(t, i, row, err);

	if (r == 0)
		r = take_in_all(t, i, s, row, err);
	if (r == 0 && s->disk_mib >= 0)
		r = meter_hold(t, METER_DISK_SPACE, i->tenant, i->id, i->id, s->disk_mib, actor,
			       err);
	row->wall_ns = ledger_wall_ns();
	row->lines = s->lines_to;
	return r;
}

int meter_note(struct truth *t, const struct instance *i, const struct sample *s, bool tell_now,
	       struct error *err)
{
	struct book_row row;
	int r = note(t, i, s, &row, err);

	if (r == 0 && tell_now)
		r = tell_counted(t, i, &row, false, err);
	return r < 0 ? r : save(t, i, &row, err);
}

/* What a VMM did after its last line is known to nobody, but for what passed by its links. */
static int tell_torn(struct truth *t, const struct instance *i, const struct book_row *row,
		     int64_t from_wall_ns, struct error *err)
{
	int r = 0;

	for (unsigned c = 0; c < COUNTERS_COUNT && r == 0; c++) {
		const bool said = counters[c].kind == COUNTER_ADDED && !(row->linked && is_net(c));

		if (said && counters[c].metered && row->counter[c].known)
			r = tell_gap(t, i, (enum counter)c, "was killed", from_wall_ns, err);
	}
	return r;
}

int meter_finish(struct truth *t, const struct instance *i, const struct sample *s, bool whole,
		 struct error *err)
{
	struct incarnation last;
	struct book_row before, row;
	int r = instance_incarnation(t, i, &last, err);

	if (r <= 0 || last.ended)
		return r < 0 ? r : 0;
	r = load(t, i, &before, err);
	if (r == 0)
		r = note(t, i, s, &row, err);
	if (r == 0)
		r = tell_counted(t, i, &row, true, err);
	if (r == 0 && !whole)
		r = tell_torn(t, i, &row, before.there ? before.wall_ns : i->created_wall_ns, err);
	if (r == 0)
		r = store_run(t->store, err, "DELETE FROM sample WHERE instance = ?", "s", i->id);
	return r < 0 ? r : 0;
}
