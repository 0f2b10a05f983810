/* main.c - wisp-bench: the same benchmarks, the same way, for each VMM.
 *
 * It picks the machine to measure on (this one's KVM, or the test host), runs the
 * benchmark, and puts out what it found: a table on stdout, JSON, a plot. Progress
 * and failures go to stderr.
 *
 * Exit codes: 0 all runs went well, 1 some failed (the rest is reported all the
 * same), 2 nothing could be measured.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "benches/bench.h"
#include "benches/testhost.h"

enum { EXIT_CODE_FAILED_RUNS = 1, EXIT_CODE_ERROR = 2 };

static void usage(FILE *f)
{
	fputs("usage: wisp-bench NAME [OPTIONS]\n\nbenchmarks:\n", f);
	for (size_t i = 0; bench_all[i]; i++)
		fprintf(f, "  %-10s %s\n", bench_all[i]->name, bench_all[i]->help);
	fputs("\noptions:\n", f);
	options_print(f);
}

static int complain(const struct error *e)
{
	char line[1024];

	fprintf(stderr, "wisp-bench: %s\n", error_line(e, line, sizeof(line)));
	return EXIT_CODE_ERROR;
}

static const struct bench_row *find(const char *name)
{
	for (size_t i = 0; name && bench_all[i]; i++)
		if (strcmp(bench_all[i]->name, name) == 0)
			return bench_all[i];
	return NULL;
}

/* Said in one line when it is not what the caller asked for in so many words. */
static bool wants_testhost(const struct bench_row *row, const struct options *o)
{
	struct host host;

	if (o->kvm || o->testhost)
		return o->testhost;
	host_describe(&host);
	if (row->in_process)
		return false;
	if (strcmp(host.kvm, "none") != 0 && (!row->needs_fast_kvm || host_boots_fast(&host)))
		return false;
	fprintf(stderr, "%s: in the test host, since this machine's KVM (%s) %s\n", row->name,
		host.kvm,
		strcmp(host.kvm, "none") == 0 ? "cannot be used" : "interprets guest kernels");
	return true;
}

/* Failed runs are part of the report. True when there were any. */
static bool add_failures(struct bench *b)
{
	bool any = false;

	for (size_t i = 0; i < b->nvmms; i++) {
		if (b->vmms[i].failed == 0)
			continue;
		any = true;
		report_add(&b->report, b->vmms[i].ops->name, "failed_runs", b->vmms[i].failed);
	}
	return any;
}

static int put_out(const struct report *r, const struct bench_row *row, const struct options *o)
{
	struct error err = { 0 };

	if (!o->no_table)
		report_print(r, stdout);
	if (o->json && report_save(r, o->json, &err) < 0)
		return complain(&err);
	if (o->plot && row->phases && plot_phases(r, row->phases, row->name, o->plot, &err) < 0)
		return complain(&err);
	return 0;
}

static int run_here(const struct bench_row *row, const struct options *o)
{
	struct error err = { 0 };
	struct bench b;
	bool failed;
	int code, r = bench_init(&b, row, o, &err);

	if (r == 0)
		r = row->run(&b, &err);
	if (r < 0) {
		bench_clear(&b);
		return complain(&err);
	}
	failed = add_failures(&b);
	report_finish(&b.report);
	code = put_out(&b.report, row, o);
	if (b.details.nrows > 0) {
		report_finish(&b.details);
		fputs("\nwisp's own report, ", stdout);
		report_print(&b.details, stdout);
	}
	bench_clear(&b);
	return code ? code : failed ? EXIT_CODE_FAILED_RUNS : 0;
}

static int run_in_testhost(const struct bench_row *row, const struct options *o)
{
	struct error err = { 0 };
	struct report report;
	int code, r;

	report_init(&report, row->name);
	r = testhost_run(row->name, o, &report, &err);
	code = r < 0 ? complain(&err) : 0;
	if (r == 0 || r == -ECANCELED)
		code = put_out(&report, row, o);
	report_free(&report);
	return r == -ECANCELED && code == 0 ? EXIT_CODE_FAILED_RUNS : code;
}

static int dispatch(const char *name, const struct options *o, struct error *err)
{
	const struct bench_row *row = find(name);

	if (o->help) {
		usage(stdout);
		return 0;
	}
	if (!row) {
		usage(stderr);
		return EXIT_CODE_ERROR;
	}
	if (o->plot && plot_check(o->plot, err) < 0)
		return complain(err);
	return wants_testhost(row, o) ? run_in_testhost(row, o) : run_here(row, o);
}

int main(int argc, char **argv)
{
	struct error err = { 0 };
	struct options options;
	const char *name;
	int code;

	if (options_parse(argc, argv, &options, &name, &err) < 0)
		code = complain(&err);
	else
		code = dispatch(name, &options, &err);
	options_free(&options);
	return code;
}
