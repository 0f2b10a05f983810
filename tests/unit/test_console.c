/* test_console.c - the console between a serial port and pipes, files, a terminal. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdbool.h>
#include <poll.h>
#include <cmocka.h>
// clang-format on
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "devices/bus.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/console.h"

enum { COLLECT_MAX = 80 * 1024, STOPPED = 77 };

struct fixture {
	struct loop *loop;
	struct serial *s;
	int irq_fd;
	struct console *console;

	/* The reader of the console's output. */
	int reader_fd;
	size_t step, wanted; /* bytes a read, bytes before it stops the loop */
	char text[COLLECT_MAX];
	size_t len;

	/* A few empty turns of the loop. */
	int spin_fd;
	struct loop_source *spin;
	unsigned turns;
};

static void create(struct fixture *f)
{
	*f = (struct fixture){ .reader_fd = -1, .step = COLLECT_MAX };
	f->irq_fd = fd_event();
	f->spin_fd = fd_event();
	assert_true(f->irq_fd >= 0 && f->spin_fd >= 0);
	assert_int_equal(loop_create(&f->loop), 0);
	assert_int_equal(serial_create(f->irq_fd, &f->s), 0);
}

static void destroy(struct fixture *f)
{
	console_destroy(f->console);
	serial_destroy(f->s);
	loop_destroy(f->loop);
	fd_close(f->reader_fd);
	fd_close(f->spin_fd);
	fd_close(f->irq_fd);
}

static uint8_t guest_get(struct fixture *f, unsigned off)
{
	uint8_t value;

	serial_bus_ops.read(f->s, off, &value, 1);
	return value;
}

static void guest_sends(struct fixture *f, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		serial_bus_ops.write(f->s, UART_TX, &bytes[i], 1);
}

static size_t guest_receives(struct fixture *f, char *buf, size_t max)
{
	size_t n = 0;

	while (n < max && (guest_get(f, UART_LSR) & UART_LSR_DR))
		buf[n++] = (char)guest_get(f, UART_RX);
	return n;
}

static void on_reader(void *arg, uint32_t events)
{
	struct fixture *f = arg;
	size_t room = sizeof(f->text) - f->len;
	ssize_t n = read(f->reader_fd, f->text + f->len, f->step < room ? f->step : room);

	(void)events;
	if (n > 0)
		f->len += (size_t)n;
	if (n <= 0 || f->len >= f->wanted)
		loop_stop(f->loop, STOPPED);
}

/* Runs the loop until the reader has had that many bytes in all. */
static void read_until(struct fixture *f, size_t wanted)
{
	struct loop_source *source;

	f->wanted = wanted;
	assert_int_equal(loop_add(f->loop, f->reader_fd, EPOLLIN, on_reader, f, &source), 0);
	assert_int_equal(loop_run(f->loop), STOPPED);
	loop_source_remove(source);
	assert_int_equal(f->len, wanted);
}

static void on_spin(void *arg, uint32_t events)
{
	struct fixture *f = arg;

	(void)events;
	if (f->turns-- == 0)
		loop_stop(f->loop, STOPPED);
	else
		loop_source_defer(f->spin);
}

/* Lets the loop serve what is ready. */
static int spin(struct fixture *f)
{
	int r;

	f->turns = 10;
	if (loop_add(f->loop, f->spin_fd, 0, on_spin, f, &f->spin) < 0)
		return -1;
	loop_source_defer(f->spin);
	r = loop_run(f->loop);
	loop_source_remove(f->spin);
	return r;
}

/* The kernel carries what is typed to the terminal in a thread of its own. */
static bool has_arrived(int terminal, int bytes)
{
	int there = 0;

	for (int tries = 0; tries < 5000 && there < bytes; tries++) {
		if (ioctl(terminal, FIONREAD, &there) < 0)
			return false;
		poll(NULL, 0, 1);
	}
	return there >= bytes;
}

static int flags_of(int fd)
{
	return fcntl(fd, F_GETFL);
}

static void fill(char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)('a' + i % 26);
}

/* Output to a pipe, no input. */
static void create_piped(struct fixture *f, int *out_fd)
{
	int out[2], in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	create(f);
	assert_true(in >= 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	f->reader_fd = out[0];
	*out_fd = out[1];
	assert_int_equal(console_create(f->s, f->loop, &(struct console_ends){ in, *out_fd, { 0 } },
					&f->console),
			 0);
	fd_close(in);
}

static void output_reaches_a_pipe(void **state)
{
	struct fixture f;
	int out;

	(void)state;
	create_piped(&f, &out);
	guest_sends(&f, "hello\n", 6);
	read_until(&f, 6);
	guest_sends(&f, "again\n", 6);
	read_until(&f, 12);
	assert_memory_equal(f.text, "hello\nagain\n", 12);
	destroy(&f);
	fd_close(out);
}

/* A bucket of 8 bytes that is full again in an hour: what does not fit is lost. */
static void a_limit_drops_what_exceeds_it(void **state)
{
	struct console_ends ends = { .in_fd = -1, .limit = { 8, 3600000, 0 } };
	struct fixture f;
	int out[2];

	(void)state;
	create(&f);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	f.reader_fd = out[0];
	ends.out_fd = out[1];
	assert_int_equal(console_create(f.s, f.loop, &ends, &f.console), 0);
	guest_sends(&f, "hello\n", 6);
	console_flush(f.console);
	guest_sends(&f, "lost", 4);
	console_flush(f.console);
	guest_sends(&f, "ok", 2);
	console_flush(f.console);
	read_until(&f, 8);
	assert_memory_equal(f.text, "hello\nok", 8);
	destroy(&f);
	fd_close(out[1]);
}

static void a_slow_reader_gets_everything(void **state)
{
	static char sent[40 * 1000];
	struct fixture f;
	int out;

	(void)state;
	create_piped(&f, &out);
	assert_true(fcntl(out, F_SETPIPE_SZ, 4096) >= 4096);
	fill(sent, sizeof(sent));
	guest_sends(&f, sent, sizeof(sent));
	f.step = 500;
	read_until(&f, sizeof(sent));
	assert_memory_equal(f.text, sent, sizeof(sent));
	assert_int_equal(serial_dropped(f.s), 0);
	destroy(&f);
	fd_close(out);
}

/* More than one turn writes, and no signal to come: the port's ring never was empty
 * in between. */
static void a_long_backlog_takes_several_turns(void **state)
{
	enum { PIPE = 4096, FIRST = 2 * PIPE + 100, ALL = 2 * PIPE + SERIAL_OUTPUT_BYTES };
	static char sent[ALL];
	struct fixture f;
	int out;

	(void)state;
	create_piped(&f, &out);
	assert_int_equal(fcntl(out, F_SETPIPE_SZ, PIPE), PIPE);
	fill(sent, sizeof(sent));
	guest_sends(&f, sent, FIRST);
	f.step = 1;
	read_until(&f, 1);
	guest_sends(&f, sent + FIRST, ALL - FIRST);
	assert_int_equal(serial_dropped(f.s), 0);
	assert_true(fcntl(out, F_SETPIPE_SZ, 2 * SERIAL_OUTPUT_BYTES) >= ALL);
	f.step = COLLECT_MAX;
	read_until(&f, ALL);
	assert_memory_equal(f.text, sent, sizeof(sent));
	destroy(&f);
	fd_close(out);
}

static void the_last_lines_are_not_lost(void **state)
{
	struct fixture f;
	char text[16];
	int out;

	(void)state;
	create_piped(&f, &out);
	assert_true(flags_of(out) & O_NONBLOCK);
	guest_sends(&f, "bye\n", 4);
	console_destroy(f.console);
	f.console = NULL;
	assert_false(flags_of(out) & O_NONBLOCK);
	assert_int_equal(read(f.reader_fd, text, sizeof(text)), 4);
	assert_memory_equal(text, "bye\n", 4);
	destroy(&f);
	fd_close(out);
}

static void a_dead_reader_turns_output_off(void **state)
{
	struct fixture f;
	char text[8];
	int out;

	(void)state;
	create_piped(&f, &out);
	guest_sends(&f, "one", 3);
	f.reader_fd = fd_close(f.reader_fd);
	assert_int_equal(spin(&f), STOPPED);
	guest_sends(&f, "two", 3);
	assert_int_equal(spin(&f), STOPPED);
	/* Nobody takes it from the ring any more. */
	assert_int_equal(serial_take_output(f.s, text, sizeof(text)), 6);
	destroy(&f);
	fd_close(out);
}

static void output_goes_to_a_file_directly(void **state)
{
	char path[] = "/tmp/wisp-console-XXXXXX", text[16] = "";
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), fd = mkstemp(path);
	struct fixture f;

	(void)state;
	assert_true(in >= 0 && fd >= 0);
	unlink(path);
	create(&f);
	int flags = flags_of(fd);

	assert_int_equal(
		console_create(f.s, f.loop, &(struct console_ends){ in, fd, { 0 } }, &f.console),
		0);
	assert_int_equal(flags_of(fd), flags);
	guest_sends(&f, "to a file\n", 10);
	assert_int_equal(spin(&f), STOPPED);
	destroy(&f);
	assert_int_equal(pread(fd, text, sizeof(text), 0), 10);
	assert_memory_equal(text, "to a file\n", 10);
	fd_close(fd);
	fd_close(in);
}

static void input_waits_for_room_and_ends_quietly(void **state)
{
	char sent[300], got[300];
	int in[2], out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct fixture f;
	size_t n = 0;

	(void)state;
	create(&f);
	assert_true(out >= 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	fill(sent, sizeof(sent));
	sent[0] = 0x01; /* no escape in a pipe */
	sent[1] = 'x';
	assert_int_equal(write(in[1], sent, sizeof(sent)), sizeof(sent));
	fd_close(in[1]);
	assert_int_equal(console_create(f.s, f.loop, &(struct console_ends){ in[0], out, { 0 } },
					&f.console),
			 0);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(spin(&f), STOPPED);
		n += guest_receives(&f, got + n, sizeof(got) - n);
	}
	assert_int_equal(n, sizeof(sent));
	assert_memory_equal(got, sent, sizeof(sent));
	destroy(&f);
	assert_false(flags_of(in[0]) & O_NONBLOCK);
	fd_close(in[0]);
	fd_close(out);
}

/* The two ends of a terminal that is not ours; negative on failure. */
static int open_terminal(int *slave, int slave_flags)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		return -1;
	*slave = open(ptsname(master), O_RDWR | O_CLOEXEC | slave_flags);
	return *slave < 0 ? -1 : master;
}

static void a_terminal_of_others_is_left_alone(void **state)
{
	struct termios before, after;
	int slave = -1, master = open_terminal(&slave, O_NOCTTY);
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct fixture f;
	char c;

	(void)state;
	create(&f);
	assert_true(master >= 0 && out >= 0);
	assert_int_equal(tcgetattr(slave, &before), 0);
	assert_int_equal(console_create(f.s, f.loop, &(struct console_ends){ slave, out, { 0 } },
					&f.console),
			 0);
	assert_int_equal(tcgetattr(slave, &after), 0);
	assert_int_equal(before.c_lflag, after.c_lflag);
	assert_int_equal(write(master, "a\n", 2), 2);
	assert_int_equal(spin(&f), STOPPED);
	assert_int_equal(guest_receives(&f, &c, 1), 0);
	destroy(&f);
	fd_close(slave);
	fd_close(master);
	fd_close(out);
}

#define CHECK(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

/* In a session of its own, whose terminal this is. 0, or the line that failed. */
static int use_own_terminal(struct fixture *f)
{
	struct termios before, during, after;
	int slave = -1, master, flags;
	char got[8];

	CHECK(setsid() >= 0);
	master = open_terminal(&slave, 0);
	CHECK(master >= 0);
	CHECK(tcgetattr(slave, &before) == 0);
	flags = flags_of(slave);
	CHECK(console_create(f->s, f->loop, &(struct console_ends){ slave, slave, { 0 } },
			     &f->console) != 0); /* one descriptor */
	CHECK(flags_of(slave) == flags);

	int out = dup(slave);

	CHECK(console_create(f->s, f->loop, &(struct console_ends){ slave, out, { 0 } },
			     &f->console) == 0);
	CHECK(tcgetattr(slave, &during) == 0);
	CHECK(!(during.c_lflag & (ICANON | ISIG | ECHO)));
	CHECK(during.c_oflag == before.c_oflag);

	/* Ctrl-C is the guest's; the escape key twice types one, with another key none. */
	CHECK(write(master, "a\x03\x01\x01\x01qb", 7) == 7);
	CHECK(has_arrived(slave, 7));
	CHECK(spin(f) == STOPPED);
	CHECK(guest_receives(f, got, sizeof(got)) == 4);
	CHECK(memcmp(got, "a\x03\x01\x62", 4) == 0);
	CHECK(write(master, "\x01x", 2) == 2);
	CHECK(loop_run(f->loop) == 0);

	console_destroy(f->console);
	f->console = NULL;
	CHECK(tcgetattr(slave, &after) == 0);
	CHECK(after.c_lflag == before.c_lflag && after.c_iflag == before.c_iflag);
	CHECK(flags_of(slave) == flags);
	return 0;
}

static void the_own_terminal_is_raw_and_given_back(void **state)
{
	struct fixture f;
	pid_t child;
	int status;

	(void)state;
	create(&f);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGHUP, SIG_IGN);
		int line = use_own_terminal(&f);

		if (line)
			fprintf(stderr, "failed at line %d\n", line);
		_exit(line != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	destroy(&f);
}

static void misuse(void **state)
{
	struct fixture f;

	(void)state;
	create(&f);
	assert_true(console_create(f.s, f.loop, &(struct console_ends){ -1, -1, { 0 } },
				   &f.console) < 0);
	assert_null(f.console);
	console_destroy(NULL);
	destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_reaches_a_pipe),
		cmocka_unit_test(a_limit_drops_what_exceeds_it),
		cmocka_unit_test(a_slow_reader_gets_everything),
		cmocka_unit_test(a_long_backlog_takes_several_turns),
		cmocka_unit_test(the_last_lines_are_not_lost),
		cmocka_unit_test(a_dead_reader_turns_output_off),
		cmocka_unit_test(output_goes_to_a_file_directly),
		cmocka_unit_test(input_waits_for_room_and_ends_quietly),
		cmocka_unit_test(a_terminal_of_others_is_left_alone),
		cmocka_unit_test(the_own_terminal_is_raw_and_given_back),
		cmocka_unit_test(misuse),
	};

	log_setup(&(struct log_config){ .id = "test", .level = LOG_OFF, .fd = STDERR_FILENO });
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
