/* test_virtio_rng.c - entropy: filled, capped, and nothing else. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "devices/virtio/rng.h"
#include "tests/unit/virtio_driver.h"

enum { BUF = DRIVER_BUFFERS, CAP = 64 * 1024 };

static const struct limiter_config no_limits;

static void start(struct driver *d, const struct limiter_config *limits)
{
	struct virtio_dev *dev;

	assert_int_equal(virtio_rng_create(limits, &dev), 0);
	driver_create(d, dev);
	driver_start(d, 0, 64);
}

static unsigned zeros(struct driver *d, uint64_t addr, size_t len)
{
	const unsigned char *at = driver_at(d, addr, len);
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += at[i] == 0;
	return n;
}

static void fills_every_buffer(void **state)
{
	const struct driver_buffer b[] = { { BUF, 300, true }, { BUF + 4096, 500, true } };
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d, &no_limits);
	assert_int_equal(driver_get(&d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	assert_true(driver_request(&d, b, 2, &e));
	assert_int_equal(e.len, 800);
	/* 1 in 256 is 0 by chance; a quarter of them never is. */
	assert_true(zeros(&d, BUF, 300) < 75);
	assert_true(zeros(&d, BUF + 4096, 500) < 125);
	assert_int_equal(zeros(&d, BUF + 300, 1000), 1000);
	assert_int_equal(d.dev->counters.read_bytes, 800);
	driver_destroy(&d);
}

static void request_is_capped(void **state)
{
	const struct driver_buffer b[] = { { BUF, CAP - 10, true }, { BUF + CAP, CAP, true } };
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d, &no_limits);
	assert_true(driver_request(&d, b, 2, &e));
	assert_int_equal(e.len, CAP);
	assert_int_equal(zeros(&d, BUF + CAP + 10, CAP - 10), CAP - 10);
	driver_destroy(&d);
}

/* Requests of len bytes, as many as n. */
static void ask(struct driver *d, uint32_t len, uint16_t n)
{
	const struct driver_buffer b = { BUF, len, true };

	for (uint16_t i = 0; i < n; i++) {
		driver_chain(d, i, &b, 1);
		driver_offer(d, i);
	}
	driver_kick(d, 0);
}

static void burst_takes_turns(void **state)
{
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d, &no_limits);
	ask(&d, 16, 64);
	for (unsigned i = 0; i < 64; i++) {
		assert_true(driver_used(&d, &e));
		assert_int_equal(e.len, 16);
	}
	assert_true(d.dev->counters.kicks > 3);
	driver_destroy(&d);
}

/* Bytes are counted as they will be given: a request beyond the cap costs the cap. */
static void limits_bytes(void **state)
{
	const struct limiter_config hour = { .bandwidth = { 2 * CAP, 3600000, CAP },
					     .has_bandwidth = true };
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d, &hour);
	ask(&d, CAP + 100, 10);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(driver_used(&d, &e));
		assert_int_equal(e.len, CAP);
	}
	driver_kick(&d, 0);
	assert_false(driver_used(&d, &e));
	assert_int_equal(d.dev->counters.requests, 3);
	driver_destroy(&d);
}

/* What had to wait is served without another kick; a reset forgets it. */
static void goes_on_when_the_limit_allows(void **state)
{
	const struct limiter_config often = { .ops = { 1, 20, 0 }, .has_ops = true };
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d, &often);
	ask(&d, 16, 3);
	for (unsigned i = 0; i < 3; i++) {
		while (!driver_used(&d, &e))
			driver_run(&d);
		assert_int_equal(e.len, 16);
	}
	ask(&d, 16, 3);
	driver_put(&d, VIRTIO_MMIO_STATUS, 0);
	for (uint64_t seen = d.dev->counters.requests, i = 0; i < 3; i++) {
		driver_run(&d);
		assert_int_equal(d.dev->counters.requests, seen);
	}
	driver_destroy(&d);
}

/* 5.4.6.1: the driver must not place device-readable buffers into the queue. */
static void readable_buffer_fails_the_device(void **state)
{
	const struct driver_buffer b[] = { { BUF, 8, false }, { BUF + 64, 8, true } };
	struct vring_used_elem e;
	struct driver d;

	(void)state;
	start(&d, &no_limits);
	assert_false(driver_request(&d, b, 2, &e));
	assert_true(driver_get(&d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	driver_start(&d, 0, 64);
	assert_true(driver_request(&d, b + 1, 1, &e));
	driver_destroy(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_every_buffer),
		cmocka_unit_test(request_is_capped),
		cmocka_unit_test(burst_takes_turns),
		cmocka_unit_test(limits_bytes),
		cmocka_unit_test(goes_on_when_the_limit_allows),
		cmocka_unit_test(readable_buffer_fails_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
