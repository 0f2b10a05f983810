/* base_syscalls.h - what every thread calls: locks, the log, eventfds, its own end.
 *
 * clock_gettime comes from the vDSO, except for CPU time and on hosts whose clock is
 * not the TSC. exit_group and write also serve the handler of a violation.
 */
#ifndef VMM_BASE_BASE_SYSCALLS_H
#define VMM_BASE_BASE_SYSCALLS_H

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "vmm/seccomp/rule.h"

static const struct syscall_rule base_syscalls[] = {
	/* No priority inheritance and no requeueing: nothing here uses them. */
	ALLOW_IF(futex, MASKED(1, FUTEX_CMD_MASK, FUTEX_WAIT)),
	ALLOW_IF(futex, MASKED(1, FUTEX_CMD_MASK, FUTEX_WAKE)),
	ALLOW_IF(futex, MASKED(1, FUTEX_CMD_MASK, FUTEX_WAIT_BITSET)),
	ALLOW(write),
	ALLOW(clock_gettime),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(restart_syscall),
	ALLOW(exit),
	ALLOW(exit_group),
	/* The name in a line of the log. */
	ALLOW_IF(prctl, IS(0, PR_GET_NAME)),
	/* A thread that ends gives its stack's pages back. */
	ALLOW_IF(madvise, IS(2, MADV_DONTNEED)),
};

#endif
