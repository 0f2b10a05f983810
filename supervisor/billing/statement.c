/* statement.c - texts from an invoice's JSON, each value escaped for where it goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/billing/statement.h"

enum { NUMBER_BYTES = 48 };

static const json_int_t NANO = 1000000000;

static const char *const line_members[] = { "plan",	  "version",	 "meter",     "unit",
					    "adjustment", "from",	 "quantity",  "price_nano",
					    "per",	  "amount_nano", "remainder", NULL };
static const char *const gap_members[] = { "instance",	   "meter",   "reason",
					   "from_wall_ns", "lost_ns", NULL };

/* A value as text; buf: for numbers. */
static const char *text_of(const json_t *v, char buf[NUMBER_BYTES])
{
	buf[0] = '\0';
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		snprintf(buf, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(buf, NUMBER_BYTES, "%s", json_is_true(v) ? "yes" : "no");
	return buf;
}

/* --- CSV --- */

/* In quotes if it has to be. A text that a spreadsheet would compute is told to be none. */
static void put_field(FILE *out, const json_t *v)
{
	char buf[NUMBER_BYTES];
	const char *text = text_of(v, buf);

	if (json_is_string(v) && strchr("=+-@\t\r", text[0]) && text[0])
		fputs("\"'", out);
	else if (text[strcspn(text, "\",\r\n")] == '\0')
		return (void)fputs(text, out);
	else
		fputc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

int statement_table(const json_t *list, const char *const members[], char **ret)
{
	char *text = NULL;
	size_t len = 0, i;
	FILE *out = open_memstream(&text, &len);
	json_t *row;

	if (!out)
		return -ENOMEM;
	for (unsigned c = 0; members[c]; c++)
		fprintf(out, "%s%s", c ? "," : "", members[c]);
	fputs("\r\n", out);
	json_array_foreach(list, i, row)
	{
		for (unsigned c = 0; members[c]; c++) {
			if (c)
				fputc(',', out);
			put_field(out, json_object_get(row, members[c]));
		}
		fputs("\r\n", out);
	}
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

int statement_csv(const char *invoice, char **ret)
{
	json_t *j = json_loads(invoice, 0, NULL);
	int r = j ? statement_table(json_object_get(j, "lines"), line_members, ret) : -EINVAL;

	json_decref(j);
	return r;
}

/* --- HTML --- */

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Statement</title>\n"
	"<style>body{font:15px sans-serif;margin:3em}table{border-collapse:collapse;margin:1em 0}"
	"td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left}"
	"td.n{text-align:right;font-variant-numeric:tabular-nums}</style></head><body>\n";

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			fputc(*text, out);
		}
	}
}

static void put_member(FILE *out, const json_t *j, const char *before, const char *member,
		       const char *after)
{
	char buf[NUMBER_BYTES];

	fputs(before, out);
	put_escaped(out, text_of(json_object_get(j, member), buf));
	fputs(after, out);
}

static void put_rows(FILE *out, const json_t *list, const char *const members[])
{
	json_t *row;
	size_t i;

	fputs("<table><tr>", out);
	for (unsigned c = 0; members[c]; c++)
		fprintf(out, "<th>%s</th>", members[c]);
	fputs("</tr>\n", out);
	json_array_foreach(list, i, row)
	{
		fputs("<tr>", out);
		for (unsigned c = 0; members[c]; c++)
			put_member(out, row,
				   json_is_integer(json_object_get(row, members[c]))
					   ? "<td class=n>"
					   : "<td>",
				   members[c], "</td>");
		fputs("</tr>\n", out);
	}
	fputs("</table>\n", out);
}

/* Billionths as a decimal number. */
static void put_money(FILE *out, const json_t *j, const char *what, const char *member)
{
	json_int_t nano = json_integer_value(json_object_get(j, member));

	fprintf(out, "<tr><td>%s</td><td class=n>%" JSON_INTEGER_FORMAT ".%09" JSON_INTEGER_FORMAT,
		what, nano / NANO, nano % NANO);
	put_member(out, j, " ", "currency", "</td></tr>\n");
}

static void put_page(FILE *out, const json_t *j)
{
	const json_t *gaps = json_object_get(j, "gaps");

	fputs(head, out);
	put_member(out, j, "<h1>Statement for ", "tenant", "");
	put_member(out, j, ", ", "period", "</h1>\n");
	put_rows(out, json_object_get(j, "lines"), line_members);
	fputs("<table>\n", out);
	put_money(out, j, "Sum", "sum_nano");
	put_money(out, j, "Credit used", "credit_nano");
	put_money(out, j, "<b>Total</b>", "total_nano");
	fputs("</table>\n", out);
	if (json_array_size(gaps) > 0) {
		fputs("<h2>Unknown, and so not billed</h2>\n", out);
		put_rows(out, gaps, gap_members);
	}
	put_member(out, j, "<p>Host ", "host", "");
	put_member(out, j, ", by its ledger up to event ", "seq", ".");
	fputs(" Amounts are in billionths; remainders are what rounding left over, in billionths"
	      " over \"per\".</p>\n</body></html>\n",
	      out);
}

int statement_html(const char *invoice, char **ret)
{
	json_t *j = json_loads(invoice, 0, NULL);
	char *text = NULL;
	size_t len = 0;
	FILE *out = j ? open_memstream(&text, &len) : NULL;
	int r = j ? -ENOMEM : -EINVAL;

	if (out) {
		put_page(out, j);
		r = fclose(out) == 0 ? 0 : -ENOMEM;
	}
	json_decref(j);
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}
