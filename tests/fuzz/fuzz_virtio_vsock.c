/* fuzz_virtio_vsock.c - a hostile driver and busy host programs against a vsock.
 *
 * The input is a list of steps: packets with any header, receive buffers given and taken,
 * clients and a listener on the host that connect, write, read and hang up, transport
 * resets, restarts of the driver. Ports are few, so that packets meet connections. What
 * the driver receives is checked by the fixture; what is left behind, by the sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
#include "tests/unit/vsock_fixture.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	MAX_STEPS = 128,
	SOCKETS = 8, /* on the host; the last is of what the listener accepted */
	PORTS = 4,
	FIRST_GUEST_PORT = 52,
	LISTENER_PORT = 7,
	PAYLOAD_UNIT = 500,
};

struct input {
	const uint8_t *at;
	size_t left;
};

struct scene {
	struct vsock_fixture *f;
	int listener, socket[SOCKETS];
	uint32_t port[PORTS]; /* of the host, as the driver has seen them */
	unsigned ports;
	char listener_path[80];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next n bytes as a little-endian number; zeros behind the end. */
static uint64_t take(struct input *in, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n && in->left > 0; i++, in->left--)
		value |= (uint64_t)*in->at++ << (8 * i);
	return value;
}

static uint32_t take_host_port(const struct scene *s, struct input *in)
{
	uint64_t how = take(in, 1);

	return how & 0x80 ? LISTENER_PORT : s->port[how % PORTS];
}

/* As Linux would send it, but for operation, ports and payload. */
static void step_packet(struct scene *s, struct input *in)
{
	uint16_t op = take(in, 1) % (VIRTIO_VSOCK_OP_CREDIT_REQUEST + 2);
	uint32_t guest_port = FIRST_GUEST_PORT + take(in, 1) % PORTS;
	struct virtio_vsock_hdr h = guest_packet(guest_port, take_host_port(s, in), op);

	if (op == VIRTIO_VSOCK_OP_RW)
		h.len = (uint32_t)take(in, 1) * PAYLOAD_UNIT;
	if (op == VIRTIO_VSOCK_OP_SHUTDOWN)
		h.flags = (uint32_t)take(in, 1) & 3;
	guest_send_raw(s->f, &h, h.len);
}

/* With lies. */
static void step_lie(struct scene *s, struct input *in)
{
	uint64_t how = take(in, 1);
	struct virtio_vsock_hdr h = guest_packet(FIRST_GUEST_PORT + take(in, 1) % PORTS,
						 take_host_port(s, in), take(in, 1) & 0xf);

	if (how & 1)
		h.len = (uint32_t)take(in, 4);
	if (how & 2)
		h.buf_alloc = (uint32_t)take(in, 4);
	if (how & 4)
		h.fwd_cnt = (uint32_t)take(in, 4);
	if (how & 8)
		h.flags = (uint32_t)take(in, 4);
	if (how & 16)
		h.type = (uint16_t)take(in, 2);
	if (how & 32)
		h.src_cid = take(in, 8);
	if (how & 64)
		h.dst_cid = take(in, 8);
	guest_send_raw(s->f, &h, take(in, 2));
}

/* Takes packets; a port that the host asks from is one to answer to. */
static void step_receive(struct scene *s, struct input *in)
{
	uint64_t n = take(in, 1) % 32;

	while (n-- > 0 && guest_receive(s->f) != 0) {
		if (s->f->h.op == VIRTIO_VSOCK_OP_REQUEST)
			s->port[s->ports++ % PORTS] = s->f->h.src_port;
	}
}

static int *pick(struct scene *s, struct input *in)
{
	return &s->socket[take(in, 1) % SOCKETS];
}

static void step_connect(struct scene *s, struct input *in)
{
	static const char *const lines[] = {
		"CONNECT 52\n", "CONNECT 53\n", "CONNECT 54\nhello",
		"connect 55\n", "CONNECT ",	"CONNECT 9999999999\n"
	};
	int *fd = pick(s, in);

	fd_close(*fd);
	*fd = host_connect(s->f, lines[take(in, 1) % (sizeof(lines) / sizeof(lines[0]))]);
}

static void step_accept(struct scene *s, struct input *in)
{
	int *fd = pick(s, in);

	fd_close(*fd);
	*fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void step_write(struct scene *s, struct input *in)
{
	static const char data[255 * PAYLOAD_UNIT];
	int fd = *pick(s, in);

	(void)!send(fd, data, take(in, 1) * PAYLOAD_UNIT, MSG_NOSIGNAL);
	driver_run(&s->f->d);
}

static void step_read(struct scene *s, struct input *in)
{
	static char data[255 * PAYLOAD_UNIT];
	int fd = *pick(s, in);

	(void)!recv(fd, data, take(in, 1) * PAYLOAD_UNIT, 0);
	driver_run(&s->f->d);
}

static void step_end(struct scene *s, struct input *in)
{
	int *fd = pick(s, in);
	uint64_t how = take(in, 1) % 3;

	if (how < 2)
		(void)shutdown(*fd, how == 0 ? SHUT_WR : SHUT_RD);
	else
		*fd = fd_close(*fd);
	driver_run(&s->f->d);
}

static void step_event(struct scene *s, struct input *in)
{
	uint64_t how = take(in, 1);

	if (how & 1)
		guest_offer_event(s->f, 1 + (how >> 4));
	if (how & 2)
		virtio_vsock_reset_transport(s->f->d.dev);
}

static void step_restart(struct scene *s, struct input *in)
{
	s->f->split = take(in, 1) & 1;
	vsock_fixture_start(s->f);
}

static void set_up(struct scene *s)
{
	const struct log_config quiet = { .id = "fuzz", .level = LOG_OFF, .fd = 2 };
	struct sockaddr_un a;
	void *state;

	log_setup(&quiet);
	if (vsock_fixture_set_up(&state) != 0)
		abort();
	s->f = state;
	for (unsigned i = 0; i < SOCKETS; i++)
		s->socket[i] = -1;
	snprintf(s->listener_path, sizeof(s->listener_path), "%s_%d", s->f->path, LISTENER_PORT);
	s->listener = host_socket(s->listener_path, &a);
	if (bind(s->listener, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(s->listener, SOCKETS) < 0)
		abort();
}

static void tear_down(struct scene *s)
{
	void *state = s->f;

	for (unsigned i = 0; i < SOCKETS; i++)
		fd_close(s->socket[i]);
	fd_close(s->listener);
	unlink(s->listener_path);
	if (vsock_fixture_tear_down(&state) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct scene *, struct input *) = {
		step_packet, step_receive, step_connect, step_accept, step_write,
		step_read,   step_end,	   step_lie,	 step_event,  step_restart,
	};
	struct input in = { data, size };
	struct scene s = { 0 };

	set_up(&s);
	for (int i = 0; i < MAX_STEPS && in.left > 0; i++)
		steps[take(&in, 1) % (sizeof(steps) / sizeof(steps[0]))](&s, &in);
	tear_down(&s);
	return 0;
}
