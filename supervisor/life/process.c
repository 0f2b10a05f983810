/* process.c - programs that wait at a gate, pidfds, and programs that are run to their end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/life/process.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { STAT_START_FIELD = 22, LINE_BYTES = 400 };

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The command's name, in parentheses, may have anything in it: from the last ")". */
int process_start_of(pid_t pid, int64_t *ret)
{
	char path[32], text[1024];
	ssize_t n;
	char *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	fd_close(fd);
	if (n < 0)
		return -ESRCH;
	text[n] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < STAT_START_FIELD; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return -ESRCH;
	*ret = strtoll(at, NULL, 10);
	return 0;
}

/* gate: -1 for none. 0 or an errno. */
static int direct(posix_spawn_file_actions_t *files, int in, int out, int gate)
{
	const struct {
		int from, to;
	} copies[] = { { in, STDIN_FILENO },
		       { out, STDOUT_FILENO },
		       { out, STDERR_FILENO },
		       { gate, PROCESS_GATE_FD } };
	int r = 0;

	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]) && r == 0; i++)
		if (copies[i].from >= 0)
			r = posix_spawn_file_actions_adddup2(files, copies[i].from, copies[i].to);
	/* Nothing of ours stays open while it waits: not a gate, not a socket. */
	if (r == 0 && gate >= 0)
		r = posix_spawn_file_actions_addclosefrom_np(files, PROCESS_GATE_FD + 1);
	return r;
}

/* A session of its own, no signal blocked, and none ignored that we ignore. */
static int set_apart(posix_spawnattr_t *how)
{
	sigset_t none, usual;
	int r = posix_spawnattr_setflags(how, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF);

	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	if (r == 0)
		r = posix_spawnattr_setsigmask(how, &none);
	return r ? r : posix_spawnattr_setsigdefault(how, &usual);
}

/* Not fork(): that would copy what maps our memory, and have us copy each page that we write to
 * until the child executes its program. in: closed here. -1 and errno. */
static pid_t make_child(const char *const argv[], int in, int out, int gate)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	pid_t pid = -1;
	int r;

	if (in < 0)
		return -1;
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&how);
	r = direct(&files, in, out, gate);
	if (r == 0)
		r = set_apart(&how);
	if (r == 0)
		r = posix_spawn(&pid, argv[0], &files, &how, (char *const *)argv, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	fd_close(in);
	errno = r;
	return r ? -1 : pid;
}

static void cannot_execute(const char *program, struct error *err)
{
	error_set(err, -EIO, NULL, "is it installed?", "Cannot execute %s: %s", program,
		  strerror(errno));
}

static int open_nothing(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* A file in memory with this text, to be read from its beginning. */
static int open_text(const char *text, size_t len)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	if (fd < 0 || fd_pwrite_all(fd, text, len, 0) == 0)
		return fd;
	return fd_close(fd);
}

int process_spawn(const char *const argv[], int log_fd, struct process *ret, struct error *err)
{
	struct process p = { .pidfd = -1, .gate = -1 };
	int gate[2];

	if (pipe2(gate, O_CLOEXEC) < 0)
		return error_errno(err, NULL, NULL, "Cannot make a pipe");
	p.gate = gate[1];
	p.pid = make_child(argv, open_nothing(), log_fd, gate[0]);
	if (p.pid < 0)
		cannot_execute(argv[0], err);
	fd_close(gate[0]);
	if (p.pid < 0) {
		fd_close(gate[1]);
		return err->code;
	}
	p.pidfd = open_pidfd(p.pid);
	if (p.pidfd < 0 || process_start_of(p.pid, &p.start) < 0) {
		process_cancel(&p);
		return error_errno(err, NULL, NULL, "Cannot watch a process");
	}
	*ret = p;
	return 0;
}

void process_go(struct process *p)
{
	/* Should it have ended meanwhile, its pidfd says so, and the pipe is closed. */
	if (p->gate >= 0 && write(p->gate, "", 1) != 1)
		kill(p->pid, SIGKILL);
	p->gate = fd_close(p->gate);
}

void process_cancel(struct process *p)
{
	p->gate = fd_close(p->gate);
	waitpid(p->pid, NULL, 0);
	p->pidfd = fd_close(p->pidfd);
}

int process_adopt(pid_t pid, int64_t start, struct process *ret)
{
	struct process p = { .pid = pid, .gate = -1, .pidfd = open_pidfd(pid) };
	struct pollfd ended = { .fd = p.pidfd, .events = POLLIN };

	if (p.pidfd < 0)
		return -ESRCH;
	/* The descriptor is of whoever has the number now; its start tells who that is. */
	if (process_start_of(pid, &p.start) < 0 || p.start != start || poll(&ended, 1, 0) != 0) {
		fd_close(p.pidfd);
		return -ESRCH;
	}
	*ret = p;
	return 0;
}

const char *process_reap(struct process *p, int *code)
{
	siginfo_t info = { 0 };
	bool ours = waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid;

	p->pidfd = fd_close(p->pidfd);
	*code = ours ? info.si_status : 0;
	if (!ours)
		return "unknown";
	return info.si_code == CLD_EXITED ? "exit" : "signal";
}

/* --- to the end --- */

/* What a program has written: the end of it, if there is more. */
struct tail {
	char *text;
	size_t size;
};

static void keep_tail(const struct tail *tail, const char *data, size_t len)
{
	const size_t most = tail->size - 1;
	size_t have = strlen(tail->text);

	if (len > most) {
		data += len - most;
		len = most;
	}
	if (have + len > most) {
		size_t drop = have + len - most;

		memmove(tail->text, tail->text + drop, have - drop);
		have -= drop;
	}
	memcpy(tail->text + have, data, len);
	tail->text[have + len] = '\0';
}

ssize_t process_read(int from, void *data, size_t size, uint64_t deadline_us)
{
	struct pollfd output = { .fd = from, .events = POLLIN };

	for (;;) {
		uint64_t now = clock_now_us();
		int left = now < deadline_us ? (int)((deadline_us - now) / 1000 + 1) : 0;
		int r = poll(&output, 1, left);

		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0)
			return read(from, data, size);
	}
}

/* Until the program closes its output, or time is up. */
static int read_output(int fd, unsigned timeout_ms, const struct tail *tail)
{
	const uint64_t deadline_us = clock_now_us() + (uint64_t)timeout_ms * 1000;
	char data[LINE_BYTES];
	ssize_t n;

	while ((n = process_read(fd, data, sizeof(data), deadline_us)) > 0)
		keep_tail(tail, data, (size_t)n);
	return n == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

/* Without what only points at the line above it. */
static const char *last_line(char *text)
{
	size_t len = strlen(text);
	char *line;

	while (len > 0 && strchr("\n\t ^", text[len - 1]))
		text[--len] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

/* in: closed here. */
static int run_to_end(const char *const argv[], int in, unsigned timeout_ms,
		      const struct tail *tail, struct error *err)
{
	int output[2], status = 0, r;
	pid_t pid;

	if (pipe2(output, O_CLOEXEC) < 0) {
		fd_close(in);
		return error_errno(err, NULL, NULL, "Cannot make a pipe");
	}
	pid = make_child(argv, in, output[1], -1);
	if (pid < 0)
		cannot_execute(argv[0], err);
	fd_close(output[1]);
	if (pid < 0) {
		fd_close(output[0]);
		return err->code;
	}
	r = read_output(output[0], timeout_ms, tail);
	fd_close(output[0]);
	if (r < 0)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (r < 0)
		return error_set(err, r, NULL, NULL, "%s did not end within %u ms", argv[0],
				 timeout_ms);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, -EIO, NULL, NULL, "%s", last_line(tail->text));
}

int process_run(const char *const argv[], unsigned timeout_ms, struct error *err)
{
	char text[LINE_BYTES] = "";

	return run_to_end(argv, open_nothing(), timeout_ms, &(struct tail){ text, sizeof(text) },
			  err);
}

int process_ask(const char *const argv[], unsigned timeout_ms, char *ret, size_t size,
		struct error *err)
{
	ret[0] = '\0';
	return run_to_end(argv, open_nothing(), timeout_ms, &(struct tail){ ret, size }, err);
}

int process_run_with(const char *const argv[], const char *input, size_t len, unsigned timeout_ms,
		     struct error *err)
{
	char text[LINE_BYTES] = "";

	return run_to_end(argv, open_text(input, len), timeout_ms,
			  &(struct tail){ text, sizeof(text) }, err);
}

/* --- spoken with --- */

static void close_pair(const int pair[2])
{
	fd_close(pair[0]);
	fd_close(pair[1]);
}

pid_t process_open(const char *const argv[], int file, int *to, int *from, struct error *err)
{
	int input[2], output[2];
	pid_t pid;

	if (pipe2(input, O_CLOEXEC) < 0)
		return error_errno(err, NULL, NULL, "Cannot make a pipe");
	if (pipe2(output, O_CLOEXEC) < 0) {
		error_errno(err, NULL, NULL, "Cannot make a pipe");
		close_pair(input);
		return err->code;
	}
	pid = make_child(argv, input[0], output[1], file);
	if (pid < 0)
		cannot_execute(argv[0], err);
	fd_close(output[1]);
	if (pid < 0) {
		fd_close(input[1]);
		fd_close(output[0]);
		return err->code;
	}
	*to = input[1];
	*from = output[0];
	return pid;
}
