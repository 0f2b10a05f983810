/* prometheus.c - a table of statements, each of which gives the lines of one metric. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/states.h"
#include "supervisor/books/store.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/metering/prometheus.h"
#include "supervisor/wispd.h"

enum { LABELS_MAX = 3 };

/* Rows of labels, in this order, and then the number. */
struct metric {
	const char *name, *type, *help;
	const char *labels[LABELS_MAX + 1]; /* NULL-ended */
	int64_t divisor;		    /* of the number; 1: it is printed as it is */
	const char *sql;
};

/* A counter of a VMM that lives, by its name in the table sample. */
#define SAMPLED(counter)                                                                 \
	"SELECT i.tenant, i.name, i.id, s.counters ->> '$." counter "[1]' FROM sample s" \
	" JOIN instance i ON i.id = s.instance AND i.incarnation = s.incarnation"        \
	" WHERE s.counters ->> '$." counter "[3]' = 1 ORDER BY 3"
#define INSTANCE                             \
	{                                    \
		"tenant", "name", "instance" \
	}

static const struct metric metrics[] = {
	{ "wispd_events_total",
	  "counter",
	  "Events in the ledger.",
	  { NULL },
	  1,
	  "SELECT ifnull(max(seq), 0) FROM event" },
	{ "wispd_findings",
	  "gauge",
	  "Where books and kernel differ.",
	  { NULL },
	  1,
	  "SELECT count(*) FROM finding WHERE cleared_seq IS NULL" },
	{ "wispd_operations_active",
	  "gauge",
	  "Work that was asked for and is not done.",
	  { NULL },
	  1,
	  "SELECT count(*) FROM operation WHERE state = 'active'" },
	{ "wispd_images", "gauge", "Images.", { NULL }, 1, "SELECT count(*) FROM image" },
	{ "wispd_held",
	  "gauge",
	  "What instances hold of the host.",
	  { "tenant", "resource" },
	  1,
	  "SELECT tenant, resource, sum(amount) FROM hold GROUP BY 1, 2 ORDER BY 1, 2" },
	{ "wispd_metered_holdings",
	  "gauge",
	  "Space, addresses and devices that tenants have.",
	  { "tenant", "meter" },
	  1,
	  "SELECT tenant, meter, sum(amount) FROM held GROUP BY 1, 2 ORDER BY 1, 2" },
	{ "wispd_instance_cpu_seconds_total", "counter", "Processor time used.", INSTANCE, 1000000,
	  SAMPLED("cpu_used") },
	{ "wispd_instance_memory_bytes", "gauge", "Memory used.", INSTANCE, 1,
	  SAMPLED("memory_now") },
	{ "wispd_instance_memory_peak_bytes", "gauge", "The most memory used.", INSTANCE, 1,
	  SAMPLED("memory_peak") },
	{ "wispd_instance_disk_read_bytes_total", "counter", "Read from disks.", INSTANCE, 1,
	  SAMPLED("disk_read") },
	{ "wispd_instance_disk_written_bytes_total", "counter", "Written to disks.", INSTANCE, 1,
	  SAMPLED("disk_written") },
	{ "wispd_instance_net_in_bytes_total", "counter", "What came to the guest.", INSTANCE, 1,
	  SAMPLED("net_in") },
	{ "wispd_instance_net_out_bytes_total", "counter", "What came from the guest.", INSTANCE, 1,
	  SAMPLED("net_out") },
};

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_number(FILE *out, int64_t n, int64_t divisor)
{
	if (divisor == 1)
		fprintf(out, " %" PRId64 "\n", n);
	else
		fprintf(out, " %" PRId64 ".%06" PRId64 "\n", n / divisor, n % divisor);
}

/* A name of a tenant or an instance has nothing that would have to be escaped. */
static void put_row(FILE *out, const struct metric *m, const struct rows *rows)
{
	int c = 0;

	fputs(m->name, out);
	for (; m->labels[c]; c++)
		fprintf(out, "%s%s=\"%s\"", c ? "," : "{", m->labels[c], rows_string(rows, c));
	if (c)
		fputc('}', out);
	put_number(out, rows_int(rows, c), m->divisor);
}

static int put_metric(struct wispd *d, FILE *out, const struct metric *m, struct error *err)
{
	struct rows rows;
	int r = store_select(d->truth.store, &rows, err, m->sql, "");

	if (r < 0)
		return r;
	put_head(out, m->name, m->type, m->help);
	while ((r = rows_next(&rows, err)) > 0)
		put_row(out, m, &rows);
	rows_end(&rows);
	return r;
}

/* Each state has its line, also where there is none: an absent line is no number. */
static int put_states(struct wispd *d, FILE *out, struct error *err)
{
	int64_t n = 0;
	int r = 0;

	put_head(out, "wispd_instances", "gauge", "Instances in a state.");
	for (unsigned s = 0; s < STATES_COUNT && r == 0; s++) {
		if (s == STATE_DELETED)
			continue;
		r = store_number(d->truth.store, &n, err,
				 "SELECT count(*) FROM instance WHERE state = ?", "i", (int64_t)s);
		fprintf(out, "wispd_instances{state=\"%s\"} %" PRId64 "\n", states[s].name, n);
	}
	return r;
}

static void put_receivers(struct wispd *d, FILE *out)
{
	json_t *all = outbox_describe(d->outbox), *one;
	const char *name;

	put_head(out, "wispd_outbox_behind", "gauge", "Events that a receiver has not got yet.");
	json_object_foreach(all, name, one)
		fprintf(out, "wispd_outbox_behind{receiver=\"%s\"} %" JSON_INTEGER_FORMAT "\n",
			name, json_integer_value(json_object_get(one, "behind")));
	json_decref(all);
	put_head(out, "wispd_disk_full", "gauge", "1: nothing new begins for want of room.");
	fprintf(out, "wispd_disk_full %d\n", d->no_room);
}

int prometheus_text(struct wispd *d, char **ret, struct error *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int r = out ? put_states(d, out, err) : -ENOMEM;

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]) && r == 0; i++)
		r = put_metric(d, out, &metrics[i], err);
	if (r == 0)
		put_receivers(d, out);
	if (out && fclose(out) != 0)
		r = -ENOMEM;
	if (r == 0) {
		*ret = text;
		return 0;
	}
	free(text);
	return r == -ENOMEM ? error_set(err, r, NULL, NULL, "out of memory") : r;
}
