/* test_generation.c - the two pages by which a guest learns that it was copied.
 *
 * Fields of VMClock are read by their offsets in Linux's vmclock-abi.h.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <string.h>

#include "devices/bus.h"
#include "devices/generation.h"
#include "vmm/base/fd.h"

enum { RAM_BYTES = 1 << 20, ID_PAGE = 0x9d000, CLOCK_PAGE = 0x9e000 };
enum { SEQ_COUNT = 12, DISRUPTION_MARKER = 16, FLAGS = 24, CLOCK_STATUS = 34, COUNTER = 104 };

struct fixture {
	struct gmem *mem;
	struct bus *bus;
	struct acpi_pm *pm;
	struct generation *generation;
	int irq_fd;
};

static void on_stop(void *ctx, enum stop_reason reason, int value)
{
	(void)ctx;
	(void)reason;
	(void)value;
	fail();
}

static struct generation_config config_of(const struct fixture *f)
{
	return (struct generation_config){
		.mem = f->mem,
		.id_page = gpa(ID_PAGE),
		.clock_page = gpa(CLOCK_PAGE),
		.pm = f->pm,
	};
}

static void create(struct fixture *f)
{
	struct gmem_config ram = { .size_bytes = RAM_BYTES };
	struct acpi_pm_config pm = { .stop = { on_stop, NULL } };
	struct generation_config config;

	pm.irq_fd = f->irq_fd = fd_event();
	assert_true(f->irq_fd >= 0);
	assert_int_equal(gmem_create(&ram, &f->mem, NULL), 0);
	assert_int_equal(bus_create(&f->bus), 0);
	assert_int_equal(acpi_pm_create(&pm, &f->pm), 0);
	assert_int_equal(bus_add(f->bus, 0, ACPI_PM_LEN, &acpi_pm_bus_ops, f->pm), 0);
	config = config_of(f);
	assert_int_equal(generation_create(&config, &f->generation), 0);
}

static void destroy(struct fixture *f)
{
	generation_destroy(f->generation);
	bus_destroy(f->bus);
	acpi_pm_destroy(f->pm);
	gmem_destroy(f->mem);
	fd_close(f->irq_fd);
}

static uint64_t clock_field(const struct fixture *f, uint64_t off, size_t len)
{
	uint64_t value = 0;

	assert_int_equal(gmem_read(f->mem, &value, gpa(CLOCK_PAGE + off), len), 0);
	return value;
}

static void read_id(const struct fixture *f, uint8_t id[GENERATION_ID_BYTES])
{
	assert_int_equal(gmem_read(f->mem, id, gpa(ID_PAGE), GENERATION_ID_BYTES), 0);
}

static uint8_t take_events(struct fixture *f)
{
	uint8_t events = 0;

	assert_true(bus_read(f->bus, 3, &events, 1));
	return events;
}

static void first_life(void **state)
{
	static const uint8_t zeros[GENERATION_PAGE_BYTES];
	const uint8_t *page;
	struct fixture f;

	(void)state;
	create(&f);
	page = gmem_span(f.mem, gpa(ID_PAGE), GENERATION_PAGE_BYTES);
	assert_memory_not_equal(page, zeros, GENERATION_ID_BYTES);
	assert_memory_equal(page + GENERATION_ID_BYTES, zeros,
			    GENERATION_PAGE_BYTES - GENERATION_ID_BYTES);

	page = gmem_span(f.mem, gpa(CLOCK_PAGE), GENERATION_PAGE_BYTES);
	assert_memory_equal(page, "VCLK\x00\x10\x00\x00\x01\x00\xff\x00\x00\x00\x00\x00", 16);
	assert_int_equal(clock_field(&f, DISRUPTION_MARKER, 8), 0);
	assert_int_equal(clock_field(&f, FLAGS, 8), 0x300);
	assert_memory_equal(page + 32, zeros, GENERATION_PAGE_BYTES - 32);

	/* Nothing to tell a guest that has not started. */
	assert_false(fd_event_drain(f.irq_fd));
	assert_int_equal(take_events(&f), 0);
	destroy(&f);
}

static void next_lives(void **state)
{
	uint8_t before[GENERATION_ID_BYTES], after[GENERATION_ID_BYTES];
	struct fixture f;

	(void)state;
	create(&f);
	read_id(&f, before);
	for (uint64_t life = 1; life <= 3; life++) {
		assert_int_equal(generation_renew(f.generation), 0);
		read_id(&f, after);
		assert_memory_not_equal(before, after, sizeof(after));
		memcpy(before, after, sizeof(before));
		assert_int_equal(clock_field(&f, SEQ_COUNT, 4), 2 * life);
		assert_int_equal(clock_field(&f, DISRUPTION_MARKER, 8), life);
		assert_int_equal(clock_field(&f, COUNTER, 8), life);
		assert_true(fd_event_drain(f.irq_fd));
		assert_int_equal(take_events(&f), ACPI_PM_EVENT_GENERATION | ACPI_PM_EVENT_CLOCK);
	}
	destroy(&f);
}

/* A guest that writes to its pages only fools itself. */
static void scribbled(void **state)
{
	struct fixture f;
	uint8_t id[GENERATION_ID_BYTES], ones[GENERATION_ID_BYTES];

	(void)state;
	create(&f);
	assert_int_equal(generation_renew(f.generation), 0);
	memset(ones, 0xff, sizeof(ones));
	memset(gmem_span(f.mem, gpa(ID_PAGE), 2 * GENERATION_PAGE_BYTES), 0xff,
	       2 * GENERATION_PAGE_BYTES);
	assert_int_equal(generation_renew(f.generation), 0);
	read_id(&f, id);
	assert_memory_not_equal(id, ones, sizeof(id));
	assert_int_equal(clock_field(&f, SEQ_COUNT, 4), 4);
	assert_int_equal(clock_field(&f, COUNTER, 8), 2);
	destroy(&f);
}

static void refusals(void **state)
{
	struct generation *none = NULL;
	struct generation_config config;
	struct fixture f;

	(void)state;
	create(&f);
	config = config_of(&f);
	config.id_page = gpa(RAM_BYTES);
	assert_int_equal(generation_create(&config, &none), -EFAULT);
	config = config_of(&f);
	config.clock_page = gpa(RAM_BYTES - GENERATION_PAGE_BYTES + 1);
	assert_int_equal(generation_create(&config, &none), -EFAULT);
	assert_null(none);
	generation_destroy(NULL);
	destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_life),
		cmocka_unit_test(next_lives),
		cmocka_unit_test(scribbled),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
