/* register_syscalls.h - what a driver's access to a device's registers leads to, on the
 * thread of the vCPU that makes it: activation, reset, configuration, interrupts.
 *
 * Each entry works on a descriptor that is open already. Nothing here opens, maps or
 * connects.
 */
#ifndef DEVICES_VIRTIO_REGISTER_SYSCALLS_H
#define DEVICES_VIRTIO_REGISTER_SYSCALLS_H

#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "vmm/seccomp/rule.h"

/* clang-format off */
static const struct syscall_rule register_syscalls[] = {
	/* Interrupts' routes (the IOAPIC, MSI-X); descriptors of a PCI device that moves */
	ALLOW_IF(ioctl, IS(1, KVM_SET_GSI_ROUTING)),
	ALLOW_IF(ioctl, IS(1, KVM_IOEVENTFD)),

	ALLOW(epoll_ctl),			/* watch.c: what to wait for from now on */
	ALLOW(read),				/* eventfds and timers, drained */
	ALLOW(timerfd_settime),			/* throttle.c, balloon.c, vhost_user.c */
	ALLOW(io_uring_enter),			/* blk_uring.c: a reset waits for requests */
	ALLOW_IF(ioctl, IS(1, TUNSETOFFLOAD)),	/* net_tap.c: what the driver accepted */
	ALLOW_IF(ioctl, IS(1, TUNSETQUEUE)),
	ALLOW(shutdown),			/* vsock_socket.c: connections of a reset device */
	ALLOW(close),

	/* vhost_talk.c: queues taken back, configuration written */
	ALLOW(sendmsg),
	ALLOW(recvmsg),
	ALLOW(poll),
};
/* clang-format on */

#endif
