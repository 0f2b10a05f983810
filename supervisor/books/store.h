/* store.h - the one truth: a SQLite database, and the one way to change it.
 *
 * WAL, synchronous=FULL: what store_commit() has returned from survives a power cut. There
 * is one writer, the loop thread, and one transaction a change of state; nothing outside
 * the process is touched before the transaction that announces it is committed.
 *
 * SQL texts must be string literals: a prepared statement is kept for each, found by its
 * address. Values are bound by a text of types: "s" const char * (NULL is NULL), "i"
 * int64_t, "b" const void * and size_t.
 *
 * Everything here: loop thread, or the one thread that has opened a store for itself. Failures are negative errno with *err: -ENOSPC no room on
 * the disk, -EAGAIN another program holds it locked, -EUCLEAN it is damaged, -EEXIST a constraint,
 * -EROFS, -EIO.
 */
#ifndef SUPERVISOR_STORE_H
#define SUPERVISOR_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/error.h"

struct store;

/* Opens or makes the database at path, and brings an older one up to date, each step in
 * a transaction. Refused: -EUCLEAN, damaged; -EPROTO, of a newer wispd or of another
 * program. The caller closes it with store_close(), which accepts NULL. */
int store_open(const char *path, struct store **ret, struct error *err);
void store_close(struct store *s);

/* Another file's database, to be read; it is not brought up to date. Refusals as above. */
int store_open_copy(const char *path, struct store **ret, struct error *err);

/* Copies the database at from, which may be in use, to a file that is not there: the state of
 * one moment, in one file. Any thread. */
int store_copy(const char *from, const char *to, struct error *err);

/* The file's path. Lives as long as the store. */
const char *store_path(const struct store *s);

/* A transaction that holds the write lock from the start. They do not nest. */
int store_begin(struct store *s, struct error *err);
int store_commit(struct store *s, struct error *err); /* rolled back when it fails */
void store_rollback(struct store *s);		      /* harmless without a transaction */
bool store_in_transaction(const struct store *s);
/* The number of the transaction that was begun last: another one, another number. */
uint64_t store_transaction(const struct store *s);

/* Around statements that only read: they see one moment, and what is locked of the file is locked
 * once, not for each. Within a transaction they see that, and this does nothing: the result, for
 * the end, is false. */
bool store_begin_reading(struct store *s);
void store_end_reading(struct store *s, bool begun);

/* Runs a statement that gives no rows; the number of rows it changed. */
int store_run(struct store *s, struct error *err, const char *sql, const char *types, ...);

/* The rows of a statement. Between store_select() and rows_end(), which is due whenever
 * store_select() returned 0, the same SQL text cannot be used again. */
struct rows {
	struct store *store;
	struct sqlite3_stmt *statement;
};

int store_select(struct store *s, struct rows *ret, struct error *err, const char *sql,
		 const char *types, ...);
/* 1 and a row, 0 when there is none left, or a negative errno. */
int rows_next(struct rows *r, struct error *err);
void rows_end(struct rows *r);

/* Columns of the present row, from 0. Text is cut to size; NULL is "" or 0. */
int64_t rows_int(const struct rows *r, int column);
bool rows_is_null(const struct rows *r, int column);
void rows_text(const struct rows *r, int column, char *buf, size_t size);
/* Valid until the next row. */
const char *rows_string(const struct rows *r, int column);
const void *rows_blob(const struct rows *r, int column, size_t *len);

/* The one number that a statement gives, in *ret; -ENOENT when there is no row. */
int store_number(struct store *s, int64_t *ret, struct error *err, const char *sql,
		 const char *types, ...);

/* Whether the file is read in a moment: it has at most 64 MiB. */
int store_is_small(struct store *s, bool *ret, struct error *err);
/* Has what another thread reads end soon, with -ECANCELED. Any thread, while s is open. */
void store_interrupt(struct store *s);
/* A line for each fault that SQLite finds in the file (at most max), separated by newlines,
 * into buf; the number of faults. Reads the whole file. */
int store_check(struct store *s, unsigned max, char *buf, size_t size, struct error *err);

#endif
