/* recorder.c - which system calls the threads make: a filter learnt from a run.
 *
 * Each thread installs a program whose answer is SECCOMP_RET_USER_NOTIF: the kernel holds
 * the call, tells the holder of the program's listener, and goes on when that says so. The
 * listener is the recorder's thread's; it learns of it by a message through a pipe, the
 * one call that the program lets through. A thread that was started by one that asks
 * has the program already, and only says which role it has.
 *
 * The recorder's thread must never wait for another one, which may be held in the
 * middle of anything: it takes no lock, has no memory from the heap, does not log.
 *
 * clone3 is noted and answered with ENOSYS, as the built-in filters do: glibc then makes
 * threads by clone, whose flags can be seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/thread_filter_tables.h"
#include "vmm/seccomp/recorder.h"

enum {
	NOTES_MAX = 2048,
	THREADS_MAX = 128,
	TELLING_MAX = 2,
	STACK_BYTES = 256 << 10,
	LINE_BYTES = 512,
};

/* Arguments that say what a call does, as far as the lists of wisp look at them. */
static const struct telling {
	int call;
	struct {
		unsigned index;
		uint32_t mask; /* 0: no more */
	} arg[TELLING_MAX];
} tellings[] = {
	{ SYS_clone, { { 0, UINT32_MAX } } },
	{ SYS_fcntl, { { 1, UINT32_MAX } } },
	{ SYS_futex, { { 1, (uint32_t)FUTEX_CMD_MASK } } },
	{ SYS_getsockopt, { { 1, UINT32_MAX }, { 2, UINT32_MAX } } },
	{ SYS_io_uring_register, { { 1, UINT32_MAX } } },
	{ SYS_ioctl, { { 1, UINT32_MAX } } },
	{ SYS_madvise, { { 2, UINT32_MAX } } },
	{ SYS_mmap, { { 2, PROT_EXEC } } },
	{ SYS_mprotect, { { 2, PROT_EXEC } } },
	{ SYS_openat, { { 0, UINT32_MAX } } },
	{ SYS_prctl, { { 0, UINT32_MAX } } },
	{ SYS_rt_sigaction, { { 0, UINT32_MAX } } },
	{ SYS_sched_setscheduler, { { 0, UINT32_MAX }, { 1, UINT32_MAX } } },
	{ SYS_seccomp, { { 0, UINT32_MAX }, { 1, UINT32_MAX } } },
	{ SYS_setsockopt, { { 1, UINT32_MAX }, { 2, UINT32_MAX } } },
	{ SYS_socket, { { 0, UINT32_MAX } } },
	{ SYS_socketpair, { { 0, UINT32_MAX } } },
	{ SYS_tgkill, { { 2, UINT32_MAX } } },
};

static const struct telling no_telling;

struct note {
	enum thread_role role;
	int call;
	uint32_t value[TELLING_MAX]; /* of its telling arguments, under their masks */
};

/* From a thread that joins. */
struct message {
	int listener; /* -1: its parent's */
	pid_t tid;
	enum thread_role role;
};

/* Set once, before there is another thread; what is in it, the recorder's thread's. */
static struct recorder {
	bool runs;
	int out, pipe[2];
	pthread_t thread;
	struct pollfd polled[THREADS_MAX]; /* the pipe, then listeners */
	unsigned polled_count;
	struct message joined[THREADS_MAX]; /* a thread that is not here has its parent's role */
	unsigned joined_count;
	struct note note[NOTES_MAX];
	unsigned note_count;
	bool lost; /* there were more */
} recorder;

/* --- notes --- */

static const struct telling *find_telling(int call)
{
	for (size_t i = 0; i < sizeof(tellings) / sizeof(tellings[0]); i++)
		if (tellings[i].call == call)
			return &tellings[i];
	return &no_telling;
}

static void add_note(struct recorder *r, enum thread_role role, const struct seccomp_data *data)
{
	const struct telling *t = find_telling(data->nr);
	struct note n;

	memset(&n, 0, sizeof(n));
	n.role = role;
	n.call = data->nr;
	for (unsigned i = 0; i < TELLING_MAX; i++)
		n.value[i] = (uint32_t)data->args[t->arg[i].index] & t->arg[i].mask;
	for (unsigned i = 0; i < r->note_count; i++)
		if (memcmp(&r->note[i], &n, sizeof(n)) == 0)
			return;
	if (r->note_count < NOTES_MAX)
		r->note[r->note_count++] = n;
	else
		r->lost = true;
}

/* --- the file --- */

static void put(struct recorder *r, const char *line)
{
	if (fd_pwrite_all(r->out, line, strlen(line), lseek(r->out, 0, SEEK_END)) < 0)
		r->lost = true;
}

static void put_rule(struct recorder *r, const struct note *n, bool first)
{
	const struct telling *t = find_telling(n->call);
	char line[LINE_BYTES];
	size_t used;

	used = (size_t)snprintf(
		line, sizeof(line), "%s\n   {\"syscall\": \"%s\", \"comment\": \"%s\"",
		first ? "" : ",", thread_filter_calls[n->call], thread_role_name(n->role));
	for (unsigned i = 0; i < TELLING_MAX && t->arg[i].mask; i++) {
		char op[40] = "\"eq\"";

		if (t->arg[i].mask != UINT32_MAX)
			snprintf(op, sizeof(op), "{\"masked_eq\": %u}", t->arg[i].mask);
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 "%s{\"index\": %u, \"type\": \"dword\", \"op\": %s, "
					 "\"val\": %u}",
					 i ? ", " : ", \"args\": [", t->arg[i].index, op,
					 n->value[i]);
	}
	snprintf(line + used, sizeof(line) - used, "%s}", t->arg[0].mask ? "]" : "");
	put(r, line);
}

/* Whether a thread of this role goes through the filter of a file's thread: a device's
 * own thread, and the vCPUs of a machine that is built again, have their parent's. */
static bool passes(const struct recorder *r, enum thread_role role, bool vcpu)
{
	bool restarts = false;

	for (unsigned i = 0; i < r->note_count; i++)
		restarts |= r->note[i].role == THREAD_MAIN_RESTART;
	return vcpu ? role == THREAD_VCPU : role != THREAD_VCPU || restarts;
}

static void put_thread(struct recorder *r, bool vcpu)
{
	/* The report of a violation, which nobody has seen, takes the first three. The
	 * others are for a lock that is not free, which another run may come upon. */
	static const struct seccomp_data always[] = {
		{ .nr = SYS_write },
		{ .nr = SYS_exit_group },
		{ .nr = SYS_rt_sigreturn },
		{ .nr = SYS_futex, .args = { [1] = FUTEX_WAIT } },
		{ .nr = SYS_futex, .args = { [1] = FUTEX_WAKE } },
	};
	bool first = true;

	put(r, vcpu ? " \"vcpu\": {" : " \"vmm\": {");
	put(r, "\"default_action\": \"trap\", \"filter_action\": \"allow\", \"filter\": [");
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		add_note(r, vcpu ? THREAD_VCPU : THREAD_MAIN, &always[i]);
	for (unsigned i = 0; i < r->note_count; i++) {
		if (!passes(r, r->note[i].role, vcpu))
			continue;
		put_rule(r, &r->note[i], first);
		first = false;
	}
	put(r, vcpu ? "]}\n" : "]},\n");
}

/* The process ends when this returns: stderr is the only one to tell. */
static void write_file(struct recorder *r)
{
	static const char incomplete[] = "wisp: the file of --seccomp-log is not complete\n";

	if (ftruncate(r->out, 0) < 0)
		r->lost = true;
	put(r, "{\n");
	put_thread(r, false);
	put_thread(r, true);
	put(r, "}\n");
	if (r->lost)
		(void)!write(STDERR_FILENO, incomplete, sizeof(incomplete) - 1);
}

/* --- the recorder's thread --- */

static struct message *find_thread(struct recorder *r, pid_t tid)
{
	for (unsigned i = 0; i < r->joined_count; i++)
		if (r->joined[i].tid == tid)
			return &r->joined[i];
	return NULL;
}

static void take_message(struct recorder *r)
{
	struct message m, *known;

	if (read(r->pipe[0], &m, sizeof(m)) != (ssize_t)sizeof(m))
		return;
	known = find_thread(r, m.tid);
	if (known) { /* a filter on top of one, as a blank's main thread has */
		known->role = m.role;
		return;
	}
	if (r->joined_count == THREADS_MAX || r->polled_count == THREADS_MAX) {
		r->lost = true; /* its calls fail with ENOSYS once the listener is gone */
		fd_close(m.listener);
		return;
	}
	r->joined[r->joined_count++] = m;
	if (m.listener >= 0)
		r->polled[r->polled_count++] = (struct pollfd){ m.listener, POLLIN, 0 };
}

static enum thread_role main_role(const struct recorder *r)
{
	for (unsigned i = 0; i < r->joined_count; i++)
		if (r->joined[i].role < THREAD_VCPU)
			return r->joined[i].role;
	return THREAD_MAIN;
}

static void take_call(struct recorder *r, int listener)
{
	struct seccomp_notif call = { 0 };
	struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	struct message *thread;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return; /* the thread was killed meanwhile */
	thread = find_thread(r, (pid_t)call.pid);
	add_note(r, thread ? thread->role : main_role(r), &call.data);
	if (call.data.nr == SYS_exit_group)
		write_file(r);
	if (call.data.nr == SYS_exit && thread)
		*thread = r->joined[--r->joined_count];
	answer.id = call.id;
	if (call.data.nr == SYS_clone3) {
		answer.flags = 0;
		answer.error = -ENOSYS;
	}
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

/* A listener whose threads are all gone. */
static void drop_listener(struct recorder *r, unsigned i)
{
	fd_close(r->polled[i].fd);
	r->polled[i] = r->polled[--r->polled_count];
}

/* A message comes before the first call of its thread, and so is taken first. */
static void *record(void *arg)
{
	struct recorder *r = arg;

	pthread_setname_np(pthread_self(), "seccomp-log");
	for (;;) {
		if (poll(r->polled, r->polled_count, -1) < 0)
			continue;
		if (r->polled[0].revents) {
			take_message(r);
			continue;
		}
		for (unsigned i = r->polled_count - 1; i > 0; i--) {
			if (r->polled[i].revents & POLLIN)
				take_call(r, r->polled[i].fd);
			else if (r->polled[i].revents)
				drop_listener(r, i);
		}
	}
	return NULL;
}

/* --- the threads that are recorded --- */

static int start_thread(struct recorder *r)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int e;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	e = pthread_create(&r->thread, &attr, record, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -e;
}

int recorder_start(const char *path, struct error *err)
{
	struct recorder *r = &recorder;
	int e;

	r->out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (r->out < 0)
		return error_errno(err, "seccomp-log", "give a writable file",
				   "The file %s cannot be written", path);
	if (pipe2(r->pipe, O_CLOEXEC) < 0)
		return error_errno(err, NULL, NULL, "cannot make a pipe");
	r->polled[0] = (struct pollfd){ r->pipe[0], POLLIN, 0 };
	r->polled_count = 1;
	e = start_thread(r);
	if (e < 0)
		return error_set(err, e, NULL, NULL, "cannot start a thread: %s", strerror(-e));
	r->runs = true;
	return 0;
}

bool recorder_runs(void)
{
	return recorder.runs;
}

static long install(const struct sock_fprog *program, unsigned flags)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

/* A listener. A signal must not end the wait for an answer with EINTR where the call
 * itself would not have: Linux 5.19 and later can do that. */
static int ask_before_calls(const struct recorder *r)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->pipe[1], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
	long fd = install(&program, SECCOMP_FILTER_FLAG_NEW_LISTENER |
					    SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);

	if (fd < 0 && errno == EINVAL)
		fd = install(&program, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	return fd < 0 ? -errno : (int)fd;
}

/* Where there is a filter already, this thread's calls are asked for. The same system
 * calls as for a filter are made, so that they are noted. */
static int allow_all(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	const struct sock_fprog program = { 1, code };

	return install(&program, 0) < 0 ? -errno : 0;
}

int recorder_join(enum thread_role role)
{
	struct recorder *r = &recorder;
	struct message m = { -1, (pid_t)syscall(SYS_gettid), role };
	int e;
	bool asks = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	e = asks ? allow_all() : ask_before_calls(r);
	if (e < 0)
		return e;
	m.listener = asks ? -1 : e;
	return write(r->pipe[1], &m, sizeof(m)) == (ssize_t)sizeof(m) ? 0 : -EIO;
}
