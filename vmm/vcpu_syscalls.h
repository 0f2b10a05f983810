/* vcpu_syscalls.h - what a vCPU's thread calls, beyond what every thread does.
 *
 * It is the thread that a guest's instructions reach first, so its list is the shortest.
 */
#ifndef VMM_VCPU_SYSCALLS_H
#define VMM_VCPU_SYSCALLS_H

#include <linux/kvm.h>

#include "vmm/seccomp/rule.h"

/* glibc's SIGRTMIN, which is a function there. */
enum { KICK_SIGNAL = 34 };

/* Any vCPU, for the machine's end, and the main thread kick vCPUs by pthread_kill(). The
 * signal is one that ends nothing here. */
static const struct syscall_rule kick_syscalls[] = {
	ALLOW(getpid),
	ALLOW(gettid),
	ALLOW_IF(tgkill, IS(2, KICK_SIGNAL)),
};

static const struct syscall_rule vcpu_syscalls[] = {
	ALLOW_IF(ioctl, IS(1, KVM_RUN)),
};

#endif
