/* snapshot_syscalls.h - what the main thread calls to save a machine, and to load one.
 *
 * Saving: files are written aside, synced and renamed; a vCPU's and the machine's state
 * is read from KVM, never set. Loading comes before the filters, except in a process that
 * waits for its snapshot: there its calls end with the filter that comes before the
 * guest.
 */
#ifndef VMM_SNAPSHOT_SNAPSHOT_SYSCALLS_H
#define VMM_SNAPSHOT_SNAPSHOT_SYSCALLS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "vmm/seccomp/rule.h"

/* linux/mman.h's MADV_POPULATE_READ and _WRITE, which libc's headers need not have. */
enum { POPULATE_READ = 22, POPULATE_WRITE = 23 };

static const struct syscall_rule snapshot_syscalls[] = {
	ALLOW(pread64),
	ALLOW(pwrite64),
	ALLOW(ftruncate),
	ALLOW(fsync),
	ALLOW(rename),
	ALLOW(copy_file_range),
	ALLOW(statx), /* what the disks' files are, for the manifest */
	ALLOW_IF(ioctl, IS(1, FICLONE)),
	/* By the device alone, which a jail has or has not. */
	REFUSE(userfaultfd, EPERM),
	ALLOW_IF(ioctl, IS(1, USERFAULTFD_IOC_NEW)),
	ALLOW_IF(ioctl, IS(1, UFFDIO_API)),
	ALLOW_IF(ioctl, IS(1, UFFDIO_REGISTER)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_SUPPORTED_CPUID)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_MSR_INDEX_LIST)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_CLOCK)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_CPUID2)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_MP_STATE)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_REGS)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_SREGS)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_XCRS)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_XSAVE)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_XSAVE2)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_DEBUGREGS)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_LAPIC)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_VCPU_EVENTS)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_TSC_KHZ)),
	ALLOW_IF(ioctl, IS(1, KVM_GET_MSRS)),
};

static const struct syscall_rule load_syscalls[] = {
	ALLOW_IF(ioctl, IS(1, KVM_SET_MP_STATE)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_XCRS)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_XSAVE)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_DEBUGREGS)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_VCPU_EVENTS)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_TSC_KHZ)),
	ALLOW_IF(ioctl, IS(1, KVM_SET_CLOCK)),
	ALLOW_IF(ioctl, IS(1, KVM_KVMCLOCK_CTRL)),
	/* memory_handler.c */
	ALLOW(pidfd_open),
	ALLOW_IF(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_PEERCRED)),
	ALLOW_IF(setsockopt, IS(1, SOL_SOCKET), IS(2, SO_SNDTIMEO)),
};

/* Threads beside it: memory_handler.c, live_save.c, prefetch.c. */
static const struct syscall_rule snapshot_thread_syscalls[] = {
	ALLOW(poll),
	ALLOW(getrusage),
	ALLOW(close),
	ALLOW_IF(ioctl, IS(1, UFFDIO_WAKE)),
	ALLOW_IF(ioctl, IS(1, UFFDIO_WRITEPROTECT)),
	ALLOW_IF(madvise, IS(2, POPULATE_READ)),
	ALLOW_IF(madvise, IS(2, POPULATE_WRITE)),
	ALLOW_IF(madvise, IS(2, MADV_WILLNEED)),
	ALLOW(read),
	ALLOW(pread64),
	ALLOW(pwrite64),
	ALLOW(fsync),
};

#endif
