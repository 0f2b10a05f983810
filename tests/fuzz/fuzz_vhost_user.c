/* fuzz_vhost_user.c - a hostile back end: every byte that it can send.
 *
 * The input is a list of pieces, each behind its length in two bytes and a place in one.
 * The first three are what the back end writes into its used ring, what it asks on its
 * own channel, and what it says on the first connection; those behind are what it says on
 * the next ones, after which nobody listens any more. A descriptor comes with the byte
 * that the place names, in units of 4 bytes; 255: none. Time does not pass by waiting.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/virtio/transport.h"
#include "devices/virtio/vhost_blk.h"
#include "devices/virtio/vhost_wire.h"
#include "tests/unit/virtio_driver.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

#include <linux/virtio_mmio.h>

enum { PIECES = 8, NO_FD = 255, USED_OFFSET = 1024, QUEUE_SIZE = 8, REQUESTS = 4 };

struct piece {
	const uint8_t *at;
	size_t len;
	unsigned fd_at;
};

static struct back_end {
	struct piece piece[PIECES];
	unsigned count, next;
	int fd;		       /* its end of the connection */
	int back, rings, call; /* what it was given */
	uint64_t now_us;
} peer;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
uint64_t __wrap_clock_now_us(void);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

uint64_t __wrap_clock_now_us(void)
{
	return peer.now_us += 250000;
}

int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	(void)t;
	(void)left;
	return 0;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
	const struct itimerspec now = { .it_value.tv_nsec = 1 };

	(void)t;
	return __real_timerfd_settime(fd, flags, &now, old);
}

static void send_some(int fd, const uint8_t *at, size_t len, int descriptor)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)at, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (descriptor >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &descriptor, sizeof(descriptor));
	}
	if (len > 0)
		sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_piece(int fd, const struct piece *p)
{
	size_t before = p->fd_at == NO_FD ? p->len : (size_t)p->fd_at * 4;

	if (before > p->len)
		before = p->len;
	send_some(fd, p->at, before, -1);
	send_some(fd, p->at + before, p->len - before, fd);
}

/* All is said at once, and then no more: nobody waits for an answer in vain. */
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	int ends[2];

	(void)address;
	(void)len;
	peer.fd = fd_close(peer.fd);
	if (peer.next >= peer.count) {
		errno = ECONNREFUSED;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    dup3(ends[0], fd, O_CLOEXEC) < 0)
		abort();
	close(ends[0]);
	peer.fd = ends[1];
	send_piece(peer.fd, &peer.piece[peer.next++]);
	shutdown(peer.fd, SHUT_WR);
	return 0;
}

static void keep(int *at, int *fd)
{
	fd_close(*at);
	*at = *fd;
	*fd = -1;
}

/* Reads what it was told, for the descriptors in it. */
static bool listen_once(void)
{
	struct vhost_header h;
	union vhost_payload payload;
	int fds[VHOST_USER_MAX_REGIONS];
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(fds))];
	} control;
	struct iovec iov = { &h, sizeof(h) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	size_t n = 0;

	if (recvmsg(peer.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != sizeof(h))
		return false;
	if (CMSG_FIRSTHDR(&msg)) {
		n = (CMSG_FIRSTHDR(&msg)->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), n * sizeof(int));
	}
	if (h.size > 0 && recv(peer.fd, &payload, h.size, MSG_DONTWAIT) != (ssize_t)h.size)
		abort();
	if (h.request == VHOST_USER_SET_BACKEND_REQ_FD && n == 1)
		keep(&peer.back, &fds[0]);
	if (h.request == VHOST_USER_SET_VRING_CALL && n == 1)
		keep(&peer.call, &fds[0]);
	if (h.request == VHOST_USER_SET_MEM_TABLE && n == 3)
		keep(&peer.rings, &fds[2]);
	while (n > 0)
		fd_close(fds[--n]);
	return true;
}

static void misbehave(void)
{
	while (peer.fd >= 0 && listen_once())
		continue;
	if (peer.back >= 0)
		send_piece(peer.back, &peer.piece[1]);
	if (peer.rings >= 0 &&
	    pwrite(peer.rings, peer.piece[0].at, peer.piece[0].len % 2048, USED_OFFSET) < 0)
		abort();
	if (peer.call >= 0)
		fd_event_signal(peer.call);
}

/* What a driver does that keeps to the rules. */
static void drive(struct virtio_dev *dev)
{
	const struct driver_buffer b = { DRIVER_BUFFERS, 8, true };
	struct driver d;

	vhost_user_set_queues(dev, 2);
	driver_create(&d, dev);
	driver_start(&d, 0, QUEUE_SIZE);
	driver_run(&d);
	for (unsigned i = 0; i < REQUESTS; i++) {
		driver_chain(&d, (uint16_t)i, &b, 1);
		driver_offer(&d, (uint16_t)i);
	}
	driver_kick(&d, 0);
	misbehave();
	driver_run(&d);
	virtio_transport_pause(d.transport);
	virtio_transport_resume(d.transport);
	driver_run(&d);
	misbehave();
	driver_run(&d);
	driver_put(&d, VIRTIO_MMIO_STATUS, 0);
	driver_run(&d);
	driver_destroy(&d);
}

static void cut_up(const uint8_t *data, size_t size)
{
	peer.count = 0;
	while (size >= 3 && peer.count < PIECES) {
		struct piece *p = &peer.piece[peer.count++];

		p->len = data[0] | (size_t)data[1] << 8;
		p->fd_at = data[2];
		p->at = data + 3;
		size -= 3;
		if (p->len > size)
			p->len = size;
		data += 3 + p->len;
		size -= p->len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct virtio_dev *dev;

	log_setup(&(struct log_config){ .id = "fuzz", .level = LOG_OFF, .fd = STDERR_FILENO });
	peer = (struct back_end){ .fd = -1, .back = -1, .rings = -1, .call = -1 };
	cut_up(data, size);
	if (peer.count < 3)
		return 0;
	peer.next = 2;
	if (vhost_blk_create("s", true, &dev, NULL) == 0)
		drive(dev);
	fd_close(peer.fd);
	fd_close(peer.back);
	fd_close(peer.rings);
	fd_close(peer.call);
	return 0;
}
