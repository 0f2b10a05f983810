/* test_bus.c - who answers what, and the accesses that nobody may see. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <string.h>

#include "devices/boot_timer.h"
#include "devices/bus.h"
#include "devices/debug_exit.h"

/* Remembers the last access; reads give its tag. */
struct probe {
	uint8_t tag;
	unsigned reads, writes;
	uint64_t off;
	size_t len;
	uint8_t data[8];
};

static void probe_read(void *device, uint64_t off, void *data, size_t len)
{
	struct probe *p = device;

	p->reads++;
	p->off = off;
	p->len = len;
	memset(data, p->tag, len);
}

static void probe_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct probe *p = device;

	p->writes++;
	p->off = off;
	p->len = len;
	memcpy(p->data, data, len);
}

static const struct bus_ops probe_ops = { "probe", probe_read, probe_write };

static struct bus *create(void)
{
	struct bus *b = NULL;

	assert_int_equal(bus_create(&b), 0);
	return b;
}

static void nobody_answers_on_an_empty_bus(void **state)
{
	struct bus *b = create();
	uint8_t data[4] = { 0 };

	(void)state;
	assert_false(bus_read(b, 0, data, 4));
	assert_memory_equal(data, "\xff\xff\xff\xff", 4);
	assert_false(bus_write(b, 0, data, 4));
	bus_destroy(b);
	bus_destroy(NULL);
}

static void ranges_are_checked(void **state)
{
	static const struct {
		uint64_t start, len;
		int result;
	} rows[] = {
		{ 0x100, 0x10, 0 },	    { 0x100, 0x10, -EEXIST },	{ 0x10f, 1, -EEXIST },
		{ 0xff, 2, -EEXIST },	    { 0x80, 0x1000, -EEXIST },	{ 0x104, 4, -EEXIST },
		{ 0x110, 0x10, 0 },	    { 0xf0, 0x10, 0 },		{ 0x200, 0, -EINVAL },
		{ UINT64_MAX, 2, -EINVAL }, { 2, UINT64_MAX, -EINVAL }, { UINT64_MAX - 7, 8, 0 },
		{ UINT64_MAX, 1, -EEXIST }, { 0, UINT64_MAX, -EEXIST }, { 0, 1, 0 },
	};
	struct bus *b = create();
	struct probe p = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(bus_add(b, rows[i].start, rows[i].len, &probe_ops, &p),
				 rows[i].result);
	bus_destroy(b);
}

static void accesses_reach_the_right_range(void **state)
{
	enum { NONE = 0xff };
	static const struct {
		uint64_t addr;
		size_t len;
		uint8_t tag; /* of the range that answers */
		uint64_t off;
	} rows[] = {
		{ 0x0ff, 1, NONE, 0 },	     { 0x100, 1, 1, 0 },
		{ 0x100, 8, 1, 0 },	     { 0x107, 1, 1, 7 },
		{ 0x107, 2, NONE, 0 },	     { 0x104, 8, NONE, 0 },
		{ 0x108, 1, 2, 0 },	     { 0x10b, 1, 2, 3 },
		{ 0x10c, 1, NONE, 0 },	     { 0x100, 0, NONE, 0 },
		{ 0x100, 3, NONE, 0 },	     { 0x100, 16, NONE, 0 },
		{ 0x300, 4, 3, 0 },	     { 0x2ff, 2, NONE, 0 },
		{ UINT64_MAX, 1, 4, 3 },     { UINT64_MAX, 2, NONE, 0 },
		{ UINT64_MAX - 3, 4, 4, 0 }, { UINT64_MAX - 3, 8, NONE, 0 },
	};
	struct probe p[4] = { { .tag = 1 }, { .tag = 2 }, { .tag = 3 }, { .tag = 4 } };
	struct bus *b = create();

	(void)state;
	assert_int_equal(bus_add(b, UINT64_MAX - 3, 4, &probe_ops, &p[3]), 0);
	assert_int_equal(bus_add(b, 0x108, 4, &probe_ops, &p[1]), 0);
	assert_int_equal(bus_add(b, 0x300, 0x100, &probe_ops, &p[2]), 0);
	assert_int_equal(bus_add(b, 0x100, 8, &probe_ops, &p[0]), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool answered = rows[i].tag != NONE;
		uint8_t data[16] = { 0 };

		assert_int_equal(bus_read(b, rows[i].addr, data, rows[i].len), answered);
		if (rows[i].len > 0)
			assert_int_equal(data[0], rows[i].tag);
		assert_int_equal(bus_write(b, rows[i].addr, data, rows[i].len), answered);
		if (answered) {
			assert_int_equal(p[rows[i].tag - 1].off, rows[i].off);
			assert_int_equal(p[rows[i].tag - 1].len, rows[i].len);
		}
	}
	bus_destroy(b);
}

static void a_full_bus_says_so(void **state)
{
	struct bus *b = create();
	struct probe p = { .tag = 7 };
	uint64_t added = 0;
	uint8_t byte;

	(void)state;
	while (added < 1000 && bus_add(b, 0x10000 - added * 0x10, 8, &probe_ops, &p) == 0)
		added++;
	assert_int_equal(added, 64);
	assert_int_equal(bus_add(b, 0x20000, 8, &probe_ops, &p), -ENOSPC);
	for (uint64_t i = 0; i < added; i++) {
		assert_true(bus_read(b, 0x10000 - i * 0x10 + 7, &byte, 1));
		assert_int_equal(p.off, 7);
		assert_false(bus_read(b, 0x10000 - i * 0x10 + 8, &byte, 1));
	}
	bus_destroy(b);
}

static void count_boot(void *ctx)
{
	(*(unsigned *)ctx)++;
}

static void boot_timer_counts_its_byte(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t value, len;
		unsigned reached; /* in all */
	} rows[] = {
		{ 0x1000, 122, 1, 0 }, { 0x1000, 123, 1, 1 }, { 0x1001, 123, 1, 1 },
		{ 0x1000, 123, 4, 1 }, { 0x1000, 123, 2, 1 }, { 0x1000, 123, 1, 2 },
	};
	unsigned reached = 0;
	struct boot_timer t = { count_boot, &reached };
	struct bus *b = create();
	uint32_t data = 1;

	(void)state;
	assert_int_equal(bus_add(b, 0x1000, BOOT_TIMER_LEN, &boot_timer_bus_ops, &t), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(bus_write(b, rows[i].addr, &rows[i].value, rows[i].len));
		assert_int_equal(reached, rows[i].reached);
	}
	assert_true(bus_read(b, 0x1000, &data, 4));
	assert_int_equal(data, 0);
	bus_destroy(b);
}

struct stopped {
	unsigned times;
	enum stop_reason reason;
	int value;
};

static void note_stop(void *ctx, enum stop_reason reason, int value)
{
	struct stopped *s = ctx;

	s->times++;
	s->reason = reason;
	s->value = value;
}

static void debug_exit_gives_the_low_byte(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t value, len;
		int status; /* -1: nothing happens */
	} rows[] = {
		{ 0xf4, 0, 1, 0 },	  { 0xf4, 42, 1, 42 },
		{ 0xf4, 0x1ff, 2, 0xff }, { 0xf4, 0x12345678, 4, 0x78 },
		{ 0xf5, 1, 1, -1 },	  { 0xf6, 1, 4, -1 },
	};
	struct stopped stopped = { 0 };
	struct debug_exit d = { .stop = { note_stop, &stopped } };
	struct bus *b = create();
	uint32_t data = 1;

	(void)state;
	assert_int_equal(bus_add(b, 0xf4, DEBUG_EXIT_LEN, &debug_exit_bus_ops, &d), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		stopped.times = 0;
		bus_write(b, rows[i].addr, &rows[i].value, rows[i].len);
		assert_int_equal(stopped.times, rows[i].status >= 0);
		if (rows[i].status >= 0) {
			assert_int_equal(stopped.reason, STOP_DEBUG_EXIT);
			assert_int_equal(stopped.value, rows[i].status);
		}
	}
	assert_true(bus_read(b, 0xf4, &data, 4));
	assert_int_equal(data, 0);
	bus_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_answers_on_an_empty_bus),
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(accesses_reach_the_right_range),
		cmocka_unit_test(a_full_bus_says_so),
		cmocka_unit_test(boot_timer_counts_its_byte),
		cmocka_unit_test(debug_exit_gives_the_low_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
