/* test_acpi_pm.c - sleeping, resetting, and the power button. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <unistd.h>

#include "devices/acpi_pm.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { BASE = 0x600, S5 = 5, RESET_VALUE = 1, NOTHING = -1 };

struct fixture {
	struct bus *bus;
	struct acpi_pm *pm;
	int irq_fd;
	int stopped; /* enum stop_reason, or NOTHING */
};

static void note_stop(void *ctx, enum stop_reason reason, int value)
{
	struct fixture *f = ctx;

	assert_int_equal(value, 0);
	f->stopped = (int)reason;
}

static void create(struct fixture *f)
{
	struct acpi_pm_config config = {
		.s5_sleep_type = S5,
		.reset_value = RESET_VALUE,
		.stop = { note_stop, f },
	};

	config.irq_fd = f->irq_fd = fd_event();
	f->stopped = NOTHING;
	assert_true(f->irq_fd >= 0);
	assert_int_equal(bus_create(&f->bus), 0);
	assert_int_equal(acpi_pm_create(&config, &f->pm), 0);
	assert_int_equal(bus_add(f->bus, BASE, ACPI_PM_LEN, &acpi_pm_bus_ops, f->pm), 0);
}

static void destroy(struct fixture *f)
{
	bus_destroy(f->bus);
	acpi_pm_destroy(f->pm);
	fd_close(f->irq_fd);
}

static uint8_t get(struct fixture *f, unsigned off)
{
	uint8_t value = 0;

	assert_true(bus_read(f->bus, BASE + off, &value, 1));
	return value;
}

static void writes(void **state)
{
	static const struct {
		unsigned off, value;
		int stopped;
		unsigned control, status; /* read afterwards */
	} rows[] = {
		{ 0, S5 << 2, NOTHING, S5 << 2, 0 }, /* no SLP_EN */
		{ 0, S5 << 2 | 0x20, STOP_POWER_OFF, S5 << 2, 0 },
		{ 0, S5 << 2 | 0xe3, STOP_POWER_OFF, S5 << 2, 0 }, /* ignored bits */
		{ 0, 3 << 2 | 0x20, NOTHING, 3 << 2, 0x80 },	   /* S3: wakes at once */
		{ 1, 0x7f, NOTHING, 3 << 2, 0x80 },
		{ 1, 0x80, NOTHING, 3 << 2, 0 },
		{ 1, 0x80, NOTHING, 3 << 2, 0 },
		{ 2, 0, NOTHING, 3 << 2, 0 },
		{ 2, 0x81, NOTHING, 3 << 2, 0 },
		{ 2, RESET_VALUE, STOP_RESET, 3 << 2, 0 },
		{ 3, 0xff, NOTHING, 3 << 2, 0 },
	};
	struct fixture f;

	(void)state;
	create(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f.stopped = NOTHING;
		assert_true(bus_write(f.bus, BASE + rows[i].off, &rows[i].value, 1));
		assert_int_equal(f.stopped, rows[i].stopped);
		assert_int_equal(get(&f, 0), rows[i].control);
		assert_int_equal(get(&f, 1), rows[i].status);
		assert_int_equal(get(&f, 2), 0);
		assert_int_equal(get(&f, 3), 0);
	}
	assert_false(fd_event_drain(f.irq_fd));
	destroy(&f);
}

static void events(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	assert_int_equal(get(&f, 3), 0);
	acpi_pm_raise(f.pm, ACPI_PM_EVENT_POWER_BUTTON);
	assert_true(fd_event_drain(f.irq_fd));
	/* A second press before the first was seen is an edge again, one event. */
	acpi_pm_raise(f.pm, ACPI_PM_EVENT_POWER_BUTTON);
	assert_true(fd_event_drain(f.irq_fd));
	assert_int_equal(get(&f, 3), ACPI_PM_EVENT_POWER_BUTTON);
	assert_int_equal(get(&f, 3), 0);
	assert_false(fd_event_drain(f.irq_fd));
	acpi_pm_raise(f.pm, ACPI_PM_EVENT_POWER_BUTTON);
	assert_true(fd_event_drain(f.irq_fd));
	assert_int_equal(get(&f, 3), ACPI_PM_EVENT_POWER_BUTTON);
	/* Events that were raised one by one are told together. */
	acpi_pm_raise(f.pm, 0x40);
	acpi_pm_raise(f.pm, 0x82);
	assert_int_equal(get(&f, 3), 0xc2);
	assert_int_equal(get(&f, 3), 0);
	assert_int_equal(f.stopped, NOTHING);
	destroy(&f);
}

static void wide_accesses_do_nothing(void **state)
{
	uint32_t value = (S5 << 2 | 0x20) * 0x01010101u;
	struct fixture f;

	(void)state;
	create(&f);
	acpi_pm_raise(f.pm, ACPI_PM_EVENT_POWER_BUTTON);
	assert_true(bus_write(f.bus, BASE, &value, 4));
	assert_true(bus_write(f.bus, BASE, &value, 2));
	value = RESET_VALUE;
	assert_true(bus_write(f.bus, BASE + 2, &value, 2));
	assert_int_equal(f.stopped, NOTHING);
	assert_true(bus_read(f.bus, BASE, &value, 4));
	assert_int_equal(value, UINT32_MAX);
	assert_int_equal(get(&f, 3), ACPI_PM_EVENT_POWER_BUTTON);
	destroy(&f);
	acpi_pm_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),
		cmocka_unit_test(events),
		cmocka_unit_test(wide_accesses_do_nothing),
	};

	log_setup(&(struct log_config){ .id = "test", .level = LOG_OFF, .fd = STDERR_FILENO });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
