/* fuzz_virtio_net.c - a hostile driver against a network interface, and a hostile host
 * behind it.
 *
 * The first byte chooses the back end: a tap, for which a socket stands that keeps the
 * bounds of frames, or passt's stream, where the next bytes are what passt says. Whatever
 * the driver does, the host sees whole frames from the guest's own address.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/net.h"
#include "devices/virtio/net_header.h"
#include "devices/virtio/net_passt.h"
#include "devices/virtio/net_tap.h"
#include "tests/fuzz/virtio_script.h"

enum { PAIRS = 2, FRAMES = 8, SAID_MAX = 64 };

#define BIT(n) (UINT64_C(1) << (n))
#define OFFLOADS                                                                                  \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |   \
	 BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | \
	 BIT(NET_F_HOST_USO))

static const struct virtio_net_options options = {
	.id = "fuzz",
	.mac = { 6, 0, 0, 0, 0, 1 },
	.mtu = 1500,
};

struct interface {
	int host[PAIRS];
	struct virtio_script script;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make(struct interface *n, struct net_backend *b, struct loop *loop)
{
	struct virtio_dev *dev;

	if (virtio_net_create(&options, b, &dev) < 0)
		abort();
	virtio_net_set_vcpus(dev, PAIRS);
	virtio_script_create(&n->script, dev);
	if (virtio_transport_attach(n->script.transport, loop) < 0)
		abort();
}

static void make_tap(struct interface *n, struct loop *loop)
{
	struct net_backend *b;
	int fds[2], device[PAIRS];

	for (int i = 0; i < PAIRS; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) < 0)
			abort();
		n->host[i] = fds[0];
		device[i] = fds[1];
	}
	if (net_tap_adopt(device, PAIRS, OFFLOADS, &b) < 0)
		abort();
	make(n, b, loop);
}

static void make_passt(struct interface *n, struct loop *loop)
{
	struct net_backend *b;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0 ||
	    net_passt_adopt(fds[1], &b) < 0)
		abort();
	n->host[0] = fds[0];
	make(n, b, loop);
}

static void check_frame(const char *frame, ssize_t len)
{
	struct net_head head;

	if (len < (ssize_t)sizeof(head))
		abort();
	memcpy(&head, frame, sizeof(head));
	if (memcmp(head.ethernet.h_source, options.mac, ETH_ALEN) != 0 ||
	    (head.virtio.flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0)
		abort();
}

static void run_tap(struct interface *n, const uint8_t *data, size_t size)
{
	static char frame[NET_FRAME_MAX + 1];
	ssize_t len;

	for (size_t i = 0; i < FRAMES && i < size; i++)
		send(n->host[i % PAIRS], frame, NET_HEADER_BYTES + 1 + (size_t)data[i] * 25, 0);
	virtio_script_run(&n->script, data, size);
	for (int i = 0; i < PAIRS; i++)
		while ((len = recv(n->host[i], frame, sizeof(frame), 0)) >= 0)
			check_frame(frame, len);
}

/* A stream that broke the protocol is over: each input gets its own. */
static void run_passt(struct loop *loop, const uint8_t *data, size_t size)
{
	struct interface n;
	size_t said = size < SAID_MAX ? size : SAID_MAX;

	make_passt(&n, loop);
	if (send(n.host[0], data, said, 0) < 0)
		abort();
	virtio_script_run(&n.script, data + said, size - said);
	virtio_transport_destroy(n.script.transport);
	gmem_destroy(n.script.mem);
	close(n.host[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct interface tap;
	static struct loop *loop;

	if (!loop && loop_create(&loop) < 0)
		abort();
	if (!tap.script.dev)
		make_tap(&tap, loop);
	if (size < 2)
		return 0;
	if (data[0] & 1)
		run_passt(loop, data + 1, size - 1);
	else
		run_tap(&tap, data + 1, size - 1);
	return 0;
}
