/* test_saved_devices.c - devices saved in one machine and loaded in another; and states
 * whose fields were made to hurt.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/serial_reg.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/acpi_pm.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/serial.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/transport.h"
#include "tests/unit/virtio_driver.h"
#include "vmm/base/fd.h"

enum { BUF = DRIVER_BUFFERS, LEN = 64, ROUNDS = 40, RING = 32 };

static const struct limiter_config no_limits;

/* What was saved, to be loaded. Both are the caller's to destroy; the first one is. */
static struct state *reopen(struct state *saved)
{
	struct error err = { 0 };
	struct state *s;
	size_t len;
	const void *bytes = state_seal(saved, &len);

	if (!bytes)
		fail_msg("not saved: %s", state_error(saved, &err) < 0 ? err.text : "");
	assert_int_equal(state_parse(bytes, len, &s, NULL), 0);
	state_destroy(saved);
	return s;
}

static struct state *fresh(void)
{
	struct state *s;

	assert_int_equal(state_create(&s), 0);
	return s;
}

/* --- virtio --- */

static struct virtio_dev *new_rng(void)
{
	struct virtio_dev *dev;

	assert_int_equal(virtio_rng_create(&no_limits, &dev), 0);
	return dev;
}

static void exchange(struct driver *d, struct state *s)
{
	state_begin(s, STATE_TRANSPORT, 0);
	virtio_transport_state(d->transport, s);
	state_end(s);
	if (!state_failed(s))
		assert_true(virtio_transport_device_state(d->transport, s, 0));
}

/* RAM moves as a memory file would move it. */
static void copy_ram(struct driver *to, struct driver *from)
{
	unsigned count;
	const struct gmem_region *a = gmem_regions(from->mem, &count);
	const struct gmem_region *b = gmem_regions(to->mem, &count);

	for (unsigned i = 0; i < count; i++)
		memcpy(b[i].host, a[i].host, a[i].len);
	to->size = from->size;
	to->avail_idx = from->avail_idx;
	to->used_idx = from->used_idx;
}

static void ask(struct driver *d)
{
	const struct driver_buffer b = { BUF, LEN, true };
	struct vring_used_elem e;

	assert_true(driver_request(d, &b, 1, &e));
	assert_int_equal(e.len, LEN);
}

/* The rings have been round once when the device moves, and go on where they are. */
static void queues_go_on(void **state)
{
	const struct driver_buffer b = { BUF, LEN, true };
	struct vring_used_elem e;
	struct driver from, to;
	struct state *s = fresh();

	(void)state;
	driver_create(&from, new_rng());
	driver_start(&from, 0, RING);
	for (int i = 0; i < ROUNDS; i++)
		ask(&from);
	/* Offered and not served: the kick is lost with the first machine. */
	driver_chain(&from, 0, &b, 1);
	driver_offer(&from, 0);
	exchange(&from, s);
	s = reopen(s);
	driver_create(&to, new_rng());
	copy_ram(&to, &from);
	exchange(&to, s);
	assert_int_equal(state_error(s, NULL), 0);
	assert_int_equal(driver_get(&to, VIRTIO_MMIO_STATUS),
			 driver_get(&from, VIRTIO_MMIO_STATUS));
	virtio_transport_wake(to.transport);
	driver_run(&to);
	assert_true(driver_used(&to, &e));
	assert_int_equal(e.len, LEN);
	assert_true(driver_interrupts(&to) > 0);
	for (int i = 0; i < ROUNDS; i++)
		ask(&to);
	state_destroy(s);
	driver_destroy(&to);
	driver_destroy(&from);
}

/* A device that its driver has not touched. */
static void fresh_device(void **state)
{
	struct driver from, to;
	struct state *s = fresh();

	(void)state;
	driver_create(&from, new_rng());
	exchange(&from, s);
	s = reopen(s);
	driver_create(&to, new_rng());
	exchange(&to, s);
	assert_int_equal(state_error(s, NULL), 0);
	virtio_transport_wake(to.transport);
	driver_start(&to, 0, RING);
	ask(&to);
	state_destroy(s);
	driver_destroy(&to);
	driver_destroy(&from);
}

static void another_device(void **state)
{
	const struct virtio_balloon_options options = { .target_pages = 1 };
	struct virtio_dev *balloon;
	struct driver from, to;
	struct error err = { 0 };
	struct state *s = fresh();

	(void)state;
	driver_create(&from, new_rng());
	driver_start(&from, 0, RING);
	exchange(&from, s);
	s = reopen(s);
	assert_int_equal(virtio_balloon_create(&options, &balloon), 0);
	driver_create(&to, balloon);
	exchange(&to, s);
	assert_int_equal(state_error(s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "another kind of device"));
	assert_int_equal(driver_get(&to, VIRTIO_MMIO_STATUS), 0);
	state_destroy(s);
	driver_destroy(&to);
	driver_destroy(&from);
}

/* Every byte of a live device's section set to each of these, under CRCs that hold: the
 * load succeeds or is refused, and then the device works or does not; nothing else. */
static void hostile_fields(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0xff };
	uint8_t *fields;
	struct driver from;
	size_t len;
	struct state *s = fresh();

	(void)state;
	driver_create(&from, new_rng());
	driver_start(&from, 0, RING);
	ask(&from);
	exchange(&from, s);
	s = reopen(s);
	state_begin(s, STATE_TRANSPORT, 0);
	const void *rest = state_rest(s, &len);

	fields = malloc(len);
	assert_non_null(fields);
	memcpy(fields, rest, len);
	state_destroy(s);
	for (size_t i = 0; i < len * sizeof(values); i++) {
		uint8_t *at = &fields[i / sizeof(values)], was = *at;
		struct driver to;

		s = fresh();
		*at = values[i % sizeof(values)];
		state_begin(s, STATE_TRANSPORT, 0);
		state_bytes(s, fields, len);
		state_end(s);
		state_begin(s, STATE_RNG, 0);
		state_end(s);
		*at = was;
		s = reopen(s);
		driver_create(&to, new_rng());
		copy_ram(&to, &from);
		exchange(&to, s);
		if (!state_failed(s)) {
			virtio_transport_wake(to.transport);
			driver_run(&to);
		}
		driver_destroy(&to);
		state_destroy(s);
	}
	free(fields);
	driver_destroy(&from);
}

/* --- the platform --- */

static uint8_t in(const struct bus_ops *ops, void *device, uint64_t off)
{
	uint8_t value = 0;

	ops->read(device, off, &value, 1);
	return value;
}

static void out(const struct bus_ops *ops, void *device, uint64_t off, uint8_t value)
{
	ops->write(device, off, &value, 1);
}

/* Registers, and what the guest has not read yet. */
static void serial_goes_on(void **state)
{
	struct serial *from, *to;
	struct state *s = fresh();
	int irq = fd_event();

	(void)state;
	assert_int_equal(serial_create(irq, &from), 0);
	assert_int_equal(serial_create(irq, &to), 0);
	out(&serial_bus_ops, from, UART_IER, UART_IER_RDI);
	out(&serial_bus_ops, from, UART_SCR, 0x5a);
	assert_int_equal(serial_put_input(from, "abc", 3), 3);
	assert_int_equal(in(&serial_bus_ops, from, UART_RX), 'a');
	serial_state(from, s);
	s = reopen(s);
	serial_state(to, s);
	assert_int_equal(state_error(s, NULL), 0);
	assert_int_equal(in(&serial_bus_ops, to, UART_SCR), 0x5a);
	assert_int_equal(in(&serial_bus_ops, to, UART_IER), UART_IER_RDI);
	assert_int_equal(in(&serial_bus_ops, to, UART_RX), 'b');
	assert_int_equal(in(&serial_bus_ops, to, UART_RX), 'c');
	assert_false(in(&serial_bus_ops, to, UART_LSR) & UART_LSR_DR);
	state_destroy(s);
	serial_destroy(to);
	serial_destroy(from);
	fd_close(irq);
}

/* A queue that says it has more than it can hold is refused, and is empty then. */
static void full_queues(void **state)
{
	uint8_t bytes[256];
	struct stop_sink stop = { 0 };
	struct serial *serial;
	struct i8042 *keyboard;
	struct state *s = fresh();
	int irq = fd_event();

	(void)state;
	memset(bytes, 0xff, sizeof(bytes));
	/* Flags are 0 or 1: registers, flags, input, its start and length. */
	memset(bytes + 7, 1, 3);
	state_begin(s, STATE_SERIAL, 0);
	state_bytes(s, bytes, 7 + 3 + SERIAL_INPUT_BYTES + 2);
	state_end(s);
	memset(bytes, 1, 5);
	state_begin(s, STATE_I8042, 0);
	state_bytes(s, bytes, 5 + 16 + 2);
	state_end(s);
	s = reopen(s);
	assert_int_equal(serial_create(irq, &serial), 0);
	serial_state(serial, s);
	assert_int_equal(state_error(s, NULL), -EBADMSG);
	assert_false(in(&serial_bus_ops, serial, UART_LSR) & UART_LSR_DR);
	assert_int_equal(i8042_create(irq, &stop, &keyboard), 0);
	i8042_state(keyboard, s);
	in(&i8042_bus_ops, keyboard, 0);
	state_destroy(s);
	i8042_destroy(keyboard);
	serial_destroy(serial);
	fd_close(irq);
}

static int count_routes(void *ctx, const struct ioapic_route *routes, unsigned n)
{
	unsigned *open = ctx;

	*open = 0;
	for (unsigned i = 0; i < n; i++)
		*open += !routes[i].masked;
	return 0;
}

static void ioapic_goes_on(void **state)
{
	static const struct ioapic_ops ops = { count_routes };
	const uint32_t select = 0x10 + 2 * 3, entry = 0x31;
	unsigned before = 0, after = 0;
	struct ioapic *from, *to, *smaller;
	struct state *s = fresh();

	(void)state;
	assert_int_equal(ioapic_create(&ops, &before, 8, &from), 0);
	assert_int_equal(ioapic_create(&ops, &after, 8, &to), 0);
	assert_int_equal(ioapic_create(&ops, &after, 4, &smaller), 0);
	ioapic_bus_ops.write(from, 0x00, &select, 4);
	ioapic_bus_ops.write(from, 0x10, &entry, 4);
	assert_int_equal(before, 1);
	ioapic_exchange(from, s);
	s = reopen(s);
	ioapic_exchange(to, s);
	assert_int_equal(state_error(s, NULL), 0);
	assert_int_equal(after, 1);
	ioapic_exchange(smaller, s);
	assert_int_equal(state_error(s, NULL), -EBADMSG);
	state_destroy(s);
	ioapic_destroy(smaller);
	ioapic_destroy(to);
	ioapic_destroy(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_go_on),	  cmocka_unit_test(fresh_device),
		cmocka_unit_test(another_device), cmocka_unit_test(hostile_fields),
		cmocka_unit_test(serial_goes_on), cmocka_unit_test(full_queues),
		cmocka_unit_test(ioapic_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
