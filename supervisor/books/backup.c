/* backup.c - SQLite's online back-up, and what is done around it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/backup.h"
#include "supervisor/books/store.h"
#include "vmm/base/fd.h"

enum { PATH_BYTES = PATH_MAX + 64 };

static const char *db_path(const struct config *c, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/wispd.db", c->state_dir);
	return path;
}

/* A file and its folder, so that a name stays with its content. */
static int sync_both(const char *path, struct error *err)
{
	char folder[PATH_BYTES];
	char *slash;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), r;

	r = fd < 0 || fsync(fd) < 0 ? -errno : 0;
	fd_close(fd);
	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = r < 0 ? -1 : open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && (fd < 0 || fsync(fd) < 0))
		r = -errno;
	fd_close(fd);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot write %s: %s", path, strerror(-r)) : 0;
}

static int check_open(struct store *s, const char *archive, struct backup_report *ret,
		      struct error *err)
{
	const struct proof_wish wish = { .archive = archive };
	struct ledger *l = NULL;
	char line[256];
	int r = store_check(s, 1, line, sizeof(line), err);

	if (r > 0)
		return error_set(err, -EUCLEAN, NULL, "take an older one", "It is damaged: %s",
				 line);
	if (r == 0)
		r = ledger_open_copy(s, &l, err);
	if (r == 0)
		r = proof_walk(l, &wish, &ret->ledger, err);
	if (r == 0)
		r = ledger_head(l, &ret->seq, ret->hex, err);
	ledger_close(l);
	return r;
}

int backup_check(const char *path, const char *archive, struct backup_report *ret,
		 struct error *err)
{
	struct store *s = NULL;
	int r = store_open_copy(path, &s, err);

	*ret = (struct backup_report){ 0 };
	if (r == 0)
		r = check_open(s, archive, ret, err);
	store_close(s);
	return r;
}

static int check_whole(const char *path, struct backup_report *ret, struct error *err)
{
	int r = backup_check(path, NULL, ret, err);

	if (r == 0 && ret->ledger.bad_seq)
		r = error_set(err, -EUCLEAN, NULL, "keep both as evidence; take an older one",
			      "Its ledger is not whole: %s", ret->ledger.fault);
	return r;
}

/* Under another name until it is seen to be good. */
static int copy_checked(const char *from, const char *to, struct backup_report *ret,
			struct error *err)
{
	char draft[PATH_BYTES];
	int r;

	snprintf(draft, sizeof(draft), "%s.part", to);
	unlink(draft);
	r = store_copy(from, draft, err);
	if (r == 0)
		r = check_whole(draft, ret, err);
	if (r == 0)
		r = sync_both(draft, err);
	if (r == 0 && rename(draft, to) < 0)
		r = error_errno(err, "path", NULL, "Cannot name %s", to);
	if (r == 0)
		r = sync_both(to, err);
	if (r < 0)
		unlink(draft);
	return r;
}

int backup_make(const struct config *c, const char *path, struct backup_report *ret,
		struct error *err)
{
	char from[PATH_BYTES];
	struct stat st;

	if (lstat(path, &st) == 0)
		return error_set(err, -EEXIST, "path", "choose another", "%s is there already",
				 path);
	return copy_checked(db_path(c, from), path, ret, err);
}

/* --- restoring --- */

/* Up to where the ledger that is replaced goes; -1: nobody can tell. */
static int64_t last_of(const char *path)
{
	struct backup_report report;
	struct error err;

	return backup_check(path, NULL, &report, &err) == 0 ? report.seq : -1;
}

/* What is in the WAL goes into the database, so that it can be kept as one file. One that is
 * too damaged for that is kept in its parts. */
static void fold(const char *path)
{
	struct store *s = NULL;
	struct error err;

	if (access(path, F_OK) == 0 && store_open(path, &s, &err) == 0)
		store_close(s);
}

/* What is replaced is kept under another name, too; its own stays, until the copy takes it in
 * one step. A WAL must not be there then: it would be taken for the copy's. */
static int keep_old(const char *path, struct error *err)
{
	static const char *const beside[] = { "-wal", "-shm" };
	const long long now = (long long)(ledger_wall_ns() / 1000000000);
	char from[PATH_BYTES + 8], to[PATH_BYTES + 40];

	fold(path);
	snprintf(to, sizeof(to), "%s.replaced-%lld", path, now);
	if (link(path, to) < 0 && errno != ENOENT)
		return error_errno(err, "state_dir", NULL, "Cannot keep %s", path);
	for (unsigned i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(from, sizeof(from), "%s%s", path, beside[i]);
		snprintf(to, sizeof(to), "%s.replaced-%lld%s", path, now, beside[i]);
		if (rename(from, to) < 0 && errno != ENOENT)
			return error_errno(err, "state_dir", NULL, "Cannot put %s aside", from);
	}
	return 0;
}

static int tell(struct store *s, struct ledger *l, int64_t from_seq, int64_t lost_seq,
		struct error *err)
{
	json_t *body = json_pack("{s:I, s:I}", "from_seq", (json_int_t)from_seq, "lost_seq",
				 (json_int_t)lost_seq);
	const struct ledger_event e = { .type = "ledger.restored", .actor = "wispd", .body = body };
	int r = store_begin(s, err);

	if (r == 0)
		r = ledger_append(l, &e, NULL, err);
	/* Until the next wispd has looked at what there is (life/recover.c). */
	if (r == 0)
		r = store_run(s, err,
			      "INSERT INTO meta VALUES ('restored', '1') ON CONFLICT DO NOTHING",
			      "");
	if (r >= 0)
		r = store_commit(s, err);
	if (r < 0)
		store_rollback(s);
	json_decref(body);
	return r;
}

static int go_on(const char *path, int64_t from_seq, int64_t lost_seq, struct error *err)
{
	struct store *s = NULL;
	struct ledger *l = NULL;
	int r = store_open(path, &s, err);

	if (r == 0)
		r = ledger_open(s, &l, err);
	if (r == 0)
		r = tell(s, l, from_seq, lost_seq, err);
	ledger_close(l);
	store_close(s);
	return r;
}

int backup_restore(const struct config *c, const char *path, struct backup_report *ret,
		   struct error *err)
{
	char db[PATH_BYTES], fresh[PATH_BYTES + 8];
	int64_t lost_seq;
	int r;

	db_path(c, db);
	lost_seq = last_of(db);
	snprintf(fresh, sizeof(fresh), "%s.fresh", db);
	r = copy_checked(path, fresh, ret, err);
	if (r == 0)
		r = keep_old(db, err);
	if (r == 0 && rename(fresh, db) < 0)
		r = error_errno(err, "state_dir", NULL, "Cannot put the copy at %s", db);
	if (r == 0)
		r = go_on(db, ret->seq, lost_seq, err);
	return r;
}
