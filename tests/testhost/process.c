/* process.c - starting, watching and ending child processes.
 *
 * fork() and not posix_spawn(), because a child must ask for its parent's death
 * signal before it becomes somebody else: a test host that is killed outright
 * takes its QEMU along. Why exec failed comes back through a pipe that a
 * successful exec closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/testhost/process.h"
#include "tests/testhost/tail.h"
#include "vmm/base/clock.h"
#include "vmm/base/error.h"
#include "vmm/base/fd.h"

enum {
	QUIET_US = 2 * 1000 * 1000,	/* a tool may take so long unannounced */
	REMINDER_US = 10 * 1000 * 1000, /* and so long between two lines */
};

static void interrupt_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

int interrupt_setup(struct interrupt *i)
{
	sigset_t set;

	interrupt_set(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;

	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	*i = (struct interrupt){ .fd = fd };
	return 0;
}

int interrupt_pending(struct interrupt *i)
{
	struct signalfd_siginfo info;

	if (!i->signo && read(i->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		i->signo = (int)info.ssi_signo;
	return i->signo != 0;
}

void interrupt_raise(const struct interrupt *i)
{
	sigset_t set;

	if (!i->signo)
		return;
	interrupt_set(&set);
	signal(i->signo, SIG_DFL);
	raise(i->signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* The child's side of fork(): up to exec, or to errno in the pipe. */
static void __attribute__((noreturn))
child_exec(const struct process_start *how, pid_t parent, int report)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	sigemptyset(&none);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || setpgid(0, 0) < 0 || null < 0)
		goto fail;
	/* The parent may have died before the death signal was asked for. */
	if (getppid() != parent)
		_exit(127);
	if (dup2(null, STDIN_FILENO) < 0 || dup2(how->output, STDOUT_FILENO) < 0 ||
	    dup2(how->output, STDERR_FILENO) < 0)
		goto fail;
	for (size_t i = 0; i < how->nkeep; i++) {
		if (fcntl(how->keep[i], F_SETFD, 0) < 0)
			goto fail;
	}
	if (how->cwd && chdir(how->cwd) < 0)
		goto fail;
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(how->argv[0], (char *const *)how->argv);
fail:;
	int code = errno;

	_exit(write(report, &code, sizeof(code)) == (ssize_t)sizeof(code) ? 127 : 126);
}

int process_start(const struct process_start *how, struct process *ret, struct error *e)
{
	int report[2], failed = 0;
	pid_t parent = getpid();

	if (pipe2(report, O_CLOEXEC) < 0)
		return error_errno(e, NULL, NULL, "cannot make a pipe");

	pid_t pid = fork();

	if (pid < 0) {
		int r = error_errno(e, NULL, NULL, "cannot start %s", how->argv[0]);

		fd_close(report[0]);
		fd_close(report[1]);
		return r;
	}
	if (pid == 0)
		child_exec(how, parent, report[1]);

	fd_close(report[1]);
	ssize_t n = read(report[0], &failed, sizeof(failed));
	fd_close(report[0]);
	if (n == (ssize_t)sizeof(failed)) {
		waitpid(pid, NULL, 0);
		errno = failed;
		return error_errno(e, NULL, "wisp-testhost check names its package",
				   "cannot start %s", how->argv[0]);
	}
	ret->pid = pid;
	return 0;
}

void process_kill(struct process *p)
{
	if (!p->pid)
		return;
	kill(-p->pid, SIGKILL);
	process_wait(p);
}

int process_wait(struct process *p)
{
	int status = 0;

	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void announce(const char *label, uint64_t elapsed_us)
{
	if (elapsed_us < REMINDER_US)
		fprintf(stderr, "wisp-testhost: %s...\n", label);
	else
		fprintf(stderr, "wisp-testhost: %s... %u s\n", label,
			(unsigned)(elapsed_us / 1000000));
}

/* Collects a tool's output until it closes it. 0, -EINTR, or an errno of poll. */
static int collect(int from, const char *label, struct interrupt *i, struct tail *output)
{
	uint64_t start = clock_now_us(), say_at = start + QUIET_US;

	for (;;) {
		uint64_t now = clock_now_us();
		struct pollfd fds[] = { { .fd = from, .events = POLLIN },
					{ .fd = i->fd, .events = POLLIN } };

		if (now >= say_at) {
			announce(label, now - start);
			say_at = now + REMINDER_US;
		}
		if (poll(fds, 2, (int)((say_at - now) / 1000 + 1)) < 0 && errno != EINTR)
			return -errno;
		if (interrupt_pending(i))
			return -EINTR;
		if (fds[0].revents && tail_read(output, from) <= 0)
			return 0;
	}
}

int process_run(const char *const argv[], const char *cwd, const char *label, struct interrupt *i,
		struct tail *output, struct error *e)
{
	struct process p = { 0 };
	int out[2], r;

	if (pipe2(out, O_CLOEXEC) < 0)
		return error_errno(e, NULL, NULL, "cannot make a pipe");

	const struct process_start how = { .argv = argv, .cwd = cwd, .output = out[1] };

	r = process_start(&how, &p, e);
	fd_close(out[1]);
	if (r == 0)
		r = collect(out[0], label, i, output);
	fd_close(out[0]);
	if (r < 0) {
		process_kill(&p);
		return r == -EINTR ? error_set(e, r, NULL, NULL, "interrupted") : r;
	}

	int code = process_wait(&p);

	if (code != 0)
		return error_set(e, -EIO, NULL, NULL, "%s failed (exit code %d): %s", argv[0], code,
				 tail_last_line(output));
	return 0;
}
