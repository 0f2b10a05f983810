/* store.c - SQLite behind a few verbs: open, migrate, transact, run, select.
 *
 * The database is made by migrations (store_schema.c), each a text of SQL that is applied
 * once, in order; user_version counts them. application_id says whose file it is. A file
 * that a newer wispd has migrated is refused rather than guessed at.
 *
 * Statements are prepared once. Their texts are literals, so that an address names one, and
 * there is a fixed number of them: the table below cannot grow with anything from outside.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/store.h"
#include "supervisor/books/store_schema.h"

enum {
	STATEMENTS_MAX = 256,
	BUSY_TIMEOUT_MS = 1000,	     /* so long another program may hold up the loop */
	APPLICATION_ID = 0x77697370, /* "wisp" */
	/* A file up to this size is checked whole each time it is opened. */
	CHECK_MAX_PAGES = 16384,
};

#define RESTORE_HINT                                                             \
	"stop wispd, keep the file for a diagnosis, restore it from a back-up, " \
	"or try sqlite3 FILE .recover"

struct store {
	sqlite3 *db;
	struct {
		const char *sql;
		sqlite3_stmt *statement;
	} statements[STATEMENTS_MAX];
	unsigned count;
	uint64_t begun; /* transactions */
};

/* --- errors --- */

static int errno_of(int code)
{
	static const struct {
		int code, error;
	} known[] = {
		{ SQLITE_FULL, -ENOSPC },	{ SQLITE_BUSY, -EAGAIN },
		{ SQLITE_LOCKED, -EAGAIN },	{ SQLITE_CORRUPT, -EUCLEAN },
		{ SQLITE_NOTADB, -EUCLEAN },	{ SQLITE_NOMEM, -ENOMEM },
		{ SQLITE_CONSTRAINT, -EEXIST }, { SQLITE_READONLY, -EROFS },
		{ SQLITE_CANTOPEN, -ENOENT },	{ SQLITE_INTERRUPT, -ECANCELED },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((code & 0xff) == known[i].code)
			return known[i].error;
	return -EIO;
}

static const char *hint_of(int error)
{
	switch (error) {
	case -ENOSPC:
		return "make room on the disk; what runs goes on, and is recorded then";
	case -EAGAIN:
		return "another program holds the database locked: end that one";
	case -EUCLEAN:
		return RESTORE_HINT;
	default:
		return NULL;
	}
}

static int fault(struct store *s, struct error *err, const char *doing)
{
	int error = errno_of(sqlite3_errcode(s->db));

	return error_set(err, error, NULL, hint_of(error), "Cannot %s the database: %s", doing,
			 sqlite3_errmsg(s->db));
}

/* --- opening --- */

static int pragma_number(struct store *s, const char *sql, int64_t *ret, struct error *err)
{
	sqlite3_stmt *statement;

	if (sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) != SQLITE_OK ||
	    sqlite3_step(statement) != SQLITE_ROW) {
		int r = fault(s, err, "read");

		sqlite3_finalize(statement);
		return r;
	}
	*ret = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return 0;
}

static int script(struct store *s, const char *sql, struct error *err)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
								       : fault(s, err, "set up");
}

static int refuse_stranger(struct store *s, int64_t *version, struct error *err)
{
	int64_t id = 0, tables = 0;
	int r = pragma_number(s, "PRAGMA application_id", &id, err);

	if (r == 0)
		r = pragma_number(s, "PRAGMA user_version", version, err);
	if (r == 0)
		r = pragma_number(s, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (r < 0)
		return r;
	if (tables > 0 && id != APPLICATION_ID)
		return error_set(err, -EPROTO, "state_dir", "give a folder of wispd's own",
				 "The database is another program's");
	if (*version > store_migrations_count)
		return error_set(err, -EPROTO, "state_dir",
				 "start the newer wispd, or restore a back-up of that time",
				 "The database is of a newer wispd: its version is %lld, and "
				 "this one knows %d",
				 (long long)*version, store_migrations_count);
	return 0;
}

static int migrate(struct store *s, int64_t version, struct error *err)
{
	char mark[96];
	int r = 0;

	snprintf(mark, sizeof(mark), "PRAGMA application_id = %d", APPLICATION_ID);
	if (version == 0)
		r = script(s, mark, err);
	for (int64_t i = version; i < store_migrations_count && r == 0; i++) {
		snprintf(mark, sizeof(mark), "PRAGMA user_version = %lld; COMMIT",
			 (long long)i + 1);
		r = script(s, "BEGIN IMMEDIATE", err);
		if (r == 0)
			r = script(s, store_migrations[i], err);
		if (r == 0)
			r = script(s, mark, err);
		if (r < 0)
			store_rollback(s);
	}
	return r;
}

/* Large files are left to wispctl ledger verify: wispd should be back soon after a crash. */
static int check_small(struct store *s, struct error *err)
{
	char line[256];
	bool small = false;
	int r = store_is_small(s, &small, err);

	if (r < 0 || !small)
		return r;
	r = store_check(s, 1, line, sizeof(line), err);
	if (r <= 0)
		return r;
	return error_set(err, -EUCLEAN, "state_dir", RESTORE_HINT, "The database is damaged: %s",
			 line);
}

static int set_up(struct store *s, const char *path, struct error *err)
{
	int64_t version = 0;
	int r;

	if (sqlite3_open_v2(path, &s->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW,
			    NULL) != SQLITE_OK)
		return s->db ? fault(s, err, "open") : -ENOMEM;
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	r = refuse_stranger(s, &version, err);
	if (r == 0)
		r = script(
			s,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			"PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
			/* Bounded, both: 32 MiB of cache, since events of many instances touch as
			    * many pages of an index, and a log of 64 MiB, which writes such a page
			    * to its place once for many batches. */
			"PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 16384",
			err);
	if (r == 0)
		r = migrate(s, version, err);
	return r < 0 ? r : check_small(s, err);
}

int store_open(const char *path, struct store **ret, struct error *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	r = set_up(s, path, err);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

int store_open_copy(const char *path, struct store **ret, struct error *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int64_t version = 0;
	int r;

	if (!s) {
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
		return -ENOMEM;
	}
	if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW, NULL) !=
	    SQLITE_OK)
		r = s->db ? fault(s, err, "open") : -ENOMEM;
	else
		r = refuse_stranger(s, &version, err);
	if (r == 0 && version == 0)
		r = error_set(err, -EPROTO, "path", NULL, "There is nothing in it");
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* All pages in one step: one transaction, which holds up nobody in WAL mode. */
static int copy_pages(struct store *from, struct store *to, struct error *err)
{
	sqlite3_backup *backup = sqlite3_backup_init(to->db, "main", from->db, "main");
	int code = backup ? sqlite3_backup_step(backup, -1) : SQLITE_ERROR;

	if (backup)
		sqlite3_backup_finish(backup);
	if (code != SQLITE_DONE)
		return fault(to, err, "copy");
	/* Without a WAL it is one file. */
	return script(to, "PRAGMA journal_mode = DELETE", err);
}

int store_copy(const char *from_path, const char *to_path, struct error *err)
{
	const int make = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW;
	struct store *from = NULL, *to = calloc(1, sizeof(*to));
	int r = to ? store_open_copy(from_path, &from, err) : -ENOMEM;

	if (r == 0) {
		sqlite3_busy_timeout(from->db, BUSY_TIMEOUT_MS);
		if (sqlite3_open_v2(to_path, &to->db, make, NULL) != SQLITE_OK)
			r = to->db ? fault(to, err, "make") : -ENOMEM;
	}
	if (r == 0)
		r = copy_pages(from, to, err);
	store_close(from);
	store_close(to);
	return r;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->count; i++)
		sqlite3_finalize(s->statements[i].statement);
	sqlite3_close(s->db);
	free(s);
}

/* --- statements --- */

static int prepare(struct store *s, const char *sql, sqlite3_stmt **ret, struct error *err)
{
	sqlite3_stmt *statement;

	for (unsigned i = 0; i < s->count; i++) {
		if (s->statements[i].sql != sql)
			continue;
		if (sqlite3_stmt_busy(s->statements[i].statement))
			return error_set(err, -EBUSY, NULL, NULL, "A statement is in use: %.200s",
					 sql);
		*ret = s->statements[i].statement;
		return 0;
	}
	if (s->count == STATEMENTS_MAX)
		return error_set(err, -ENFILE, NULL, NULL, "Too many kinds of statements");
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
	    SQLITE_OK)
		return fault(s, err, "ask");
	s->statements[s->count].sql = sql;
	s->statements[s->count++].statement = statement;
	*ret = statement;
	return 0;
}

/* What is bound must live until the statement has run. */
static int bind(sqlite3_stmt *statement, const char *types, va_list values)
{
	int r = SQLITE_OK, at = 1;

	for (; *types && r == SQLITE_OK; types++, at++) {
		if (*types == 's') {
			r = sqlite3_bind_text(statement, at, va_arg(values, const char *), -1,
					      SQLITE_TRANSIENT);
		} else if (*types == 'i') {
			r = sqlite3_bind_int64(statement, at, va_arg(values, int64_t));
		} else {
			const void *blob = va_arg(values, const void *);

			r = sqlite3_bind_blob64(statement, at, blob, va_arg(values, size_t),
						SQLITE_TRANSIENT);
		}
	}
	return r;
}

static int ask(struct store *s, struct rows *ret, struct error *err, const char *sql,
	       const char *types, va_list values)
{
	sqlite3_stmt *statement = NULL;
	int r = prepare(s, sql, &statement, err);

	*ret = (struct rows){ .store = s, .statement = statement };
	if (r < 0)
		return r;
	if (bind(statement, types, values) != SQLITE_OK) {
		r = fault(s, err, "ask");
		sqlite3_reset(statement);
		return r;
	}
	return 0;
}

int store_run(struct store *s, struct error *err, const char *sql, const char *types, ...)
{
	struct rows rows;
	va_list values;
	int r;

	va_start(values, types);
	r = ask(s, &rows, err, sql, types, values);
	va_end(values);
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	rows_end(&rows);
	return r < 0 ? r : sqlite3_changes(s->db);
}

int store_select(struct store *s, struct rows *ret, struct error *err, const char *sql,
		 const char *types, ...)
{
	va_list values;
	int r;

	va_start(values, types);
	r = ask(s, ret, err, sql, types, values);
	va_end(values);
	return r;
}

int store_number(struct store *s, int64_t *ret, struct error *err, const char *sql,
		 const char *types, ...)
{
	struct rows rows;
	va_list values;
	int r;

	va_start(values, types);
	r = ask(s, &rows, err, sql, types, values);
	va_end(values);
	if (r < 0)
		return r;
	r = rows_next(&rows, err);
	if (r > 0)
		*ret = rows_int(&rows, 0);
	rows_end(&rows);
	if (r == 0)
		return error_set(err, -ENOENT, NULL, NULL, "There is no such row");
	return r < 0 ? r : 0;
}

int rows_next(struct rows *r, struct error *err)
{
	switch (sqlite3_step(r->statement)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return fault(r->store, err, "use");
	}
}

void rows_end(struct rows *r)
{
	sqlite3_reset(r->statement);
	sqlite3_clear_bindings(r->statement);
}

int64_t rows_int(const struct rows *r, int column)
{
	return sqlite3_column_int64(r->statement, column);
}

bool rows_is_null(const struct rows *r, int column)
{
	return sqlite3_column_type(r->statement, column) == SQLITE_NULL;
}

const char *rows_string(const struct rows *r, int column)
{
	const char *text = (const char *)sqlite3_column_text(r->statement, column);

	return text ? text : "";
}

void rows_text(const struct rows *r, int column, char *buf, size_t size)
{
	snprintf(buf, size, "%s", rows_string(r, column));
}

const void *rows_blob(const struct rows *r, int column, size_t *len)
{
	const void *blob = sqlite3_column_blob(r->statement, column);

	*len = (size_t)sqlite3_column_bytes(r->statement, column);
	return blob;
}

const char *store_path(const struct store *s)
{
	return sqlite3_db_filename(s->db, "main");
}

/* --- transactions --- */

int store_begin(struct store *s, struct error *err)
{
	int r = store_run(s, err, "BEGIN IMMEDIATE", "");

	s->begun++;
	return r < 0 ? r : 0;
}

int store_commit(struct store *s, struct error *err)
{
	struct error own = { 0 };
	int r = store_run(s, &own, "COMMIT", "");

	if (r >= 0)
		return 0;
	if (err)
		*err = own;
	store_rollback(s);
	return r;
}

void store_rollback(struct store *s)
{
	if (store_in_transaction(s))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

bool store_begin_reading(struct store *s)
{
	struct error err;

	return !store_in_transaction(s) && store_run(s, &err, "BEGIN", "") >= 0;
}

void store_end_reading(struct store *s, bool begun)
{
	struct error err;

	if (begun)
		(void)store_commit(s, &err);
}

uint64_t store_transaction(const struct store *s)
{
	return s->begun;
}

bool store_in_transaction(const struct store *s)
{
	return !sqlite3_get_autocommit(s->db);
}

/* --- checking --- */

int store_is_small(struct store *s, bool *ret, struct error *err)
{
	int64_t pages = 0;
	int r = pragma_number(s, "PRAGMA page_count", &pages, err);

	*ret = pages <= CHECK_MAX_PAGES;
	return r;
}

void store_interrupt(struct store *s)
{
	sqlite3_interrupt(s->db);
}

int store_check(struct store *s, unsigned max, char *buf, size_t size, struct error *err)
{
	struct rows rows;
	size_t used = 0;
	int faults = 0;
	int r = store_select(s, &rows, err, "SELECT * FROM pragma_integrity_check(?)", "i",
			     (int64_t)max);

	if (r < 0)
		return r;
	buf[0] = '\0';
	while ((r = rows_next(&rows, err)) > 0) {
		if (strcmp(rows_string(&rows, 0), "ok") == 0)
			continue;
		if (used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s",
						 faults ? "\n" : "", rows_string(&rows, 0));
		faults++;
	}
	rows_end(&rows);
	return r < 0 ? r : faults;
}
