/* test_store.c - the database: set-up, refusals, transactions, a full disk. */
#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/books/store.h"
#include "supervisor/books/store_schema.h"
#include "tests/unit/scratch.h"

static struct store *open_store(struct scratch *dir)
{
	struct error err = { 0 };
	struct store *s;

	if (store_open(scratch_path(dir, "db"), &s, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static int refuses(struct scratch *dir, struct error *err)
{
	struct store *s = NULL;
	int r = store_open(scratch_path(dir, "db"), &s, err);

	store_close(s);
	assert_string_not_equal(r < 0 ? err->hint : "x", "");
	return r;
}

/* Another program's hand. */
static void meddle(struct scratch *dir, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(dir, "db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int64_t tenants(struct store *s)
{
	struct error err;
	int64_t n = -1;

	assert_int_equal(store_number(s, &n, &err, "SELECT count(*) FROM tenant", ""), 0);
	return n;
}

static void test_persists(void **state)
{
	struct store *s = open_store(*state);
	struct error err;

	assert_int_equal(store_begin(s, &err), 0);
	assert_int_equal(store_run(s, &err, "INSERT INTO tenant (name, created_seq) VALUES (?, ?)",
				   "si", "a", 5L),
			 1);
	assert_int_equal(store_commit(s, &err), 0);
	store_close(s);
	s = open_store(*state);
	assert_int_equal(tenants(s), 2);
	store_close(s);
}

static void test_rolls_back(void **state)
{
	struct store *s = open_store(*state);
	struct error err;

	assert_false(store_in_transaction(s));
	assert_int_equal(store_begin(s, &err), 0);
	assert_true(store_in_transaction(s));
	assert_int_equal(store_run(s, &err, "INSERT INTO tenant (name, created_seq) VALUES (?, ?)",
				   "si", "a", 5L),
			 1);
	/* A constraint fails the statement, not the transaction. */
	assert_int_equal(store_run(s, &err, "INSERT INTO tenant (name, created_seq) VALUES (?, ?)",
				   "si", "a", 5L),
			 -EEXIST);
	assert_int_equal(tenants(s), 2);
	store_rollback(s);
	assert_int_equal(tenants(s), 1);
	store_rollback(s);
	store_close(s);
}

static void test_values(void **state)
{
	static const char sql[] = "SELECT ?, ?, ?, ?";
	struct store *s = open_store(*state);
	struct error err;
	struct rows rows, other;
	char text[4];
	size_t len;

	assert_int_equal(store_select(s, &rows, &err, sql, "sibs", "abcdef", INT64_MIN, "\0x",
				      (size_t)2, (const char *)NULL),
			 0);
	assert_int_equal(rows_next(&rows, &err), 1);
	rows_text(&rows, 0, text, sizeof(text));
	assert_string_equal(text, "abc");
	assert_true(rows_int(&rows, 1) == INT64_MIN);
	assert_memory_equal(rows_blob(&rows, 2, &len), "\0x", 2);
	assert_int_equal(len, 2);
	assert_true(rows_is_null(&rows, 3));
	assert_string_equal(rows_string(&rows, 3), "");
	/* One statement, one use at a time. */
	assert_int_equal(store_select(s, &other, &err, sql, ""), -EBUSY);
	rows_end(&rows);
	assert_int_equal(store_select(s, &other, &err, sql, ""), 0);
	rows_end(&other);
	store_close(s);
}

static void test_newer(void **state)
{
	struct error err = { 0 };
	char sql[64];

	store_close(open_store(*state));
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", store_migrations_count + 1);
	meddle(*state, sql);
	assert_int_equal(refuses(*state, &err), -EPROTO);
	assert_non_null(strstr(err.text, "newer"));
}

static void test_stranger(void **state)
{
	struct error err = { 0 };

	meddle(*state, "CREATE TABLE theirs (a)");
	assert_int_equal(refuses(*state, &err), -EPROTO);
}

/* Each older version comes up to date, with what was in it. */
static void test_migrates(void **state)
{
	for (int from = 1; from < store_migrations_count; from++) {
		struct store *s;
		char sql[96];

		unlink(scratch_path(*state, "db"));
		for (int i = 0; i < from; i++)
			meddle(*state, store_migrations[i]);
		snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
			 0x77697370, from);
		meddle(*state, sql);
		meddle(*state, "INSERT INTO meta VALUES ('kept', 'yes')");
		s = open_store(*state);
		assert_int_equal(tenants(s), 1);
		store_close(s);
	}
}

static void scribble(struct scratch *dir, long at, size_t len)
{
	FILE *f = fopen(scratch_path(dir, "db"), "r+e");

	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	while (len--)
		fputc(0xa5, f);
	fclose(f);
}

static void test_damaged(void **state)
{
	struct error err = { 0 };

	store_close(open_store(*state));
	scribble(*state, 8192, 4096);
	assert_int_equal(refuses(*state, &err), -EUCLEAN);
	scribble(*state, 0, 512);
	assert_int_equal(refuses(*state, &err), -EUCLEAN);
}

/* As a full disk would: the statement says so, what was committed stays. */
static void test_full(void **state)
{
	struct store *s = open_store(*state);
	struct error err;
	int64_t pages;
	int r = 0;

	assert_int_equal(store_number(s, &pages, &err, "PRAGMA page_count", ""), 0);
	assert_int_equal(store_number(s, &pages, &err, "PRAGMA max_page_count = 1", ""), 0);
	assert_int_equal(store_begin(s, &err), 0);
	for (int i = 0; i < 1000 && r >= 0; i++) {
		char name[512];

		snprintf(name, sizeof(name), "%0500d", i);
		r = store_run(s, &err, "INSERT INTO tenant (name, created_seq) VALUES (?, 0)", "s",
			      name);
	}
	assert_int_equal(r, -ENOSPC);
	assert_non_null(strstr(err.hint, "room"));
	store_rollback(s);
	assert_int_equal(tenants(s), 1);
	store_close(s);
}

/* Another program writes, and takes its time: nothing is lost, it is said, and then it goes on. */
static void test_locked(void **state)
{
	struct store *s = open_store(*state), *other = NULL;
	struct error err = { 0 };
	sqlite3 *db;

	assert_int_equal(sqlite3_open(scratch_path(*state, "db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_begin(s, &err), -EAGAIN);
	assert_non_null(strstr(err.hint, "another program"));
	assert_false(store_in_transaction(s));
	assert_int_equal(tenants(s), 1);
	/* What it has as its own it can be asked for, also by one that begins now. */
	assert_int_equal(store_open(scratch_path(*state, "db"), &other, &err), 0);
	assert_int_equal(store_begin(other, &err), -EAGAIN);
	store_close(other);
	assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(store_begin(s, &err), 0);
	assert_int_equal(store_commit(s, &err), 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_persists, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_rolls_back, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_values, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_newer, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_stranger, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_migrates, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_damaged, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_full, scratch_make, scratch_remove),
		cmocka_unit_test_setup_teardown(test_locked, scratch_make, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
