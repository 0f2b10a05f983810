/* test_serial.c - the 16550A as drivers see it, and no interrupt ever lost. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "devices/serial.h"
#include "vmm/base/fd.h"

enum {
	BASE = 0x3f8,
	RDI = UART_IER_RDI,
	THRI = UART_IER_THRI,
	RLSI = UART_IER_RLSI,
	MSI = UART_IER_MSI,
	IIR_NONE = 0xc1, /* with the FIFO on */
	IIR_MSI = 0xc0,
	IIR_THR = 0xc2,
	IIR_RX = 0xc4,
	IIR_LINE = 0xc6,
	LSR_IDLE = 0x60,
	LSR_DATA = 0x61,
	MSR_HOST = 0xb0,
};

struct fixture {
	struct bus *bus;
	struct serial *s;
	int irq_fd;
};

/* One access, and whether it sends an edge. 'w': write; 'r': read, gives value;
 * 'i': the host sends value. */
struct step {
	char op;
	uint8_t off, value;
	bool edge;
};

static void create(struct fixture *f)
{
	f->irq_fd = fd_event();
	assert_true(f->irq_fd >= 0);
	assert_int_equal(bus_create(&f->bus), 0);
	assert_int_equal(serial_create(f->irq_fd, &f->s), 0);
	assert_int_equal(bus_add(f->bus, BASE, SERIAL_LEN, &serial_bus_ops, f->s), 0);
}

static void destroy(struct fixture *f)
{
	bus_destroy(f->bus);
	serial_destroy(f->s);
	fd_close(f->irq_fd);
}

static uint8_t get(struct fixture *f, unsigned off)
{
	uint8_t value = 0;

	bus_read(f->bus, BASE + off, &value, 1);
	return value;
}

static void put(struct fixture *f, unsigned off, uint8_t value)
{
	bus_write(f->bus, BASE + off, &value, 1);
}

static void run(struct fixture *f, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t value = steps[i].value;

		if (steps[i].op == 'w')
			put(f, steps[i].off, value);
		else if (steps[i].op == 'i')
			assert_int_equal(serial_put_input(f->s, &value, 1), 1);
		else if (get(f, steps[i].off) != value)
			fail_msg("step %zu: not the value expected", i);
		if (fd_event_drain(f->irq_fd) != steps[i].edge)
			fail_msg("step %zu: edge expected: %d", i, steps[i].edge);
	}
}

static void run_steps(const struct step *steps, size_t n)
{
	static const struct step fifo_on = { 'w', UART_FCR, UART_FCR_ENABLE_FIFO, false };
	struct fixture f;

	create(&f);
	run(&f, &fifo_on, 1);
	run(&f, steps, n);
	destroy(&f);
}

#define RUN(steps) run_steps(steps, sizeof(steps) / sizeof((steps)[0]))

/* What Linux does to find out that there is a chip, and which. */
static void detection(void **state)
{
	static const struct step steps[] = {
		{ 'w', UART_IER, 0x00, false },
		{ 'r', UART_IER, 0x00, false },
		{ 'w', UART_IER, 0x0f, true },
		{ 'r', UART_IER, 0x0f, false },
		{ 'w', UART_IER, 0x00, false },
		/* Loopback of the modem lines. */
		{ 'w', UART_MCR, 0x1a, false },
		{ 'r', UART_MSR, 0x92, false },
		{ 'w', UART_MCR, 0x00, false },
		/* A FIFO that works, and neither an EFR nor 64 bytes. */
		{ 'w', UART_LCR, 0xbf, false },
		{ 'w', UART_FCR, 0x00, false },
		{ 'r', UART_IIR, 0x01, false },
		{ 'w', UART_LCR, 0x00, false },
		{ 'w', UART_FCR, 0x01, false },
		{ 'r', UART_IIR, 0xc1, false },
		{ 'w', UART_FCR, 0x21, false },
		{ 'r', UART_IIR, 0xc1, false },
		{ 'w', UART_IER, 0x40, false },
		{ 'r', UART_IER, 0x00, false },
		/* Scratch, divisor, line control. */
		{ 'w', UART_SCR, 0xa5, false },
		{ 'r', UART_SCR, 0xa5, false },
		{ 'w', UART_SCR, 0x5a, false },
		{ 'r', UART_SCR, 0x5a, false },
		{ 'w', UART_LCR, 0x83, false },
		{ 'w', UART_DLL, 0x34, false },
		{ 'w', UART_DLM, 0x12, false },
		{ 'r', UART_DLL, 0x34, false },
		{ 'r', UART_DLM, 0x12, false },
		{ 'w', UART_LCR, 0x03, false },
		{ 'r', UART_LCR, 0x03, false },
		{ 'r', UART_IER, 0x00, false },
		{ 'r', UART_RX, 0x00, false },
		{ 'w', UART_MCR, 0xff, false },
		{ 'r', UART_MCR, 0x1f, false },
		{ 'w', UART_LSR, 0xff, false },
		{ 'r', UART_LSR, LSR_IDLE, false },
	};

	(void)state;
	RUN(steps);
}

/* The transmitter's interrupt must come back each time it is enabled. */
static void startup_test_of_the_transmitter(void **state)
{
	static const struct step steps[] = {
		{ 'w', UART_IER, THRI, true },
		{ 'r', UART_IIR, IIR_THR, false },
		{ 'w', UART_IER, 0, false },
		{ 'w', UART_IER, THRI, true },
		{ 'r', UART_IIR, IIR_THR, false },
		{ 'r', UART_IIR, IIR_NONE, false },
		{ 'w', UART_IER, 0, false },
		{ 'w', UART_IER, THRI, true },
		{ 'r', UART_LSR, LSR_IDLE, false },
		{ 'r', UART_IIR, IIR_THR, false },
		/* Writing the same again is no news. */
		{ 'w', UART_IER, THRI, false },
	};

	(void)state;
	RUN(steps);
}

static void sending(void **state)
{
	static const struct step steps[] = {
		{ 'w', UART_TX, 'a', false },
		{ 'w', UART_IER, THRI, true },
		{ 'r', UART_IIR, IIR_THR, false },
		{ 'w', UART_TX, 'b', true },
		/* A driver that never reads the IIR is told, too. */
		{ 'w', UART_TX, 'c', true },
		{ 'w', UART_TX, 'd', true },
		{ 'r', UART_IIR, IIR_THR, false },
		{ 'w', UART_IER, 0, false },
		{ 'w', UART_TX, 'e', false },
	};

	(void)state;
	RUN(steps);
}

static void input_arrives_while_the_transmitter_waits(void **state)
{
	static const struct step steps[] = {
		{ 'w', UART_IER, RDI | THRI, true },
		/* The edge above was taken, its cause not yet served. */
		{ 'i', 0, 'x', true },
		{ 'r', UART_IIR, IIR_RX, false },
		/* Served one cause and returned: the other one is announced. */
		{ 'r', UART_RX, 'x', true },
		{ 'r', UART_IIR, IIR_THR, false },
		{ 'r', UART_IIR, IIR_NONE, false },
	};

	(void)state;
	RUN(steps);
}

static void enabled_with_a_cause_pending(void **state)
{
	static const struct step steps[] = {
		{ 'i', 0, 'x', false },
		{ 'r', UART_IIR, IIR_NONE, false },
		{ 'w', UART_IER, RDI, true },
		/* A console that polls turns interrupts off around its output. */
		{ 'w', UART_IER, 0, false },
		{ 'w', UART_TX, 'a', false },
		{ 'i', 0, 'y', false },
		{ 'w', UART_IER, RDI, true },
		{ 'r', UART_IIR, IIR_RX, false },
		{ 'r', UART_RX, 'x', true }, /* one of two: the rest is announced */
		{ 'r', UART_LSR, LSR_DATA, false },
		{ 'r', UART_RX, 'y', false },
		{ 'r', UART_LSR, LSR_IDLE, false },
		{ 'r', UART_IIR, IIR_NONE, false },
		/* Just served, and the next one comes. */
		{ 'i', 0, 'z', true },
		/* A second byte on top of an unserved one. */
		{ 'i', 0, '!', true },
	};

	(void)state;
	RUN(steps);
}

static void priorities(void **state)
{
	static const struct step steps[] = {
		{ 'w', UART_FCR, 0x00, false }, /* a receiver of one byte */
		{ 'w', UART_MCR, UART_MCR_LOOP, false },
		{ 'w', UART_TX, 'a', false },
		{ 'w', UART_TX, 'b', false }, /* overrun */
		{ 'w', UART_IER, RDI | THRI | RLSI | MSI, true },
		{ 'r', UART_IIR, IIR_LINE & 0x0f, false },
		{ 'r', UART_LSR, LSR_DATA | UART_LSR_OE, true },
		{ 'r', UART_LSR, LSR_DATA, false },
		{ 'r', UART_IIR, IIR_RX & 0x0f, false },
		{ 'r', UART_RX, 'a', true },
		{ 'r', UART_IIR, IIR_THR & 0x0f, true },
		{ 'r', UART_IIR, IIR_MSI & 0x0f, false },
		{ 'r', UART_MSR, 0x0b, false },
		{ 'r', UART_MSR, 0x00, false },
		{ 'r', UART_IIR, 0x01, false },
	};

	(void)state;
	RUN(steps);
}

static void modem_status(void **state)
{
	static const struct step steps[] = {
		{ 'r', UART_MSR, MSR_HOST, false },
		{ 'w', UART_IER, MSI, false },
		{ 'w', UART_MCR, 0x03, false }, /* no loopback: the host's lines stay */
		{ 'r', UART_MSR, MSR_HOST, false },
		/* RTS and DTR come back as CTS and DSR; DCD falls. */
		{ 'w', UART_MCR, 0x13, true },
		{ 'r', UART_IIR, IIR_MSI, false },
		{ 'r', UART_MSR, 0x38, false },
		/* The ring indicator counts when it falls. */
		{ 'w', UART_MCR, 0x17, false },
		{ 'r', UART_MSR, 0x70, false },
		{ 'w', UART_MCR, 0x13, true },
		{ 'r', UART_MSR, 0x34, false },
		{ 'w', UART_MCR, 0x00, true },
		{ 'r', UART_MSR, 0xb8, false },
		{ 'r', UART_IIR, IIR_NONE, false },
	};

	(void)state;
	RUN(steps);
}

static void clearing_the_fifo(void **state)
{
	static const struct step steps[] = {
		{ 'i', 0, 'x', false },
		{ 'w', UART_FCR, 0x05, false },
		{ 'r', UART_LSR, LSR_DATA, false },
		{ 'w', UART_FCR, 0x07, false },
		{ 'r', UART_LSR, LSR_IDLE, false },
		{ 'i', 0, 'y', false },
		{ 'w', UART_FCR, 0x00, false },
		{ 'r', UART_LSR, LSR_IDLE, false },
		/* What is left when the receiver's cause goes is announced. */
		{ 'w', UART_FCR, 0x01, false },
		{ 'i', 0, 'z', false },
		{ 'w', UART_IER, RDI | THRI, true },
		{ 'w', UART_FCR, 0x03, true },
		{ 'r', UART_IIR, IIR_THR, false },
	};

	(void)state;
	RUN(steps);
}

static void the_fifo_is_16_bytes_deep(void **state)
{
	struct fixture f;
	unsigned depth = 0;

	(void)state;
	create(&f);
	put(&f, UART_FCR, UART_FCR_ENABLE_FIFO);
	put(&f, UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		put(&f, UART_TX, (uint8_t)i);
	while (get(&f, UART_LSR) & UART_LSR_DR)
		assert_int_equal(get(&f, UART_RX), depth++);
	assert_int_equal(depth, 16);
	assert_false(fd_event_drain(serial_output_fd(f.s)));
	destroy(&f);
}

static void a_burst_wakes_the_host_once(void **state)
{
	char text[16];
	uint64_t count = 0;
	struct fixture f;

	(void)state;
	create(&f);
	assert_false(fd_event_drain(serial_output_fd(f.s)));
	for (unsigned i = 0; i < 10; i++)
		put(&f, UART_TX, (uint8_t)('0' + i));
	assert_int_equal(eventfd_read(serial_output_fd(f.s), &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(serial_take_output(f.s, text, 4), 4);
	put(&f, UART_TX, 'x');
	assert_false(fd_event_drain(serial_output_fd(f.s)));
	assert_int_equal(serial_take_output(f.s, text + 4, sizeof(text) - 4), 7);
	assert_memory_equal(text, "0123456789x", 11);
	assert_int_equal(serial_take_output(f.s, text, sizeof(text)), 0);
	put(&f, UART_TX, 'y');
	assert_true(fd_event_drain(serial_output_fd(f.s)));
	destroy(&f);
}

static void the_ring_overflows_and_goes_on(void **state)
{
	static uint8_t taken[SERIAL_OUTPUT_BYTES + 1];
	struct fixture f;

	(void)state;
	create(&f);
	for (unsigned i = 0; i < 1000; i++) /* so that the ring wraps */
		put(&f, UART_TX, 0);
	assert_int_equal(serial_take_output(f.s, taken, sizeof(taken)), 1000);
	for (unsigned i = 0; i < SERIAL_OUTPUT_BYTES + 10; i++)
		put(&f, UART_TX, (uint8_t)(i % 251));
	assert_int_equal(serial_dropped(f.s), 10);
	assert_int_equal(get(&f, UART_LSR), LSR_IDLE);
	assert_int_equal(serial_take_output(f.s, taken, sizeof(taken)), SERIAL_OUTPUT_BYTES);
	for (unsigned i = 0; i < SERIAL_OUTPUT_BYTES; i++)
		assert_int_equal(taken[i], i % 251);
	put(&f, UART_TX, '!');
	assert_int_equal(serial_take_output(f.s, taken, sizeof(taken)), 1);
	assert_int_equal(serial_dropped(f.s), 10);
	destroy(&f);
}

static void input_is_refused_and_asked_for_again(void **state)
{
	uint8_t bytes[SERIAL_INPUT_BYTES + 6];
	struct fixture f;

	(void)state;
	create(&f);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(serial_put_input(f.s, bytes, sizeof(bytes)), SERIAL_INPUT_BYTES);
	assert_int_equal(serial_put_input(f.s, bytes, 1), 0);
	for (unsigned i = 0; i < SERIAL_INPUT_BYTES; i++) {
		assert_false(fd_event_drain(serial_input_fd(f.s)));
		assert_int_equal(get(&f, UART_RX), i);
	}
	assert_true(fd_event_drain(serial_input_fd(f.s)));
	/* Nobody was refused: nobody is told. */
	assert_int_equal(serial_put_input(f.s, bytes, 2), 2);
	get(&f, UART_RX);
	get(&f, UART_RX);
	assert_false(fd_event_drain(serial_input_fd(f.s)));
	/* A driver that empties the FIFO makes room as well. */
	assert_int_equal(serial_put_input(f.s, bytes, sizeof(bytes)), SERIAL_INPUT_BYTES);
	put(&f, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_true(fd_event_drain(serial_input_fd(f.s)));
	destroy(&f);
}

static void loopback_cuts_the_line(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	put(&f, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(serial_put_input(f.s, "a", 1), 0);
	assert_int_equal(get(&f, UART_LSR), LSR_IDLE);
	assert_false(fd_event_drain(serial_input_fd(f.s)));
	put(&f, UART_MCR, 0);
	assert_true(fd_event_drain(serial_input_fd(f.s)));
	assert_int_equal(serial_put_input(f.s, "a", 1), 1);
	assert_int_equal(get(&f, UART_RX), 'a');
	destroy(&f);
}

static void wide_accesses_do_nothing(void **state)
{
	uint64_t value = 0x4142434445464748;
	struct fixture f;
	char byte;

	(void)state;
	create(&f);
	for (size_t len = 2; len <= 8; len *= 2) {
		assert_true(bus_write(f.bus, BASE, &value, len));
		assert_true(bus_read(f.bus, BASE, &value, len));
		assert_memory_equal(&value, "\xff\xff\xff\xff\xff\xff\xff\xff", len);
	}
	assert_int_equal(serial_take_output(f.s, &byte, 1), 0);
	assert_int_equal(get(&f, UART_IER), 0);
	assert_false(bus_write(f.bus, BASE + 7, &value, 2));
	destroy(&f);
	serial_destroy(NULL);
}

/* --- two threads --- */

enum { SENT = 100 * 1000, RECEIVED = 20 * 1000 };

struct guest {
	struct fixture f;
	int done_fd;
	unsigned received;
	bool in_order;
};

/* A vCPU that sends and receives at once. */
static void *guest_main(void *arg)
{
	struct guest *g = arg;
	unsigned sent = 0;

	g->in_order = true;
	while (sent < SENT || g->received < RECEIVED) {
		if (sent < SENT)
			put(&g->f, UART_TX, (uint8_t)sent++);
		if (!(get(&g->f, UART_LSR) & UART_LSR_DR))
			continue;
		if (get(&g->f, UART_RX) != (uint8_t)g->received++)
			g->in_order = false;
	}
	fd_event_signal(g->done_fd);
	return NULL;
}

static size_t take_all(struct serial *s)
{
	uint8_t buf[512];
	size_t total = 0, n;

	while ((n = serial_take_output(s, buf, sizeof(buf))) > 0)
		total += n;
	return total;
}

static unsigned give_some(struct serial *s, unsigned from)
{
	uint8_t buf[100];
	unsigned n = RECEIVED - from < sizeof(buf) ? RECEIVED - from : (unsigned)sizeof(buf);

	for (unsigned i = 0; i < n; i++)
		buf[i] = (uint8_t)(from + i);
	return (unsigned)serial_put_input(s, buf, n);
}

static void a_vcpu_and_the_host_at_once(void **state)
{
	struct guest g = { .done_fd = fd_event() };
	uint64_t taken = 0;
	pthread_t thread;

	(void)state;
	create(&g.f);
	put(&g.f, UART_IER, RDI | THRI);

	struct pollfd p[] = {
		{ .fd = serial_output_fd(g.f.s), .events = POLLIN },
		{ .fd = serial_input_fd(g.f.s), .events = POLLIN },
		{ .fd = g.done_fd, .events = POLLIN },
	};
	unsigned given = give_some(g.f.s, 0);

	assert_int_equal(pthread_create(&thread, NULL, guest_main, &g), 0);
	while (!(p[2].revents & POLLIN)) {
		assert_true(poll(p, 3, -1) > 0);
		if (fd_event_drain(p[0].fd))
			taken += take_all(g.f.s);
		if (fd_event_drain(p[1].fd))
			given += give_some(g.f.s, given);
	}
	pthread_join(thread, NULL);
	taken += take_all(g.f.s);
	assert_int_equal(taken + serial_dropped(g.f.s), SENT);
	assert_int_equal(given, RECEIVED);
	assert_int_equal(g.received, RECEIVED);
	assert_true(g.in_order);
	fd_close(g.done_fd);
	destroy(&g.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(detection),
		cmocka_unit_test(startup_test_of_the_transmitter),
		cmocka_unit_test(sending),
		cmocka_unit_test(input_arrives_while_the_transmitter_waits),
		cmocka_unit_test(enabled_with_a_cause_pending),
		cmocka_unit_test(priorities),
		cmocka_unit_test(modem_status),
		cmocka_unit_test(clearing_the_fifo),
		cmocka_unit_test(the_fifo_is_16_bytes_deep),
		cmocka_unit_test(a_burst_wakes_the_host_once),
		cmocka_unit_test(the_ring_overflows_and_goes_on),
		cmocka_unit_test(input_is_refused_and_asked_for_again),
		cmocka_unit_test(loopback_cuts_the_line),
		cmocka_unit_test(wide_accesses_do_nothing),
		cmocka_unit_test(a_vcpu_and_the_host_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
