/* vsock_fixture.c - a vsock device under test: a driver with all its queues, and host
 * programs that connect to it.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
#include "tests/unit/vsock_fixture.h"

/* Rings of queues 1 and 2; queue 0 is virtio_driver.h's, with its buffers from RX on. */
enum {
	RX = DRIVER_BUFFERS,
	TX_DESC = 0x100000,
	TX_AVAIL = 0x101000,
	TX_USED = 0x102000,
	EVENT_DESC = 0x104000,
	EVENT_AVAIL = 0x105000,
	EVENT_USED = 0x106000,
	RINGS_END = 0x107000,
	SPLIT = 4, /* descriptors of a receive buffer that is split */
};

static void offer_rx(struct vsock_fixture *f, uint16_t i)
{
	const uint64_t at = RX + (uint64_t)i * GUEST_RX_BYTES;
	const struct driver_buffer whole = { at, GUEST_RX_BYTES, true };
	const struct driver_buffer parts[SPLIT] = {
		{ at, 16, true },
		{ at + 16, GUEST_HDR - 10, true },
		{ at + GUEST_HDR + 6, 1, true },
		{ at + GUEST_HDR + 7, GUEST_RX_BYTES - GUEST_HDR - 7, true },
	};

	driver_chain(&f->d, i, f->split ? parts : &whole, f->split ? SPLIT : 1);
	driver_offer(&f->d, i);
}

void vsock_fixture_start(struct vsock_fixture *f)
{
	const struct virtq_layout tx = { 16, gpa(TX_DESC), gpa(TX_AVAIL), gpa(TX_USED) };
	const struct virtq_layout event = { 16, gpa(EVENT_DESC), gpa(EVENT_AVAIL),
					    gpa(EVENT_USED) };

	f->tx_idx = f->event_idx = 0;
	driver_start(&f->d, 0, GUEST_RX_SIZE);
	assert_int_equal(gmem_zero(f->d.mem, gpa(TX_DESC), RINGS_END - TX_DESC), 0);
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_SEL, 1);
	driver_set_queue(&f->d, &tx);
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_SEL, 2);
	driver_set_queue(&f->d, &event);
	for (uint16_t i = 0; i < GUEST_RX_SIZE; i += f->split ? SPLIT : 1)
		offer_rx(f, i);
	driver_kick(&f->d, 0);
}

int vsock_fixture_set_up(void **state)
{
	struct vsock_fixture *f = calloc(1, sizeof(*f));
	struct virtio_dev *dev;
	struct error err = { 0 };

	assert_non_null(f);
	strcpy(f->dir, "/tmp/wisp-vsock-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/v", f->dir);
	assert_int_equal(virtio_vsock_create(GUEST_CID, f->path, &dev, &err), 0);
	driver_create(&f->d, dev);
	vsock_fixture_start(f);
	*state = f;
	return 0;
}

int vsock_fixture_tear_down(void **state)
{
	struct vsock_fixture *f = *state;

	driver_destroy(&f->d);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

int host_socket(const char *path, struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
	return fd;
}

int host_connect(struct vsock_fixture *f, const char *line)
{
	struct sockaddr_un a;
	int fd = host_socket(f->path, &a);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	driver_run(&f->d);
	return fd;
}

static void offer_one(struct vsock_fixture *f, uint64_t avail_at, uint16_t *idx)
{
	struct vring_avail *avail = driver_at(&f->d, avail_at, 64);

	avail->ring[*idx % 16] = 0;
	__atomic_store_n(&avail->idx, ++*idx, __ATOMIC_SEQ_CST);
}

void guest_offer_event(struct vsock_fixture *f, uint32_t len)
{
	struct vring_desc desc = { .addr = GUEST_EVENT, .len = len, .flags = VRING_DESC_F_WRITE };

	*(uint32_t *)driver_at(&f->d, GUEST_EVENT, 4) = UINT32_MAX;
	driver_desc(&f->d, EVENT_DESC, 0, desc);
	offer_one(f, EVENT_AVAIL, &f->event_idx);
	driver_kick(&f->d, 2);
}

unsigned guest_events(struct vsock_fixture *f)
{
	return ((struct vring_used *)driver_at(&f->d, EVENT_USED, 64))->idx;
}

void guest_send_raw(struct vsock_fixture *f, const struct virtio_vsock_hdr *h, size_t payload)
{
	struct vring_desc desc = { .addr = GUEST_TX, .len = (uint32_t)(GUEST_HDR + payload) };

	memcpy(driver_at(&f->d, GUEST_TX, GUEST_HDR), h, GUEST_HDR);
	driver_desc(&f->d, TX_DESC, 0, desc);
	offer_one(f, TX_AVAIL, &f->tx_idx);
	driver_kick(&f->d, 1);
}

struct virtio_vsock_hdr guest_packet(uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	return (struct virtio_vsock_hdr){
		.src_cid = GUEST_CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = GUEST_ROOM,
	};
}

void guest_send(struct vsock_fixture *f, uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	struct virtio_vsock_hdr h = guest_packet(guest_port, host_port, op);

	guest_send_raw(f, &h, 0);
}

unsigned guest_receive(struct vsock_fixture *f)
{
	struct vring_used_elem e;

	if (!driver_used(&f->d, &e))
		return 0;
	f->payload =
		(char *)driver_at(&f->d, RX + (uint64_t)e.id * GUEST_RX_BYTES, GUEST_RX_BYTES) +
		GUEST_HDR;
	memcpy(&f->h, f->payload - GUEST_HDR, GUEST_HDR);
	assert_int_equal(e.len, GUEST_HDR + f->h.len);
	assert_int_equal(f->h.src_cid, 2);
	assert_int_equal(f->h.dst_cid, GUEST_CID);
	offer_rx(f, (uint16_t)e.id);
	driver_kick(&f->d, 0);
	return f->h.op;
}

bool host_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET;
}

int host_open(struct vsock_fixture *f, uint32_t *port)
{
	char line[32] = { 0 }, want[32];
	int fd = host_connect(f, "connect 52\n");

	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(f->h.dst_port, 52);
	assert_int_equal(f->h.buf_alloc, GUEST_ROOM);
	*port = f->h.src_port;
	assert_true(*port >= 1u << 30);
	guest_send(f, 52, *port, VIRTIO_VSOCK_OP_RESPONSE);
	snprintf(want, sizeof(want), "OK %u\n", *port);
	assert_true(recv(fd, line, sizeof(line) - 1, 0) > 0);
	assert_string_equal(line, want);
	return fd;
}
