/* test_ioapic.c - registers, the messages that entries become, and how few calls
 * a guest's boot costs. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "devices/ioapic.h"
#include "vmm/base/log.h"

enum {
	SELECT = 0x00,
	WINDOW = 0x10,
	EOI = 0x40,
	MASKED = 1 << 16,
	LEVEL = 1 << 15,
	LOGICAL = 1 << 11,
	LOWEST = 1 << 8,
};

#define BASE 0xfec00000ull

struct fixture {
	struct bus *bus;
	struct ioapic *ioapic;
	unsigned calls;
	int result; /* of the next calls */
	struct ioapic_route routes[IOAPIC_MAX_PINS];
};

static int note_routes(void *ctx, const struct ioapic_route *routes, unsigned n)
{
	struct fixture *f = ctx;

	assert_true(n >= 1 && n <= IOAPIC_MAX_PINS);
	for (unsigned pin = 0; pin < n; pin++)
		assert_int_equal(routes[pin].pin, pin);
	memcpy(f->routes, routes, n * sizeof(routes[0]));
	f->calls++;
	return f->result;
}

static const struct ioapic_ops ops = { note_routes };

static void create(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	assert_int_equal(bus_create(&f->bus), 0);
	assert_int_equal(ioapic_create(&ops, f, IOAPIC_MAX_PINS, &f->ioapic), 0);
	assert_int_equal(bus_add(f->bus, BASE, IOAPIC_LEN, &ioapic_bus_ops, f->ioapic), 0);
}

static void destroy(struct fixture *f)
{
	bus_destroy(f->bus);
	ioapic_destroy(f->ioapic);
}

static void mmio_put(struct fixture *f, unsigned off, uint32_t value)
{
	assert_true(bus_write(f->bus, BASE + off, &value, 4));
}

static uint32_t mmio_get(struct fixture *f, unsigned off)
{
	uint32_t value;

	assert_true(bus_read(f->bus, BASE + off, &value, 4));
	return value;
}

static void put(struct fixture *f, uint32_t reg, uint32_t value)
{
	mmio_put(f, SELECT, reg);
	mmio_put(f, WINDOW, value);
}

static uint32_t get(struct fixture *f, uint32_t reg)
{
	mmio_put(f, SELECT, reg);
	return mmio_get(f, WINDOW);
}

static uint32_t low_reg(unsigned pin)
{
	return 0x10 + 2 * pin;
}

static uint32_t high_reg(unsigned pin)
{
	return 0x11 + 2 * pin;
}

static void registers(void **state)
{
	static const struct {
		uint32_t reg, written, read;
	} rows[] = {
		{ 0x00, 0xffffffff, 0x0f000000 }, /* ID */
		{ 0x02, 0x00000000, 0x0f000000 }, /* arbitration ID: read-only, the same */
		{ 0x00, 0x05000000, 0x05000000 },
		{ 0x01, 0xffffffff, 0x00170020 }, /* 24 pins, version 0x20 */
		{ 0x03, 0xffffffff, 0 },
		{ 0x0f, 0xffffffff, 0 },
		{ 0x10, 0xffffffff, 0x0001afff }, /* without the two status bits */
		{ 0x11, 0xffffffff, 0xff000000 },
		{ 0x3e, 0x000100f0, 0x000100f0 }, /* pin 23 */
		{ 0x3f, 0x12345678, 0x12000000 },
		{ 0x40, 0xffffffff, 0 }, /* behind the last pin */
		{ 0xff, 0xffffffff, 0 },
		{ 0x101, 0, 0x00170020 }, /* the select register has 8 bits */
	};
	struct fixture f;

	(void)state;
	create(&f);
	for (unsigned pin = 0; pin < IOAPIC_MAX_PINS; pin++) {
		assert_int_equal(get(&f, low_reg(pin)), MASKED);
		assert_int_equal(get(&f, high_reg(pin)), 0);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(&f, rows[i].reg, rows[i].written);
		assert_int_equal(get(&f, rows[i].reg), rows[i].read);
		assert_int_equal(mmio_get(&f, SELECT), rows[i].reg & 0xff);
	}
	assert_int_equal(f.calls, 0);
	destroy(&f);
}

static void messages(void **state)
{
	static const struct {
		uint32_t high, low;
		uint64_t address;
		uint32_t data;
	} rows[] = {
		{ 0x00000000, 0x30, 0xfee00000, 0x30 },
		{ 0x01000000, 0x31, 0xfee01000, 0x31 },
		{ 0xff000000, 0xef, 0xfeeff000, 0xef },
		{ 0x03000000, 0x31 | LOGICAL, 0xfee03004, 0x31 },
		{ 0x03000000, 0x31 | LOGICAL | LOWEST, 0xfee03004, 0x131 },
		{ 0x00000000, 0x41 | LEVEL, 0xfee00000, 0xc041 },
		{ 0x00000000, 0x400, 0xfee00000, 0x400 },	 /* NMI */
		{ 0x00000000, 0x2000 | 0x50, 0xfee00000, 0x50 }, /* active low */
		{ 0x00fe0000, 0x5000 | 0x50, 0xfee00000, 0x50 }, /* reserved, status */
	};
	struct fixture f;

	(void)state;
	create(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct ioapic_route *r = &f.routes[7];

		put(&f, low_reg(7), MASKED);
		put(&f, high_reg(7), rows[i].high);
		put(&f, low_reg(7), rows[i].low);
		assert_false(r->masked);
		assert_int_equal(r->msi_address, rows[i].address);
		assert_int_equal(r->msi_data, rows[i].data);
	}
	for (unsigned pin = 0; pin < IOAPIC_MAX_PINS; pin++) {
		if (pin == 7)
			continue;
		assert_true(f.routes[pin].masked);
		assert_int_equal(f.routes[pin].msi_address, 0);
		assert_int_equal(f.routes[pin].msi_data, 0);
	}
	destroy(&f);
}

/* Linux clears every pin and then programs each, masked, before a driver asks. */
static void a_boot_costs_a_call_for_each_pin_in_use(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	for (unsigned pin = 0; pin < IOAPIC_MAX_PINS; pin++) {
		get(&f, low_reg(pin));
		get(&f, high_reg(pin));
		put(&f, low_reg(pin), MASKED);
		put(&f, high_reg(pin), 0);
	}
	for (unsigned pin = 0; pin < IOAPIC_MAX_PINS; pin++) {
		put(&f, high_reg(pin), 0x01000000);
		put(&f, low_reg(pin), MASKED | (0x30 + pin));
	}
	assert_int_equal(f.calls, 0);
	put(&f, low_reg(4), 0x34);
	put(&f, low_reg(6), 0x36);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.routes[4].msi_data, 0x34);
	assert_int_equal(f.routes[6].msi_address, 0xfee01000);
	destroy(&f);
}

static void only_what_matters_is_told(void **state)
{
	static const struct {
		uint32_t reg, value;
		unsigned calls; /* in all */
	} rows[] = {
		{ 0x18, 0x34, 1 },
		{ 0x18, 0x34, 1 },	    /* the same again */
		{ 0x18, 0x34 | 0x2000, 1 }, /* polarity: not in the message */
		{ 0x19, 0, 1 },
		{ 0x19, 0x02000000, 2 }, /* moved */
		{ 0x18, 0x35, 3 },
		{ 0x18, 0x35 | MASKED, 4 },
		{ 0x18, 0x36 | MASKED, 4 },
		{ 0x19, 0x01000000, 4 },
		{ 0x18, 0x37 | MASKED | LEVEL, 4 },
		{ 0x18, 0x36, 5 },
		{ 0x00, 0x01000000, 5 },
		{ 0x1a, 0x99 | MASKED, 5 },
	};
	struct fixture f;

	(void)state;
	create(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(&f, rows[i].reg, rows[i].value);
		if (f.calls != rows[i].calls)
			fail_msg("row %zu: %u calls", i, f.calls);
	}
	destroy(&f);
}

static void a_refused_table_is_offered_again(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	f.result = -ENOMEM;
	put(&f, low_reg(4), 0x34);
	assert_int_equal(f.calls, 1);
	assert_int_equal(get(&f, low_reg(4)), 0x34);
	f.result = 0;
	put(&f, low_reg(9), MASKED); /* nothing new, but there is a debt */
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.routes[4].msi_data, 0x34);
	put(&f, low_reg(9), MASKED);
	assert_int_equal(f.calls, 2);
	destroy(&f);
}

/* No line here is held back until an EOI. */
static void an_eoi_changes_nothing(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	put(&f, low_reg(5), LEVEL | 0x41);
	assert_int_equal(f.calls, 1);
	mmio_put(&f, EOI, 0x41);
	assert_int_equal(f.calls, 1);
	assert_int_equal(get(&f, low_reg(5)), LEVEL | 0x41);
	destroy(&f);
}

static void misuse(void **state)
{
	static const struct {
		unsigned off;
		size_t len;
	} rows[] = {
		{ 0x10, 1 }, { 0x10, 2 }, { 0x10, 8 }, { 0x11, 1 }, { 0x0c, 8 },
		{ 0x04, 4 }, { 0x12, 4 }, { 0x0e, 4 }, { 0x14, 4 }, { 0xfc, 4 },
	};
	uint64_t ones = UINT64_MAX;
	struct fixture f;

	(void)state;
	create(&f);
	mmio_put(&f, SELECT, low_reg(3));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t value = 0;

		assert_true(bus_write(f.bus, BASE + rows[i].off, &value, rows[i].len));
		value = ones;
		assert_true(bus_read(f.bus, BASE + rows[i].off, &value, rows[i].len));
		assert_memory_equal(&value, "\0\0\0\0\0\0\0\0", rows[i].len);
	}
	assert_int_equal(mmio_get(&f, SELECT), low_reg(3));
	assert_int_equal(mmio_get(&f, WINDOW), MASKED);
	assert_int_equal(f.calls, 0);
	assert_false(bus_write(f.bus, BASE + 0xfc, &ones, 8));
	destroy(&f);
	ioapic_destroy(NULL);
}

/* A smaller I/O APIC says so, and has no entries behind its last pin. */
static void pins(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	assert_int_equal(ioapic_create(&ops, &f, 0, &f.ioapic), -EINVAL);
	assert_int_equal(ioapic_create(&ops, &f, IOAPIC_MAX_PINS + 1, &f.ioapic), -EINVAL);
	assert_int_equal(bus_create(&f.bus), 0);
	assert_int_equal(ioapic_create(&ops, &f, 6, &f.ioapic), 0);
	assert_int_equal(bus_add(f.bus, BASE, IOAPIC_LEN, &ioapic_bus_ops, f.ioapic), 0);
	assert_int_equal(get(&f, 1) >> 16 & 0xff, 5);
	put(&f, 0x10 + 2 * 6, 0x30);
	assert_int_equal(get(&f, 0x10 + 2 * 6), 0);
	assert_int_equal(f.calls, 0);
	destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(messages),
		cmocka_unit_test(a_boot_costs_a_call_for_each_pin_in_use),
		cmocka_unit_test(only_what_matters_is_told),
		cmocka_unit_test(a_refused_table_is_offered_again),
		cmocka_unit_test(an_eoi_changes_nothing),
		cmocka_unit_test(misuse),
		cmocka_unit_test(pins),
	};

	log_setup(&(struct log_config){ .id = "test", .level = LOG_OFF, .fd = STDERR_FILENO });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
