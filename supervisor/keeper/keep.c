/* keep.c - the keeper: a daemon that starts a program again whenever it has ended.
 *
 *   wisp-keeper ──fork──► keeper (1 of its namespace) ──fork──► program, as its user
 *        ▲                   │  ready, or why not
 *        └────── pipe ───────┘
 *
 * The first start decides: if that fails the keeper ends, and says why. Later the program is
 * started again at once, and after longer and longer waits if it does not live long.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "supervisor/keeper/keep.h"
#include "supervisor/share/folder.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	PROGRAM_FD = 3,
	EXIT_NOT_STARTED = 127,
	WAIT_FIRST_MS = 10,
	WAIT_LAST_MS = 1000,
	LONG_LIFE_US = 10000000,
	WORDS_BYTES = 200,
};

#define SHARE_AT "/tmp"

/* --- the program --- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

static int be_user(uid_t user)
{
	const struct rlimit no_core = { 0, 0 };

	if (setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return -errno;
	return 0;
}

static int become(uid_t user)
{
	return setgroups(0, NULL) < 0 ? -errno : be_user(user);
}

/* Root of a namespace of users, once the keeper has said who there is. */
static int become_root_there(int keeper)
{
	char byte;

	if (setgroups(0, NULL) < 0 || unshare(CLONE_NEWUSER) < 0)
		return -errno;
	if (write(keeper, "", 1) != 1 || read(keeper, &byte, 1) != 1)
		return -EPIPE;
	return be_user(0);
}

static int write_of(pid_t pid, const char *name, const char *text)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return write_file(path, text);
}

/* Its root is the program's user; then those who follow, if there are any. */
static int let_in(const struct keep *k, pid_t pid, int program)
{
	char map[80], byte;
	int n = snprintf(map, sizeof(map), "0 %u 1\n", (unsigned)k->user), r;

	if (k->others)
		snprintf(map + n, sizeof(map) - (size_t)n, "1 %u %u\n", (unsigned)k->first_other,
			 k->others);
	if (read(program, &byte, 1) != 1)
		return -ECHILD;
	r = write_of(pid, "setgroups", "deny");
	if (r == 0)
		r = write_of(pid, "uid_map", map);
	if (r == 0)
		r = write_of(pid, "gid_map", map);
	return r == 0 && send(program, "", 1, MSG_NOSIGNAL) != 1 ? -ECHILD : r;
}

/* What its user, who is not root, keeps over the start of the program. */
static int become_server(uid_t user)
{
	static const int kept[] = { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_NET_RAW };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int r = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? -errno : become(user);

	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		data[0].permitted |= 1U << kept[i];
	data[0].effective = data[0].inheritable = data[0].permitted;
	if (r == 0 && syscall(SYS_capset, &header, data) < 0)
		r = -errno;
	for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]) && r == 0; i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) < 0)
			r = -errno;
	return r;
}

static void be_server(const struct keep *k)
{
	if (become_server(k->user) == 0)
		execv(k->argv[0], k->argv);
	_exit(EXIT_NOT_STARTED);
}

/* Never returns. What lies in the folder under that name was the last one's: it is removed
 * with no more rights than whose folder it is. */
static void be_program(const struct keep *k, int listener, int keeper)
{
	if ((k->share ? become_root_there(keeper) : become(k->user)) < 0)
		_exit(EXIT_NOT_STARTED);
	if (!k->listen && unlink(k->socket) < 0 && errno != ENOENT)
		_exit(EXIT_NOT_STARTED);
	if (k->listen && dup2(listener, PROGRAM_FD) < 0)
		_exit(EXIT_NOT_STARTED);
	if (k->listen && listener == PROGRAM_FD && fcntl(PROGRAM_FD, F_SETFD, 0) < 0)
		_exit(EXIT_NOT_STARTED);
	execv(k->argv[0], k->argv);
	_exit(EXIT_NOT_STARTED);
}

/* Its number, or a negative errno. */
static pid_t make_program(const struct keep *k, int listener)
{
	int pair[2], r = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = fork();
	/* The keeper's end is the keeper's alone: with it the other hears that nobody comes. */
	if (pid == 0)
		fd_close(pair[0]);
	if (pid == 0 && k->network)
		be_server(k);
	if (pid == 0)
		be_program(k, listener, pair[1]);
	if (pid < 0)
		r = -errno;
	fd_close(pair[1]);
	if (r == 0 && k->share)
		r = let_in(k, pid, pair[0]);
	fd_close(pair[0]);
	return r < 0 ? r : pid;
}

/* 0: it serves. */
static int start(const struct keep *k, int listener)
{
	pid_t pid = make_program(k, listener);
	int status = 0;

	if (pid < 0)
		return pid;
	if (k->listen)
		return 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

/* Until nothing of it is left: orphans of the namespace are the keeper's children. */
static void await_end(void)
{
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		continue;
}

static void keep_running(const struct keep *k, int listener)
{
	unsigned wait_ms = WAIT_FIRST_MS;

	for (;;) {
		uint64_t began_us = clock_now_us();
		struct timespec pause;

		await_end();
		if (clock_now_us() - began_us > LONG_LIFE_US)
			wait_ms = WAIT_FIRST_MS;
		pause = (struct timespec){ wait_ms / 1000, (long)(wait_ms % 1000) * 1000000 };
		nanosleep(&pause, NULL);
		wait_ms = 2 * wait_ms < WAIT_LAST_MS ? 2 * wait_ms : WAIT_LAST_MS;
		(void)start(k, listener);
	}
}

/* --- the keeper --- */

static int take_lock(const struct keep *k, struct error *err)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(k->lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return error_errno(err, "--lock", NULL, "Cannot open %s", k->lock);
	/* It stays open, and locked, until the end. */
	if (fcntl(fd, F_SETLK, &all) == 0)
		return 0;
	fd_close(fd);
	return error_set(err, -EBUSY, "--lock", "end the other one first", "Somebody else keeps %s",
			 k->lock);
}

/* /proc has to be that of the namespace: programs look themselves up. */
static int see_own_processes(struct error *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return error_errno(err, NULL, NULL, "Cannot mount /proc");
	return 0;
}

static int show(const char *path, bool read_only)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | (read_only ? MS_RDONLY : 0);

	if (mount(path, SHARE_AT, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, SHARE_AT, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		return -errno;
	return 0;
}

/* By a descriptor: what that is cannot become another folder meanwhile. */
static int show_share(const struct keep *k, struct error *err)
{
	int fd = share_folder_open(k->share, k->below, err);
	char path[32];

	if (fd < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (show(path, k->read_only) < 0)
		error_errno(err, "--share", NULL, "Cannot show %s/%s", k->share, k->below);
	fd_close(fd);
	return err->code;
}

/* The folder of a network is root's, and so is what lies in there. */
static int show_folder(const struct keep *k, struct error *err)
{
	return show(k->folder, true) == 0
		       ? 0
		       : error_errno(err, "--folder", NULL, "Cannot show %s", k->folder);
}

static int enter_folder(const struct keep *k, struct stat *ret, struct error *err)
{
	int fd = open(k->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fchdir(fd) < 0 || fstat(fd, ret) < 0)
		error_errno(err, "--folder", NULL, "Cannot enter %s", k->folder);
	fd_close(fd);
	return fd < 0 ? err->code : 0;
}

/* As the folder's owner, whoever has put what there. */
static int make_listener(const struct keep *k, uid_t owner, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", k->socket);
	if (fd < 0 || setegid(owner) < 0 || seteuid(owner) < 0 ||
	    (unlink(k->socket) < 0 && errno != ENOENT) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || seteuid(0) < 0 ||
	    setegid(0) < 0 || listen(fd, 1) < 0) {
		error_errno(err, "--socket", NULL, "Cannot make %s", k->socket);
		fd_close(fd);
		return err->code;
	}
	return fd;
}

static int redirect(int log, struct error *err)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0)
		error_errno(err, NULL, NULL, "Cannot open /dev/null");
	fd_close(nothing);
	return nothing < 0 ? err->code : 0;
}

/* The last line of the log. */
static void last_words(int log, char words[WORDS_BYTES])
{
	off_t end = lseek(log, 0, SEEK_END), from = end > WORDS_BYTES ? end - WORDS_BYTES : 0;
	ssize_t n = pread(log, words, WORDS_BYTES - 1, from);
	char *line;

	words[n < 0 ? 0 : n] = '\0';
	while (n > 0 && words[n - 1] == '\n')
		words[--n] = '\0';
	line = strrchr(words, '\n');
	if (line)
		memmove(words, line + 1, strlen(line));
}

/* Everything up to a program that serves; *listener: for its next lives, or -1. */
static int set_up(const struct keep *k, int log, int *listener, struct error *err)
{
	struct stat folder = { 0 };
	char words[WORDS_BYTES];
	int r = setsid() < 0 ? error_errno(err, NULL, NULL, "Cannot be a daemon") : 0;

	if (r == 0)
		r = take_lock(k, err);
	if (r == 0)
		r = see_own_processes(err);
	if (r == 0)
		r = enter_folder(k, &folder, err);
	if (r == 0 && k->listen)
		r = *listener = make_listener(k, folder.st_uid, err);
	if (r >= 0 && k->share)
		r = show_share(k, err);
	if (r >= 0 && k->network)
		r = show_folder(k, err);
	if (r >= 0)
		r = redirect(log, err);
	if (r < 0)
		return r;
	r = start(k, *listener);
	if (r == 0)
		return 0;
	last_words(log, words);
	return error_set(err, r, NULL, NULL, "%s did not start: %s", k->argv[0], words);
}

/* Never returns. */
static void be_keeper(const struct keep *k, int log, int told)
{
	struct error err = { 0 };
	int listener = -1;

	if (set_up(k, log, &listener, &err) < 0) {
		(void)!write(told, &err, sizeof(err));
		_exit(1);
	}
	fd_close(log);
	if (write(told, "", 1) == 1 && close(told) == 0)
		keep_running(k, listener);
	_exit(1);
}

/* One byte: it is ready; more: why not. */
static int hear(int told, struct error *err)
{
	struct error said;
	ssize_t n = read(told, &said, sizeof(said));

	if (n == 1)
		return 0;
	if (n != (ssize_t)sizeof(said))
		return error_set(err, -ECHILD, NULL, NULL, "The keeper ended");
	*err = said;
	return said.code;
}

static int begin(const struct keep *k, struct error *err)
{
	int log = open(k->log, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	int told[2] = { -1, -1 }, r;
	pid_t pid = -1;

	if (log < 0)
		return error_errno(err, "--log", NULL, "Cannot open %s", k->log);
	if (pipe2(told, O_CLOEXEC) == 0 && unshare(CLONE_NEWPID | CLONE_NEWNS) == 0)
		pid = fork();
	if (pid == 0)
		be_keeper(k, log, told[1]);
	r = pid < 0 ? error_errno(err, NULL, NULL, "Cannot make a keeper") : 0;
	fd_close(told[1]);
	if (r == 0)
		r = hear(told[0], err);
	fd_close(told[0]);
	fd_close(log);
	return r;
}

/* From here on: whatever is started stays in there. */
static int join_groups(const struct keep *k, struct error *err)
{
	struct cgroups groups;
	int r;

	if (!k->groups.parent_cgroup)
		return 0;
	r = cgroups_create(&k->groups, k->groups.parent_cgroup, &groups, err);
	if (r == 0)
		r = cgroups_join(&groups, true, err);
	cgroups_close(&groups);
	return r;
}

int keep_begin(const struct keep *k, struct error *err)
{
	int joined = join_groups(k, err);

	return joined < 0 ? joined : begin(k, err);
}
