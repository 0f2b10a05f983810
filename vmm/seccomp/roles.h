/* roles.h - which lists make which thread's filter: the one place that knows all. */
#ifndef VMM_SECCOMP_ROLES_H
#define VMM_SECCOMP_ROLES_H

#include "api/http_syscalls.h"
#include "devices/virtio/io_syscalls.h"
#include "devices/virtio/register_syscalls.h"
#include "devices/virtio/virtio_syscalls.h"
#include "devices/virtio/worker_syscalls.h"
#include "vmm/base/base_syscalls.h"
#include "vmm/base/loop_syscalls.h"
#include "vmm/base/thread_filter.h"
#include "vmm/base/thread_syscalls.h"
#include "vmm/machine_syscalls.h"
#include "vmm/seccomp/rule.h"
#include "vmm/seccomp/sanitizer_syscalls.h"
#include "vmm/snapshot/snapshot_syscalls.h"
#include "vmm/vcpu_syscalls.h"

enum { ROLE_LISTS = 16 };

/* clang-format off */
/* What the main thread needs whatever the machine is. */
#define MAIN_SYSCALLS \
	SYSCALL_LIST(loop_syscalls), \
	SYSCALL_LIST(base_syscalls), \
	SYSCALL_LIST(http_syscalls), \
	SYSCALL_LIST(virtio_syscalls), \
	SYSCALL_LIST(machine_syscalls), \
	SYSCALL_LIST(kick_syscalls), \
	SYSCALL_LIST(snapshot_syscalls), \
	SYSCALL_LIST(snapshot_thread_syscalls), \
	SYSCALL_LIST(thread_syscalls), \
	SYSCALL_LIST(worker_syscalls), \
	SYSCALL_LIST(sanitizer_syscalls)

/* A thread that is started later inherits its parent's filter and needs the parent to
 * allow all that it does: hence the workers' list in the main thread's, and the vCPUs'
 * where a machine is built a second time; all of their registers' calls it has anyway. */
static const struct role {
	enum thread_role role;
	struct syscall_list lists[ROLE_LISTS];
} roles[] = {
	{ THREAD_VCPU, {
		SYSCALL_LIST(vcpu_syscalls),
		SYSCALL_LIST(kick_syscalls),
		SYSCALL_LIST(register_syscalls),
		SYSCALL_LIST(base_syscalls),
		SYSCALL_LIST(sanitizer_syscalls),
	} },
	{ THREAD_WORKER, {
		SYSCALL_LIST(worker_syscalls),
		SYSCALL_LIST(snapshot_thread_syscalls),
		SYSCALL_LIST(base_syscalls),
		SYSCALL_LIST(sanitizer_syscalls),
	} },
	{ THREAD_IO, {
		SYSCALL_LIST(io_syscalls),
		SYSCALL_LIST(base_syscalls),
		SYSCALL_LIST(sanitizer_syscalls),
	} },
	{ THREAD_MAIN, { MAIN_SYSCALLS } },
	{ THREAD_MAIN_PCI, { MAIN_SYSCALLS, SYSCALL_LIST(attach_syscalls) } },
	{ THREAD_MAIN_RESTART, {
		MAIN_SYSCALLS,
		SYSCALL_LIST(attach_syscalls),
		SYSCALL_LIST(restart_syscalls),
		SYSCALL_LIST(vcpu_syscalls),
	} },
	{ THREAD_MAIN_BLANK, {
		MAIN_SYSCALLS,
		SYSCALL_LIST(attach_syscalls),
		SYSCALL_LIST(restart_syscalls),
		SYSCALL_LIST(load_syscalls),
		SYSCALL_LIST(vcpu_syscalls),
	} },
};
/* clang-format on */

#endif
