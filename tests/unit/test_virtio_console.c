/* test_virtio_console.c - output kept and sent, input given, clients that come, go,
 * and do not read, and guests that break rules.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "devices/virtio/console.h"
#include "devices/virtio/console_clients.h"
#include "devices/virtio/console_history.h"
#include "tests/unit/virtio_driver.h"
#include "vmm/base/log.h"

enum {
	HISTORY = 1024,
	INPUT_SIZE = 4,
	INPUT_BYTES = 64,
	INPUT = DRIVER_BUFFERS,
	OUTPUT_SIZE = 64,
	OUTPUT_DESC = 0x100000,
	OUTPUT_AVAIL = 0x101000,
	OUTPUT_USED = 0x102000,
	OUTPUT = DRIVER_HIGH,
	OUTPUT_ROOM = 1024 * 1024,
	CONFIG = 0x100,
};

struct fixture {
	struct driver d;
	char dir[40], path[64];
	bool is_pty;
	uint16_t output_idx;
};

/* --- the guest --- */

static void offer_input(struct fixture *f, uint16_t i)
{
	const struct driver_buffer b = { INPUT + (uint64_t)i * INPUT_BYTES, INPUT_BYTES, true };

	driver_chain(&f->d, i, &b, 1);
	driver_offer(&f->d, i);
}

/* Both queues, and no buffer for input. */
static void start(struct fixture *f)
{
	const struct virtq_layout output = { OUTPUT_SIZE, gpa(OUTPUT_DESC), gpa(OUTPUT_AVAIL),
					     gpa(OUTPUT_USED) };

	f->output_idx = 0;
	driver_start(&f->d, 1ull << VIRTIO_CONSOLE_F_SIZE, INPUT_SIZE);
	assert_int_equal(gmem_zero(f->d.mem, gpa(OUTPUT_DESC), 0x3000), 0);
	driver_put(&f->d, VIRTIO_MMIO_QUEUE_SEL, 1);
	driver_set_queue(&f->d, &output);
}

static void offer_output(struct fixture *f, struct vring_desc desc)
{
	struct vring_avail *avail = driver_at(&f->d, OUTPUT_AVAIL, 4 + 2 * OUTPUT_SIZE);
	uint16_t slot = f->output_idx % OUTPUT_SIZE;

	driver_desc(&f->d, OUTPUT_DESC, slot, desc);
	avail->ring[slot] = slot;
	__atomic_store_n(&avail->idx, ++f->output_idx, __ATOMIC_SEQ_CST);
}

static uint16_t output_taken(struct fixture *f)
{
	const struct vring_used *used = driver_at(&f->d, OUTPUT_USED, sizeof(*used));

	return used->idx;
}

static void print(struct fixture *f, const void *bytes, size_t len)
{
	memcpy(driver_at(&f->d, OUTPUT, len), bytes, len);
	offer_output(f, (struct vring_desc){ .addr = OUTPUT, .len = (uint32_t)len });
	driver_kick(&f->d, 1);
	assert_int_equal(output_taken(f), f->output_idx);
}

static void say(struct fixture *f, const char *text)
{
	print(f, text, strlen(text));
}

/* What was typed into input buffer i, which is the next one used. What goes through a
 * PTY takes the kernel a moment. */
static void expect_input(struct fixture *f, uint16_t i, const char *text)
{
	struct vring_used_elem e;

	while (!driver_used(&f->d, &e))
		driver_run(&f->d);
	assert_int_equal(e.id, i);
	assert_int_equal(e.len, strlen(text));
	assert_memory_equal(driver_at(&f->d, INPUT + (uint64_t)i * INPUT_BYTES, e.len), text,
			    e.len);
}

/* --- the host --- */

static int host_connect(struct fixture *f)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	driver_run(&f->d);
	return fd;
}

static int open_terminal(struct fixture *f)
{
	int fd = open(f->path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	assert_true(fd >= 0);
	driver_run(&f->d);
	return fd;
}

static int attach(struct fixture *f)
{
	return f->is_pty ? open_terminal(f) : host_connect(f);
}

static void leave(struct fixture *f, int fd)
{
	close(fd);
	driver_run(&f->d);
}

static void read_all(int fd, char *to, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (size_t got = 0; got < len;) {
		ssize_t n;

		assert_int_equal(poll(&p, 1, -1), 1);
		n = read(fd, to + got, len - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
}

/* All that arrives is this. */
static void expect_shown(int fd, const char *text)
{
	char got[2 * HISTORY] = "", more;

	assert_true(strlen(text) < sizeof(got));
	read_all(fd, got, strlen(text));
	assert_string_equal(got, text);
	assert_true(read(fd, &more, 1) <= 0);
}

static void type(struct fixture *f, int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	driver_run(&f->d);
}

static struct virtio_console_options options_of(const struct fixture *f)
{
	return (struct virtio_console_options){
		.uds_path = f->is_pty ? "" : f->path,
		.pty_path = f->is_pty ? f->path : "",
		.history_bytes = HISTORY,
	};
}

static void create_with(struct fixture *f, const struct virtio_console_options *o)
{
	struct virtio_dev *dev;
	struct error err = { 0 };

	if (virtio_console_create(o, &dev, &err) != 0)
		fail_msg("%s", err.text);
	driver_create(&f->d, dev);
	start(f);
}

static struct fixture *new_fixture(bool is_pty)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/wisp-console-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/c", f->dir);
	f->is_pty = is_pty;
	return f;
}

static int set_up(void **state)
{
	struct fixture *f = new_fixture(false);
	struct virtio_console_options o = options_of(f);

	create_with(f, &o);
	*state = f;
	return 0;
}

static int set_up_pty(void **state)
{
	struct fixture *f = new_fixture(true);
	struct virtio_console_options o = options_of(f);

	create_with(f, &o);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	driver_destroy(&f->d);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* --- tests --- */

static void history_wraps(void **state)
{
	struct console_history h;
	struct iovec v[2];

	(void)state;
	assert_int_equal(console_history_init(&h, 8), 0);
	assert_int_equal(console_history_view(&h, 0, v), 0);
	console_history_add(&h, "abcde", 5);
	assert_int_equal(console_history_start(&h), 0);
	assert_int_equal(console_history_view(&h, 1, v), 1);
	assert_int_equal(v[0].iov_len, 4);
	assert_memory_equal(v[0].iov_base, "bcde", 4);
	console_history_add(&h, "fghij", 5);
	assert_int_equal(console_history_start(&h), 2);
	assert_int_equal(console_history_view(&h, 2, v), 2);
	assert_int_equal(v[0].iov_len, 6);
	assert_memory_equal(v[0].iov_base, "cdefgh", 6);
	assert_int_equal(v[1].iov_len, 2);
	assert_memory_equal(v[1].iov_base, "ij", 2);
	console_history_add(&h, "0123456789ABCDEF", 16);
	assert_int_equal(h.end, 26);
	assert_int_equal(console_history_start(&h), 18);
	assert_int_equal(console_history_view(&h, 24, v), 1);
	assert_memory_equal(v[0].iov_base, "EF", 2);
	assert_int_equal(console_history_view(&h, 26, v), 0);
	console_history_fini(&h);
}

static void is_a_console(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(driver_get(&f->d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_CONSOLE);
	assert_true(driver_offered(&f->d) & (1ull << VIRTIO_CONSOLE_F_SIZE));
	assert_false(driver_offered(&f->d) & (1ull << VIRTIO_CONSOLE_F_MULTIPORT));
	assert_int_equal(driver_get(&f->d, CONFIG), 0);
}

static void shows_history_then_what_comes(void **state)
{
	struct fixture *f = *state;
	int first, second;

	say(f, "before ");
	first = attach(f);
	expect_shown(first, "before ");
	say(f, "during ");
	expect_shown(first, "during ");
	leave(f, first);
	say(f, "between ");
	second = attach(f);
	expect_shown(second, "before during between ");
	leave(f, second);
}

static void every_client_sees_and_types(void **state)
{
	struct fixture *f = *state;
	int a = host_connect(f), b = host_connect(f);

	say(f, "login: ");
	expect_shown(a, "login: ");
	expect_shown(b, "login: ");
	offer_input(f, 0);
	offer_input(f, 1);
	driver_kick(&f->d, 0);
	type(f, a, "root\n");
	expect_input(f, 0, "root\n");
	type(f, b, "id\n");
	expect_input(f, 1, "id\n");
	leave(f, a);
	say(f, "#");
	expect_shown(b, "#");
	leave(f, b);
}

static void ninth_client_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd[CONSOLE_MAX_CLIENTS], late;
	char byte;

	say(f, "x");
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++)
		fd[i] = host_connect(f);
	late = host_connect(f);
	expect_shown(late, "wisp: this console has as many clients as it can have\r\n");
	assert_int_equal(read(late, &byte, 1), 0);
	close(late);
	leave(f, fd[3]);
	late = host_connect(f);
	expect_shown(late, "x");
	fd[3] = late;
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++) {
		if (i != 3)
			expect_shown(fd[i], "x");
		close(fd[i]);
	}
}

/* Typed before the driver is up, before it offers buffers, and more than they hold. */
static void input_waits_for_buffers(void **state)
{
	struct fixture *f = *state;
	char text[INPUT_BYTES + 11], rest[11];
	struct vring_used_elem e;
	int fd;

	memset(text, 'a', sizeof(text));
	memset(text + INPUT_BYTES, 'b', 10);
	text[INPUT_BYTES + 10] = '\0';
	memcpy(rest, text + INPUT_BYTES, sizeof(rest));

	driver_put(&f->d, VIRTIO_MMIO_STATUS, 0);
	fd = attach(f);
	type(f, fd, text);
	start(f);
	driver_kick(&f->d, 0);
	assert_false(driver_used(&f->d, &e));
	offer_input(f, 0);
	driver_kick(&f->d, 0);
	text[INPUT_BYTES] = '\0';
	expect_input(f, 0, text);
	assert_false(driver_used(&f->d, &e));
	offer_input(f, 1);
	driver_kick(&f->d, 0);
	expect_input(f, 1, rest);
	leave(f, fd);
}

/* `echo command | nc -U path`: gone, but not unheard. */
static void who_hangs_up_is_heard(void **state)
{
	struct fixture *f = *state;
	int fd = host_connect(f);

	type(f, fd, "reboot\n");
	close(fd);
	driver_run(&f->d);
	say(f, "nobody listens");
	say(f, "still");
	offer_input(f, 0);
	driver_kick(&f->d, 0);
	expect_input(f, 0, "reboot\n");
	driver_run(&f->d);
	/* Its place is free again. */
	for (unsigned i = 0; i < CONSOLE_MAX_CLIENTS; i++)
		close(host_connect(f));
	fd = host_connect(f);
	expect_shown(fd, "nobody listensstill");
	close(fd);
}

/* Those who left without being heard take nobody's place. */
static void who_is_gone_makes_room(void **state)
{
	struct fixture *f = *state;
	int fd;

	for (unsigned i = 0; i < 2 * CONSOLE_MAX_CLIENTS; i++) {
		fd = host_connect(f);
		type(f, fd, "unheard");
		leave(f, fd);
	}
	say(f, "x");
	fd = host_connect(f);
	expect_shown(fd, "x");
	leave(f, fd);
}

/* Has said all it had to say, and still reads. */
static void half_closed_client_still_sees(void **state)
{
	struct fixture *f = *state;
	int fd = host_connect(f);

	offer_input(f, 0);
	driver_kick(&f->d, 0);
	type(f, fd, "ls\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	driver_run(&f->d);
	expect_input(f, 0, "ls\n");
	say(f, "files");
	expect_shown(fd, "files");
	leave(f, fd);
}

/* One client never reads: the guest goes on, so does the other, and when the first
 * reads at last it finds what its socket held, a gap, and the newest. */
static void slow_client_stalls_nobody(void **state)
{
	struct fixture *f = *state;
	static char block[HISTORY], all[4 * 1024 * 1024];
	int slow = host_connect(f), quick = host_connect(f);
	size_t got = 0;

	memset(block, '.', sizeof(block));
	for (unsigned i = 0; i < 2048; i++) {
		char seen[HISTORY];

		print(f, block, sizeof(block));
		read_all(quick, seen, sizeof(block));
	}
	say(f, "the end");
	expect_shown(quick, "the end");
	for (;;) {
		ssize_t n = read(slow, all + got, sizeof(all) - got);

		if (n < 0)
			break;
		got += (size_t)n;
		driver_run(&f->d);
	}
	assert_true(got > HISTORY && got < 2048 * HISTORY);
	assert_memory_equal(all + got - 8, ".the end", 8);
	leave(f, slow);
	leave(f, quick);
}

static void flood_with_nobody_there(void **state)
{
	struct fixture *f = *state;
	static char block[64 * 1024], shown[HISTORY];
	int fd;

	memset(block, 'f', sizeof(block));
	block[sizeof(block) - 1] = '!';
	for (unsigned i = 0; i < 1000; i++)
		print(f, block, sizeof(block));
	assert_int_equal(f->d.dev->counters.write_bytes, 1000 * sizeof(block));
	assert_true(f->d.dev->counters.errors > 0);
	fd = attach(f);
	read_all(fd, shown, sizeof(shown));
	assert_memory_equal(shown, block + sizeof(block) - HISTORY, HISTORY);
	leave(f, fd);
}

/* A full ring of requests takes several turns, between which others have theirs. */
static void burst_takes_turns(void **state)
{
	struct fixture *f = *state;
	uint64_t kicks = f->d.dev->counters.kicks;

	for (unsigned i = 0; i < OUTPUT_SIZE; i++)
		offer_output(f, (struct vring_desc){ .addr = OUTPUT, .len = OUTPUT_ROOM });
	driver_kick(&f->d, 1);
	assert_int_equal(output_taken(f), OUTPUT_SIZE);
	assert_true(f->d.dev->counters.kicks - kicks >= OUTPUT_SIZE);
}

static void scattered_output_is_one(void **state)
{
	struct fixture *f = *state;
	struct vring_avail *avail = driver_at(&f->d, OUTPUT_AVAIL, 8);
	int fd = host_connect(f);

	memcpy(driver_at(&f->d, OUTPUT, 16), "one two three 4", 16);
	driver_desc(&f->d, OUTPUT_DESC, 0, (struct vring_desc){ OUTPUT, 4, VRING_DESC_F_NEXT, 1 });
	driver_desc(&f->d, OUTPUT_DESC, 1,
		    (struct vring_desc){ OUTPUT + 4, 4, VRING_DESC_F_NEXT, 2 });
	driver_desc(&f->d, OUTPUT_DESC, 2, (struct vring_desc){ OUTPUT + 8, 7, 0, 0 });
	avail->ring[0] = 0;
	avail->idx = 1;
	driver_kick(&f->d, 1);
	expect_shown(fd, "one two three 4");
	leave(f, fd);
}

/* Beyond the limit output is lost, and the guest does not notice. */
static void limit_drops(void **state)
{
	struct fixture *f = new_fixture(false);
	struct virtio_console_options o = options_of(f);
	int fd;

	o.limit = (struct token_bucket){ 10, 3600000, 0 };
	create_with(f, &o);
	say(f, "12345678");
	say(f, "lost");
	say(f, "ok");
	assert_int_equal(f->d.dev->counters.errors, 1);
	fd = host_connect(f);
	expect_shown(fd, "12345678ok");
	close(fd);
	*state = f;
}

static void broken_rules_fail_the_device(void **state)
{
	struct fixture *f = *state;
	const struct driver_buffer readable = { INPUT, 16, false };
	int fd = host_connect(f);

	offer_output(f, (struct vring_desc){ OUTPUT, 8, VRING_DESC_F_WRITE, 0 });
	driver_kick(&f->d, 1);
	assert_true(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	start(f);
	driver_chain(&f->d, 0, &readable, 1);
	driver_offer(&f->d, 0);
	driver_kick(&f->d, 0);
	type(f, fd, "x");
	assert_true(driver_get(&f->d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->d.dev->counters.violations, 2);
	/* What was typed is not lost by it. */
	start(f);
	offer_input(f, 0);
	driver_kick(&f->d, 0);
	expect_input(f, 0, "x");
	leave(f, fd);
}

static void client_survives_a_reset(void **state)
{
	struct fixture *f = *state;
	int fd = host_connect(f);

	say(f, "first ");
	start(f);
	say(f, "second");
	expect_shown(fd, "first second");
	leave(f, fd);
}

/* Kept for another machine: who was there still is, and sees both. */
static void client_survives_the_machine(void **state)
{
	struct fixture *f = *state;
	int fd = attach(f), late;

	say(f, "first ");
	f->d.dev->kept = true;
	driver_destroy(&f->d);
	f->d.dev->kept = false;
	driver_create(&f->d, f->d.dev);
	start(f);
	say(f, "second");
	expect_shown(fd, "first second");
	offer_input(f, 0);
	driver_kick(&f->d, 0);
	type(f, fd, "hello");
	expect_input(f, 0, "hello");
	late = attach(f);
	expect_shown(late, "first second");
	leave(f, late);
	leave(f, fd);
}

static void paused_guest_sends_nothing(void **state)
{
	struct fixture *f = *state;
	struct vring_used_elem e;
	int fd = host_connect(f);

	offer_input(f, 0);
	driver_kick(&f->d, 0);
	virtio_transport_pause(f->d.transport);
	type(f, fd, "later");
	assert_false(driver_used(&f->d, &e));
	virtio_transport_resume(f->d.transport);
	driver_run(&f->d);
	expect_input(f, 0, "later");
	leave(f, fd);
}

/* The terminal's size is the guest's, from the next key on. */
static void terminal_tells_its_size(void **state)
{
	struct fixture *f = *state;
	const struct winsize size = { .ws_col = 132, .ws_row = 43 };
	int fd = attach(f);

	driver_interrupts(&f->d);
	assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
	type(f, fd, "x");
	while (driver_get(&f->d, CONFIG) == 0)
		driver_run(&f->d);
	assert_int_equal(driver_get(&f->d, CONFIG), 43 << 16 | 132);
	assert_true(driver_interrupts(&f->d) > 0);
	leave(f, fd);
}

/* Opened anew before wisp has seen that it was closed. */
static void each_opening_shows_the_history(void **state)
{
	struct fixture *f = *state;
	int fd = attach(f);

	say(f, "once");
	expect_shown(fd, "once");
	close(fd);
	fd = attach(f);
	expect_shown(fd, "once");
	leave(f, fd);
}

/* The terminal neither echoes nor edits. */
static void terminal_is_raw(void **state)
{
	struct fixture *f = *state;
	int fd = attach(f);

	offer_input(f, 0);
	driver_kick(&f->d, 0);
	say(f, "a\nb");
	expect_shown(fd, "a\nb");
	type(f, fd, "c\x7f\x03\x04");
	expect_input(f, 0, "c\x7f\x03\x04");
	expect_shown(fd, "");
	leave(f, fd);
}

static void bad_places_are_refused(void **state)
{
	struct fixture *f = *state;
	struct virtio_console_options o = options_of(f);
	struct virtio_dev *dev = NULL;
	struct error err = { 0 };

	/* Taken, by the console of this test. */
	assert_int_equal(virtio_console_create(&o, &dev, &err), -EADDRINUSE);
	assert_string_equal(err.field, "uds_path");
	o.pty_path = "/tmp/x";
	assert_int_equal(virtio_console_create(&o, &dev, &err), -EINVAL);
	o.uds_path = "";
	o.pty_path = f->path;
	assert_int_equal(virtio_console_create(&o, &dev, &err), -EEXIST);
	assert_string_equal(err.field, "pty_path");
	o.pty_path = "";
	assert_int_equal(virtio_console_create(&o, &dev, &err), -EINVAL);
	assert_null(dev);
}

#define WITH_SOCKET(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_PTY(test)	  cmocka_unit_test_setup_teardown(test, set_up_pty, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history_wraps),
		WITH_SOCKET(is_a_console),
		WITH_SOCKET(shows_history_then_what_comes),
		WITH_SOCKET(every_client_sees_and_types),
		WITH_SOCKET(ninth_client_is_refused),
		WITH_SOCKET(input_waits_for_buffers),
		WITH_SOCKET(who_hangs_up_is_heard),
		WITH_SOCKET(who_is_gone_makes_room),
		WITH_SOCKET(half_closed_client_still_sees),
		WITH_SOCKET(slow_client_stalls_nobody),
		WITH_SOCKET(flood_with_nobody_there),
		WITH_SOCKET(burst_takes_turns),
		WITH_SOCKET(scattered_output_is_one),
		cmocka_unit_test_teardown(limit_drops, tear_down),
		WITH_SOCKET(broken_rules_fail_the_device),
		WITH_SOCKET(client_survives_a_reset),
		WITH_SOCKET(client_survives_the_machine),
		WITH_SOCKET(paused_guest_sends_nothing),
		WITH_SOCKET(bad_places_are_refused),
		WITH_PTY(shows_history_then_what_comes),
		WITH_PTY(input_waits_for_buffers),
		WITH_PTY(flood_with_nobody_there),
		WITH_PTY(terminal_tells_its_size),
		WITH_PTY(each_opening_shows_the_history),
		WITH_PTY(terminal_is_raw),
	};

	signal(SIGPIPE, SIG_IGN);
	log_setup(&(struct log_config){ .id = "test", .level = LOG_OFF, .fd = STDERR_FILENO });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
