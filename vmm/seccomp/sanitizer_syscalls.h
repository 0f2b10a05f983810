/* sanitizer_syscalls.h - what the sanitizers' run-times call, in builds with them only.
 *
 * Their reports, their shadow memory, and the leak check at the end, which stops the
 * threads by ptrace from a process that it clones: one call of that process refused, and
 * the check waits for ever.
 */
#ifndef VMM_SECCOMP_SANITIZER_SYSCALLS_H
#define VMM_SECCOMP_SANITIZER_SYSCALLS_H

#include "vmm/seccomp/rule.h"

/* clang-format off */
static const struct syscall_rule sanitizer_syscalls[] = {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	ALLOW(mmap), ALLOW(munmap), ALLOW(mprotect), ALLOW(madvise), ALLOW(mremap),
	ALLOW(sigaltstack), ALLOW(rt_sigaction), ALLOW(sched_yield), ALLOW(gettid), ALLOW(getpid),
	ALLOW(open), ALLOW(openat), ALLOW(read), ALLOW(close), ALLOW(newfstatat), ALLOW(fstat),
	ALLOW(fcntl), ALLOW(readlink), ALLOW(readlinkat), ALLOW(lseek), ALLOW(pipe2),
	ALLOW(getdents), ALLOW(getdents64), ALLOW(futex),
	ALLOW(sched_getaffinity), ALLOW(prlimit64), ALLOW(getrusage), ALLOW(nanosleep),
	ALLOW(clock_nanosleep), ALLOW(clone), ALLOW(clone3), ALLOW(ptrace), ALLOW(wait4),
	ALLOW(prctl), ALLOW(process_vm_readv), ALLOW(tgkill), ALLOW(getppid), ALLOW(arch_prctl),
	ALLOW(getuid), ALLOW(geteuid), ALLOW(uname), ALLOW(ioctl), ALLOW(dup), ALLOW(stat),
	ALLOW(gettimeofday), ALLOW(clock_gettime), ALLOW(clock_getres), ALLOW(time), ALLOW(dup2),
	ALLOW(pipe), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn), ALLOW(set_robust_list), ALLOW(rseq),
	ALLOW(personality), ALLOW(access), ALLOW(getcwd), ALLOW(write), ALLOW(writev), ALLOW(readv),
	ALLOW(poll), ALLOW(pread64),
#endif
	ALLOW(exit_group),
};
/* clang-format on */

#endif
