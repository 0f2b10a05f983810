/* job.c - fork, become, exec; what fails in the child comes back through a pipe.
 *
 * Descriptors are O_CLOEXEC, so the child's exec leaves it those that dup2() made and
 * closes the pipe, which is how success is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest-images/agent/job.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The descriptors of a job before it runs: ours and the child's. */
struct streams {
	int in[2], out[2], errors[2]; /* [0] is read from, [1] written to; -1: none */
	int terminal;		      /* the child's end of one, or -1 */
};

static const struct streams no_streams = { { -1, -1 }, { -1, -1 }, { -1, -1 }, -1 };

struct failure {
	int error;
	enum job_step step;
};

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void streams_close(struct streams *s)
{
	close_one(&s->in[0]);
	close_one(&s->in[1]);
	close_one(&s->out[0]);
	close_one(&s->out[1]);
	close_one(&s->errors[0]);
	close_one(&s->errors[1]);
	close_one(&s->terminal);
}

static int unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int streams_pipes(struct streams *s)
{
	if (pipe2(s->in, O_CLOEXEC) < 0 || pipe2(s->out, O_CLOEXEC) < 0 ||
	    pipe2(s->errors, O_CLOEXEC) < 0)
		return -errno;
	return 0;
}

static void terminal_resize(int fd, uint16_t rows, uint16_t columns)
{
	const struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (rows && columns)
		ioctl(fd, TIOCSWINSZ, &size);
}

static int streams_terminal(struct streams *s, const struct job_spec *spec)
{
	char name[64];

	s->in[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->in[1] < 0 || grantpt(s->in[1]) < 0 || unlockpt(s->in[1]) < 0)
		return -errno;
	if (ptsname_r(s->in[1], name, sizeof(name)) != 0)
		return -errno;
	s->terminal = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	s->out[0] = fcntl(s->in[1], F_DUPFD_CLOEXEC, 0);
	if (s->terminal < 0 || s->out[0] < 0)
		return -errno;
	terminal_resize(s->in[1], spec->rows, spec->columns);
	return 0;
}

static int streams_open(struct streams *s, const struct job_spec *spec)
{
	int r = spec->terminal ? streams_terminal(s, spec) : streams_pipes(s);

	if (r == 0)
		r = unblock(s->in[1]);
	if (r == 0)
		r = unblock(s->out[0]);
	if (r == 0 && s->errors[0] >= 0)
		r = unblock(s->errors[0]);
	return r;
}

/* --- in the child --- */

static void child_signals(void)
{
	sigset_t none;

	for (int n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_streams(const struct streams *s)
{
	int in = s->terminal >= 0 ? s->terminal : s->in[0];
	int out = s->terminal >= 0 ? s->terminal : s->out[1];
	int errors = s->terminal >= 0 ? s->terminal : s->errors[1];

	if (setsid() < 0 || (s->terminal >= 0 && ioctl(s->terminal, TIOCSCTTY, 0) < 0))
		return -errno;
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(errors, STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

static int child_environment(const struct job_spec *spec)
{
	if (clearenv() != 0 || setenv("PATH", DEFAULT_PATH, 1) < 0 ||
	    setenv("HOME", spec->user->home, 1) < 0)
		return -ENOMEM;
	if (*spec->user->name && setenv("USER", spec->user->name, 1) < 0)
		return -ENOMEM;
	if (spec->terminal && setenv("TERM", "xterm", 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; spec->environment[i]; i++) {
		if (putenv((char *)spec->environment[i]) != 0)
			return -ENOMEM;
	}
	return 0;
}

static int child_directory(const struct job_spec *spec)
{
	if (spec->directory)
		return chdir(spec->directory) < 0 ? -errno : 0;
	/* A home that is missing stops nobody from running a command. */
	return chdir(spec->user->home) < 0 && chdir("/") < 0 ? -errno : 0;
}

static void oom_score_reset(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "0", 1);

	(void)n; /* the agent's own score was not changed either, then */
	close_one(&fd);
}

/* Returns only when something failed. */
static struct failure child_run(const struct job_spec *spec, const struct streams *s)
{
	struct failure f = { .step = JOB_PREPARE };

	child_signals();
	oom_score_reset();
	f.error = child_streams(s);
	if (f.error == 0)
		f.error = child_environment(spec);
	if (f.error == 0) {
		f.step = JOB_USER;
		f.error = user_become(spec->user);
	}
	if (f.error == 0) {
		f.step = JOB_DIRECTORY;
		f.error = child_directory(spec);
	}
	if (f.error == 0) {
		f.step = JOB_PROGRAM;
		execvp(spec->arguments[0], (char *const *)spec->arguments);
		f.error = -errno;
	}
	return f;
}

/* --- in the agent --- */

/* 0 when the child's exec closed the pipe. */
static int child_outcome(int fd, enum job_step *step)
{
	struct failure f;
	ssize_t n;

	do
		n = read(fd, &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(f))
		return 0;
	*step = f.step;
	return f.error;
}

static int fork_child(const struct job_spec *spec, const struct streams *s, const int report[2],
		      struct job *ret)
{
	ret->pid = fork();
	if (ret->pid < 0)
		return -errno;
	if (ret->pid == 0) {
		struct failure f = child_run(spec, s);
		ssize_t n = write(report[1], &f, sizeof(f));

		_exit(n == sizeof(f) ? 127 : 126);
	}
	ret->pidfd = pidfd_open(ret->pid, 0);
	return ret->pidfd < 0 ? -errno : 0;
}

int job_start(const struct job_spec *spec, struct job *ret, enum job_step *step)
{
	struct streams s = no_streams;
	struct job j = { .pid = -1, .pidfd = -1, .in = -1, .out = -1, .errors = -1 };
	int report[2] = { -1, -1 }, r;

	*step = JOB_PREPARE;
	r = streams_open(&s, spec);
	if (r == 0 && pipe2(report, O_CLOEXEC) < 0)
		r = -errno;
	if (r == 0)
		r = fork_child(spec, &s, report, &j);
	close_one(&report[1]);
	if (r == 0)
		r = child_outcome(report[0], step);
	close_one(&report[0]);
	if (r < 0) {
		streams_close(&s);
		if (j.pid > 0) {
			kill(j.pid, SIGKILL);
			job_finish(&j);
		}
		return r;
	}
	j.in = s.in[1];
	j.out = s.out[0];
	j.errors = s.errors[0];
	s.in[1] = s.out[0] = s.errors[0] = -1;
	streams_close(&s);
	*ret = j;
	return 0;
}

void job_signal(const struct job *j, int number)
{
	if (kill(-j->pid, number) < 0)
		kill(j->pid, number); /* which has no session of its own yet */
}

void job_resize(const struct job *j, uint16_t rows, uint16_t columns)
{
	terminal_resize(j->out, rows, columns);
}

int job_finish(struct job *j)
{
	int status = 0;

	while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
		;
	close_one(&j->pidfd);
	close_one(&j->in);
	close_one(&j->out);
	close_one(&j->errors);
	return status;
}
