/* test_golden_ledgers.c - ledgers that are kept, and the invoices that follow from them.
 *
 * tests/golden/ledgers/NAME.json is a past: plans, then events, each so long after the one
 * before. NAME-MONTH.json is what the tenant "acme" owed for a month, byte for byte: a change
 * of what old events come to shows here. "test_golden_ledgers FOLDER" writes them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/billing/invoice.h"
#include "supervisor/billing/period.h"
#include "supervisor/billing/usage.h"
#include "tests/unit/past.h"

enum { PATH_BYTES = 512, NS_PER_MS = 1000000 };

static const char *const names[] = { "holdings", "reserved", "bad-days", NULL };

/* --- a past, from a file --- */

static json_t *read_past(const char *name)
{
	char path[PATH_BYTES];
	json_error_t fault;
	json_t *j;

	snprintf(path, sizeof(path), WISP_GOLDEN "/%s.json", name);
	j = json_load_file(path, JSON_REJECT_DUPLICATES, &fault);
	if (!j)
		fail_msg("%s: line %d: %s", path, fault.line, fault.text);
	return j;
}

static const char *text_of(const json_t *j, const char *name)
{
	const char *text = json_string_value(json_object_get(j, name));

	return text ? text : "";
}

/* The host was away, and begins again. */
static void boot_again(struct past *p)
{
	p->boot++;
	p->boot_ns = 2 * S;
}

static void live_event(struct past *p, const json_t *e)
{
	const char *move = text_of(e, "move");
	char *body = json_dumps(json_object_get(e, "body"), JSON_COMPACT);

	past_pass(p, json_integer_value(json_object_get(e, "after_ms")) * NS_PER_MS);
	p->wall_ns += json_integer_value(json_object_get(e, "wall_steps_ms")) * NS_PER_MS;
	if (json_is_true(json_object_get(e, "boots")))
		boot_again(p);
	if (*move)
		past_moves(p, text_of(e, "instance"), move);
	else
		past_event(p, text_of(e, "type"), text_of(e, "tenant"), text_of(e, "instance"),
			   body ? body : "{}");
	free(body);
}

static void live(struct past *p, const json_t *past)
{
	json_t *e;
	size_t i;

	p->wall_ns = period_start_ns(period_parse(text_of(past, "from")));
	json_array_foreach(json_object_get(past, "events"), i, e) live_event(p, e);
}

/* --- its invoices --- */

static char *invoice_of(struct past *p, const char *month, int64_t seq)
{
	struct error err;
	char *text;

	if (invoice_make(&p->books.truth, "acme", period_parse(month), seq, &text, &err) < 0)
		fail_msg("%s: %s", month, err.text);
	return text;
}

static char *read_invoice(const char *name, const char *month)
{
	char path[PATH_BYTES], *text = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), WISP_GOLDEN "/%s-%s.json", name, month);
	f = fopen(path, "re");
	if (!f || getdelim(&text, &size, '\0', f) < 0)
		fail_msg("%s cannot be read", path);
	fclose(f);
	return text;
}

static void check_month(struct past *p, const char *name, const char *month)
{
	const int64_t seq = p->seq;
	char *made = invoice_of(p, month, seq), *kept = read_invoice(name, month);

	assert_string_equal(made, kept);
	free(made);
	/* What is rolled up is not missed. */
	past_roll_up(p, INT64_MAX);
	made = invoice_of(p, month, seq);
	assert_string_equal(made, kept);
	free(kept);
	free(made);
}

static void each_month(const char *name, void (*fn)(struct past *, const char *, const char *))
{
	json_t *past = read_past(name), *month;
	void *state;
	size_t i;

	assert_int_equal(past_open(&state), 0);
	live(state, past);
	json_array_foreach(json_object_get(past, "invoices"), i, month)
		fn(state, name, json_string_value(month));
	past_close(&state);
	json_decref(past);
}

static void test_kept(void **state)
{
	(void)state;
	for (const char *const *name = names; *name; name++)
		each_month(*name, check_month);
}

/* --- writing them --- */

static const char *folder;

static void write_month(struct past *p, const char *name, const char *month)
{
	char path[PATH_BYTES], *text = invoice_of(p, month, 0);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s-%s.json", folder, name, month);
	f = fopen(path, "we");
	if (!f || fputs(text, f) < 0 || fclose(f) < 0)
		fail_msg("%s cannot be written", path);
	free(text);
}

static void write_all(void **state)
{
	(void)state;
	for (const char *const *name = names; *name; name++)
		each_month(*name, write_month);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_kept) };
	const struct CMUnitTest writing[] = { cmocka_unit_test(write_all) };

	folder = argc == 2 ? argv[1] : NULL;
	return folder ? cmocka_run_group_tests(writing, NULL, NULL)
		      : cmocka_run_group_tests(tests, NULL, NULL);
}
