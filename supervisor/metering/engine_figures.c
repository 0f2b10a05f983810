/* engine_figures.c - two accounts of one instance. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/engine_figures.h"
#include "supervisor/metering/finding.h"

/* An engine counts whole seconds, from before the VMM begins until after it has ended, and
 * in its processor time what wispctl and the jailer do before that, at each start. */
enum { PER_CENT = 100, SLACK_ELAPSED_MS = 5000, SLACK_CPU_US = 1000000, SHORT_ID = 12 };

static const int64_t NS_PER_MS = 1000000;

/* What our books say. */
struct account {
	int64_t starts, lived_ms, cpu_us;
	bool whole; /* each incarnation was in one boot: how long it lived is known */
};

static int find_instance(struct truth *t, const struct engine_figures *f, struct instance *ret,
			 struct error *err)
{
	char id[INSTANCE_ID_BYTES];
	struct rows rows;
	int r = store_select(
		t->store, &rows, err,
		"SELECT a.instance FROM adopted a JOIN instance i ON i.id = a.instance"
		" WHERE i.owner_engine = ?1 AND (a.ref = ?2 OR (length(?2) = ?3"
		" AND substr(a.ref, 1, ?3) = ?2)) ORDER BY i.created_wall_ns DESC LIMIT 1",
		"ssi", f->engine, f->ref, (int64_t)SHORT_ID);

	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	rows_text(&rows, 0, id, sizeof(id));
	rows_end(&rows);
	if (r <= 0)
		return r;
	r = instance_load(t, id, ret, err);
	return r < 0 ? r : 1;
}

static int read_account(struct truth *t, const struct instance *i, struct account *ret,
			struct error *err)
{
	int64_t torn = 0, lived_ns = 0;
	int r = store_number(t->store, &ret->starts, err,
			     "SELECT max(count(*), 1) FROM incarnation WHERE instance = ?1", "s",
			     i->id);

	if (r == 0)
		r = store_number(t->store, &lived_ns, err,
				 "SELECT ifnull(sum(ifnull(b.boot_ns, ?2) - a.boot_ns), 0)"
				 " FROM incarnation n JOIN event a ON a.seq = n.started_seq"
				 " LEFT JOIN event b ON b.seq = n.ended_seq"
				 " WHERE n.instance = ?1 AND a.boot_id = ifnull(b.boot_id, ?3)",
				 "sis", i->id, ledger_boot_ns(), ledger_boot_id(t->ledger));

	if (r == 0)
		r = store_number(t->store, &torn, err,
				 "SELECT count(*) FROM incarnation n"
				 " JOIN event a ON a.seq = n.started_seq"
				 " LEFT JOIN event b ON b.seq = n.ended_seq"
				 " WHERE n.instance = ?1 AND a.boot_id <> ifnull(b.boot_id, ?2)",
				 "ss", i->id, ledger_boot_id(t->ledger));
	/* Sums since each one's beginning: the last that was told, or sampled. */
	if (r == 0)
		r = store_number(
			t->store, &ret->cpu_us, err,
			LEDGER_PARTS(
				"?1",
				"0") "SELECT ifnull(sum(most), 0) FROM (SELECT max(us) AS most FROM"
				     " (SELECT incarnation, body ->> '$.cpu_used' AS us FROM " LEDGER_EVENTS_OF(
					     "?1") " WHERE type = 'meter.counted'"
						   "  UNION ALL SELECT incarnation, counters ->> '$.cpu_used[1]'"
						   "   FROM sample WHERE instance = ?1) GROUP BY incarnation)",
			"s", i->id);
	ret->lived_ms = lived_ns / NS_PER_MS;
	ret->whole = torn == 0;
	return r;
}

__attribute__((format(printf, 2, 3))) static void add(char detail[ENGINE_DETAIL_BYTES],
						      const char *format, ...)
{
	size_t len = strlen(detail);
	va_list args;

	if (len)
		len += (size_t)snprintf(detail + len, ENGINE_DETAIL_BYTES - len, "; ");
	if (len >= ENGINE_DETAIL_BYTES)
		return;
	va_start(args, format);
	vsnprintf(detail + len, ENGINE_DETAIL_BYTES - len, format, args);
	va_end(args);
}

static bool fits(uint64_t theirs, int64_t ours, int64_t slack)
{
	int64_t off = (int64_t)theirs - ours;

	return llabs(off) <= slack + ours / PER_CENT;
}

int engine_figures_compare(struct truth *t, const struct engine_figures *f, struct instance *i,
			   char detail[ENGINE_DETAIL_BYTES], struct error *err)
{
	struct account ours = { 0 };
	int r = find_instance(t, f, i, err);

	detail[0] = '\0';
	if (r > 0 && read_account(t, i, &ours, err) < 0)
		return err->code;
	if (r <= 0)
		return r;
	if (f->has_elapsed && ours.whole &&
	    !fits(f->elapsed_ms, ours.lived_ms, SLACK_ELAPSED_MS * ours.starts))
		add(detail, "elapsed %" PRIu64 " ms, lived %" PRId64, f->elapsed_ms, ours.lived_ms);
	if (f->has_cpu && !fits(f->cpu_us, ours.cpu_us, SLACK_CPU_US * ours.starts))
		add(detail, "cpu %" PRIu64 " us, metered %" PRId64, f->cpu_us, ours.cpu_us);
	if (f->has_vcpus && f->vcpus < (uint64_t)i->vcpus)
		add(detail, "%" PRIu64 " processors, has %" PRId64, f->vcpus, i->vcpus);
	if (f->has_mem && f->mem_mib < (uint64_t)i->mem_mib)
		add(detail, "%" PRIu64 " MiB, has %" PRId64, f->mem_mib, i->mem_mib);
	return 1;
}

int engine_figures_judge(struct truth *t, const struct engine_figures *f, struct instance *i,
			 char detail[ENGINE_DETAIL_BYTES], struct error *err)
{
	char text[ENGINE_DETAIL_BYTES + NAME_BYTES + ADOPTED_REF_BYTES];
	int found = engine_figures_compare(t, f, i, detail, err), r;

	if (found <= 0)
		return found;
	snprintf(text, sizeof(text), "%s %s: %s", f->engine, f->ref, detail);
	r = detail[0] ? finding_open(t, FINDING_OF_ENGINES, i->id, text, err)
		      : finding_clear(t, FINDING_OF_ENGINES, i->id, err);
	return r < 0 ? r : 1;
}
