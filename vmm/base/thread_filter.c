/* thread_filter.c - installing filters, and what happens when one says no.
 *
 * A refused call raises SIGSYS in the thread that made it (SECCOMP_RET_TRAP): the kernel
 * has not begun the call. The handler logs it and ends the process. Where the signal is
 * blocked, or the handler is at fault itself, the kernel kills the process without a word,
 * and no filter allows another handler to be set.
 *
 * The handler may use the log, which is not async-signal-safe in general, because the
 * signal is synchronous: it interrupts its own thread at a call of that thread's, and the
 * log makes none that a filter refuses.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/filter_file.h"
#include "vmm/base/log.h"
#include "vmm/base/thread_filter.h"
#include "vmm/base/thread_filter_tables.h"
#include "vmm/seccomp/recorder.h"

enum { HEAD_WORDS = sizeof(struct filter_file_program) / sizeof(struct sock_filter) };

/* A signal's handler finds nothing but what is static. */
static struct {
	void (*tell)(void *ctx);
	void *ctx;
} on_end;

static const char *const role_names[THREAD_ROLES] = {
	[THREAD_MAIN] = "main",
	[THREAD_MAIN_PCI] = "main, where devices come and go",
	[THREAD_MAIN_RESTART] = "main, where it restarts guests",
	[THREAD_MAIN_BLANK] = "main, where it waits for a snapshot",
	[THREAD_VCPU] = "vcpu",
	[THREAD_WORKER] = "worker",
	[THREAD_IO] = "io",
};

const struct thread_filters *thread_filters_builtin(void)
{
	return &thread_filter_programs;
}

const char *thread_role_name(enum thread_role role)
{
	return role < THREAD_ROLES ? role_names[role] : NULL;
}

static const char *call_name(int number)
{
	bool known = number >= 0 && (unsigned)number < thread_filter_calls_count;

	return known && thread_filter_calls[number] ? thread_filter_calls[number] : "unknown";
}

/* The first three arguments of the call that was refused. */
static void read_arguments(const ucontext_t *context, unsigned long argument[3])
{
#ifdef __x86_64__
	argument[0] = (unsigned long)context->uc_mcontext.gregs[REG_RDI];
	argument[1] = (unsigned long)context->uc_mcontext.gregs[REG_RSI];
	argument[2] = (unsigned long)context->uc_mcontext.gregs[REG_RDX];
#else
	for (unsigned i = 0; i < 3; i++)
		argument[i] = context->uc_mcontext.regs[i];
#endif
}

static void on_violation(int sig, siginfo_t *info, void *context)
{
	unsigned long argument[3];

	(void)sig;
	read_arguments(context, argument);
	log_error("the filter of this thread does not allow system call %d, %s(%#lx, %#lx, %#lx)",
		  info->si_syscall, call_name(info->si_syscall), argument[0], argument[1],
		  argument[2]);
	if (on_end.tell)
		on_end.tell(on_end.ctx);
	_exit(THREAD_FILTER_EXIT_STATUS);
}

int thread_filters_prepare(void (*tell)(void *ctx), void *ctx, struct error *err)
{
	struct sigaction action = { .sa_sigaction = on_violation, .sa_flags = SA_SIGINFO };
	on_end.tell = tell;
	on_end.ctx = ctx;
	sigfillset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		return error_errno(err, NULL, NULL, "cannot handle SIGSYS");
	return 0;
}

int thread_filter_install(const struct thread_filters *filters, enum thread_role role)
{
	if (recorder_runs())
		return recorder_join(role);
	if (!filters || !filters->role[role].len)
		return 0;

	const struct sock_fprog program = {
		.len = filters->role[role].len,
		.filter = (struct sock_filter *)filters->role[role].code,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return -errno;
	return 0;
}

int thread_filter_follow(enum thread_role role)
{
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
		return 0;
	return thread_filter_install(&thread_filter_programs, role);
}

bool thread_filters_show(FILE *out)
{
	for (int role = 0; role < THREAD_ROLES; role++)
		fprintf(out, "%s%s:\n%s", role ? "\n" : "", role_names[role],
			thread_filter_rules[role]);
	return fflush(out) == 0;
}

/* --- filters of a file --- */

/* A file's programs and what they point into: all parts of a file are multiples of an
 * instruction's 8 bytes. */
struct loaded {
	struct thread_filters filters;
	size_t count;
	struct sock_filter word[];
};

static int bad_file(const char *path, const char *what, struct error *err)
{
	return error_set(err, -EINVAL, "seccomp-filter", "docs/jail.md has the format",
			 "The filter file %s %s", path, what);
}

/* A descriptor and the size, or a negative errno. */
static int open_file(const char *path, size_t *bytes, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = error_errno(err, "seccomp-filter", NULL,
				    "The filter file %s cannot be read", path);

		fd_close(fd);
		return r;
	}
	*bytes = (size_t)st.st_size;
	if (S_ISREG(st.st_mode) && *bytes <= FILTER_FILE_MAX_BYTES &&
	    *bytes % sizeof(struct sock_filter) == 0)
		return fd;
	fd_close(fd);
	return bad_file(path, "has another format", err);
}

/* One program for the thread that it names, "main" for all kinds of main thread and for those
 * that take work off it. */
static bool take_program(struct loaded *l, const struct filter_file_program *head,
			 const struct sock_filter *code)
{
	static const struct {
		const char *name;
		enum thread_role role;
	} names[] = {
		{ "main", THREAD_MAIN },	 { "main", THREAD_MAIN_PCI },
		{ "main", THREAD_MAIN_RESTART }, { "main", THREAD_MAIN_BLANK },
		{ "main", THREAD_IO },		 { "vcpu", THREAD_VCPU },
	};
	bool known = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(head->name, names[i].name, sizeof(head->name)) != 0)
			continue;
		l->filters.role[names[i].role].code = code;
		l->filters.role[names[i].role].len = (unsigned short)head->len;
		known = true;
	}
	return known;
}

/* The kernel checks the instructions themselves. */
static const char *parse(struct loaded *l)
{
	size_t at = 1;

	if (l->count < at || memcmp(l->word, FILTER_FILE_MAGIC, sizeof(l->word[0])) != 0)
		return "has another format";
	while (at < l->count) {
		struct filter_file_program head;

		if (l->count - at < HEAD_WORDS)
			return "is cut off";
		memcpy(&head, &l->word[at], sizeof(head));
		at += HEAD_WORDS;
		if (head.len == 0 || head.len > BPF_MAXINSNS)
			return "has a program without or with too many instructions";
		if (l->count - at < head.len)
			return "is cut off";
		if (!take_program(l, &head, &l->word[at]))
			return "names a thread that wisp does not have";
		at += head.len;
	}
	if (!l->filters.role[THREAD_MAIN].len || !l->filters.role[THREAD_VCPU].len)
		return "lacks a program for main or for vcpu";
	return NULL;
}

int thread_filters_load(const char *path, struct thread_filters **ret, struct error *err)
{
	size_t bytes = 0;
	int fd = open_file(path, &bytes, err), r;
	struct loaded *l;
	const char *wrong;

	if (fd < 0)
		return fd;
	l = calloc(1, sizeof(*l) + bytes);
	if (!l) {
		fd_close(fd);
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	l->count = bytes / sizeof(l->word[0]);
	r = fd_pread_all(fd, l->word, bytes, 0);
	fd_close(fd);
	wrong = r < 0 ? "cannot be read" : parse(l);
	if (wrong) {
		free(l);
		return bad_file(path, wrong, err);
	}
	*ret = &l->filters;
	return 0;
}

void thread_filters_free(struct thread_filters *filters)
{
	free(filters); /* the first member of struct loaded */
}
