/* test_i8042.c - what drivers ask while they probe, the reset, and three keys. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>

#include "devices/i8042.h"
#include "vmm/base/fd.h"

enum { BASE = 0x60, DATA = 0, PORT_B = 1, COMMAND = 4, OUTPUT_FULL = 0x01 };

struct fixture {
	struct bus *bus;
	struct i8042 *k;
	int irq_fd;
	unsigned resets;
};

/* One access, and whether it sends an edge. 'w': write; 'r': read, gives value. */
struct step {
	char op;
	uint8_t off, value;
	bool edge;
};

static void note_stop(void *ctx, enum stop_reason reason, int value)
{
	struct fixture *f = ctx;

	assert_int_equal(reason, STOP_RESET);
	assert_int_equal(value, 0);
	f->resets++;
}

static void create(struct fixture *f)
{
	struct stop_sink stop = { note_stop, f };

	f->resets = 0;
	f->irq_fd = fd_event();
	assert_true(f->irq_fd >= 0);
	assert_int_equal(bus_create(&f->bus), 0);
	assert_int_equal(i8042_create(f->irq_fd, &stop, &f->k), 0);
	assert_int_equal(bus_add(f->bus, BASE, I8042_LEN, &i8042_bus_ops, f->k), 0);
}

static void destroy(struct fixture *f)
{
	bus_destroy(f->bus);
	i8042_destroy(f->k);
	fd_close(f->irq_fd);
}

static uint8_t get(struct fixture *f, unsigned off)
{
	uint8_t value;

	assert_true(bus_read(f->bus, BASE + off, &value, 1));
	return value;
}

static void put(struct fixture *f, unsigned off, uint8_t value)
{
	assert_true(bus_write(f->bus, BASE + off, &value, 1));
}

static void run(struct fixture *f, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (steps[i].op == 'w')
			put(f, steps[i].off, steps[i].value);
		else
			assert_int_equal(get(f, steps[i].off), steps[i].value);
		if (fd_event_drain(f->irq_fd) != steps[i].edge)
			fail_msg("step %zu: edge expected: %d", i, steps[i].edge);
	}
}

#define RUN(f, steps) run(f, steps, sizeof(steps) / sizeof((steps)[0]))

static void controller_probe(void **state)
{
	static const struct step steps[] = {
		{ 'r', COMMAND, 0x14, false }, /* empty, system, not locked */
		{ 'w', COMMAND, 0x20, true },
		{ 'r', COMMAND, 0x1d, false },
		{ 'r', DATA, 0x65, false },
		{ 'r', COMMAND, 0x1c, false },
		/* Interrupt and keyboard off: every answer is polled. */
		{ 'w', COMMAND, 0x60, false },
		{ 'w', DATA, 0x74, false },
		{ 'r', COMMAND, 0x14, false },
		{ 'w', COMMAND, 0x20, false },
		{ 'r', DATA, 0x74, false },
		{ 'w', COMMAND, 0xaa, false },
		{ 'r', DATA, 0x55, false },
		{ 'w', COMMAND, 0xab, false },
		{ 'r', DATA, 0x00, false },
		{ 'w', COMMAND, 0xd0, false },
		{ 'r', DATA, 0x03, false },
		/* No mouse: the echo lacks its mark (bit 5), the test says stuck. */
		{ 'w', COMMAND, 0xd3, false },
		{ 'w', DATA, 0x5a, false },
		{ 'r', COMMAND, 0x15, false },
		{ 'r', DATA, 0x5a, false },
		{ 'w', COMMAND, 0xa9, false },
		{ 'r', DATA, 0x01, false },
		{ 'w', COMMAND, 0xd4, false },
		{ 'w', DATA, 0xf4, false },
		{ 'r', COMMAND, 0x14, false },
		/* The keyboard's own switch. */
		{ 'w', COMMAND, 0xae, false },
		{ 'w', COMMAND, 0x20, false },
		{ 'r', DATA, 0x64, false },
		{ 'w', COMMAND, 0xad, false },
		{ 'w', COMMAND, 0x20, false },
		{ 'r', DATA, 0x74, false },
		/* An argument that never comes is forgotten. */
		{ 'w', COMMAND, 0x60, false },
		{ 'w', COMMAND, 0x20, false },
		{ 'r', DATA, 0x74, false },
		{ 'w', DATA, 0xee, false },
		{ 'r', DATA, 0xee, false },
		{ 'r', DATA, 0x00, false },
		{ 'w', COMMAND, 0x42, false },
		{ 'r', COMMAND, 0x1c, false },
		{ 'w', COMMAND, 0xd1, false },
		{ 'w', DATA, 0x00, false },
		{ 'r', COMMAND, 0x14, false },
	};
	struct fixture f;

	(void)state;
	create(&f);
	RUN(&f, steps);
	assert_int_equal(f.resets, 0);
	destroy(&f);
}

static void keyboard_probe(void **state)
{
	static const struct step steps[] = {
		{ 'w', DATA, 0xf2, true },
		{ 'r', DATA, 0xfa, true },
		{ 'r', DATA, 0xab, true },
		{ 'r', DATA, 0x41, false },
		{ 'w', DATA, 0xed, true },
		{ 'r', DATA, 0xfa, false },
		/* The argument looks like a command and is none. */
		{ 'w', DATA, 0xf2, true },
		{ 'r', DATA, 0xfa, false },
		{ 'w', DATA, 0xff, true },
		{ 'r', DATA, 0xfa, true },
		{ 'r', DATA, 0xaa, false },
		{ 'w', DATA, 0xf4, true },
		{ 'r', DATA, 0xfa, false },
		{ 'w', DATA, 0xee, true },
		{ 'r', DATA, 0xee, false },
		/* Without translation the second byte of the name is another. */
		{ 'w', COMMAND, 0x60, false },
		{ 'w', DATA, 0x05, false },
		{ 'w', DATA, 0xf2, true },
		{ 'r', DATA, 0xfa, true },
		{ 'r', DATA, 0xab, true },
		{ 'r', DATA, 0x83, false },
	};
	struct fixture f;

	(void)state;
	create(&f);
	RUN(&f, steps);
	destroy(&f);
}

static void interrupt_enabled_with_a_byte_waiting(void **state)
{
	static const struct step steps[] = {
		{ 'w', COMMAND, 0x60, false }, { 'w', DATA, 0x44, false }, /* off */
		{ 'w', COMMAND, 0xd2, false }, { 'w', DATA, 0x1c, false }, /* a key */
		{ 'w', COMMAND, 0x60, false }, { 'w', DATA, 0x45, true },  /* on */
		{ 'w', COMMAND, 0x60, false }, { 'w', DATA, 0x45, false }, /* still on */
		{ 'r', DATA, 0x1c, false },    { 'w', COMMAND, 0x60, false },
		{ 'w', DATA, 0x44, false },    { 'w', COMMAND, 0x60, false },
		{ 'w', DATA, 0x45, false }, /* nothing waits */
	};
	struct fixture f;

	(void)state;
	create(&f);
	RUN(&f, steps);
	destroy(&f);
}

static void expect_keys(struct fixture *f, const uint8_t *codes, size_t n)
{
	assert_int_equal(i8042_ctrl_alt_del(f->k), 0);
	for (size_t i = 0; i < n; i++) {
		assert_true(fd_event_drain(f->irq_fd));
		assert_int_equal(get(f, COMMAND) & OUTPUT_FULL, OUTPUT_FULL);
		assert_int_equal(get(f, DATA), codes[i]);
	}
	assert_int_equal(get(f, COMMAND) & OUTPUT_FULL, 0);
	assert_false(fd_event_drain(f->irq_fd));
}

static void ctrl_alt_del(void **state)
{
	static const uint8_t set1[] = { 0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d };
	static const uint8_t set2[] = { 0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0,
					0x71, 0xf0, 0x11, 0xf0, 0x14 };
	struct fixture f;

	(void)state;
	create(&f);
	expect_keys(&f, set1, sizeof(set1));
	put(&f, COMMAND, 0x60);
	put(&f, DATA, 0x05); /* interrupt, no translation */
	expect_keys(&f, set2, sizeof(set2));

	assert_int_equal(i8042_ctrl_alt_del(f.k), 0);
	assert_int_equal(i8042_ctrl_alt_del(f.k), -EAGAIN);
	for (size_t i = 0; i < sizeof(set2); i++)
		assert_int_equal(get(&f, DATA), set2[i]);
	assert_int_equal(get(&f, COMMAND) & OUTPUT_FULL, 0);
	destroy(&f);
}

static void reset_command(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	put(&f, DATA, 0xfe);
	put(&f, PORT_B, 0xfe);
	assert_int_equal(f.resets, 0);
	put(&f, COMMAND, 0xfe);
	assert_int_equal(f.resets, 1);
	destroy(&f);
}

static void port_b_never_keeps_a_loop_waiting(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	put(&f, PORT_B, 0xf1);

	uint8_t first = get(&f, PORT_B), second = get(&f, PORT_B);

	assert_int_equal((first ^ second), 0x10);
	assert_int_equal(first & 0x2f, 0x21);
	destroy(&f);
}

static void misuse(void **state)
{
	uint32_t wide = 0xfefefefe;
	struct fixture f;

	(void)state;
	create(&f);
	assert_true(bus_write(f.bus, BASE, &wide, 4));
	assert_false(bus_write(f.bus, BASE + COMMAND, &wide, 2)); /* crosses the end */
	assert_int_equal(f.resets, 0);
	assert_true(bus_read(f.bus, BASE, &wide, 4));
	assert_int_equal(wide, UINT32_MAX);
	put(&f, 2, 1);
	assert_int_equal(get(&f, 2), 0xff);
	assert_int_equal(get(&f, 3), 0xff);

	/* Commands without end, answers never read. */
	for (unsigned i = 0; i < 1000; i++)
		put(&f, COMMAND, 0xaa);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(get(&f, DATA), 0x55);
	assert_int_equal(get(&f, DATA), 0);
	destroy(&f);
	i8042_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controller_probe),
		cmocka_unit_test(keyboard_probe),
		cmocka_unit_test(interrupt_enabled_with_a_byte_waiting),
		cmocka_unit_test(ctrl_alt_del),
		cmocka_unit_test(reset_command),
		cmocka_unit_test(port_b_never_keeps_a_loop_waiting),
		cmocka_unit_test(misuse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
