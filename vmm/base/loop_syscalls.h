/* loop_syscalls.h - the event loop, its timers and descriptors, memory, files.
 *
 * Nothing may become executable. A path is taken from the current directory or the
 * root only, never from another open folder.
 */
#ifndef VMM_BASE_LOOP_SYSCALLS_H
#define VMM_BASE_LOOP_SYSCALLS_H

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>

#include "vmm/seccomp/rule.h"

/* clang-format off */
static const struct syscall_rule loop_syscalls[] = {
	ALLOW(epoll_wait),
	ALLOW(epoll_ctl),
	ALLOW(read),
	ALLOW(readv),
	ALLOW(writev),
	ALLOW(close),
	ALLOW(poll),
	ALLOW(eventfd2),
	ALLOW(timerfd_create),
	ALLOW(timerfd_settime),
	ALLOW(signalfd4),		/* watched after a start from a configuration file */
	ALLOW(clock_nanosleep),		/* between two attempts to reach a back end */
	ALLOW(getrandom),
	ALLOW(sched_getscheduler),	/* pace.c */
	ALLOW_IF(sched_setscheduler, IS(0, 0), IS(1, SCHED_BATCH)),
	ALLOW_IF(sched_setscheduler, IS(0, 0), IS(1, SCHED_OTHER)),
	ALLOW(sysinfo),			/* glibc's qsort() asks how much memory there is */

	ALLOW_IF(fcntl, IS(1, F_GETFL)),
	ALLOW_IF(fcntl, IS(1, F_SETFL)),
	ALLOW_IF(fcntl, IS(1, F_GETFD)),
	ALLOW_IF(fcntl, IS(1, F_SETFD)),
	ALLOW_IF(fcntl, IS(1, F_DUPFD_CLOEXEC)),

	ALLOW_IF(openat, IS(0, AT_FDCWD)),
	ALLOW(newfstatat),		/* also glibc's fstat(), with a descriptor */
	ALLOW(readlink),
	ALLOW(unlink),
	ALLOW(lseek),

	ALLOW(brk),
	ALLOW(munmap),
	ALLOW_IF(mmap, WITHOUT(2, PROT_EXEC)),
	ALLOW_IF(mprotect, WITHOUT(2, PROT_EXEC)),
	ALLOW(mremap),			/* realloc(); keeps the protection */
};
/* clang-format on */

#endif
