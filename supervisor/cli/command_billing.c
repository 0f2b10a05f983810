/* command_billing.c - wispctl's commands about usage, prices and invoices. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/cli/budgets.h"

/* --- usage and invoices --- */

enum { USAGE_PERIOD, USAGE_BY, USAGE_CSV, USAGE_PLOT, USAGE_METER };

static const struct cli_option usage_options[] = {
	[USAGE_PERIOD] = { "period", "YYYY-MM", "the month; by default this one" },
	[USAGE_BY] = { "by", "day|shape|instance", "tell apart by it" },
	[USAGE_CSV] = { "csv", NULL, "print CSV" },
	[USAGE_PLOT] = { "plot", "FILE", "draw one meter, with gnuplot: .svg or .png" },
	[USAGE_METER] = { "meter", "NAME", "of the plot; by default vcpu_time" },
	{ 0 },
};

static const char *const gap_members[] = { "instance",	   "meter",   "reason",
					   "from_wall_ns", "lost_ns", NULL };

static void print_gaps(const json_t *j)
{
	const json_t *gaps = json_object_get(j, "gaps");

	if (json_array_size(gaps) == 0)
		return;
	puts("\nUnknown, and so not billed (-1: for a time that nobody can tell):");
	cli_print_table(gaps, gap_members);
}

/* What wispd sends as it is. */
static int print_text(struct cli *cli, const char *path)
{
	struct wisp_reply reply = { 0 };
	char full[2 * CLI_PATH_BYTES];
	int r;

	snprintf(full, sizeof(full), "%s%s%s", path,
		 !cli->tenant	     ? ""
		 : strchr(path, '?') ? "&tenant="
				     : "?tenant=",
		 cli->tenant ? cli->tenant : "");
	r = cli_try(cli, "GET", full, NULL, &reply);
	if (r < 0)
		fprintf(stderr, "wispctl: %s\n", wisp_error(cli->client));
	else
		fputs(reply.body, stdout);
	wisp_reply_clear(&reply);
	return r == 0 ? 0 : r == -EPROTO ? EXIT_REFUSED : EXIT_UNREACHABLE;
}

/* gnuplot, which reads from *in. Its pid, or below 0. */
static pid_t start_gnuplot(FILE **in)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		execlp("gnuplot", "gnuplot", (char *)NULL);
		fprintf(stderr, "wispctl: cannot start gnuplot: %s\n", strerror(errno));
		_exit(EXIT_REFUSED);
	}
	close(ends[0]);
	*in = pid > 0 ? fdopen(ends[1], "w") : NULL;
	if (!*in)
		close(ends[1]);
	return pid;
}

/* A bar a slice. */
static void put_bars(FILE *out, const json_t *rows, const char *file, const char *meter)
{
	const char *end = strrchr(file, '.');
	char buf[32];
	json_t *row;
	size_t i;

	fprintf(out,
		"set terminal %s size 900,450\nset output '%s'\nset style data histograms\n"
		"set style fill solid\nset yrange [0:*]\nset xtics rotate\n"
		"plot '-' using 2:xtic(1) title '%s' noenhanced\n",
		end && strcmp(end, ".png") == 0 ? "png" : "svg", file, meter);
	json_array_foreach(rows, i, row)
	{
		if (strcmp(cli_text(row, "meter", buf, sizeof(buf)), meter) != 0)
			continue;
		fprintf(out, "\"%s\"", cli_text(row, "slice", buf, sizeof(buf)));
		fprintf(out, " %s\n", cli_text(row, "quantity", buf, sizeof(buf)));
	}
	fputs("e\n", out);
}

/* The names go into gnuplot's text. */
static int plot(const json_t *rows, const char *file, const char *meter)
{
	FILE *out = NULL;
	int status = 0;
	pid_t pid;

	if (strpbrk(file, "'\\\n") || strpbrk(meter, "'\\\n")) {
		fputs("wispctl: gnuplot cannot write to a name like that\n", stderr);
		return EXIT_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	pid = start_gnuplot(&out);
	if (out) {
		put_bars(out, rows, file, meter);
		fclose(out);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EXIT_REFUSED;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EXIT_REFUSED;
}

static int show_usage(struct cli *cli, const struct cli_arguments *a, const json_t *j)
{
	static const char *const members[] = { "plan",	     "version", "meter",    "unit",
					       "adjustment", "slice",	"quantity", NULL };
	const json_t *rows = json_object_get(j, "usage");

	if (a->option[USAGE_PLOT])
		return plot(rows, a->option[USAGE_PLOT],
			    a->option[USAGE_METER] ? a->option[USAGE_METER] : "vcpu_time");
	if (cli_print_json(cli, j))
		return 0;
	cli_print_table(rows, members);
	print_gaps(j);
	return 0;
}

static int usage(struct cli *cli, const struct cli_arguments *a)
{
	const char *period = a->option[USAGE_PERIOD], *by = a->option[USAGE_BY];
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/usage%s%s%s%s%s%s", a->option[USAGE_CSV] ? "/csv" : "",
		 period || by ? "?" : "", by ? "by=" : "", by ? by : "",
		 period && by ? "&period="
		 : period     ? "period="
			      : "",
		 period ? period : "");
	if (a->option[USAGE_CSV])
		return print_text(cli, path);
	status = cli_call(cli, "GET", path, NULL, &j);
	if (status == 0)
		status = show_usage(cli, a, j);
	json_decref(j);
	return status;
}

enum { AUDIT_PERIOD };

static const struct cli_option audit_options[] = {
	[AUDIT_PERIOD] = { "period", "YYYY-MM", "the month; by default this one" },
	{ 0 },
};

static int audit(struct cli *cli, const struct cli_arguments *a)
{
	const char *period = a->option[AUDIT_PERIOD];
	char path[CLI_PATH_BYTES];
	json_t *j = NULL, *one;
	size_t i;
	int status;

	snprintf(path, sizeof(path), "/usage/exists%s%s", period ? "?period=" : "",
		 period ? period : "");
	status = cli_call(cli, "GET", path, NULL, &j);
	json_array_foreach(json_object_get(j, "records"), i, one)
	{
		json_dumpf(one, stdout, JSON_COMPACT);
		putchar('\n');
	}
	json_decref(j);
	return status;
}

/* Billionths as a decimal number. */
static void print_money(const char *what, const json_t *j, const char *member)
{
	static const json_int_t unit = 1000000000;
	json_int_t nano = json_integer_value(json_object_get(j, member));
	char buf[32];

	printf("%-8s %" JSON_INTEGER_FORMAT ".%09" JSON_INTEGER_FORMAT " %s\n", what, nano / unit,
	       nano % unit, cli_text(j, "currency", buf, sizeof(buf)));
}

enum { SHOW_CSV, SHOW_HTML };

static const struct cli_option show_options[] = {
	[SHOW_CSV] = { "csv", NULL, "its lines as CSV" },
	[SHOW_HTML] = { "html", NULL, "a page to read" },
	{ 0 },
};

static int invoice_show(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "plan",	      "version",  "meter",	"unit",
					       "adjustment",  "quantity", "price_nano", "per",
					       "amount_nano", NULL };
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/invoices/%s%s", a->operand[0],
		 a->option[SHOW_CSV]	? "/csv"
		 : a->option[SHOW_HTML] ? "/html"
					: "");
	if (a->option[SHOW_CSV] || a->option[SHOW_HTML])
		return print_text(cli, path);
	status = cli_call(cli, "GET", path, NULL, &j);
	if (status == 0 && !cli_print_json(cli, j)) {
		cli_print_table(json_object_get(j, "lines"), members);
		print_money("sum", j, "sum_nano");
		print_money("credit", j, "credit_nano");
		print_money("total", j, "total_nano");
		print_gaps(j);
	}
	json_decref(j);
	return status;
}

static int invoice_ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "tenant", "period", "total_nano", "invoice_sha256",
					       NULL };

	(void)a;
	return cli_list(cli, "/invoices", "invoices", members);
}

enum { CLOSE_ALL };

static const struct cli_option close_options[] = {
	[CLOSE_ALL] = { "all", NULL, "of all tenants" },
	{ 0 },
};

static int invoice_close(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	/* The ledger may be long. */
	wisp_set_timeout(cli->client, 0);
	snprintf(path, sizeof(path), "/invoices/%s/close%s", a->operand[0],
		 a->option[CLOSE_ALL] ? "-all" : "");
	return cli_call(cli, "POST", path, NULL, NULL);
}

static int invoice_verify(struct cli *cli, const struct cli_arguments *a)
{
	json_t *j = NULL;
	int status;
	bool same;

	(void)a;
	/* Each is made anew from a ledger that may be long. */
	wisp_set_timeout(cli->client, 0);
	status = cli_call(cli, "GET", "/invoices/verify", NULL, &j);
	same = json_is_true(json_object_get(j, "same"));
	if (status == 0 && !cli_print_json(cli, j)) {
		printf("%" JSON_INTEGER_FORMAT " invoices come out as they were closed\n",
		       json_integer_value(json_object_get(j, "checked")));
		if (!same)
			printf("event %" JSON_INTEGER_FORMAT " closed one that does not\n",
			       json_integer_value(json_object_get(j, "bad_seq")));
	}
	json_decref(j);
	return status == 0 && !same ? EXIT_REFUSED : status;
}

/* --- plans and credits --- */

static int plan_add(struct cli *cli, const struct cli_arguments *a)
{
	json_error_t fault;
	json_t *plan = json_load_file(a->operand[0], 0, &fault);

	if (plan)
		return cli_call(cli, "POST", "/plans", plan, NULL);
	fprintf(stderr, "wispctl: %s, line %d: %s\n", a->operand[0], fault.line, fault.text);
	return EXIT_REFUSED;
}

static int plan_ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name",	     "version",	  "currency", "rounding_ms",
					       "minimum_ms", "bill_boot", NULL };

	(void)a;
	return cli_list(cli, "/plans", "plans", members);
}

static int tenant_plan(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/tenants/%s/plan", a->operand[0]);
	return cli_call(cli, "PUT", path,
			json_pack("{s:s, s:I}", "plan", a->operand[1], "version",
				  (json_int_t)strtoll(a->operand[2], NULL, 10)),
			NULL);
}

static int tenant_credit(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/tenants/%s/credits", a->operand[0]);
	return cli_call(cli, "POST", path,
			json_pack("{s:I, s:s}", "amount_nano",
				  (json_int_t)strtoll(a->operand[1], NULL, 10), "reason",
				  a->operand[2]),
			NULL);
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "usage",          "",        "print what was used in a month",               usage_options, -1, 0, 0, usage },
	{ "audit",          "",        "print a month's audit records, one a line",    audit_options, -1, 0, 0, audit },
	{ "invoice show",   "YYYY-MM", "print a month's invoice",                      show_options,          -1, 1, 1, invoice_show },
	{ "invoice ls",     "",        "list the closed months",                       NULL,          -1, 0, 0, invoice_ls },
	{ "invoice close",  "YYYY-MM", "make a month's invoice final",                 close_options,        -1, 1, 1, invoice_close },
	{ "invoice verify", "",        "make the closed invoices again, and compare",  NULL,          -1, 0, 0, invoice_verify },
	{ "plan add",       "FILE",    "publish a version of a price plan",            NULL,          -1, 1, 1, plan_add },
	{ "plan ls",        "",        "list price plans",                             NULL,          -1, 0, 0, plan_ls },
	{ "tenant plan",    "NAME PLAN VERSION", "what a tenant pays by from now on",  NULL,          -1, 3, 3, tenant_plan },
	{ "tenant credit",  "NAME NANO REASON",  "give a tenant a credit",             NULL,          -1, 3, 3, tenant_credit },
	{ "tenant reserve", "TENANT VCPUS MIB",  "reserve for a tenant; 0 0: nothing", NULL,          -1, 3, 3, tenant_reserve },
	{ "budget set",     "TENANT NANO",       "what a tenant may spend in a month", budget_options, -1, 2, 2, budget_set },
	{ "budget show",    "TENANT",  "what is spent, and what will be",              NULL,          -1, 1, 1, budget_show },
	{ "budget rm",      "TENANT",  "take a budget away",                           NULL,          -1, 1, 1, budget_remove },
	{ "support-bundle", "INSTANCE", "put all that is known of an instance in one file", support_options, -1, 1, 1, support_bundle },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_billing = { "Usage and invoices", commands };
