/* spawn.c - a child process that is held just before its exec. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/argv.h"
#include "benches/spawn.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { EXIT_NOT_STARTED = 127 };

struct spawn_shared { /* one page, written by the child before its exec */
	uint64_t exec_us;
	int exec_errno;
};

struct pipes {
	int out[2], err[2], go[2];
};

static void close_pair(int pair[2])
{
	pair[0] = fd_close(pair[0]);
	pair[1] = fd_close(pair[1]);
}

static void pipes_close(struct pipes *p)
{
	close_pair(p->out);
	close_pair(p->err);
	close_pair(p->go);
}

static int pipes_open(struct pipes *p)
{
	*p = (struct pipes){ { -1, -1 }, { -1, -1 }, { -1, -1 } };
	if (pipe2(p->out, O_CLOEXEC) < 0 || pipe2(p->err, O_CLOEXEC) < 0 ||
	    pipe2(p->go, O_CLOEXEC) < 0 || fcntl(p->out[0], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(p->err[0], F_SETFL, O_NONBLOCK) < 0) {
		int r = -errno;

		pipes_close(p);
		return r;
	}
	return 0;
}

static int child_stdio(const struct pipes *p)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(p->out[1], STDOUT_FILENO) < 0 ||
	    dup2(p->err[1], STDERR_FILENO) < 0)
		return -errno;
	return 0;
}

static bool child_wait_for_go(const struct pipes *p)
{
	char go;
	ssize_t n;

	close(p->go[1]);
	do
		n = read(p->go[0], &go, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

/* The child's side: only async-signal-safe calls. */
static _Noreturn void child_main(char *const *argv, const struct pipes *p,
				 struct spawn_shared *shared, pid_t parent)
{
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_NOT_STARTED);
	r = child_stdio(p);
	if (!child_wait_for_go(p))
		_exit(EXIT_NOT_STARTED);
	if (r == 0) {
		shared->exec_us = clock_now_us();
		execv(argv[0], argv);
		r = -errno;
	}
	shared->exec_errno = -r;
	_exit(EXIT_NOT_STARTED);
}

static struct spawn_shared *shared_create(void)
{
	void *page = mmap(NULL, sizeof(struct spawn_shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

int spawn_create(char *const *argv, struct spawn *ret, struct error *err)
{
	struct spawn s = SPAWN_NONE;
	pid_t parent = getpid();
	struct pipes p;
	int r = pipes_open(&p);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot open the pipes for %s", argv[0]);
	s.shared = shared_create();
	if (!s.shared) {
		r = -errno;
		goto fail;
	}
	s.pid = fork();
	if (s.pid == 0)
		child_main(argv, &p, s.shared, parent);
	if (s.pid > 0)
		s.pidfd = pidfd_open(s.pid, 0);
	if (s.pidfd < 0) {
		r = -errno;
		goto fail;
	}

	s.out = p.out[0];
	s.err = p.err[0];
	s.go = p.go[1];
	p.out[0] = p.err[0] = p.go[1] = -1;
	pipes_close(&p);
	*ret = s;
	return 0;

fail:
	pipes_close(&p);
	spawn_end(&s);
	return error_set(err, r, NULL, NULL, "cannot start a process for %s", argv[0]);
}

int spawn_release(struct spawn *s)
{
	ssize_t n = write(s->go, "g", 1);

	s->go = fd_close(s->go);
	return n == 1 ? 0 : -errno;
}

uint64_t spawn_exec_us(const struct spawn *s)
{
	return __atomic_load_n(&s->shared->exec_us, __ATOMIC_RELAXED);
}

int spawn_exec_errno(const struct spawn *s)
{
	return __atomic_load_n(&s->shared->exec_errno, __ATOMIC_RELAXED);
}

int spawn_reap(struct spawn *s)
{
	int status;
	pid_t r;

	do
		r = waitpid(s->pid, &status, 0);
	while (r < 0 && errno == EINTR);
	s->pid = -1;
	return r < 0 ? -errno : status;
}

void spawn_end(struct spawn *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		spawn_reap(s);
	}
	s->pidfd = fd_close(s->pidfd);
	s->out = fd_close(s->out);
	s->err = fd_close(s->err);
	s->go = fd_close(s->go);
	if (s->shared)
		munmap(s->shared, sizeof(*s->shared));
	s->shared = NULL;
}

int spawn_shell_start(const char *command, struct spawn *ret, struct error *err)
{
	struct argv argv = { 0 };
	int r;

	argv_add_words(&argv, (const char *const[]){ "/bin/sh", "-c", command, NULL });
	r = argv.error ? argv.error : spawn_create(argv.v, ret, err);
	if (r == 0)
		r = spawn_release(ret);
	argv_free(&argv);
	return r;
}

int spawn_shell(const char *command, const char *hint, struct error *err)
{
	struct spawn shell = SPAWN_NONE;
	int r = spawn_shell_start(command, &shell, err);
	struct pollfd ended = { .fd = shell.pidfd, .events = POLLIN };

	if (r == 0 && (poll(&ended, 1, -1) != 1 || spawn_reap(&shell) != 0))
		r = error_set(err, -EIO, NULL, hint, "a command failed: %.100s", command);
	spawn_end(&shell);
	return r;
}
