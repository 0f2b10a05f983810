/* command_billing.c - wispctl's commands about usage, prices and invoices. */
#include <stdio.h>
#include <stdlib.h>

#include "supervisor/cli/cli.h"

/* --- usage and invoices --- */

static const struct cli_option usage_options[] = {
	{ "period", "YYYY-MM", "the month; by default this one" },
	{ 0 },
};

static const char *const gap_members[] = { "instance", "from_wall_ns", "lost_ns", NULL };

static void print_gaps(const json_t *j)
{
	const json_t *gaps = json_object_get(j, "gaps");

	if (json_array_size(gaps) == 0)
		return;
	puts("\nUnknown, and so not billed (-1: for a time that nobody can tell):");
	cli_print_table(gaps, gap_members);
}

static int usage(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "plan",	     "version",	 "meter", "unit",
					       "adjustment", "quantity", NULL };
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/usage%s%s", a->option[0] ? "?period=" : "",
		 a->option[0] ? a->option[0] : "");
	status = cli_call(cli, "GET", path, NULL, &j);
	if (status == 0 && !cli_print_json(cli, j)) {
		cli_print_table(json_object_get(j, "usage"), members);
		print_gaps(j);
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

static int invoice_show(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "plan",	      "version",  "meter",	"unit",
					       "adjustment",  "quantity", "price_nano", "per",
					       "amount_nano", NULL };
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;
	int status;

	snprintf(path, sizeof(path), "/invoices/%s", a->operand[0]);
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

static int invoice_close(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/invoices/%s/close", a->operand[0]);
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
	{ "invoice show",   "YYYY-MM", "print a month's invoice",                      NULL,          -1, 1, 1, invoice_show },
	{ "invoice ls",     "",        "list the closed months",                       NULL,          -1, 0, 0, invoice_ls },
	{ "invoice close",  "YYYY-MM", "make a month's invoice final",                 NULL,          -1, 1, 1, invoice_close },
	{ "invoice verify", "",        "make the closed invoices again, and compare",  NULL,          -1, 0, 0, invoice_verify },
	{ "plan add",       "FILE",    "publish a version of a price plan",            NULL,          -1, 1, 1, plan_add },
	{ "plan ls",        "",        "list price plans",                             NULL,          -1, 0, 0, plan_ls },
	{ "tenant plan",    "NAME PLAN VERSION", "what a tenant pays by from now on",  NULL,          -1, 3, 3, tenant_plan },
	{ "tenant credit",  "NAME NANO REASON",  "give a tenant a credit",             NULL,          -1, 3, 3, tenant_credit },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_billing = { "Usage and invoices", commands };
