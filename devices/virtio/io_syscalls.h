/* io_syscalls.h - what an I/O thread calls (lanes.h): the turns of a disk's and of a network
 * interface's queues.
 *
 * Each entry works on a descriptor that is open already.
 */
#ifndef DEVICES_VIRTIO_IO_SYSCALLS_H
#define DEVICES_VIRTIO_IO_SYSCALLS_H

#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "vmm/seccomp/rule.h"

/* clang-format off */
static const struct syscall_rule io_syscalls[] = {
	ALLOW(epoll_wait),		/* loop.c */
	ALLOW(epoll_ctl),
	ALLOW(read),			/* eventfds */
	ALLOW(timerfd_settime),		/* throttle.c */
	ALLOW(sched_getscheduler),	/* pace.c */
	ALLOW_IF(sched_setscheduler, IS(0, 0), IS(1, SCHED_BATCH)),
	ALLOW_IF(sched_setscheduler, IS(0, 0), IS(1, SCHED_OTHER)),

	/* blk_file.c, blk_uring.c */
	ALLOW(preadv2),
	ALLOW(pwritev2),
	ALLOW(fdatasync),
	ALLOW(fallocate),
	ALLOW_IF(ioctl, IS(1, BLKDISCARD)),
	ALLOW(io_uring_enter),

	/* net_tap.c */
	ALLOW(readv),
	ALLOW(writev),
};
/* clang-format on */

#endif
