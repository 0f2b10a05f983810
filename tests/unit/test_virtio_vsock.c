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
#include "tests/unit/vsock_fixture.h"

enum { LIMIT_US = 2000 * 1000 };

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

/* The timer runs out if it was set to less than that. */
static void pass_time(struct vsock_fixture *f, uint64_t us)
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

static void host_to_guest_and_back(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h;
	char got[8] = { 0 };
	uint32_t port;
	int fd = host_open(f, &port);

	assert_int_equal(send(fd, "hello", 5, 0), 5);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(f->h.len, 5);
	assert_memory_equal(f->payload, "hello", 5);
	h = guest_packet(52, port, VIRTIO_VSOCK_OP_RW);
	h.len = 5;
	memcpy(driver_at(&f->d, GUEST_TX + GUEST_HDR, 5), "world", 5);
	guest_send_raw(f, &h, 5);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 5);
	assert_string_equal(got, "world");
	close(fd);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(f->h.flags, 3);
	guest_send(f, 52, port, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(guest_receive(f), 0);
}

/* Sends so many bytes at once, and takes them as full packets of one interrupt. */
static void send_at_once(struct vsock_fixture *f, int fd, size_t bytes)
{
	const size_t room = GUEST_RX_BYTES - GUEST_HDR;
	unsigned char data[GUEST_ROOM];

	assert_true(bytes <= sizeof(data));
	for (size_t i = 0; i < bytes; i++)
		data[i] = (unsigned char)(i ^ i >> 8);
	(void)driver_interrupts(&f->d);
	assert_int_equal(send(fd, data, bytes, 0), bytes);
	driver_run(&f->d);
	assert_int_equal(driver_interrupts(&f->d), 1);
	for (size_t at = 0; at < bytes; at += f->h.len) {
		assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RW);
		assert_int_equal(f->h.len, bytes - at < room ? bytes - at : room);
		assert_memory_equal(f->payload, data + at, f->h.len);
	}
	assert_int_equal(guest_receive(f), 0);
}

static void payload_fills_many_buffers(void **state)
{
	struct vsock_fixture *f = *state;
	uint32_t port;
	int fd = host_open(f, &port);

	send_at_once(f, fd, 1);
	send_at_once(f, fd, 10000);
	send_at_once(f, fd, (GUEST_RX_BYTES - GUEST_HDR) * 3);
	close(fd);
	f->split = true;
	vsock_fixture_start(f);
	fd = host_open(f, &port);
	send_at_once(f, fd, 10000);
	close(fd);
}

/* As much as there are buffers for, the rest when there are more. */
static void payload_waits_for_buffers(void **state)
{
	const size_t room = GUEST_RX_BYTES - GUEST_HDR;
	struct vsock_fixture *f = *state;
	char data[GUEST_ROOM] = { 0 };
	uint32_t port;
	unsigned n = 0;
	int fd;

	f->split = true; /* 4 buffers */
	vsock_fixture_start(f);
	fd = host_open(f, &port);
	assert_int_equal(send(fd, data, 6 * room, 0), 6 * room);
	shutdown(fd, SHUT_WR);
	driver_run(&f->d);
	while (guest_receive(f) == VIRTIO_VSOCK_OP_RW) {
		assert_int_equal(f->h.len, room);
		n++;
	}
	assert_int_equal(n, 6);
	assert_int_equal(f->h.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	close(fd);
}

static void guest_reaches_a_listener(void **state)
{
	struct vsock_fixture *f = *state;
	struct sockaddr_un a;
	char path[80];
	int server, fd;

	snprintf(path, sizeof(path), "%s_7", f->path);
	server = host_socket(path, &a);
	assert_int_equal(bind(server, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(server, 4), 0);
	guest_send(f, 1000, 7, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RESPONSE);
	assert_int_equal(f->h.src_port, 7);
	fd = accept(server, NULL, NULL);
	assert_true(fd >= 0);
	guest_send(f, 1000, 7, VIRTIO_VSOCK_OP_RST);
	assert_true(host_closed(fd));
	guest_send(f, 1000, 8, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
	close(server);
	unlink(path);
}

static void half_close_keeps_the_other_half(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = host_open(f, &port);

	h = guest_packet(52, port, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	guest_send_raw(f, &h, 0);
	assert_true(host_closed(fd));
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RW);
	shutdown(fd, SHUT_WR);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_true(f->h.flags & VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
}

static void host_ends_its_half_first(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	char c;
	int fd = host_open(f, &port);

	shutdown(fd, SHUT_WR);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(f->h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	h = guest_packet(52, port, VIRTIO_VSOCK_OP_RW);
	h.len = 1;
	guest_send_raw(f, &h, 1);
	assert_int_equal(recv(fd, &c, 1, 0), 1);
	close(fd);
}

/* The guest's credit runs out in the middle, and comes back. */
static void credit_stops_and_resumes(void **state)
{
	struct vsock_fixture *f = *state;
	char data[100];
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = host_open(f, &port);

	memset(data, 'a', sizeof(data));
	h = guest_packet(52, port, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	h.buf_alloc = 60;
	guest_send_raw(f, &h, 0);
	assert_int_equal(send(fd, data, sizeof(data), 0), sizeof(data));
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(f->h.len, 60);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_int_equal(guest_receive(f), 0);
	h.fwd_cnt = 61; /* more than was sent: believed by nobody */
	guest_send_raw(f, &h, 0);
	assert_int_equal(guest_receive(f), 0);
	h.fwd_cnt = 60;
	guest_send_raw(f, &h, 0);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(f->h.len, 40);
	close(fd);
}

/* A host that does not read: the guest may fill the buffer, and no more. */
static void overrun_costs_the_connection(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	unsigned op = 0, n = 0;
	int fd = host_open(f, &port);

	h = guest_packet(52, port, VIRTIO_VSOCK_OP_RW);
	h.len = 32 * 1024;
	for (; op != VIRTIO_VSOCK_OP_RST && n < 64; n++) {
		guest_send_raw(f, &h, h.len);
		op = guest_receive(f);
	}
	assert_true(n > 2 && n < 64);
	assert_false(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	close(fd);
}

static void wrong_packets_are_answered_with_resets(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = host_open(f, &port);

	guest_send(f, 99, 99, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	guest_send(f, 99, 99, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(guest_receive(f), 0);
	h = guest_packet(99, 99, VIRTIO_VSOCK_OP_REQUEST);
	h.src_cid = 7;
	guest_send_raw(f, &h, 0);
	assert_int_equal(guest_receive(f), 0);
	h = guest_packet(99, 99, VIRTIO_VSOCK_OP_REQUEST);
	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	guest_send_raw(f, &h, 0);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	guest_send(f, 52, port, 77);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	assert_true(host_closed(fd));
	close(fd);
}

static void length_lie_fails_the_device(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h = guest_packet(1, 1, VIRTIO_VSOCK_OP_RW);

	h.len = 100;
	guest_send_raw(f, &h, 99);
	assert_true(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void reset_ends_connections(void **state)
{
	struct vsock_fixture *f = *state;
	uint32_t port;
	int fd = host_open(f, &port);

	vsock_fixture_start(f);
	driver_run(&f->d);
	assert_true(host_closed(fd));
	close(fd);
	fd = host_open(f, &port);
	close(fd);
}

static void bad_greetings_are_hung_up_on(void **state)
{
	static const char *const lines[] = {
		"HELLO 52\n",  "CONNECT \n",  "CONNECT 4294967296\n",
		"CONNECT x\n", "CONNECT52\n", "CONNECT 0000000000000000000000000052\n",
	};
	struct vsock_fixture *f = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		int fd = host_connect(f, lines[i]);

		assert_true(host_closed(fd));
		assert_int_equal(guest_receive(f), 0);
		close(fd);
	}
}

static void endless_greeting_is_hung_up_on(void **state)
{
	struct vsock_fixture *f = *state;
	int fd = host_connect(f, "CONN");

	pass_time(f, LIMIT_US - 1);
	assert_false(host_closed(fd));
	pass_time(f, 1);
	assert_true(host_closed(fd));
	assert_int_equal(guest_receive(f), 0);
	close(fd);
}

/* However long the client took, the guest has all of its own time. */
static void unanswered_request_is_hung_up_on(void **state)
{
	struct vsock_fixture *f = *state;
	int fd = host_connect(f, "CONN");

	pass_time(f, LIMIT_US - 1);
	assert_int_equal(send(fd, "ECT 52\n", 7, MSG_NOSIGNAL), 7);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_REQUEST);
	pass_time(f, LIMIT_US - 1);
	assert_false(host_closed(fd));
	pass_time(f, 1);
	assert_true(host_closed(fd));
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
}

/* The guest sends until the host, which does not read, has data held for it. */
static void fill_host(struct vsock_fixture *f, uint32_t port)
{
	struct virtio_vsock_hdr h = guest_packet(52, port, VIRTIO_VSOCK_OP_RW);
	uint32_t sent = 0;

	h.len = 16 * 1024;
	do {
		guest_send_raw(f, &h, h.len);
		sent += h.len;
		guest_send(f, 52, port, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
		while (guest_receive(f) != 0)
			assert_int_equal(f->h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	} while (f->h.fwd_cnt == sent);
}

static void repeated_shutdown_gains_no_time(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_vsock_hdr h;
	uint32_t port;
	int fd = host_open(f, &port);

	fill_host(f, port);
	h = guest_packet(52, port, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	guest_send_raw(f, &h, 0);
	pass_time(f, LIMIT_US - 1);
	guest_send_raw(f, &h, 0);
	assert_int_equal(guest_receive(f), 0);
	pass_time(f, 1);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_RST);
	close(fd);
}

static void table_is_bounded(void **state)
{
	struct vsock_fixture *f = *state;
	static int fds[VIRTIO_VSOCK_MAX_CONNS];
	int last;

	for (unsigned i = 0; i < VIRTIO_VSOCK_MAX_CONNS; i++) {
		fds[i] = host_connect(f, "CONNECT 9\n");
		assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_REQUEST);
	}
	last = host_connect(f, "CONNECT 9\n");
	assert_true(host_closed(last));
	assert_int_equal(guest_receive(f), 0);
	close(last);
	for (unsigned i = 0; i < VIRTIO_VSOCK_MAX_CONNS; i++)
		close(fds[i]);
}

static void path_is_checked(void **state)
{
	struct vsock_fixture *f = *state;
	struct virtio_dev *dev;
	struct error err = { 0 };
	char longest[200];

	memset(longest, 'p', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(virtio_vsock_create(GUEST_CID, longest, &dev, &err), -ENAMETOOLONG);
	assert_string_equal(err.field, "uds_path");
	assert_int_equal(virtio_vsock_create(GUEST_CID, f->path, &dev, &err), -EADDRINUSE);
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(virtio_vsock_create(GUEST_CID, "/nowhere/v", &dev, &err), -ENOENT);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, vsock_fixture_set_up, vsock_fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_to_guest_and_back),
		TEST(payload_fills_many_buffers),
		TEST(payload_waits_for_buffers),
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
