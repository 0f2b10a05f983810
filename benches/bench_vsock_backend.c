/* bench_vsock_backend.c - the vsock device alone: its driver in this process.
 *
 * The driver connects to a port of the host, where a child listens, and then there is one
 * stream, with credit kept as Linux keeps it:
 *
 *   to_host    packets of 32 KiB, which the child reads and forgets
 *   to_guest   what the child writes without end, in receive buffers of 4 KiB
 *
 * When the child cannot keep up, the device waits for it, and packets per second are the
 * child's; the processor's time per packet is the device's in any case.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_vsock.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/backend.h"
#include "benches/bench.h"
#include "devices/virtio/vsock.h"
#include "vmm/base/fd.h"

enum {
	VSOCK_RUNS = 5,
	VSOCK_COUNT = 16384, /* packets */
	GUEST_CID = 3,
	HOST_CID = 2,
	GUEST_PORT = 2000,
	HOST_PORT = 1000,
	HEADER_BYTES = sizeof(struct virtio_vsock_hdr),
	SEND_BYTES = 32 * 1024,
	BUFFER_BYTES = 4096,	   /* of a receive buffer */
	GUEST_WINDOW = 256 * 1024, /* what the host may send ahead */
	RX_QUEUE = 0,
	TX_QUEUE = 1,
	DEPTH = 32,
};

struct stream {
	bool to_host, connected, refused;
	uint32_t window, taken; /* the host's: as its packets say */
	uint32_t sent, received, told;
};

/* ---- The driver ------------------------------------------------------------------ */

static unsigned packet(struct stream *s, uint16_t op, uint32_t len, gpa_t at, void *host,
		       struct vring_desc *desc)
{
	struct virtio_vsock_hdr *h = host;

	*h = (struct virtio_vsock_hdr){
		.src_cid = htole64(GUEST_CID),
		.dst_cid = htole64(HOST_CID),
		.src_port = htole32(GUEST_PORT),
		.dst_port = htole32(HOST_PORT),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(GUEST_WINDOW),
		.fwd_cnt = htole32(s->received),
	};
	s->told = s->received;
	s->sent += len;
	desc[0] = (struct vring_desc){ .addr = at.v, .len = HEADER_BYTES };
	desc[1] = (struct vring_desc){ .addr = at.v + HEADER_BYTES, .len = len };
	return len > 0 ? 2 : 1;
}

/* The connection first; then data as far as the host has room, or news of our own. */
static unsigned describe_tx(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc)
{
	struct stream *s = arg;

	if (n == 0)
		return packet(s, VIRTIO_VSOCK_OP_REQUEST, 0, at, host, desc);
	if (!s->connected)
		return 0;
	if (!s->to_host && s->received - s->told >= GUEST_WINDOW / 2)
		return packet(s, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, at, host, desc);
	if (s->to_host && s->window - (s->sent - s->taken) >= SEND_BYTES)
		return packet(s, VIRTIO_VSOCK_OP_RW, SEND_BYTES, at, host, desc);
	return 0;
}

static bool answered_tx(void *arg, const void *host)
{
	(void)host;
	return !((struct stream *)arg)->refused;
}

static unsigned describe_rx(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc)
{
	const uint16_t flags = VRING_DESC_F_WRITE;

	(void)arg;
	(void)n;
	(void)host;
	desc[0] = (struct vring_desc){ .addr = at.v, .len = HEADER_BYTES, .flags = flags };
	desc[1] = (struct vring_desc){ .addr = at.v + HEADER_BYTES,
				       .len = BUFFER_BYTES,
				       .flags = flags };
	return 2;
}

static bool answered_rx(void *arg, const void *host)
{
	const struct virtio_vsock_hdr *h = host;
	struct stream *s = arg;

	s->window = le32toh(h->buf_alloc);
	s->taken = le32toh(h->fwd_cnt);
	s->connected |= le16toh(h->op) == VIRTIO_VSOCK_OP_RESPONSE;
	s->refused |= le16toh(h->op) == VIRTIO_VSOCK_OP_RST;
	if (le16toh(h->op) == VIRTIO_VSOCK_OP_RW)
		s->received += le32toh(h->len);
	return !s->refused;
}

/* ---- The other end --------------------------------------------------------------- */

static char buffer[64 * 1024];

/* Until it is killed, or the device closes the connection. */
static void serve(int listener, bool to_host)
{
	int fd = accept(listener, NULL, NULL);
	ssize_t n;

	do
		n = to_host ? read(fd, buffer, sizeof(buffer))
			    : send(fd, buffer, sizeof(buffer), MSG_NOSIGNAL);
	while (n > 0);
}

/* A listener for the guest's connection, or a negative errno. */
static int listen_for_guest(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, r = 0;

	if (snprintf(to.sun_path, sizeof(to.sun_path), "%s_%d", path, HOST_PORT) >=
	    (int)sizeof(to.sun_path))
		return -ENAMETOOLONG;
	unlink(to.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 1) < 0)
		r = -errno;
	if (r < 0)
		fd_close(fd);
	return r < 0 ? r : fd;
}

/* The child, or a negative errno. */
static pid_t start_peer(const char *path, bool to_host)
{
	int listener = listen_for_guest(path);
	pid_t pid;

	if (listener < 0)
		return listener;
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(listener, to_host);
		_exit(0);
	}
	fd_close(listener);
	return pid < 0 ? -errno : pid;
}

static void stop_peer(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- Runs ------------------------------------------------------------------------ */

static struct backend_job job_of(struct stream *s, int tracefs)
{
	return (struct backend_job){
		.queues = { {
				    .index = RX_QUEUE,
				    .depth = DEPTH,
				    .count = s->to_host ? 0 : VSOCK_COUNT,
				    .slot_bytes = (size_t)2 * BUFFER_BYTES,
				    .describe = describe_rx,
				    .answered = answered_rx,
			    },
			    {
				    .index = TX_QUEUE,
				    .depth = DEPTH,
				    .count = s->to_host ? VSOCK_COUNT : 0,
				    .slot_bytes = SEND_BYTES + 4096,
				    .describe = describe_tx,
				    .answered = answered_tx,
			    } },
		.nqueues = 2,
		.threads = 1,
		.tracefs = tracefs,
		.arg = s,
	};
}

static int run_stream(struct bench *b, bool to_host, struct error *err)
{
	struct stream s = { .to_host = to_host };
	const struct backend_job job = job_of(&s, b->tracefs);
	struct backend_result result;
	struct virtio_dev *dev;
	char path[PATH_MAX + 16];
	pid_t peer;
	int r;

	snprintf(path, sizeof(path), "%s/v.sock", b->dir);
	peer = start_peer(path, to_host);
	if (peer < 0)
		return error_set(err, peer, NULL, "set TMPDIR to a shorter path",
				 "cannot listen beside %s", path);
	r = virtio_vsock_create(GUEST_CID, path, &dev, err);
	if (r == 0)
		r = backend_run(dev, &job, &result, err);
	stop_peer(peer);
	return r < 0 ? r
		     : backend_report(&b->report, "vsock", to_host ? "to_host" : "to_guest",
				      "packets/s", &result, err);
}

static int vsock_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, VSOCK_RUNS);
	int r = 0;

	for (unsigned i = 0; i < runs * 2 && r == 0; i++)
		r = run_stream(b, i % 2, err);
	return r;
}

const struct bench_row bench_vsock_backend = {
	.name = "vsock-backend",
	.help = "the vsock alone, its driver in this process",
	.in_process = true,
	.run = vsock_run,
};
