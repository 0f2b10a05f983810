/* meter.c - from samples to events.
 *
 * A row of the table sample holds, for each counter, an array in JSON:
 *
 *   [the last reading, the sum since the incarnation began, the sum that was last told, known]
 *
 * known: 1, the last sample had it; 0, it did not, and a gap was told. Where the network is
 * counted by links, "links" has an array [index, value...] for each (enum link_value), as it was
 * last read; "classed" says whether the classes were known from the beginning.
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
	bool missing; /* the row is of a time when there was no such counter */
};

struct book_row {
	bool there;
	int64_t wall_ns, lines;
	struct account_row counter[COUNTERS_COUNT];
	bool linked;  /* it was counted by links before */
	bool classed; /* and by classes, without a gap */
	unsigned nlinks;
	struct sample_link link[LAUNCH_NETS_MAX];
};

static int no_memory(struct error *err)
{
	return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
}

/* --- the row --- */

/* Of values that were not kept then nothing is known. */
static struct sample_link read_link(const json_t *j)
{
	struct sample_link link = { .index = json_integer_value(json_array_get(j, 0)) };

	for (unsigned v = 0; v < LINK_VALUES; v++) {
		const json_t *value = json_array_get(j, v + 1);

		link.value[v] = value ? json_integer_value(value) : -1;
	}
	return link;
}

static void read_links(const json_t *links, struct book_row *row)
{
	const json_t *link;
	size_t n;

	row->linked = links != NULL;
	json_array_foreach(links, n, link)
	{
		if (row->nlinks < LAUNCH_NETS_MAX)
			row->link[row->nlinks++] = read_link(link);
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
			.missing = a == NULL,
		};
	}
	read_links(json_object_get(j, "links"), row);
	row->classed = json_is_true(json_object_get(j, "classed"));
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

	for (unsigned n = 0; n < row->nlinks; n++) {
		json_t *link = json_array();

		json_array_append_new(link, json_integer(row->link[n].index));
		for (unsigned v = 0; v < LINK_VALUES; v++)
			json_array_append_new(link, json_integer(row->link[n].value[v]));
		json_array_append_new(links, link);
	}
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
	json_object_set_new(j, "classed", json_boolean(row->classed));
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

/* The link's value that is added up there; LINK_VALUES: none. */
static unsigned link_value_of(unsigned c)
{
	unsigned v = 0;

	while (v < LINK_VALUES && link_sums[v] != c)
		v++;
	return v;
}

static bool is_class(unsigned v)
{
	return v >= LINK_IN_WORLD && v < LINK_VALUES;
}

static const struct sample_link *find_link(const struct sample_link *list, unsigned count,
					   int64_t index)
{
	for (unsigned n = 0; n < count; n++)
		if (list[n].index == index)
			return &list[n];
	return NULL;
}

/* A link's own counters, and those of its classes, begin anew apart from each other. */
struct anew {
	bool links, classes;
};

static bool fell(const struct sample_link *last, const struct sample_link *now, bool classes)
{
	for (unsigned v = 0; v < LINK_VALUES; v++)
		if (is_class(v) == classes && now->value[v] >= 0 && now->value[v] < last->value[v])
			return true;
	return false;
}

/* Adds to sum what came by a link since it was last read. What cannot be read now stays as it
 * was. */
static void add_link(const struct book_row *row, struct sample_link *now, struct sample_link *sum,
		     struct anew *anew)
{
	const struct sample_link *last = find_link(row->link, row->nlinks, now->index);
	const struct anew fallen = { last && fell(last, now, false),
				     last && fell(last, now, true) };

	for (unsigned v = 0; v < LINK_VALUES; v++) {
		const bool anew_here = is_class(v) ? fallen.classes : fallen.links;
		const int64_t before = last ? last->value[v] : -1;

		if (now->value[v] < 0)
			now->value[v] = before;
		else
			sum->value[v] += now->value[v] - (before > 0 && !anew_here ? before : 0);
	}
	anew->links = anew->links || fallen.links;
	anew->classes = anew->classes || fallen.classes;
}

/* Those of the sample, and those that could not be found now. True: one is gone, and another
 * is there in its place. */
static bool replace_links(struct book_row *row, const struct sample_link *now, unsigned nlinks,
			  bool all)
{
	struct sample_link list[LAUNCH_NETS_MAX];
	unsigned count = nlinks;
	bool replaced = false;

	memcpy(list, now, sizeof(list));
	for (unsigned n = 0; n < row->nlinks; n++) {
		if (find_link(now, nlinks, row->link[n].index))
			continue;
		replaced = replaced || all;
		if (!all && count < LAUNCH_NETS_MAX)
			list[count++] = row->link[n];
	}
	memcpy(row->link, list, sizeof(list));
	row->nlinks = count;
	return replaced;
}

/* What was counted up to now by the VMM's word passed by the same links. */
static void take_off_said(const struct book_row *row, struct sample_link *sum)
{
	for (unsigned v = LINK_IN; v <= LINK_OUT; v++) {
		const int64_t said = row->counter[link_sums[v]].sum;

		sum->value[v] = sum->value[v] > said ? sum->value[v] - said : 0;
	}
}

static void take_in_links(struct book_row *row, const struct sample *s, struct anew *anew)
{
	struct sample_link now[LAUNCH_NETS_MAX], sum = { 0 };

	memcpy(now, s->link, sizeof(now));
	for (unsigned n = 0; n < s->nlinks; n++)
		add_link(row, &now[n], &sum, anew);
	if (replace_links(row, now, s->nlinks, s->counter[COUNTER_NET_IN].reading == READING_DONE))
		*anew = (struct anew){ true, true };
	if (!row->linked)
		take_off_said(row, &sum);
	row->linked = true;
	for (unsigned v = 0; v < LINK_VALUES; v++)
		row->counter[link_sums[v]].sum += sum.value[v];
}

/* Whether all classes have been known since the incarnation began. */
static void note_classed(struct book_row *row, const struct sample *s, const struct anew *anew)
{
	row->classed =
		s->by_links && !anew->links && !anew->classes && (row->classed || !row->there);
	for (unsigned v = LINK_IN; v < LINK_VALUES; v++)
		row->classed = row->classed && s->counter[link_sums[v]].reading == READING_DONE;
}

/* Of one counter; the reason of a gap, or NULL. */
static const char *take_in_one(struct book_row *row, enum counter c, const struct sample *s)
{
	const enum reading reading = s->counter[c].reading;
	struct account_row *a = &row->counter[c];
	const bool was_missing = row->there && a->missing, fresh = a->known || !row->there;

	if (reading == READING_DONE) {
		const char *gap = take_in(a, c, s->counter[c].value);

		return was_missing ? "was not counted" : gap;
	}
	if (reading == READING_NONE || !(fresh || was_missing))
		return NULL;
	a->known = 0;
	return reading == READING_LOST ? "cannot be read" : "cannot be told";
}

static int take_in_all(struct truth *t, const struct instance *i, const struct sample *s,
		       struct book_row *row, struct error *err)
{
	struct anew anew = { false, false };
	int r = 0;

	if (s->by_links)
		take_in_links(row, s, &anew);
	note_classed(row, s, &anew);
	for (unsigned c = 0; c < COUNTERS_COUNT && r == 0; c++) {
		const unsigned v = link_value_of(c);
		const char *gap = take_in_one(row, (enum counter)c, s);

		if (!gap && v < LINK_VALUES && (is_class(v) ? anew.classes : anew.links))
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
		const unsigned v = link_value_of(c);
		const bool by_link = is_class(v) || (row->linked && v < LINK_VALUES);
		const bool said = counters[c].kind == COUNTER_ADDED && !by_link;

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
