/* finding.c - rows of findings, and the events that tell of them. */
#include <errno.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/finding.h"
#include "vmm/base/log.h"

static int tell(struct truth *t, const char *type, const char *kind, const char *subject,
		const char *detail, int64_t *seq, struct error *err)
{
	json_t *body =
		json_pack("{s:s, s:s, s:s}", "kind", kind, "subject", subject, "detail", detail);
	const struct ledger_event e = { .type = type, .actor = "wispd", .body = body };
	int r = body ? ledger_append(t->ledger, &e, seq, err)
		     : error_set(err, -ENOMEM, NULL, NULL, "out of memory");

	json_decref(body);
	return r;
}

/* What was seen of an open one. 1, or 0: it is not open. */
static int find_open(struct truth *t, const char *kind, const char *subject, json_t **detail,
		     struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT detail FROM finding WHERE kind = ? AND subject = ?"
			     " AND cleared_seq IS NULL",
			     "ss", kind, subject);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	*detail = r > 0 ? json_string(rows_string(&rows, 0)) : NULL;
	rows_end(&rows);
	return r;
}

int finding_open(struct truth *t, const char *kind, const char *subject, const char *detail,
		 struct error *err)
{
	json_t *known = NULL;
	int64_t seq = 0;
	int r = find_open(t, kind, subject, &known, err);

	json_decref(known);
	if (r != 0)
		return r < 0 ? r : 0;
	r = tell(t, "finding.opened", kind, subject, detail, &seq, err);
	if (r == 0)
		r = store_run(t->store, err, "INSERT INTO finding VALUES (NULL, ?, ?, ?, ?, NULL)",
			      "sssi", kind, subject, detail, seq);
	if (r >= 0)
		log_error("finding: %s, %s: %s", kind, subject, detail);
	return r < 0 ? r : 0;
}

int finding_clear(struct truth *t, const char *kind, const char *subject, struct error *err)
{
	json_t *detail = NULL;
	int64_t seq = 0;
	int r = find_open(t, kind, subject, &detail, err);

	if (r > 0)
		r = tell(t, "finding.cleared", kind, subject, json_string_value(detail), &seq, err);
	else
		seq = -1;
	json_decref(detail);
	if (r == 0 && seq >= 0)
		r = store_run(t->store, err,
			      "UPDATE finding SET cleared_seq = ? WHERE kind = ? AND subject = ?"
			      " AND cleared_seq IS NULL",
			      "iss", seq, kind, subject);
	return r < 0 ? r : 0;
}
