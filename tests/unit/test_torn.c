/* test_torn.c - power that fails while the database is written: each way to tear its log.
 *
 * A process writes events, each in a transaction of its own, and dies without closing. What it
 * had reached after each commit is known. Then the write-ahead log is cut off at each of its
 * frames, and within it, and a byte is changed in each frame's header and page: the ledger that
 * is found is always whole, and ends with the last commit that lay before that place. No event
 * that was committed before is lost, none that was not appears.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/proof.h"
#include "supervisor/books/store.h"
#include "tests/unit/books.h"

enum { COMMITS = 6, COPY_BYTES = 4 << 20 };

/* Of SQLite's write-ahead log, by its file format. */
enum { WAL_HEADER = 32, FRAME_HEADER = 24, PAGE = 4096, FRAME = FRAME_HEADER + PAGE };

/* How long the log was after each commit; shared with the process that dies. */
struct progress {
	off_t wal_bytes[COMMITS + 1];
};

static off_t size_of(struct scratch *dir, const char *name)
{
	struct stat st;

	return stat(scratch_path(dir, name), &st) == 0 ? st.st_size : 0;
}

static void write_one(struct books *b, int n)
{
	json_t *body = json_pack("{s:i}", "n", n);
	const struct ledger_event e = { .type = "test.happened", .body = body };
	struct error err;

	if (store_begin(b->truth.store, &err) < 0 ||
	    ledger_append(b->truth.ledger, &e, NULL, &err) < 0 ||
	    store_commit(b->truth.store, &err) < 0)
		_exit(2);
	json_decref(body);
}

/* Never returns; leaves the database as it is in the middle of things. */
static void write_and_die(struct scratch *dir, struct progress *p)
{
	struct books b = { .dir = dir };
	struct error err;

	if (store_open(scratch_path(dir, "db"), &b.truth.store, &err) < 0 ||
	    ledger_open(b.truth.store, &b.truth.ledger, &err) < 0)
		_exit(1);
	for (int i = 0; i < COMMITS; i++) {
		p->wal_bytes[i] = size_of(dir, "db-wal");
		write_one(&b, i);
	}
	p->wal_bytes[COMMITS] = size_of(dir, "db-wal");
	raise(SIGKILL);
}

static size_t read_file(struct scratch *dir, const char *name, char *text)
{
	FILE *f = fopen(scratch_path(dir, name), "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, COPY_BYTES, f);
	assert_true(n < COPY_BYTES);
	fclose(f);
	return n;
}

static void write_file(struct scratch *dir, const char *name, const char *text, size_t len)
{
	FILE *f = fopen(scratch_path(dir, name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

/* The events of the ledger that is found; fails the test when it is not whole. */
static int64_t find_events(struct scratch *dir, off_t place)
{
	struct truth t = { 0 };
	struct proof_report report;
	struct error err = { 0 };

	if (store_open(scratch_path(dir, "torn"), &t.store, &err) < 0 ||
	    ledger_open(t.store, &t.ledger, &err) < 0 ||
	    proof_walk(t.ledger, NULL, &report, &err) < 0)
		fail_msg("torn at %lld: %s", (long long)place, err.text);
	if (report.bad_seq)
		fail_msg("torn at %lld: %s", (long long)place, report.fault);
	ledger_close(t.ledger);
	store_close(t.store);
	return report.checked;
}

static int64_t commits_before(const struct progress *p, off_t place)
{
	int64_t n = 0;

	for (int i = 1; i <= COMMITS; i++)
		n += p->wal_bytes[i] <= place;
	return n;
}

struct remains {
	struct scratch *dir;
	struct progress *progress;
	char *db, *wal;
	size_t db_len, wal_len;
};

static void try_place(const struct remains *r, size_t place, bool cut)
{
	write_file(r->dir, "torn", r->db, r->db_len);
	unlink(scratch_path(r->dir, "torn-shm"));
	if (cut) {
		write_file(r->dir, "torn-wal", r->wal, place);
	} else {
		r->wal[place] ^= 0x40;
		write_file(r->dir, "torn-wal", r->wal, r->wal_len);
		r->wal[place] ^= 0x40;
	}
	assert_int_equal(find_events(r->dir, (off_t)place),
			 commits_before(r->progress, (off_t)place));
}

static void test_torn(void **state)
{
	struct progress *p =
		mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct remains r = { .dir = *state, .progress = p };
	int status;
	pid_t pid;

	assert_ptr_not_equal(p, MAP_FAILED);
	pid = fork();
	if (pid == 0)
		write_and_die(*state, p);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	r.db = malloc(COPY_BYTES);
	r.wal = malloc(COPY_BYTES);
	assert_true(r.db && r.wal);
	r.db_len = read_file(r.dir, "db", r.db);
	r.wal_len = read_file(r.dir, "db-wal", r.wal);
	assert_int_equal(r.wal_len, p->wal_bytes[COMMITS]);
	try_place(&r, WAL_HEADER / 2, true);
	try_place(&r, WAL_HEADER / 2, false);
	for (size_t at = WAL_HEADER; at < r.wal_len; at += FRAME) {
		try_place(&r, at, true);
		try_place(&r, at + FRAME_HEADER + PAGE / 3, true);
		try_place(&r, at + FRAME_HEADER / 2, false);
		try_place(&r, at + FRAME - 1, false);
	}
	try_place(&r, r.wal_len, true);
	free(r.db);
	free(r.wal);
	munmap(p, sizeof(*p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_torn, scratch_make, scratch_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
