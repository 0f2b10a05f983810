/* virtio_syscalls.h - what the devices call on the main thread.
 *
 * Opening is among it: a drive's file is replaced while the guest runs. On PCI whole
 * devices come: a list of its own.
 */
#ifndef DEVICES_VIRTIO_VIRTIO_SYSCALLS_H
#define DEVICES_VIRTIO_VIRTIO_SYSCALLS_H

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm/seccomp/rule.h"

/* clang-format off */
static const struct syscall_rule virtio_syscalls[] = {
	/* blk_file.c, pmem.c */
	ALLOW(preadv2),
	ALLOW(pwritev2),
	ALLOW(pread64),
	ALLOW(pwrite64),
	ALLOW(fdatasync),
	ALLOW(fallocate),
	ALLOW_IF(ioctl, IS(1, BLKDISCARD)),
	ALLOW_IF(ioctl, IS(1, BLKROGET)),
	ALLOW_IF(fcntl, IS(1, F_OFD_SETLK)),

	/* blk_uring.c: rings that take a disk's operations on its file, and nothing else */
	ALLOW(io_uring_enter),
	ALLOW_IF(io_uring_register, IS(1, IORING_REGISTER_FILES_UPDATE)),

	/* net_tap.c */
	ALLOW_IF(ioctl, IS(1, TUNSETOFFLOAD)),
	ALLOW_IF(ioctl, IS(1, TUNSETQUEUE)),

	/* vhost_relay.c: the rings that a back end maps */
	ALLOW(memfd_create),
	ALLOW(ftruncate),

	/* vsock_rx.c, console_clients.c; the terminal itself: console_host.c, vmm/console.c */
	ALLOW_IF(ioctl, IS(1, FIONREAD)),
	ALLOW_IF(ioctl, IS(1, TIOCGWINSZ)),
	ALLOW_IF(ioctl, IS(1, TCGETS)),
	ALLOW_IF(ioctl, IS(1, TCSETS)),

	/* balloon.c, mem.c and windows: memory given back, and kept out of core dumps */
	ALLOW_IF(madvise, IS(2, MADV_DONTDUMP)),
	ALLOW_IF(madvise, IS(2, MADV_HUGEPAGE)),
	ALLOW_IF(madvise, IS(2, MADV_REMOVE)),
};

/* Making a device is opening much more than running one: where none comes while the guest
 * runs, nobody can make a ring that takes every operation, or another tap. */
static const struct syscall_rule attach_syscalls[] = {
	ALLOW(epoll_create1), /* lanes.c: the loop of one more I/O thread */

	/* blk_uring.c */
	ALLOW(io_uring_setup),
	ALLOW_IF(io_uring_register, IS(1, IORING_REGISTER_FILES)),
	ALLOW_IF(io_uring_register, IS(1, IORING_REGISTER_RESTRICTIONS)),
	ALLOW_IF(io_uring_register, IS(1, IORING_REGISTER_ENABLE_RINGS)),

	/* net_tap.c */
	ALLOW_IF(ioctl, IS(1, TUNSETIFF)),
	ALLOW_IF(ioctl, IS(1, TUNGETIFF)),
	ALLOW_IF(ioctl, IS(1, TUNSETVNETHDRSZ)),
};
/* clang-format on */

#endif
