/* companion.c - keepers, found by their locks and ended by their numbers.
 *
 * A lock's holder cannot be mistaken: the kernel tells its number as long as it lives, and
 * the descriptor of that process was opened while it did.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/life/cell.h"
#include "supervisor/life/companion.h"
#include "supervisor/life/process.h"
#include "vmm/base/fd.h"

enum { BEGIN_TIMEOUT_MS = 60000, END_TIMEOUT_MS = 30000, ARGS_MAX = 64 };

#define LOCK_SUFFIX ".lock"

/* --- beginning --- */

struct words {
	const char *list[ARGS_MAX];
	unsigned count;
};

/* Up to a NULL; what is too much is not taken, and seen by the count. */
static void say(struct words *w, const char *const *list)
{
	while (*list && w->count < ARGS_MAX - 1)
		w->list[w->count++] = *list++;
}

static int add_groups(const struct launch *l, struct runtime_command *groups, struct words *w,
		      struct error *err)
{
	int r = cell_aside_command(l, groups, err);

	if (r == 0)
		say(w, groups->argv);
	return r;
}

static int run_keeper(const struct launch *l, const struct companion *c, const char *jail,
		      struct error *err)
{
	char lock[PATH_MAX], log[PATH_MAX], folder[PATH_MAX], user[16], others[32];
	char socket[COMPANION_NAME_BYTES + 8];
	const char *const first[] = { l->config->wisp_keeper,
				      "--lock",
				      lock,
				      "--log",
				      log,
				      "--folder",
				      folder,
				      "--socket",
				      socket,
				      "--user",
				      user,
				      NULL };
	const char *const share[] = { "--share", c->share, "--below", c->below, NULL };
	const char *const range[] = { "--others", others, NULL };
	const char *const flags[] = { c->read_only ? "--read-only" : "--",
				      c->read_only ? "--" : NULL, NULL };
	const char *const listen[] = { "--listen", NULL };
	struct runtime_command *groups = calloc(1, sizeof(*groups));
	struct words w = { .count = 0 };
	int r;

	snprintf(lock, sizeof(lock), "%.*s/%s" LOCK_SUFFIX, PATH_MAX - 64, jail, c->name);
	snprintf(log, sizeof(log), "%.*s/vmm.log", PATH_MAX - 64, jail);
	snprintf(folder, sizeof(folder), "%.*s/root", PATH_MAX - 64, jail);
	snprintf(socket, sizeof(socket), "%s.sock", c->name);
	snprintf(user, sizeof(user), "%u", (unsigned)c->user);
	snprintf(others, sizeof(others), "%u:%u", (unsigned)c->first_other, c->others);
	say(&w, first);
	if (c->listen)
		say(&w, listen);
	if (c->share)
		say(&w, share);
	if (c->share && c->others)
		say(&w, range);
	r = groups ? add_groups(l, groups, &w, err)
		   : error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	say(&w, flags);
	say(&w, c->argv);
	if (r == 0 && w.count == ARGS_MAX - 1)
		r = error_set(err, -E2BIG, NULL, NULL, "Too many arguments for %s", c->argv[0]);
	if (r == 0)
		r = process_run(w.list, BEGIN_TIMEOUT_MS, err);
	free(groups);
	return r;
}

/* As the jailer does it, before the first VMM. */
static int give_folder(const struct launch *l, struct error *err)
{
	int folder = cell_open_folder(l, err), r = 0;

	if (folder < 0)
		return folder;
	if (fchown(folder, l->uid, l->uid) < 0)
		r = error_errno(err, NULL, NULL, "Cannot give %s its folder", l->id);
	fd_close(folder);
	return r;
}

int companion_begin(const struct launch *l, const struct companion *c, struct error *err)
{
	char jail[PATH_MAX];
	int r = companion_end(l, c->name, err);

	if (r == 0)
		r = give_folder(l, err);
	if (r == 0)
		r = cell_path(l, jail, err);
	return r < 0 ? r : run_keeper(l, c, jail, err);
}

/* --- ending --- */

static pid_t holder_of(int lock)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(lock, F_GETLK, &all) < 0 || all.l_type == F_UNLCK ? 0 : all.l_pid;
}

/* Its end is that of all that it has started. */
static int end_process(int pidfd, const char *name, struct error *err)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };

	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return error_errno(err, NULL, NULL, "Cannot end the keeper of %s", name);
	if (poll(&ended, 1, END_TIMEOUT_MS) == 1)
		return 0;
	return error_set(err, -ETIMEDOUT, NULL, NULL, "The keeper of %s does not end", name);
}

static int end_holder(int lock, const char *name, struct error *err)
{
	pid_t pid = holder_of(lock);
	int pidfd, r = 0;

	if (!pid)
		return 0;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0 && holder_of(lock) == pid)
		r = end_process(pidfd, name, err);
	fd_close(pidfd);
	return r;
}

static int end_one(int jail, const char *file, struct error *err)
{
	int lock = openat(jail, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC), r;

	if (lock < 0)
		return errno == ENOENT ? 0 : error_errno(err, NULL, NULL, "Cannot open %s", file);
	r = end_holder(lock, file, err);
	fd_close(lock);
	return r;
}

bool companion_lives(int folder, const char *name)
{
	char file[COMPANION_NAME_BYTES + sizeof(LOCK_SUFFIX)];
	bool lives;
	int lock;

	snprintf(file, sizeof(file), "%s" LOCK_SUFFIX, name);
	lock = openat(folder, file, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	lives = lock >= 0 && holder_of(lock) != 0;
	fd_close(lock);
	return lives;
}

int companion_end_in(int folder, const char *name, struct error *err)
{
	char file[COMPANION_NAME_BYTES + sizeof(LOCK_SUFFIX)];

	snprintf(file, sizeof(file), "%s" LOCK_SUFFIX, name);
	return end_one(folder, file, err);
}

int companion_end(const struct launch *l, const char *name, struct error *err)
{
	int jail = cell_open_jail(l, err), r;

	if (jail < 0)
		return jail == -ENOENT ? 0 : jail;
	r = companion_end_in(jail, name, err);
	fd_close(jail);
	return r;
}

int companions_end(int jail, struct error *err)
{
	int fd = openat(jail, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		fd_close(fd);
		return error_errno(err, NULL, NULL, "Cannot look for companions");
	}
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		const char *suffix = strrchr(entry->d_name, '.');

		if (suffix && strcmp(suffix, LOCK_SUFFIX) == 0)
			r = end_one(jail, entry->d_name, err);
	}
	closedir(dir);
	return r;
}
