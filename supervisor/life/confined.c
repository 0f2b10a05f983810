/* confined.c - fork, unshare, wait for the maps, become nobody, execute.
 *
 * Between fork and exec there are only calls that are safe in a child of a process with
 * threads. The maps can only be written from outside, so the child says when it has its
 * namespace, and waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/life/confined.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { NOT_STARTED = 127, PIPE_BYTES = 4096, WORDS_BYTES = 400 };

/* Reproducible output: e2fsprogs writes no other time. */
static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					   "HOME=/",
					   "LC_ALL=C",
					   "TZ=UTC",
					   "E2FSPROGS_FAKE_TIME=1",
					   NULL };

struct child {
	pid_t pid;
	int out, err;  /* what it says */
	int ready, go; /* it has its namespace; the maps are written */
};

/* --- in the child --- */

static void become_nobody(const struct confined *c, const int pipes[4][2])
{
	const struct rlimit file = { c->config->image_max_mib << 20,
				     c->config->image_max_mib << 20 };
	const struct rlimit core = { 0, 0 };
	char byte;

	if (setsid() < 0 || fchdir(c->dir) < 0 ||
	    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) < 0 ||
	    write(pipes[2][1], "", 1) != 1 || read(pipes[3][0], &byte, 1) != 1)
		_exit(NOT_STARTED);
	/* By system calls: the library's own would stop other threads, which are not here. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, 0, 0, 0) < 0 ||
	    syscall(SYS_setresuid, 0, 0, 0) < 0 || setrlimit(RLIMIT_FSIZE, &file) < 0 ||
	    setrlimit(RLIMIT_CORE, &core) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(NOT_STARTED);
}

static void be_program(const struct confined *c, int in, const int pipes[4][2])
{
	sigset_t none;

	become_nobody(c, pipes);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(pipes[0][1], STDOUT_FILENO) < 0 ||
	    dup2(pipes[1][1], STDERR_FILENO) < 0 || close_range(STDERR_FILENO + 1, ~0U, 0) < 0)
		_exit(NOT_STARTED);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execve(c->argv[0], (char *const *)c->argv, (char *const *)environment);
	_exit(NOT_STARTED);
}

/* --- making it --- */

static bool write_map(pid_t pid, const char *name, uint64_t first)
{
	char path[64], text[64];
	int n = snprintf(text, sizeof(text), "0 %llu %d\n", (unsigned long long)first,
			 CONFINED_USERS);
	bool written;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	written = fd >= 0 && write(fd, text, (size_t)n) == n;
	fd_close(fd);
	return written;
}

static bool let_go(const struct confined *c, struct child *child)
{
	char byte;
	bool done = read(child->ready, &byte, 1) == 1 &&
		    write_map(child->pid, "uid_map", c->config->import_uid_first) &&
		    write_map(child->pid, "gid_map", c->config->import_uid_first) &&
		    write(child->go, "", 1) == 1;

	child->ready = fd_close(child->ready);
	child->go = fd_close(child->go);
	return done;
}

static int open_pipes(int pipes[4][2])
{
	for (unsigned i = 0; i < 4; i++)
		pipes[i][0] = pipes[i][1] = -1;
	for (unsigned i = 0; i < 4; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			return -errno;
	return 0;
}

static void close_pipes(int pipes[4][2])
{
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 2; k++)
			pipes[i][k] = fd_close(pipes[i][k]);
}

static int make(const struct confined *c, struct child *ret, struct error *err)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), pipes[4][2];
	int r = open_pipes(pipes);

	*ret = (struct child){ .pid = -1, .out = -1, .err = -1, .ready = -1, .go = -1 };
	if (r == 0 && in >= 0)
		ret->pid = fork();
	if (ret->pid == 0)
		be_program(c, in, pipes);
	if (ret->pid < 0) {
		error_errno(err, NULL, NULL, "Cannot make a process");
	} else {
		ret->out = pipes[0][0];
		ret->err = pipes[1][0];
		ret->ready = pipes[2][0];
		ret->go = pipes[3][1];
		pipes[0][0] = pipes[1][0] = pipes[2][0] = pipes[3][1] = -1;
	}
	close_pipes(pipes);
	fd_close(in);
	return ret->pid < 0 ? err->code : 0;
}

/* --- what it says --- */

struct reading {
	const struct confined *c;
	char line[CONFINED_LINE_BYTES];
	size_t len;
	char words[WORDS_BYTES]; /* the last of its errors */
	struct error *err;
};

static int end_line(struct reading *r)
{
	int result;

	r->line[r->len] = '\0';
	result = r->c->line ? r->c->line(r->c->ctx, r->line, r->err) : 0;
	r->len = 0;
	return result;
}

static int take_output(struct reading *r, const char *data, size_t len)
{
	int result = 0;

	for (size_t i = 0; i < len && result == 0; i++) {
		if (data[i] == '\n')
			result = end_line(r);
		else if (r->len < sizeof(r->line) - 1)
			r->line[r->len++] = data[i];
	}
	return result;
}

/* Its last line is what it died of. */
static int take_words(struct reading *r, char *data, size_t len)
{
	char *line;

	while (len > 0 && data[len - 1] == '\n')
		len--;
	data[len] = '\0';
	line = strrchr(data, '\n');
	if (len > 0)
		snprintf(r->words, sizeof(r->words), "%.*s", WORDS_BYTES - 1,
			 line ? line + 1 : data);
	return 0;
}

/* 1: there is more to come. */
static int read_some(struct reading *r, int *fd, bool words)
{
	char data[PIPE_BYTES + 1];
	ssize_t n = read(*fd, data, PIPE_BYTES);

	if (n <= 0) {
		*fd = n < 0 && errno == EINTR ? *fd : fd_close(*fd);
		return 0;
	}
	return words ? take_words(r, data, (size_t)n) : take_output(r, data, (size_t)n);
}

static int read_all(struct reading *r, struct child *child)
{
	uint64_t deadline_us = clock_now_us() + (uint64_t)r->c->timeout_ms * 1000;
	int result = 0;

	while (result == 0 && (child->out >= 0 || child->err >= 0)) {
		struct pollfd p[] = { { .fd = child->out, .events = POLLIN },
				      { .fd = child->err, .events = POLLIN } };
		uint64_t now = clock_now_us();

		if (now >= deadline_us || poll(p, 2, (int)((deadline_us - now) / 1000 + 1)) == 0)
			return error_set(r->err, -ETIMEDOUT, NULL, NULL,
					 "%s did not end within %u ms", r->c->argv[0],
					 r->c->timeout_ms);
		if (p[0].revents)
			result = read_some(r, &child->out, false);
		if (result == 0 && p[1].revents)
			result = read_some(r, &child->err, true);
	}
	return result == 0 && r->len ? end_line(r) : result;
}

static int judge(const struct reading *r, int status)
{
	const char *program = r->c->argv[0];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_STARTED && !r->words[0])
		return error_set(r->err, -EIO, NULL, "is it installed?", "Cannot execute %s",
				 program);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)
		return error_set(r->err, -EFBIG, NULL, "raise image_max_mib",
				 "%s wanted to write more than an image may have", program);
	return error_set(r->err, -EIO, NULL, NULL, "%s: %s", program, r->words);
}

int confined_run(const struct confined *c, struct error *err)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	struct child child;
	int status = 0, r;

	if (!reading)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	reading->c = c;
	reading->err = err;
	r = make(c, &child, err);
	if (r == 0 && !let_go(c, &child))
		r = error_set(err, -EIO, NULL, "are user namespaces allowed on this host?",
			      "Cannot confine %s", c->argv[0]);
	if (r == 0)
		r = read_all(reading, &child);
	fd_close(child.out);
	fd_close(child.err);
	fd_close(child.ready);
	fd_close(child.go);
	if (child.pid > 0) {
		if (r < 0)
			kill(child.pid, SIGKILL);
		waitpid(child.pid, &status, 0);
		r = r < 0 ? r : judge(reading, status);
	}
	free(reading);
	return r;
}

int confined_open(int dir, const char *path, struct error *err)
{
	const struct open_how how = {
		.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	struct stat st;

	if (fd < 0)
		return error_errno(err, NULL, NULL, "Cannot open %s of what was imported", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	fd_close(fd);
	return error_set(err, -EINVAL, NULL, NULL, "%s of what was imported is not a file", path);
}
