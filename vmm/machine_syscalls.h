/* machine_syscalls.h - KVM's calls on the main thread.
 *
 * While a guest runs: interrupts and notifications of devices that come, go or are
 * reset, and memory that does. To build a machine: only with --on-reboot restart, where
 * the old machine's filter holds for the new one, too; its vCPUs then inherit it.
 */
#ifndef VMM_MACHINE_SYSCALLS_H
#define VMM_MACHINE_SYSCALLS_H

#include <linux/kvm.h>

#include "vmm/seccomp/rule.h"
#include "vmm/vcpu_syscalls.h"

static const struct syscall_rule machine_syscalls[] = {
	ALLOW_IF(ioctl, IS(1, KVM_CHECK_EXTENSION)),
	ALLOW_IF(ioctl, IS(1, KVM_IOEVENTFD)),
	ALLOW_IF(ioctl, IS(1, KVM_IRQFD)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_GSI_ROUTING)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_USER_MEMORY_REGION)),
};

static const struct syscall_rule restart_syscalls[] = {
	ALLOW_IF(ioctl, IS(1, KVM_GET_API_VERSION)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_VCPU_MMAP_SIZE)),
	ALLOW_IF(ioctl, IS(1, KVM_CREATE_VM)),
	ALLOW_IF(ioctl, IS(1, KVM_CREATE_VCPU)),
	ALLOW_IF(ioctl, IS(1, KVM_ENABLE_CAP)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_IDENTITY_MAP_ADDR)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_TSS_ADDR)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_SUPPORTED_CPUID)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_CPUID2)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_MSRS)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_MSRS)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_LAPIC)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_LAPIC)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_SREGS)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_SREGS)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_REGS)),
	ALLOW_IF(rt_sigaction, IS(0, KICK_SIGNAL)),
};

#endif
