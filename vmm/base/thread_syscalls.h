/* thread_syscalls.h - what starting, naming and confining a thread takes.
 *
 * clone3 has its flags in memory, where no filter can see them: refused, glibc falls
 * back on clone, and clone is allowed with the flags of pthread_create() alone, which
 * make a thread and never a process or a namespace.
 */
#ifndef VMM_BASE_THREAD_SYSCALLS_H
#define VMM_BASE_THREAD_SYSCALLS_H

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "vmm/seccomp/rule.h"

enum {
	PTHREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
};

static const struct syscall_rule thread_syscalls[] = {
	REFUSE(clone3, ENOSYS),
	ALLOW_IF(clone, IS(0, PTHREAD_FLAGS)),
	ALLOW(set_robust_list),
	ALLOW(rseq),
	ALLOW_IF(prctl, IS(0, PR_SET_NAME)),
	/* A filter on top of this one, never instead of it. */
	ALLOW_IF(prctl, IS(0, PR_GET_SECCOMP)),
	ALLOW_IF(prctl, IS(0, PR_SET_NO_NEW_PRIVS)),
	ALLOW_IF(seccomp, IS(0, SECCOMP_SET_MODE_FILTER), IS(1, 0)),
};

#endif
