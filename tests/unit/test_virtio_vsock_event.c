/* test_virtio_vsock_event.c - a transport reset, and how the driver hears of it. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <unistd.h>

#include "devices/virtio/vsock.h"
#include "tests/unit/vsock_fixture.h"

static void transport_reset_is_told(void **state)
{
	struct vsock_fixture *f = *state;
	uint32_t port;
	int fd = host_open(f, &port);

	guest_offer_event(f, sizeof(struct virtio_vsock_event));
	assert_int_equal(guest_events(f), 0);
	(void)driver_interrupts(&f->d);
	virtio_vsock_reset_transport(f->d.dev);
	assert_int_equal(guest_events(f), 1);
	assert_int_equal(*(uint32_t *)driver_at(&f->d, GUEST_EVENT, 4),
			 VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	assert_int_equal(driver_interrupts(&f->d), 1);
	assert_true(host_closed(fd));
	close(fd);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), 0);
	guest_offer_event(f, sizeof(struct virtio_vsock_event));
	close(host_open(f, &port));
}

/* Whoever connects before the driver has acted on a reset is not among what it ends. */
static void packets_wait_for_the_reset_to_be_seen(void **state)
{
	struct vsock_fixture *f = *state;
	int fd;

	guest_offer_event(f, 64);
	guest_offer_event(f, 64);
	virtio_vsock_reset_transport(f->d.dev);
	assert_int_equal(guest_events(f), 1);
	fd = host_connect(f, "connect 52\n");
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), 0);
	/* A kick that says nothing new. */
	driver_kick(&f->d, 2);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), 0);
	guest_offer_event(f, 64);
	driver_run(&f->d);
	assert_int_equal(guest_receive(f), VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
}

/* Nor does a driver wait for ever that forgets what it was told. */
static void device_reset_ends_the_wait(void **state)
{
	struct vsock_fixture *f = *state;
	uint32_t port;

	guest_offer_event(f, 64);
	virtio_vsock_reset_transport(f->d.dev);
	driver_put(&f->d, VIRTIO_MMIO_STATUS, 0);
	driver_run(&f->d);
	vsock_fixture_start(f);
	close(host_open(f, &port));
}

/* Once, when there is a buffer; never to a driver that came up later. */
static void transport_reset_waits_for_a_buffer(void **state)
{
	struct vsock_fixture *f = *state;

	virtio_vsock_reset_transport(f->d.dev);
	assert_int_equal(guest_events(f), 0);
	guest_offer_event(f, 64);
	assert_int_equal(guest_events(f), 1);
	guest_offer_event(f, 64);
	assert_int_equal(guest_events(f), 1);
	virtio_vsock_reset_transport(f->d.dev);
	virtio_vsock_reset_transport(f->d.dev);
	assert_int_equal(guest_events(f), 2);
	vsock_fixture_start(f);
	driver_put(&f->d, VIRTIO_MMIO_STATUS, 0);
	virtio_vsock_reset_transport(f->d.dev);
	vsock_fixture_start(f);
	guest_offer_event(f, 64);
	assert_int_equal(guest_events(f), 0);
}

static void small_event_buffer_fails_the_device(void **state)
{
	struct vsock_fixture *f = *state;

	guest_offer_event(f, sizeof(struct virtio_vsock_event) - 1);
	virtio_vsock_reset_transport(f->d.dev);
	assert_true(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(guest_events(f), 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, vsock_fixture_set_up, vsock_fixture_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(transport_reset_is_told),
		TEST(packets_wait_for_the_reset_to_be_seen),
		TEST(device_reset_ends_the_wait),
		TEST(transport_reset_waits_for_a_buffer),
		TEST(small_event_buffer_fails_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
