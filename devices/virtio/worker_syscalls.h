/* worker_syscalls.h - what a device's own thread calls: pmem_flush.c. */
#ifndef DEVICES_VIRTIO_WORKER_SYSCALLS_H
#define DEVICES_VIRTIO_WORKER_SYSCALLS_H

#include "vmm/seccomp/rule.h"

static const struct syscall_rule worker_syscalls[] = {
	ALLOW(fdatasync),
};

#endif
