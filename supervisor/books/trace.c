/* trace.c - how long each stage of an instance's start took, from the ledger. */
#include <stdio.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/books/trace.h"

enum { NS_PER_US = 1000, TYPE_BYTES = 32 };

/* From one event to the next. */
static const struct {
	const char *from, *to, *stage;
} stages[] = {
	{ "instance.creating", "instance.created", "prepare" },
	{ "instance.creating", "instance.not_taken", "no_blank" },
	{ "instance.not_taken", "instance.created", "prepare" },
	{ "instance.queued", "instance.starting", "queue" },
	{ "instance.starting", "instance.spawned", "attach" },
	{ "instance.spawned", "instance.running", "boot" },
	{ "instance.taken", "instance.running", "take" },
	{ "instance.pausing", "instance.paused", "pause" },
	{ "instance.resuming", "instance.running", "resume" },
	{ "instance.stopping", "instance.stopped", "stop" },
};

struct moment {
	char type[TYPE_BYTES], boot_id[40];
	int64_t boot_ns, wall_ns;
};

static const char *stage_between(const struct moment *from, const struct moment *to)
{
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (strcmp(stages[i].from, from->type) == 0 &&
		    strcmp(stages[i].to, to->type) == 0 && strcmp(from->boot_id, to->boot_id) == 0)
			return stages[i].stage;
	return NULL;
}

static struct moment read_moment(const struct rows *rows)
{
	struct moment m = { .boot_ns = rows_int(rows, 2), .wall_ns = rows_int(rows, 3) };

	rows_text(rows, 0, m.type, sizeof(m.type));
	rows_text(rows, 1, m.boot_id, sizeof(m.boot_id));
	return m;
}

static void add_stage(json_t *list, const struct moment *from, const struct moment *to,
		      int64_t incarnation)
{
	const char *stage = stage_between(from, to);

	if (stage)
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:I, s:I}", "stage", stage, "incarnation",
					(json_int_t)incarnation, "us",
					(json_int_t)((to->boot_ns - from->boot_ns) / NS_PER_US),
					"wall_ns", (json_int_t)from->wall_ns));
}

json_t *trace_describe(struct truth *t, const struct instance *i, struct error *err)
{
	json_t *list = json_array();
	struct moment last = { 0 };
	struct rows rows;
	int r = store_select(
		t->store, &rows, err,
		LEDGER_PARTS("?1", "0") "SELECT type, boot_id, boot_ns, wall_ns, incarnation FROM " LEDGER_EVENTS_OF(
			"?1") " WHERE type LIKE 'instance.%'"
			      " AND type <> 'instance.updated' ORDER BY subject_n",
		"s", i->id);

	if (r >= 0) {
		while ((r = rows_next(&rows, err)) > 0) {
			struct moment now = read_moment(&rows);

			add_stage(list, &last, &now, rows_int(&rows, 4));
			last = now;
		}
		rows_end(&rows);
	}
	if (r < 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}
