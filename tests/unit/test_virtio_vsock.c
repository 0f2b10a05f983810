/* test_virtio_vsock.c - connections both ways, credit, ends, and guests that lie. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
#include "tests/unit/virtio_driver.h"

enum {
	CID = 3,
	RX_SIZE = 16,
	RX_BYTES = 4096,
	RX = DRIVER_BUFFERS,
	TX_DESC = 0x100000,
	TX_AVAIL = 0x101000,
	TX_USED = 0x102000,
	TX = DRIVER_HIGH,
	ROOM = 64 * 1024,
	HDR = sizeof(struct virtio_vsock_hdr),
	LIMIT_US = 2000 * 1000,
};

/* Time passes when a test says so: the clock and the timer are linked in here. */
static struct {
	uint64_t now_us, at_us; /* at_us: what the timer was set to last */
	int timer;
} fake = { .now_us = 1 };

uint64_t __wrap_clock_now_us(void);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old);

uint64_t __wrap_clock_now_us(void)
{
	return fake.now_us;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *t, struct itimerspec *old)
{
	assert_int_equal(flags, TFD_TIMER_ABSTIME);
	assert_null(old);
	fake.timer = fd;
	fake.at_us = (uint64_t)t->it_value.tv_sec * 1000000 + (uint64_t)t->it_value.tv_nsec / 1000;
	return 0;
}

struct fixture {
	struct driver d;
	char dir[32], path[64];
	uint16_t tx_idx;
	struct virtio_vsock_hdr h; /* of the packet received last */
	const char *payload;
};

static void offer_rx(struct fixture *f, uint16_t i)
{
	const struct driver_buffer b = { RX + (uint64_t)i * RX_BYTES, RX_BYTES, true };

	driver_chain(&f->d, i, &b, 1);
	driver_offer(&f->d, i);
}

static void start(struct fixture *f)
{
	const struct virtq_layout tx = { 16, gpa(TX_DESC), gpa(TX_AVAIL), gpa(TX_USED) };

	f->tx_idx = 0;
	driver_start(&f->d, 0, RX_SIZE);
	assert_int_equal(gmem_zero(f->d.mem, gpa(TX_DESC), 0x3000), 0);
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_SEL, 1);
	driver_set_queue(&f->d, &tx);
	for (uint16_t i = 0; i < RX_SIZE; i++)
		offer_rx(f, i);
	driver_kick(&f->d, 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct virtio_dev *dev;
	struct error err = { 0 };

	assert_non_null(f);
	strcpy(f->dir, "/tmp/wisp-vsock-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/v", f->dir);
	assert_int_equal(virtio_vsock_create(CID, f->path, &dev, &err), 0);
	driver_create(&f->d, dev);
	start(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	driver_destroy(&f->d);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* The timer runs out if it was set to less than that. */
static void pass_time(struct fixture *f, uint64_t us)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };
	struct pollfd p = { .fd = fake.timer, .events = POLLIN };

	fake.now_us += us;
	if (fake.at_us > fake.now_us)
		return;
	assert_int_equal(__real_timerfd_settime(fake.timer, 0, &at_once, NULL), 0);
	assert_int_equal(poll(&p, 1, -1), 1);
	driver_run(&f->d);
}

static int host_socket(const char *path, struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", path);
	return fd;
}

static int host_connect(struct fixture *f, const char *line)
{
	struct sockaddr_un a;
	int fd = host_socket(f->path, &a);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	driver_run(&f->d);
	return fd;
}

/* Sends a header with claimed length and payload bytes behind it, in one buffer. */
static void send_raw(struct fixture *f, const struct virtio_vsock_hdr *h, size_t payload)
{
	struct vring_avail *avail = driver_at(&f->d, TX_AVAIL, 64);
	struct vring_desc desc = { .addr = TX, .len = (uint32_t)(HDR + payload) };

	memcpy(driver_at(&f->d, TX, HDR), h, HDR);
	driver_desc(&f->d, TX_DESC, 0, desc);
	avail->ring[f->tx_idx % 16] = 0;
	__atomic_store_n(&avail->idx, ++f->tx_idx, __ATOMIC_SEQ_CST);
	driver_kick(&f->d, 1);
}

static struct virtio_vsock_hdr packet(uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	return (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = ROOM,
	};
}

static void send_op(struct fixture *f, uint32_t guest_port, uint32_t host_port, uint16_t op)
{
	struct virtio_vsock_hdr h = packet(guest_port, host_port, op);

	send_raw(f, &h, 0);
}

/* The next packet's operation, 0: none. Its buffer is offered again. */
static unsigned receive(struct fixture *f)
{
	struct vring_used_elem e;

	if (!driver_used(&f->d, &e))
		return 0;
	f->payload = (char *)driver_at(&f->d, RX + (uint64_t)e.id * RX_BYTES, RX_BYTES) + HDR;
	memcpy(&f->h, f->payload - HDR, HDR);
	assert_int_equal(e.len, HDR + f->h.len);
	assert_int_equal(f->h.src_cid, 2);
	assert_int_equal(f->h.dst_cid, CID);
	offer_rx(f, (uint16_t)e.id);
	driver_kick(&f->d, 0);
	return f->h.op;
}

static bool closed(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET;
}

/* A host client, accepted by the guest at port 52; its host port. */
static int open_from_host(struct fixture *f, uint32_t *port)
{
	char line[32] = { 0 }, want[32];
	int fd = host_connect(f, "connect 52\n");

	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(f->h.dst_port, 52);
	assert_int_equal(f->h.buf_alloc, ROOM);
	*port = f->h.src_port;
	assert_true(*port >= 1u << 30);
	send_op(f, 52, *port, VIRTIO_VSOCK_OP_RESPONSE);
	snprintf(want, sizeof(want), "OK %u\n", *port);
	assert_true(recv(fd, line, sizeof(line) - 1, 0) > 0);
	assert_string_equal(line, want);
	return fd;
}

static void host_to_guest_and_back(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h;
	char got[8] = { 0 };
	uint32_t port;
	int fd = open_from_host(f, &port);

	assert_int_equal(send(fd, "hello", 5, 0), 5);
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(f->h.len, 5);
	assert_memory_equal(f->payload, "hello", 5);
	h = packet(52, port, VIRTIO_VSOCK_OP_RW);
	h.len = 5;
	memcpy(driver_at(&f->d, TX + HDR, 5), "world", 5);
	send_raw(f, &h, 5);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 5);
	assert_string_equal(got, "world");
	close(fd);
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(f->h.flags, 3);
	send_op(f, 52, port, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(receive(f), 0);
}

static void guest_reaches_a_listener(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un a;
	char path[80];
	int server, fd;

	snprintf(path, sizeof(path), "%s_7", f->path);
	server = host_socket(path, &a);
	assert_int_equal(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(server, 4), 0);
	send_op(f, 1000, 7, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(f->h.src_port, 7);
	fd = accept(server, NULL, NULL);
	assert_true(fd >= 0);
	send_op(f, 1000, 7, VIRTIO_VSOCK_OP_RST);
	assert_true(closed(fd));
	send_op(f, 1000, 8, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
	close(server);
	unlink(path);
}

static void half_close_keeps_the_other_half(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = open_from_host(f, &port);

	h = packet(52, port, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_raw(f, &h, 0);
	assert_true(closed(fd));
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RW);
	shutdown(fd, SHUT_WR);
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_true(f->h.flags & VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
}

static void host_ends_its_half_first(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	char c;
	int fd = open_from_host(f, &port);

	shutdown(fd, SHUT_WR);
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(f->h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	h = packet(52, port, VIRTIO_VSOCK_OP_RW);
	h.len = 1;
	send_raw(f, &h, 1);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	close(fd);
}

/* The guest's credit runs out in the middle, and comes back. */
static void credit_stops_and_resumes(void **state)
{
	struct fixture *f = *state;
	char data[100];
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = open_from_host(f, &port);

	memset(data, 'a', sizeof(data));
	h = packet(52, port, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 60;
	send_raw(f, &h, 0);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(f->h.len, 60);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_int_equal(receive(f), 0);
	h.fwd_cnt = 61; /* more than was sent: believed by nobody */
	send_raw(f, &h, 0);
	assert_int_equal(receive(f), 0);
	h.fwd_cnt = 60;
	send_raw(f, &h, 0);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(f->h.len, 40);
	close(fd);
}

/* A host that does not read: the guest may fill the buffer, and no more. */
static void overrun_costs_the_connection(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	unsigned op = 0, n = 0;
	int fd = open_from_host(f, &port);

	h = packet(52, port, VIRTIO_VSOCK_OP_RW);
	h.len = 32 * 1024;
	for (; op != VIRTIO_VSOCK_OP_RST && n < 64; n++) {
		send_raw(f, &h, h.len);
		op = receive(f);
	}
	assert_true(n > 2 && n < 64);
	assert_false(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	close(fd);
}

static void wrong_packets_are_answered_with_resets(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = open_from_host(f, &port);

	send_op(f, 99, 99, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	send_op(f, 99, 99, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(receive(f), 0);
	h = packet(99, 99, VIRTIO_VSOCK_OP_REQUEST);
	h.src_cid = 7;
	send_raw(f, &h, 0);
	assert_int_equal(receive(f), 0);
	h = packet(99, 99, VIRTIO_VSOCK_OP_REQUEST);
	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	send_raw(f, &h, 0);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	send_op(f, 52, port, 77);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	assert_true(closed(fd));
	close(fd);
}

static void length_lie_fails_the_device(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h = packet(1, 1, VIRTIO_VSOCK_OP_RW);

	h.len = 100;
	send_raw(f, &h, 99);
	assert_true(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void reset_ends_connections(void **state)
{
	struct fixture *f = *state;
	uint32_t port;
	int fd = open_from_host(f, &port);

	start(f);
	driver_run(&f->d);
	assert_true(closed(fd));
	close(fd);
	fd = open_from_host(f, &port);
	close(fd);
}

static void bad_greetings_are_hung_up_on(void **state)
{
	static const char *const lines[] = {
		"HELLO 52\n",  "CONNECT \n",  "CONNECT 4294967296\n",
		"CONNECT x\n", "CONNECT52\n", "CONNECT 0000000000000000000000000052\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int fd = host_connect(f, lines[i]);

		assert_true(closed(fd));
		assert_int_equal(receive(f), 0);
		close(fd);
	}
}

static void endless_greeting_is_hung_up_on(void **state)
{
	struct fixture *f = *state;
	int fd = host_connect(f, "CONN");

	pass_time(f, LIMIT_US - 1);
	assert_false(closed(fd));
	pass_time(f, 1);
	assert_true(closed(fd));
	assert_int_equal(receive(f), 0);
	close(fd);
}

/* However long the client took, the guest has all of its own time. */
static void unanswered_request_is_hung_up_on(void **state)
{
	struct fixture *f = *state;
	int fd = host_connect(f, "CONN");

	pass_time(f, LIMIT_US - 1);
	assert_int_equal(send(fd, "ECT 52\n", 7, MSG_NOSIGNAL), 7);
	driver_run(&f->d);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_REQUEST);
	pass_time(f, LIMIT_US - 1);
	assert_false(closed(fd));
	pass_time(f, 1);
	assert_true(closed(fd));
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
}

/* The guest sends until the host, which does not read, has data held for it. */
static void fill_host(struct fixture *f, uint32_t port)
{
	struct virtio_vsock_hdr h = packet(52, port, VIRTIO_VSOCK_OP_RW);
	uint32_t sent = 0;

	h.len = 16 * 1024;
	do {
		send_raw(f, &h, h.len);
		sent += h.len;
		send_op(f, 52, port, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
		while (receive(f) != 0)
			assert_int_equal(f->h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	} while (f->h.fwd_cnt == sent);
}

static void repeated_shutdown_gains_no_time(void **state)
{
	struct fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = open_from_host(f, &port);

	fill_host(f, port);
	h = packet(52, port, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_raw(f, &h, 0);
	pass_time(f, LIMIT_US - 1);
	send_raw(f, &h, 0);
	assert_int_equal(receive(f), 0);
	pass_time(f, 1);
	assert_int_equal(receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
}

static void table_is_bounded(void **state)
{
	struct fixture *f = *state;
	static int fds[VIRTIO_VSOCK_MAX_CONNS];
	int last;

	for (unsigned i = 0; i < VIRTIO_VSOCK_MAX_CONNS; i++) {
		fds[i] = host_connect(f, "CONNECT 9\n");
		assert_int_equal(receive(f), VIRTIO_VSOCK_OP_REQUEST);
	}
	last = host_connect(f, "CONNECT 9\n");
	assert_true(closed(last));
	assert_int_equal(receive(f), 0);
	close(last);
	for (unsigned i = 0; i < VIRTIO_VSOCK_MAX_CONNS; i++)
		close(fds[i]);
}

static void path_is_checked(void **state)
{
	struct fixture *f = *state;
	struct virtio_dev *dev;
	struct error err = { 0 };
	char longest[200];

	memset(longest, 'p', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(virtio_vsock_create(CID, longest, &dev, &err), -ENAMETOOLONG);
	assert_string_equal(err.field, "uds_path");
	assert_int_equal(virtio_vsock_create(CID, f->path, &dev, &err), -EADDRINUSE);
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(virtio_vsock_create(CID, "/nowhere/v", &dev, &err), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_to_guest_and_back),
		TEST(guest_reaches_a_listener),
		TEST(half_close_keeps_the_other_half),
		TEST(host_ends_its_half_first),
		TEST(credit_stops_and_resumes),
		TEST(overrun_costs_the_connection),
		TEST(wrong_packets_are_answered_with_resets),
		TEST(length_lie_fails_the_device),
		TEST(reset_ends_connections),
		TEST(bad_greetings_are_hung_up_on),
		TEST(endless_greeting_is_hung_up_on),
		TEST(unanswered_request_is_hung_up_on),
		TEST(repeated_shutdown_gains_no_time),
		TEST(table_is_bounded),
		TEST(path_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
