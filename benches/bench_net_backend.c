/* bench_net_backend.c - the network interface alone: its driver in this process.
 *
 * Frames go through a real tap, in a network namespace of the benchmark's own, where
 * nobody wants them:
 *
 *   send60, send64k        the driver's, of 60 bytes and of 64 KiB to be cut into segments
 *   receive60              made by a child on a packet socket, as fast as it can
 *
 * When the child cannot keep up, the device waits for it, and frames per second are the
 * child's; the processor's time per frame is the device's in any case.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/backend.h"
#include "benches/bench.h"
#include "devices/virtio/net.h"
#include "devices/virtio/net_tap.h"
#include "vmm/base/fd.h"

enum {
	NET_RUNS = 5,
	NET_DEPTH = 32,
	NET_COUNT = 32768,
	SMALL = 60, /* bytes of a frame, header not counted */
	LARGE = 65226,
	SLOT_BYTES = 17 * 4096,
	RX_QUEUE = 0,
	TX_QUEUE = 1,
	SECOND_TX_QUEUE = 3,
	CONTROL_QUEUE = 4,
	MSS = 1448,
	IP_BYTES = 20,
	TCP_BYTES = 20,
	TCP_CHECKSUM_AT = 16,
};

#define TAP "wback0"

static const uint8_t guest_mac[ETH_ALEN] = { 0x06, 0, 0xac, 0x10, 0, 2 };

struct frames {
	const char *name;
	unsigned queue, bytes;
	unsigned pairs; /* each with a thread of its own */
};

static const struct frames kinds[] = {
	{ "send60", TX_QUEUE, SMALL, 1 },
	{ "send64k", TX_QUEUE, LARGE, 1 },
	{ "receive60", RX_QUEUE, SMALL, 1 },
	{ "send60_2_threads", TX_QUEUE, SMALL, 2 },
	{ "send64k_2_threads", TX_QUEUE, LARGE, 2 },
};

/* ---- The driver's frames --------------------------------------------------------- */

/* What is behind the Ethernet header only has to be there: nobody reads it. */
static void write_frame(void *host, unsigned bytes)
{
	struct virtio_net_hdr_v1 *h = host;
	struct ethhdr *ethernet = (void *)(h + 1);

	*h = (struct virtio_net_hdr_v1){ 0 };
	if (bytes > ETH_FRAME_LEN)
		*h = (struct virtio_net_hdr_v1){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = MSS,
			.hdr_len = ETH_HLEN + IP_BYTES + TCP_BYTES,
			.csum_start = ETH_HLEN + IP_BYTES,
			.csum_offset = TCP_CHECKSUM_AT,
		};
	memset(ethernet->h_dest, 0xff, ETH_ALEN);
	memcpy(ethernet->h_source, guest_mac, ETH_ALEN);
	ethernet->h_proto = htobe16(bytes > ETH_FRAME_LEN ? ETH_P_IP : ETH_P_802_EX1);
}

static unsigned describe(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc)
{
	const struct frames *f = arg;
	bool send = f->queue == TX_QUEUE;

	(void)n;
	if (send)
		write_frame(host, f->bytes);
	desc[0] = (struct vring_desc){
		.addr = at.v,
		.len = NET_HEADER_BYTES + (send ? f->bytes : ETH_FRAME_LEN),
		.flags = send ? 0 : VRING_DESC_F_WRITE,
	};
	return 1;
}

static bool answered(void *arg, const void *host)
{
	(void)arg;
	(void)host;
	return true;
}

/* The one command: use both pairs. */
static unsigned describe_command(void *arg, uint64_t n, gpa_t at, void *host,
				 struct vring_desc *desc)
{
	struct {
		struct virtio_net_ctrl_hdr hdr;
		struct virtio_net_ctrl_mq mq;
	} __attribute__((packed)) *command = host;
	const struct frames *f = arg;

	(void)n;
	command->hdr.class = VIRTIO_NET_CTRL_MQ;
	command->hdr.cmd = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
	command->mq.virtqueue_pairs = (uint16_t)f->pairs;
	desc[0] = (struct vring_desc){ .addr = at.v, .len = sizeof(*command) };
	desc[1] = (struct vring_desc){ .addr = at.v + sizeof(*command),
				       .len = 1,
				       .flags = VRING_DESC_F_WRITE };
	return 2;
}

/* ---- The other end --------------------------------------------------------------- */

/* A tap of several queues is one that was made so: by a queue that carries nothing, and the
 * last of which to be closed takes it away. A descriptor, or a negative errno. */
static int make_wide_tap(void)
{
	struct ifreq ifr = { .ifr_name = TAP,
			     .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
	struct ifreq detach = { .ifr_flags = IFF_DETACH_QUEUE };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, TUNSETIFF, &ifr) == 0 && ioctl(fd, TUNSETQUEUE, &detach) == 0)
		return fd;
	fd_close(fd);
	return -errno;
}

static int tap_up(void)
{
	struct ifreq ifr = { .ifr_name = TAP, .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

/* A child that sends frames to the guest until it is killed; -1: there is none. */
static pid_t start_sender(void)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(TAP) };
	char frame[SMALL] = { 0 };
	pid_t parent = getpid(), pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	memcpy(frame, guest_mac, ETH_ALEN);
	while (fd >= 0 && getppid() == parent)
		if (sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)) < 0 &&
		    errno != ENOBUFS)
			break;
	_exit(1);
}

static void stop_sender(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- Runs ------------------------------------------------------------------------ */

static int make_device(unsigned pairs, struct virtio_dev **ret, struct error *err)
{
	struct virtio_net_options options = { .id = "bench" };
	struct net_backend *tap;
	int r = net_tap_open(TAP, &tap, err);

	if (r < 0)
		return r;
	memcpy(options.mac, guest_mac, sizeof(options.mac));
	r = tap_up();
	if (r == 0)
		r = virtio_net_create(&options, tap, ret);
	if (r < 0) {
		net_backend_destroy(tap);
		return error_set(err, r, NULL, NULL, "cannot bring up a tap: %s", strerror(-r));
	}
	virtio_net_set_vcpus(*ret, pairs);
	return 0;
}

static struct backend_queue frames_of(unsigned queue)
{
	return (struct backend_queue){
		.index = queue,
		.depth = NET_DEPTH,
		.count = NET_COUNT,
		.slot_bytes = SLOT_BYTES,
		.describe = describe,
		.answered = answered,
	};
}

static struct backend_job job_of(const struct frames *f, int tracefs)
{
	struct backend_job job = {
		.features = UINT64_C(1) << VIRTIO_NET_F_MAC | UINT64_C(1) << VIRTIO_NET_F_CSUM |
			    UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4,
		.queues = { frames_of(f->queue) },
		.nqueues = 1,
		.threads = f->pairs,
		.tracefs = tracefs,
		.arg = (void *)f,
	};

	if (f->pairs == 1)
		return job;
	job.features |= UINT64_C(1) << VIRTIO_NET_F_MQ | UINT64_C(1) << VIRTIO_NET_F_CTRL_VQ;
	job.queues[1] = frames_of(SECOND_TX_QUEUE);
	job.queues[2] = (struct backend_queue){
		.index = CONTROL_QUEUE,
		.depth = 1,
		.count = 1,
		.slot_bytes = 4096,
		.describe = describe_command,
		.answered = answered,
	};
	job.nqueues = 3;
	return job;
}

static int run_kind(struct bench *b, const struct frames *f, struct error *err)
{
	const struct backend_job job = job_of(f, b->tracefs);
	struct backend_result result;
	struct virtio_dev *dev = NULL;
	pid_t sender = 0;
	int wide = f->pairs > 1 ? make_wide_tap() : -1;
	int r = make_device(f->pairs, &dev, err);

	fd_close(wide);
	if (r < 0)
		return r;
	if (f->queue == RX_QUEUE)
		sender = start_sender();
	r = backend_run(dev, &job, &result, err);
	stop_sender(sender);
	return r < 0 ? r : backend_report(&b->report, "net", f->name, "frames/s", &result, err);
}

static int net_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, NET_RUNS);
	int r = 0;

	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, NULL, "run as root", "cannot make a network namespace");
	for (unsigned i = 0; i < runs && r == 0; i++)
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && r == 0; k++)
			r = run_kind(b, &kinds[k], err);
	return r;
}

const struct bench_row bench_net_backend = {
	.name = "net-backend",
	.help = "the network interface alone, its driver in this process",
	.in_process = true,
	.run = net_run,
};
