/* test_net_limits.c - a network interface's rate limiters, with time of our own.
 *
 * The clock and the timers are linked in here: time passes when a test says so, and a
 * timer goes off when its time has come.
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
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "devices/virtio/net_tap.h"
#include "tests/unit/net_fixture.h"

enum {
	RX,
	TX,
	HDR = NET_HEADER_BYTES,
	SIZE = 64,
	LEN = 1000,
	TIMERS = 16,
	STEP_US = 5000,
	SECONDS = 4,
};

static struct {
	uint64_t now_us;
	uint64_t at_us[TIMERS]; /* by descriptor; 0: not set */
	int fd[TIMERS];
	unsigned count;
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
	unsigned i = 0;

	assert_int_equal(flags, 0);
	assert_null(old);
	while (i < fake.count && fake.fd[i] != fd)
		i++;
	assert_true(i < TIMERS);
	fake.count += i == fake.count;
	fake.fd[i] = fd;
	fake.at_us[i] = fake.now_us + (uint64_t)t->it_value.tv_sec * 1000000 +
			(uint64_t)t->it_value.tv_nsec / 1000;
	return 0;
}

static void pass_time(struct net_fixture *f, uint64_t us)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };

	fake.now_us += us;
	for (unsigned i = 0; i < fake.count; i++) {
		struct pollfd p = { .fd = fake.fd[i], .events = POLLIN };

		if (fake.at_us[i] == 0 || fake.at_us[i] > fake.now_us)
			continue;
		fake.at_us[i] = 0;
		assert_int_equal(__real_timerfd_settime(fake.fd[i], 0, &at_once, NULL), 0);
		assert_int_equal(poll(&p, 1, -1), 1);
	}
	driver_run(&f->d);
}

static int adopt(const int *fds, unsigned pairs, struct net_backend **ret)
{
	return net_tap_adopt(fds, pairs, 0, ret);
}

static struct net_fixture *start(const struct limiter_config *rx, const struct limiter_config *tx)
{
	struct virtio_net_options o = { .id = "eth0", .rx = *rx, .tx = *tx };
	struct net_fixture *f = malloc(sizeof(*f));

	assert_non_null(f);
	fake.count = 0;
	memcpy(o.mac, net_mac, sizeof(o.mac));
	net_create(f, SOCK_SEQPACKET, 1, adopt, &o);
	net_start(f, 1ull << VIRTIO_NET_F_MRG_RXBUF, SIZE);
	return f;
}

static void end(struct net_fixture *f)
{
	net_destroy(f);
	free(f);
}

/* Takes what the host got, and gives the driver's buffers back to the device. Returns
 * how many frames have come through in this direction. */
static unsigned drain_tx(struct net_fixture *f)
{
	static char frame[HDR + LEN];
	struct vring_used_elem e;
	unsigned n = 0;

	while (recv(f->host[0], frame, sizeof(frame), 0) > 0)
		n++;
	while (net_used(&f->ring[TX], &e)) {
		const struct driver_buffer b = { net_buffer(0), HDR + LEN, false };

		net_offer(&f->ring[TX], &b, 1);
	}
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_NOTIFY, TX);
	return n;
}

static unsigned drain_rx(struct net_fixture *f)
{
	static char frame[HDR + LEN];
	struct vring_used_elem e;
	unsigned n = 0;

	while (net_used(&f->ring[RX], &e)) {
		const struct driver_buffer b = { net_buffer(1), HDR + LEN + 600, true };

		net_offer(&f->ring[RX], &b, 1);
		n++;
	}
	net_frame(frame, LEN, 0);
	while (send(f->host[0], frame, sizeof(frame), MSG_NOSIGNAL) > 0)
		continue;
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_NOTIFY, RX);
	return n;
}

/* Both queues half full. */
static void fill(struct net_fixture *f)
{
	const struct driver_buffer out = { net_buffer(0), HDR + LEN, false };
	const struct driver_buffer in = { net_buffer(1), HDR + LEN + 600, true };

	net_frame(driver_at(&f->d, out.addr, out.len), LEN, 0);
	for (unsigned i = 0; i < SIZE / 2; i++) {
		net_offer(&f->ring[TX], &out, 1);
		net_offer(&f->ring[RX], &in, 1);
	}
}

/* Frames that come through in SECONDS, both queues always in use. */
static void run(struct net_fixture *f, unsigned *rx, unsigned *tx)
{
	*rx = *tx = 0;
	for (unsigned i = 0; i < SECONDS * 1000000 / STEP_US; i++) {
		*tx += drain_tx(f);
		*rx += drain_rx(f);
		pass_time(f, STEP_US);
	}
}

static void assert_near(unsigned got, unsigned want)
{
	if (got < want * 95 / 100 || got > want * 105 / 100)
		fail_msg("%u frames, not %u within 5 %%", got, want);
}

/* Different limits each way, by bytes and by frames. A full bucket at the start is one
 * more second's worth. */
static void test_rates(void **state)
{
	const struct limiter_config bytes = { .bandwidth = { 200 * LEN, 1000, 0 },
					      .has_bandwidth = true };
	const struct limiter_config frames = { .ops = { 300, 1000, 0 }, .has_ops = true };
	struct net_fixture *f = start(&bytes, &frames);
	unsigned rx, tx;

	(void)state;
	fill(f);
	run(f, &rx, &tx);
	assert_near(rx, 200 * (SECONDS + 1));
	assert_near(tx, 300 * (SECONDS + 1));
	end(f);
	f = start(&frames, &bytes);
	fill(f);
	run(f, &rx, &tx);
	assert_near(rx, 300 * (SECONDS + 1));
	assert_near(tx, 200 * (SECONDS + 1));
	end(f);
}

/* A burst comes on top, once. Limits may change, or go, while frames wait for them. */
static void test_changes(void **state)
{
	const struct limiter_config burst = { .ops = { 100, 1000, 1000 }, .has_ops = true };
	const struct limiter_config slower = { .ops = { 50, 1000, 0 }, .has_ops = true };
	const struct limiter_config none = { .has_ops = true };
	struct net_fixture *f = start(&burst, &burst);
	unsigned rx, tx;

	(void)state;
	fill(f);
	run(f, &rx, &tx);
	assert_near(rx, 1000 + 100 * (SECONDS + 1));
	assert_near(tx, 1000 + 100 * (SECONDS + 1));
	virtio_net_set_limiters(f->d.dev, &slower, &slower);
	pass_time(f, STEP_US);
	run(f, &rx, &tx);
	assert_near(rx, 50 * (SECONDS + 1));
	assert_near(tx, 50 * (SECONDS + 1));
	virtio_net_set_limiters(f->d.dev, &none, &none);
	pass_time(f, STEP_US);
	run(f, &rx, &tx);
	assert_true(rx > 10000 && tx > 10000);
	end(f);
}

/* A frame that waits in the guest's buffers does not outlive a reset or a pause. */
static void test_waiting_frame(void **state)
{
	const struct limiter_config slow = { .ops = { 1, 1000, 0 }, .has_ops = true };
	struct net_fixture *f = start(&slow, &slow);
	struct vring_used_elem e;

	(void)state;
	drain_rx(f);
	for (unsigned i = 0; i < 4; i++) {
		const struct driver_buffer in = { net_buffer(1 + i), HDR + LEN + 600, true };

		net_offer(&f->ring[RX], &in, 1);
	}
	driver_kick(&f->d, RX);
	assert_true(net_used(&f->ring[RX], &e));
	assert_false(net_used(&f->ring[RX], &e)); /* the second waits */
	virtio_transport_pause(f->d.transport);
	pass_time(f, 1000000);
	assert_false(net_used(&f->ring[RX], &e));
	virtio_transport_resume(f->d.transport);
	driver_run(&f->d);
	assert_true(net_used(&f->ring[RX], &e));
	net_start(f, 0, SIZE);
	pass_time(f, 1000000);
	assert_false(net_used(&f->ring[RX], &e));
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_waiting_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
