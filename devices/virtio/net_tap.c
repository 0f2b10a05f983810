/* net_tap.c - a tap of the host's kernel as the back end of a network interface.
 *
 * A frame is one readv(2) or writev(2) on guest memory. The kernel puts the virtio
 * header in front (IFF_VNET_HDR) and is told by TUNSETOFFLOAD what the driver can
 * take: packets whose checksum is yet to be made, and packets of up to 64 KiB that are
 * cut into segments on the wire, or never. A reset takes that back, and what is still
 * queued from before is dropped, since it may be of a kind that the next driver does
 * not know.
 *
 * A tap made with multi_queue has one descriptor a queue, and the kernel spreads flows
 * over those that are attached; a queue that the driver does not use is detached. Any
 * number of processes may attach to such a tap, and each would see part of the
 * traffic. So its name is claimed by an abstract socket, whose names live in the same
 * network namespace as the tap's.
 *
 * System calls: openat, ioctl (TUNSETIFF, TUNGETIFF, TUNSETVNETHDRSZ, TUNSETOFFLOAD, TUNSETQUEUE),
 * readv, writev, socket, bind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/net_tap.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

#define BIT(n) (UINT64_C(1) << (n))

enum {
	PURGE_MAX = 4096, /* frames; a tap's own queue holds 1000 */
	/* Linux 6.2 and later; only both together. */
	OFFLOAD_USO = 0x20 | 0x40,
};

struct net_tap {
	struct net_backend base;
	bool adopted;	   /* set up by somebody else */
	bool multi_queue;  /* the tap was made so */
	int claim;	   /* the socket that claims its name, or -1 */
	unsigned attached; /* pairs in use */
	char name[IFNAMSIZ];
};

static struct net_tap *to_tap(struct net_backend *b)
{
	return container_of(b, struct net_tap, base);
}

/* --- frames --- */

static ssize_t tap_receive(struct net_backend *b, unsigned pair, const struct iov *into)
{
	ssize_t n;

	do
		n = readv(b->fd[pair], into->vec, (int)into->count);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ENOTCONN;
	return n < 0 ? -errno : n;
}

static int tap_send(struct net_backend *b, unsigned pair, const struct iov *frame)
{
	ssize_t n;

	if (frame->count == 0)
		return 0;
	do
		n = writev(b->fd[pair], frame->vec, (int)frame->count);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* --- what the driver can take --- */

static unsigned offload_flags(uint64_t accepted)
{
	static const struct {
		unsigned feature, flag;
	} map[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
		{ VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
	};
	const uint64_t uso = BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6);
	unsigned flags = (accepted & uso) == uso ? OFFLOAD_USO : 0;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		if (accepted & BIT(map[i].feature))
			flags |= map[i].flag;
	}
	return flags;
}

static int set_offload(struct net_tap *t, unsigned flags)
{
	if (t->adopted)
		return 0;
	return ioctl(t->base.fd[0], TUNSETOFFLOAD, flags) < 0 ? -errno : 0;
}

static uint64_t probe_offloads(struct net_tap *t)
{
	const uint64_t always = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
				BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
				BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
				BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN);
	const uint64_t uso = BIT(NET_F_HOST_USO) | BIT(NET_F_GUEST_USO4) | BIT(NET_F_GUEST_USO6);

	return set_offload(t, TUN_F_CSUM | OFFLOAD_USO) == 0 ? always | uso : always;
}

/* --- queues --- */

static int attach_queue(struct net_tap *t, unsigned pair, bool attach)
{
	struct ifreq ifr = { .ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (t->adopted)
		return 0;
	return ioctl(t->base.fd[pair], TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

static int tap_use_pairs(struct net_backend *b, unsigned n)
{
	struct net_tap *t = to_tap(b);
	int r = 0;

	while (r == 0 && t->attached != n) {
		bool more = t->attached < n;

		r = attach_queue(t, more ? t->attached : t->attached - 1, more);
		if (r == 0)
			t->attached += more ? 1 : -1u;
	}
	return r;
}

/* A new descriptor of the tap, or a negative errno. */
static int open_queue(struct net_tap *t, bool multi_queue)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (multi_queue)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(ifr.ifr_name, t->name, sizeof(ifr.ifr_name));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	return fd;
}

static void tap_open_pairs(struct net_backend *b, unsigned wanted)
{
	struct net_tap *t = to_tap(b);

	if (!t->multi_queue)
		return;
	while (b->pairs < wanted) {
		int fd = open_queue(t, true);

		if (fd >= 0)
			b->fd[b->pairs] = fd;
		if (fd < 0 || attach_queue(t, b->pairs, false) < 0) {
			log_warn("tap '%s': %u queues for %u vCPUs, since no more could be opened",
				 t->name, b->pairs, wanted);
			fd_close(fd);
			return;
		}
		b->pairs++;
	}
}

/* --- life --- */

/* A frame that is read in part is gone as a whole. Less than its header cannot be read. */
static void purge(struct net_backend *b, unsigned pair)
{
	char header[NET_HEADER_BYTES];
	int n = 0;

	while (n < PURGE_MAX && read(b->fd[pair], header, sizeof(header)) >= 0)
		n++;
}

static int tap_start(struct net_backend *b, uint64_t accepted)
{
	struct net_tap *t = to_tap(b);
	int r = set_offload(t, offload_flags(accepted));

	for (unsigned i = 0; i < b->pairs && r == 0; i++)
		purge(b, i);
	return r;
}

/* Should the kernel refuse, the next start says so. */
static void tap_stop(struct net_backend *b)
{
	set_offload(to_tap(b), 0);
	tap_use_pairs(b, 1);
}

static void tap_destroy(struct net_backend *b)
{
	struct net_tap *t = to_tap(b);

	for (unsigned i = 0; i < b->pairs; i++)
		fd_close(b->fd[i]);
	fd_close(t->claim);
	free(t);
}

static const struct net_backend_ops tap_ops = {
	.open_pairs = tap_open_pairs,
	.start = tap_start,
	.stop = tap_stop,
	.use_pairs = tap_use_pairs,
	.receive = tap_receive,
	.send = tap_send,
	.destroy = tap_destroy,
};

static struct net_tap *tap_new(void)
{
	struct net_tap *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->base.ops = &tap_ops;
	t->base.pairs = 1;
	t->base.fd[0] = t->claim = -1;
	t->attached = 1;
	return t;
}

/* Nobody else that runs wisp may have the tap. 0 or a negative errno. */
static int claim_name(struct net_tap *t)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "wisp-tap/%s", t->name);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);

	t->claim = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (t->claim < 0)
		return -errno;
	if (bind(t->claim, (struct sockaddr *)&a, len) < 0)
		return errno == EADDRINUSE ? -EBUSY : -errno;
	return 0;
}

/* Somebody with more rights has attached it; one queue, whichever kind of tap. */
static int use_named(struct net_tap *t)
{
	const short want = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq ifr = { 0 };
	int flags;

	t->base.fd[0] = fd_open(t->name, O_RDWR, 0);
	if (t->base.fd[0] < 0)
		return -errno;
	if (ioctl(t->base.fd[0], TUNGETIFF, &ifr) < 0 || (ifr.ifr_flags & want) != want)
		return -EBADFD;
	flags = fcntl(t->base.fd[0], F_GETFL);
	return flags < 0 || fcntl(t->base.fd[0], F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/* The kernel tells a tap of the other kind by EINVAL. */
static int open_first(struct net_tap *t)
{
	int r = open_queue(t, false);

	if (r == -EINVAL) {
		t->multi_queue = true;
		r = claim_name(t);
		if (r == 0)
			r = open_queue(t, true);
	}
	if (r >= 0)
		t->base.fd[0] = r;
	return r < 0 ? r : 0;
}

static int set_up(struct net_tap *t)
{
	int header = NET_HEADER_BYTES;

	if (ioctl(t->base.fd[0], TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	t->base.offloads = probe_offloads(t);
	return set_offload(t, 0);
}

static int open_error(const char *name, int r, struct error *err)
{
	const char *hint = "give the name of a tap that this user may use";

	if (r == -EPERM || r == -EACCES)
		hint = "as root: ip tuntap add NAME mode tap user USER, with USER who runs wisp";
	if (r == -EBUSY)
		hint = "another process has this tap: end it, or give each machine a tap";
	if (r == -EBADF || r == -EBADFD)
		hint = "pass a tap that is attached with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR";
	if (r == -ENOENT || r == -ENODEV)
		hint = "load the kernel's tun module: modprobe tun";
	return error_set(err, r, "host_dev_name", hint,
			 "Could not create the network device: Open tap device failed: %s (os "
			 "error %d): \"%s\"",
			 strerror(-r), -r, name);
}

static bool name_valid(const char *name)
{
	return name[0] && strlen(name) < IFNAMSIZ && !strpbrk(name, "/%: \t\n");
}

int net_tap_open(const char *name, struct net_backend **ret, struct error *err)
{
	bool is_open = fd_is_named(name);
	struct net_tap *t;
	int r;

	if (!is_open && !name_valid(name))
		return error_set(err, -EINVAL, "host_dev_name",
				 "give 1 to 15 characters, none of them / % : or blank",
				 "Could not create the network device: Open tap device failed: "
				 "Invalid interface name: \"%s\"",
				 name);
	t = tap_new();
	if (!t)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	snprintf(t->name, sizeof(t->name), "%s", name);
	r = is_open ? use_named(t) : open_first(t);
	if (r == 0)
		r = set_up(t);
	if (r < 0) {
		tap_destroy(&t->base);
		return open_error(name, r, err);
	}
	*ret = &t->base;
	return 0;
}

int net_tap_adopt(const int *fds, unsigned n, uint64_t offloads, struct net_backend **ret)
{
	struct net_tap *t = tap_new();

	if (!t)
		return -ENOMEM;
	t->adopted = true;
	t->base.pairs = n;
	t->base.offloads = offloads;
	memcpy(t->base.fd, fds, n * sizeof(fds[0]));
	*ret = &t->base;
	return 0;
}
