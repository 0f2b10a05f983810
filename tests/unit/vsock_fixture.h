/* vsock_fixture.h - a vsock device under test: a driver with all its queues, and host
 * programs that connect to it.
 */
#ifndef TESTS_UNIT_VSOCK_FIXTURE_H
#define TESTS_UNIT_VSOCK_FIXTURE_H

#include <linux/virtio_vsock.h>
#include <sys/un.h>

#include "tests/unit/virtio_driver.h"

enum {
	GUEST_CID = 3,
	GUEST_RX_SIZE = 16, /* receive buffers */
	GUEST_RX_BYTES = 4096,
	GUEST_EVENT = 0x107000, /* where the event buffer is */
	GUEST_TX = DRIVER_HIGH, /* where the packet to be sent is */
	GUEST_ROOM = 64 * 1024, /* what either side says that it has room for */
	GUEST_HDR = sizeof(struct virtio_vsock_hdr),
};

struct vsock_fixture {
	struct driver d;
	char dir[32], path[64]; /* path: the device's socket */
	uint16_t tx_idx, event_idx;
	bool split; /* from the next start on: receive buffers are chains, and fewer */
	struct virtio_vsock_hdr h; /* of the packet received last */
	const char *payload;
};

/* For cmocka: a started driver, all receive buffers offered. */
int vsock_fixture_set_up(void **state);
int vsock_fixture_tear_down(void **state);

/* Reset and start again. */
void vsock_fixture_start(struct vsock_fixture *f);

/* A packet without payload, from the guest to the host. */
struct virtio_vsock_hdr guest_packet(uint32_t guest_port, uint32_t host_port, uint16_t op);
void guest_send(struct vsock_fixture *f, uint32_t guest_port, uint32_t host_port, uint16_t op);

/* Any header, with so many bytes at GUEST_TX + GUEST_HDR behind it, in one buffer. */
void guest_send_raw(struct vsock_fixture *f, const struct virtio_vsock_hdr *h, size_t payload);

/* The next packet's operation, 0: none. Its buffer is offered again. */
unsigned guest_receive(struct vsock_fixture *f);

/* Offers the event buffer, len bytes of it; how many events have been told. */
void guest_offer_event(struct vsock_fixture *f, uint32_t len);
unsigned guest_events(struct vsock_fixture *f);

/* A non-blocking Unix socket, and the address of a path for it. */
int host_socket(const char *path, struct sockaddr_un *a);

/* A host client that has sent its first line. */
int host_connect(struct vsock_fixture *f, const char *line);

/* A host client whose connection to the guest's port 52 is established; its port. */
int host_open(struct vsock_fixture *f, uint32_t *port);

/* The device has closed the socket. */
bool host_closed(int fd);

#endif
