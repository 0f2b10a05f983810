/* test_thread_filter.c - what the built-in filters let through and what they end, each
 * call made for real in a child process under the real filter.
 *
 * The children are forked before the filter, live for one call, and say by their exit
 * status what happened: that of a violation, or that of a call that came back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/log.h"
#include "vmm/base/thread_filter.h"

enum { CAME_BACK = 42, NO_FILTER = 43, ARGS = 6 };

/* Bits, so that a row can name the roles that may. */
enum {
	MAIN = 1 << THREAD_MAIN,
	PCI = 1 << THREAD_MAIN_PCI,
	RESTART = 1 << THREAD_MAIN_RESTART,
	BLANK = 1 << THREAD_MAIN_BLANK,
	VCPU = 1 << THREAD_VCPU,
	WORKER = 1 << THREAD_WORKER,
	IO = 1 << THREAD_IO,
	MAINS = MAIN | PCI | RESTART | BLANK,
	BUILDERS = RESTART | BLANK,
	ALL = MAINS | VCPU | WORKER | IO,
	NONE = 0,
};

struct call {
	long number;
	const char *name;
	unsigned allowed;
	unsigned long arg[ARGS];
};

#define CALL(name, allowed, ...)            \
	{                                   \
		SYS_##name, #name, allowed, \
		{                           \
			__VA_ARGS__         \
		}                           \
	}
#define AT_HERE ((unsigned long)AT_FDCWD)

/* clang-format off */
static const struct call calls[] = {
	/* What is allowed comes back, with an error or without. */
	CALL(write, ALL, 1, 0, 0),
	CALL(futex, ALL, 0, FUTEX_WAKE),
	CALL(futex, NONE, 0, FUTEX_LOCK_PI),
	CALL(futex, NONE, 0, FUTEX_CMP_REQUEUE_PI),
	CALL(ioctl, VCPU | BUILDERS, 999, KVM_RUN),
	CALL(ioctl, BUILDERS, 999, KVM_CREATE_VM),
	CALL(ioctl, BUILDERS, 999, KVM_CREATE_VCPU),
	CALL(ioctl, BLANK, 999, KVM_SET_XSAVE),
	CALL(ioctl, BLANK, 999, KVM_SET_CLOCK),
	CALL(ioctl, MAINS, 999, KVM_IRQFD),
	CALL(ioctl, PCI | BUILDERS, 999, TUNGETIFF),
	CALL(ioctl, NONE, 999, TIOCSTI),
	CALL(ioctl, NONE, 999, 0),
	CALL(fdatasync, MAINS | WORKER | IO, 999),
	CALL(prctl, ALL, PR_GET_NAME, 0),
	CALL(prctl, NONE, PR_SET_DUMPABLE, 1),
	CALL(prctl, NONE, PR_SET_MM, 0),

	/* Files: the main thread's, and by path only. */
	CALL(openat, MAINS, AT_HERE, 0, O_RDONLY),
	CALL(openat, NONE, 999, 0, O_RDONLY),
	CALL(open, NONE, 0, O_RDONLY),
	CALL(openat2, NONE, AT_HERE),
	CALL(creat, NONE, 0),
	CALL(mknod, NONE, 0),
	CALL(mknodat, NONE, AT_HERE),
	CALL(mkdir, NONE, 0),
	CALL(chmod, NONE, 0),
	CALL(chown, NONE, 0),
	CALL(link, NONE, 0),
	CALL(linkat, NONE, AT_HERE),
	CALL(symlink, NONE, 0),
	CALL(setxattr, NONE, 0),
	CALL(truncate, NONE, 0),
	CALL(name_to_handle_at, NONE, AT_HERE),
	CALL(open_by_handle_at, NONE, AT_HERE),
	CALL(fanotify_init, NONE, 0),
	CALL(inotify_init1, NONE, 0),

	/* An I/O thread moves data between descriptors that are open, and opens none. */
	CALL(readv, MAINS | IO, 999),
	CALL(pwritev2, MAINS | IO, 999),
	CALL(close, MAINS | VCPU | WORKER, 999),
	CALL(ioctl, MAINS | VCPU, 999, TUNSETOFFLOAD),

	/* Sockets of one family. */
	CALL(socket, MAINS, AF_UNIX, SOCK_STREAM),
	CALL(socket, NONE, AF_INET, SOCK_STREAM),
	CALL(socket, NONE, AF_INET, SOCK_RAW),
	CALL(socket, NONE, AF_INET6, SOCK_STREAM),
	CALL(socket, NONE, AF_PACKET, SOCK_RAW),
	CALL(socket, NONE, AF_NETLINK, SOCK_RAW),
	CALL(socket, NONE, AF_VSOCK, SOCK_STREAM),
	CALL(socket, NONE, AF_ALG, SOCK_SEQPACKET),
	CALL(setsockopt, NONE, 999),

	/* A ring that takes every operation is made where devices come and go, if anywhere. */
	CALL(io_uring_setup, PCI | BUILDERS, 0),
	CALL(io_uring_register, MAINS, 999, IORING_REGISTER_FILES_UPDATE),
	CALL(io_uring_register, NONE, 999, IORING_REGISTER_BUFFERS),
	CALL(io_uring_enter, MAINS | VCPU | IO, 999),
	CALL(ioctl, PCI | BUILDERS, 999, TUNSETIFF),

	/* Code: none comes to be. */
	CALL(mmap, MAINS, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, ~0ul),
	CALL(mmap, NONE, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ~0ul),
	CALL(mprotect, MAINS, 0, 0, PROT_READ),
	CALL(mprotect, NONE, 0, 0, PROT_READ | PROT_WRITE | PROT_EXEC),
	CALL(pkey_mprotect, NONE, 0, 0, PROT_READ | PROT_EXEC),
	CALL(remap_file_pages, NONE, 0),
	CALL(execve, NONE, 0),
	CALL(execveat, NONE, AT_HERE),
	CALL(personality, NONE, 0),

	/* Processes: none is made, watched or ended. */
	CALL(fork, NONE),
	CALL(vfork, NONE),
	CALL(clone, NONE, SIGCHLD),
	CALL(clone, NONE, CLONE_NEWUSER | SIGCHLD),
	CALL(kill, NONE, 1, 0),
	CALL(tkill, NONE, 1, 0),
	CALL(tgkill, NONE, 1, 1, SIGKILL),
	CALL(rt_sigqueueinfo, NONE, 1),
	CALL(pidfd_open, BLANK, 1),
	CALL(pidfd_send_signal, NONE, 999),
	CALL(pidfd_getfd, NONE, 999),
	CALL(ptrace, NONE, 0),
	CALL(process_vm_readv, NONE, 1),
	CALL(process_vm_writev, NONE, 1),
	CALL(kcmp, NONE, 1),
	CALL(setpriority, NONE, 0),
	CALL(sched_setscheduler, MAINS | IO, 0, SCHED_OTHER, 0),
	CALL(sched_setscheduler, MAINS | IO, 0, SCHED_BATCH, 0),
	CALL(sched_setscheduler, NONE, 0, SCHED_FIFO, 0),
	CALL(sched_setscheduler, NONE, 1, SCHED_BATCH, 0),
	CALL(prlimit64, NONE, 0),

	/* The system: not from here. */
	CALL(mount, NONE, 0),
	CALL(umount2, NONE, 0),
	CALL(move_mount, NONE, 999),
	CALL(open_tree, NONE, AT_HERE),
	CALL(fsopen, NONE, 0),
	CALL(unshare, NONE, CLONE_NEWUSER),
	CALL(setns, NONE, 999),
	CALL(chroot, NONE, 0),
	CALL(pivot_root, NONE, 0),
	CALL(chdir, NONE, 0),
	CALL(setuid, NONE, 0),
	CALL(setresgid, NONE, 0),
	CALL(capset, NONE, 0),
	CALL(bpf, NONE, 0),
	CALL(perf_event_open, NONE, 0),
	CALL(userfaultfd, MAINS, 0), /* fails: only the device gives one */
	CALL(ioctl, MAINS, 999, USERFAULTFD_IOC_NEW),
	CALL(ioctl, MAINS, 999, UFFDIO_REGISTER),
	CALL(ioctl, MAINS | WORKER, 999, UFFDIO_WRITEPROTECT),
	CALL(ioctl, NONE, 999, UFFDIO_COPY),
	CALL(setsockopt, BLANK, 999, SOL_SOCKET, SO_SNDTIMEO),
	CALL(keyctl, NONE, 0),
	CALL(add_key, NONE, 0),
	CALL(init_module, NONE, 0),
	CALL(finit_module, NONE, 999),
	CALL(delete_module, NONE, 0),
	CALL(kexec_load, NONE, 0),
	CALL(reboot, NONE, 0),
	CALL(settimeofday, NONE, 0),
	CALL(clock_settime, NONE, 0),
	CALL(adjtimex, NONE, 0),
	CALL(sethostname, NONE, 0),
	CALL(swapon, NONE, 0),
	CALL(quotactl, NONE, 0),
	CALL(syslog, NONE, 0),
	CALL(iopl, NONE, 3),
	CALL(ioperm, NONE, 0),
	CALL(modify_ldt, NONE, 0),
	CALL(memfd_secret, NONE, 0),
	CALL(seccomp, MAINS, SECCOMP_SET_MODE_FILTER, 0, 0),
	CALL(seccomp, NONE, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0),

	/* No handler but ours. */
	CALL(rt_sigaction, BUILDERS, 34, 0, 0, 8),
	CALL(rt_sigaction, NONE, SIGSYS, 0, 0, 8),
	CALL(sigaltstack, NONE, 0),
};
/* clang-format on */

static void child(enum thread_role role, const struct call *c, int log_fd)
{
	const struct log_config log = { .id = "test", .level = LOG_ERROR, .fd = log_fd };

	log_setup(&log);
	if (thread_filters_prepare(NULL, NULL, NULL) < 0 ||
	    thread_filter_install(thread_filters_builtin(), role) < 0)
		_exit(NO_FILTER);
	syscall(c->number, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);
	syscall(SYS_exit_group, CAME_BACK);
}

/* The exit status, and in log what the child said. */
static int try(enum thread_role role, const struct call *c, char *log, size_t size)
{
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child(role, c, pipes[1]);
	close(pipes[1]);
	n = read(pipes[0], log, size - 1);
	log[n < 0 ? 0 : n] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void check(enum thread_role role, const struct call *c)
{
	bool allowed = c->allowed & 1u << role;
	int wanted = allowed ? CAME_BACK : THREAD_FILTER_EXIT_STATUS, status;
	char log[512], words[64];

	status = try(role, c, log, sizeof(log));
	snprintf(words, sizeof(words), "system call %ld, %s(%#lx", c->number, c->name, c->arg[0]);
	if (status != wanted || (!allowed && !strstr(log, words)))
		fail_msg("%s: %s(%#lx, %#lx, %#lx): %d, not %d: %s", thread_role_name(role),
			 c->name, c->arg[0], c->arg[1], c->arg[2], status, wanted, log);
}

static void calls_by_role(void **state)
{
	(void)state;
	for (enum thread_role role = 0; role < THREAD_ROLES; role++)
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			check(role, &calls[i]);
}

/* clone3 fails as on a kernel without it, so that glibc takes clone. */
static void threads_start(void **state)
{
	const struct call clone3 = { SYS_clone3, "clone3", MAINS, { 0 } };

	(void)state;
	check(THREAD_MAIN, &clone3);
	check(THREAD_VCPU, &(const struct call){ SYS_clone3, "clone3", NONE, { 0 } });
}

#ifdef __x86_64__
/* The kernel's other entries have other numbers: the process dies at once. */
static void other_entries(void **state)
{
	static const struct call x32 = { 0x40000000 | SYS_write, "write", NONE, { 1 } };
	char log[64];

	(void)state;
	assert_int_equal(try(THREAD_MAIN, &x32, log, sizeof(log)), 128 + SIGSYS);
	assert_string_equal(log, "");
}
#endif

static void unconfined(void **state)
{
	(void)state;
	assert_int_equal(thread_filter_install(NULL, THREAD_MAIN), 0);
	assert_null(thread_role_name(THREAD_ROLES));
}

/* --- a filter file --- */

struct file_case {
	const char *bytes;
	size_t len;
	const char *text; /* NULL: it is good */
};

#define ALLOW_ALL "\x06\0\0\0\0\0\xff\x7f"
#define FILE_CASE(bytes, text)                 \
	{                                      \
		bytes, sizeof(bytes) - 1, text \
	}
#define ONE "\x01\0\0\0"

static const struct file_case file_cases[] = {
	FILE_CASE("WISPBPF1main\0\0\0\0\0\0\0\0" ONE ALLOW_ALL "vcpu\0\0\0\0\0\0\0\0" ONE ALLOW_ALL,
		  NULL),
	FILE_CASE("", "has another format"),
	FILE_CASE("WISPBPF2", "has another format"),
	FILE_CASE("WISPBPF1\n", "has another format"),
	FILE_CASE("WISPBPF1", "lacks a program for main or for vcpu"),
	FILE_CASE("WISPBPF1main\0\0\0\0", "is cut off"),
	FILE_CASE("WISPBPF1main\0\0\0\0\0\0\0\0" ONE, "is cut off"),
	FILE_CASE("WISPBPF1main\0\0\0\0\0\0\0\0\2\0\0\0" ALLOW_ALL, "is cut off"),
	FILE_CASE("WISPBPF1main\0\0\0\0\0\0\0\0\0\0\0\0" ALLOW_ALL, "has a program without"),
	FILE_CASE("WISPBPF1main\0\0\0\0\0\0\0\0\xff\xff\xff\xff" ALLOW_ALL, "has a program with"),
	FILE_CASE("WISPBPF1thread\0\0\0\0\0\0" ONE ALLOW_ALL, "names a thread that"),
	FILE_CASE("WISPBPF1main\0\0\0\0\0\0\0\0" ONE ALLOW_ALL, "lacks a program"),
};

static void files(void **state)
{
	char path[] = "/tmp/test_thread_filter.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(file_cases) / sizeof(file_cases[0]); i++) {
		const struct file_case *c = &file_cases[i];
		struct thread_filters *filters = NULL;
		struct error err = { 0 };
		int r;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, c->bytes, c->len, 0), c->len);
		r = thread_filters_load(path, &filters, &err);
		if ((c->text == NULL) != (r == 0) || (c->text && !strstr(err.text, c->text)))
			fail_msg("case %zu: %d %s", i, r, err.text);
		if (r == 0)
			assert_int_equal(filters->role[THREAD_MAIN_RESTART].len, 1);
		thread_filters_free(filters);
	}
	close(fd);
	unlink(path);
	assert_int_equal(thread_filters_load(path, NULL, NULL), -ENOENT);
	assert_int_equal(thread_filters_load("/", NULL, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_by_role), cmocka_unit_test(threads_start),
#ifdef __x86_64__
		cmocka_unit_test(other_entries),
#endif
		cmocka_unit_test(unconfined),	 cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
