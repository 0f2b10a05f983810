/* report.c - what a benchmark found: samples in, a table and JSON out. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "benches/report.h"

#define REFERENCE "qemu" /* whose medians the others' are divided by */

enum { MAX_LOADED_ROWS = 4096 };

void report_init(struct report *r, const char *bench)
{
	*r = (struct report){ 0 };
	snprintf(r->bench, sizeof(r->bench), "%s", bench);
	host_describe(&r->host);
}

void report_free(struct report *r)
{
	for (size_t i = 0; i < r->nrows; i++)
		samples_free(&r->rows[i].samples);
	free(r->rows);
	*r = (struct report){ 0 };
}

const struct report_row *report_find(const struct report *r, const char *vmm, const char *metric)
{
	for (size_t i = 0; i < r->nrows; i++)
		if (strcmp(r->rows[i].vmm, vmm) == 0 && strcmp(r->rows[i].metric, metric) == 0)
			return &r->rows[i];
	return NULL;
}

const char *report_unit(const char *metric)
{
	const char *last = strrchr(metric, '_');

	return last ? last + 1 : metric;
}

/* A row found or made; NULL without memory. */
static struct report_row *row_get(struct report *r, const char *vmm, const char *metric)
{
	struct report_row *row = (struct report_row *)report_find(r, vmm, metric);

	if (row)
		return row;
	if (r->nrows == r->room) {
		size_t room = r->room ? r->room * 2 : 32;
		struct report_row *rows = reallocarray(r->rows, room, sizeof(*rows));

		if (!rows)
			return NULL;
		r->rows = rows;
		r->room = room;
	}
	row = &r->rows[r->nrows++];
	*row = (struct report_row){ 0 };
	snprintf(row->vmm, sizeof(row->vmm), "%s", vmm);
	snprintf(row->metric, sizeof(row->metric), "%s", metric);
	return row;
}

int report_add(struct report *r, const char *vmm, const char *metric, int64_t value)
{
	struct report_row *row;

	if (value < 0)
		return 0;
	row = row_get(r, vmm, metric);
	return row ? samples_add(&row->samples, value) : -ENOMEM;
}

void report_finish(struct report *r)
{
	for (size_t i = 0; i < r->nrows; i++)
		samples_summarise(&r->rows[i].samples, &r->rows[i].summary);
}

static void print_ratio(const struct report *r, const struct report_row *row, FILE *f)
{
	const struct report_row *other = report_find(r, REFERENCE, row->metric);
	int64_t milli;

	if (!other || other == row)
		return;
	milli = stats_ratio_milli(row->summary.median, other->summary.median);
	if (milli >= 0)
		fprintf(f, "  %lld.%03lld", (long long)milli / 1000, (long long)milli % 1000);
}

static void print_row(const struct report *r, const struct report_row *row, const char *label,
		      FILE *f)
{
	const struct summary *s = &row->summary;

	fprintf(f, "%-28s %-11s %5zu %10lld %10lld %10lld %10lld", label, row->vmm, s->n,
		(long long)s->min, (long long)s->median, (long long)s->p90, (long long)s->p99);
	print_ratio(r, row, f);
	fputc('\n', f);
}

void report_print(const struct report *r, FILE *f)
{
	fprintf(f, "%s: kernel %s, kvm %s%s, %d CPU%s\n\n", r->bench, r->host.kernel, r->host.kvm,
		r->host.testhost ? " in the test host" : "", r->host.cpus,
		r->host.cpus == 1 ? "" : "s");
	fprintf(f, "%-28s %-11s %5s %10s %10s %10s %10s  %s\n", "metric", "vmm", "n", "min",
		"median", "p90", "p99", "to " REFERENCE);
	for (size_t i = 0; i < r->nrows; i++) {
		const char *metric = r->rows[i].metric;
		const char *label = metric;
		bool printed = false;

		for (size_t j = 0; j < i && !printed; j++)
			printed = strcmp(r->rows[j].metric, metric) == 0;
		for (size_t j = i; j < r->nrows && !printed; j++) {
			if (strcmp(r->rows[j].metric, metric) != 0)
				continue;
			print_row(r, &r->rows[j], label, f);
			label = "";
		}
	}
}

static json_t *row_json(const struct report_row *row)
{
	const struct summary *s = &row->summary;

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "vmm", row->vmm, "metric",
			 row->metric, "n", (json_int_t)s->n, "min", (json_int_t)s->min, "median",
			 (json_int_t)s->median, "p90", (json_int_t)s->p90, "p99",
			 (json_int_t)s->p99, "unit", report_unit(row->metric));
}

static json_t *report_json(const struct report *r)
{
	json_t *root = json_pack("{s:s, s:{s:s, s:b, s:s, s:i}, s:[]}", "bench", r->bench,
				 "machine", "kvm", r->host.kvm, "testhost", r->host.testhost,
				 "kernel", r->host.kernel, "cpus", r->host.cpus, "results");
	json_t *results = json_object_get(root, "results");

	for (size_t i = 0; i < r->nrows; i++)
		if (json_array_append_new(results, row_json(&r->rows[i])) < 0) {
			json_decref(root);
			return NULL;
		}
	return root;
}

int report_save(const struct report *r, const char *path, struct error *err)
{
	json_t *root = report_json(r);
	int result = 0;

	if (!root)
		return error_set(err, -ENOMEM, "json", NULL, "no memory for the results");
	if (json_dump_file(root, path, JSON_INDENT(2)) < 0)
		result = error_errno(err, "json", NULL, "cannot write %s", path);
	json_decref(root);
	return result;
}

static int load_row(struct report *r, json_t *item)
{
	json_int_t n, min, median, p90, p99;
	const char *vmm, *metric;
	struct report_row *row;

	if (json_unpack(item, "{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "vmm", &vmm, "metric", &metric,
			"n", &n, "min", &min, "median", &median, "p90", &p90, "p99", &p99) < 0)
		return -EINVAL;
	row = row_get(r, vmm, metric);
	if (!row)
		return -ENOMEM;
	row->summary = (struct summary){
		.n = (size_t)n, .min = min, .median = median, .p90 = p90, .p99 = p99
	};
	return 0;
}

static int load_json(struct report *r, json_t *root)
{
	const char *bench, *kvm, *kernel;
	int testhost, cpus, result = 0;
	json_t *results, *item;
	size_t i;

	if (json_unpack(root, "{s:s, s:{s:s, s:b, s:s, s:i}, s:o}", "bench", &bench, "machine",
			"kvm", &kvm, "testhost", &testhost, "kernel", &kernel, "cpus", &cpus,
			"results", &results) < 0 ||
	    json_array_size(results) > MAX_LOADED_ROWS)
		return -EINVAL;
	snprintf(r->bench, sizeof(r->bench), "%s", bench);
	snprintf(r->host.kvm, sizeof(r->host.kvm), "%s", kvm);
	snprintf(r->host.kernel, sizeof(r->host.kernel), "%s", kernel);
	r->host.testhost = testhost;
	r->host.cpus = cpus;
	json_array_foreach(results, i, item) if (result == 0) result = load_row(r, item);
	return result;
}

int report_load(struct report *r, const char *path, struct error *err)
{
	json_error_t why;
	json_t *root = json_load_file(path, 0, &why);
	int result;

	if (!root)
		return error_set(err, -EINVAL, "json", NULL, "cannot read %s: %s", path, why.text);
	result = load_json(r, root);
	json_decref(root);
	if (result < 0)
		error_set(err, result, "json", NULL, "%s holds no results of wisp-bench", path);
	return result;
}
