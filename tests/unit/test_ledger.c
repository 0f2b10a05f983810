/* test_ledger.c - the chain of events, and each way of tampering with it. */
#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/proof.h"
#include "tests/unit/scratch.h"

enum { EVENTS = 5 };

struct book {
	struct store *store;
	struct ledger *ledger;
};

static int open_book(struct scratch *dir, struct book *b, struct error *err)
{
	int r = store_open(scratch_path(dir, "db"), &b->store, err);

	b->ledger = NULL;
	return r < 0 ? r : ledger_open(b->store, &b->ledger, err);
}

static void close_book(struct book *b)
{
	ledger_close(b->ledger);
	store_close(b->store);
}

static void write_event(struct book *b, const char *instance, int n)
{
	json_t *body = json_pack("{s:i, s:s}", "n", n, "a", "text");
	struct ledger_event e = {
		.type = "test.happened", .tenant = "t", .instance = instance, .body = body
	};
	struct error err = { 0 };
	int64_t seq;

	assert_int_equal(store_begin(b->store, &err), 0);
	if (ledger_append(b->ledger, &e, &seq, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(store_commit(b->store, &err), 0);
	json_decref(body);
}

static void fill(struct scratch *dir, struct book *b)
{
	struct error err;

	assert_int_equal(open_book(dir, b, &err), 0);
	for (int i = 0; i < EVENTS; i++)
		write_event(b, i & 1 ? "vm-1" : "vm-2", i);
}

/* Someone with a database tool, who knows to drop the triggers. */
static void tamper(struct scratch *dir, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(dir, "db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "DROP TRIGGER IF EXISTS event_no_update;"
				      "DROP TRIGGER IF EXISTS event_no_delete",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static struct proof_report verify(struct book *b)
{
	struct proof_report report;
	struct error err;

	assert_int_equal(proof_walk(b->ledger, NULL, &report, &err), 0);
	return report;
}

/* Only the newest: what was changed before them is not seen, what was changed in them is. */
static void test_last(void **state)
{
	const struct proof_wish wish = { .last = 3 };
	struct proof_report report;
	struct error err;
	struct book b;

	fill(*state, &b);
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), 0);
	assert_string_equal(report.fault, "");
	assert_int_equal(report.checked, 3);
	close_book(&b);

	tamper(*state, "UPDATE event SET body = '{}' WHERE seq = 2");
	assert_int_equal(open_book(*state, &b, &err), 0);
	assert_int_equal(verify(&b).bad_seq, 2);
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), 0);
	assert_int_equal(report.bad_seq, 0);
	close_book(&b);

	tamper(*state, "UPDATE event SET body = '{}' WHERE seq = (SELECT max(seq) - 1 FROM event)");
	assert_int_equal(open_book(*state, &b, &err), 0);
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), 0);
	assert_int_equal(report.bad_seq, EVENTS - 1);
	close_book(&b);
}

static void test_whole(void **state)
{
	struct proof_report report;
	char hex[LEDGER_HEX_BYTES];
	struct proof_wish wish = { .anchor_seq = EVENTS, .anchor_hex = hex };
	struct error err;
	struct book b;
	int64_t seq;

	fill(*state, &b);
	report = verify(&b);
	assert_string_equal(report.fault, "");
	assert_int_equal(report.checked, EVENTS);
	assert_int_equal(ledger_head(b.ledger, &seq, hex, &err), 0);
	assert_int_equal(seq, EVENTS);
	close_book(&b);

	/* It goes on where it was, and the old head is part of it. */
	assert_int_equal(open_book(*state, &b, &err), 0);
	write_event(&b, "", 9);
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), 0);
	assert_string_equal(report.fault, "");
	hex[0] = hex[0] == '0' ? '1' : '0';
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), 0);
	assert_int_equal(report.bad_seq, EVENTS);
	wish.anchor_hex = "no hash";
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), -EINVAL);
	close_book(&b);
}

static const struct {
	const char *sql;
	int64_t bad;
} tamperings[] = {
	{ "UPDATE event SET body = '{\"a\":\"text\",\"n\":7}' WHERE seq = 3", 3 },
	{ "UPDATE event SET wall_ns = wall_ns + 1 WHERE seq = 1", 1 },
	{ "UPDATE event SET boot_ns = boot_ns - 1 WHERE seq = 5", 5 },
	{ "UPDATE event SET tenant = 'u' WHERE seq = 2", 2 },
	{ "UPDATE event SET actor = 'x' WHERE seq = 2", 2 },
	{ "UPDATE event SET incarnation = 1 WHERE seq = 2", 2 },
	{ "UPDATE event SET event_id = zeroblob(32) WHERE seq = 4", 4 },
	{ "UPDATE event SET hash = zeroblob(32) WHERE seq = 4", 4 },
	{ "DELETE FROM event WHERE seq = 3", 3 },
	{ "DELETE FROM event WHERE seq = 1", 1 },
	{ "DELETE FROM event WHERE seq = 3;"
	  "UPDATE event SET seq = 3 WHERE seq = 4; UPDATE event SET seq = 4 WHERE seq = 5",
	  3 },
	{ "UPDATE meta SET value = replace(value, '5 ', '4 ') WHERE key = 'ledger_head'", 5 },
};

static void test_tampered(void **state)
{
	for (size_t i = 0; i < sizeof(tamperings) / sizeof(tamperings[0]); i++) {
		void *dir = NULL;
		struct proof_report report;
		struct book b;

		(void)state;
		assert_int_equal(scratch_make(&dir), 0);
		fill(dir, &b);
		tamper(dir, tamperings[i].sql);
		report = verify(&b);
		if (report.bad_seq != tamperings[i].bad)
			fail_msg("%s: %lld, %s", tamperings[i].sql, (long long)report.bad_seq,
				 report.fault);
		close_book(&b);
		scratch_remove(&dir);
	}
}

/* A cut-off end shows by the head, at the next start already. */
static void test_truncated(void **state)
{
	struct proof_report report;
	struct error err = { 0 };
	struct book b;

	fill(*state, &b);
	tamper(*state, "DELETE FROM event WHERE seq = 5");
	report = verify(&b);
	assert_int_equal(report.bad_seq, 5);
	assert_non_null(strstr(report.fault, "cut off"));
	close_book(&b);
	assert_int_equal(open_book(*state, &b, &err), -EUCLEAN);
	assert_string_not_equal(err.hint, "");
	close_book(&b);
}

/* A cut-off end whose head was made to fit shows by an anchor. */
static void test_anchor(void **state)
{
	char hex[LEDGER_HEX_BYTES], old[LEDGER_HEX_BYTES], sql[256];
	const struct proof_wish wish = { .anchor_seq = 2, .anchor_hex = hex };
	struct proof_report report;
	struct error err;
	struct book b;
	int64_t seq;

	assert_int_equal(open_book(*state, &b, &err), 0);
	write_event(&b, "", 1);
	assert_int_equal(ledger_head(b.ledger, &seq, old, &err), 0);
	write_event(&b, "", 2);
	assert_int_equal(ledger_head(b.ledger, &seq, hex, &err), 0);
	snprintf(sql, sizeof(sql),
		 "DELETE FROM event WHERE seq = 2; UPDATE meta SET value = '1 %s'"
		 " WHERE key = 'ledger_head'",
		 old);
	tamper(*state, sql);
	report = verify(&b);
	assert_string_equal(report.fault, "");
	assert_int_equal(proof_walk(b.ledger, &wish, &report, &err), 0);
	assert_int_equal(report.bad_seq, 2);
	close_book(&b);
}

static void test_refused(void **state)
{
	json_t *body = json_pack("{s:{s:[f]}}", "a", "b", 0.5);
	struct ledger_event e = { .type = "test.happened" }, real = { .type = "t", .body = body };
	struct error err;
	struct book b;

	fill(*state, &b);
	assert_int_equal(ledger_append(b.ledger, &e, NULL, &err), -EPERM);
	assert_int_equal(store_begin(b.store, &err), 0);
	assert_int_equal(ledger_append(b.ledger, &real, NULL, &err), -EINVAL);
	/* What is rolled back never was. */
	assert_int_equal(ledger_append(b.ledger, &e, NULL, &err), 0);
	store_rollback(b.store);
	write_event(&b, "", 3);
	assert_int_equal(verify(&b).checked, EVENTS + 1);
	/* The table itself keeps the past. */
	assert_true(store_run(b.store, &err, "DELETE FROM event WHERE seq = 1", "") < 0);
	assert_true(store_run(b.store, &err, "UPDATE event SET type = '' WHERE seq = 1", "") < 0);
	assert_string_equal(verify(&b).fault, "");
	json_decref(body);
	close_book(&b);
}

static void test_hex(void **state)
{
	uint8_t bytes[2] = { 0x0f, 0xa0 };
	char text[5];

	(void)state;
	hex_encode(bytes, 2, text);
	assert_string_equal(text, "0fa0");
	assert_int_equal(hex_decode("1Bc2", bytes, 2), 0);
	assert_int_equal(bytes[0] << 8 | bytes[1], 0x1bc2);
	assert_int_equal(hex_decode("1bc", bytes, 2), -EINVAL);
	assert_int_equal(hex_decode("1bcg", bytes, 2), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_last, scratch_make, scratch_remove),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test_setup_teardown(test_truncated, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_anchor, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_refused, scratch_make, scratch_remove),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
