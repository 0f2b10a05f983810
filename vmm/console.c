/* console.c - between a guest's serial port and the host's standard streams.
 *
 * Output. The port signals the first byte that falls into its empty ring. Writing
 * at once would mean a wake-up a byte, since a guest makes an exit for each; so
 * that signal starts a timer, and what has gathered when it fires is written in
 * one go. A write that would block leaves the rest where it is, in our chunk and
 * in the ring, until the descriptor is ready. When the ring is full the port drops
 * what the guest sends: a vCPU never waits for a console.
 *
 * Input. What the guest has no room for yet stays in our chunk, and the source is
 * taken off the loop (a muted one would still report a hang-up, for ever) until
 * the port says that it has been read empty.
 *
 * A regular file cannot be watched by epoll and never makes a writer wait for a
 * reader: it is written directly.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/console.h"

enum {
	GATHER_NS = 2 * 1000 * 1000, /* about 20 characters at a real line's speed */
	CHUNK_BYTES = 4096,	     /* one write */
	CHUNKS_A_TURN = 16,	     /* before other sources have their turn */
	FINAL_FLUSH_US = 1000 * 1000,
	US_PER_MS = 1000,
	ESCAPE_KEY = 0x01, /* Ctrl-A */
	QUIT_KEY = 'x',
};

/* A descriptor that others share, and what it was like before us. */
struct borrowed_fd {
	int fd;
	int flags; /* to be restored; -1: left alone */
};

struct console {
	struct serial *serial;
	struct loop *loop;
	int timer_fd;

	struct borrowed_fd out;
	struct loop_source *output;   /* the ring is no longer empty */
	struct loop_source *timer;    /* it has had time to fill */
	struct loop_source *writable; /* NULL: out cannot be watched */
	bool output_failed;
	struct limiter limiter;
	uint64_t limited;	 /* bytes beyond the limit, dropped */
	char chunk[CHUNK_BYTES]; /* taken from the ring, [chunk_at, chunk_len) unwritten */
	size_t chunk_at, chunk_len;

	struct borrowed_fd in;
	struct loop_source *input; /* NULL while keys wait, or without input */
	struct loop_source *room;  /* the guest has read all; NULL: no input */
	bool is_tty, escaped;
	struct termios cooked;	       /* to be restored, with is_tty */
	char keys[SERIAL_INPUT_BYTES]; /* [keys_at, keys_len) the guest had no room for */
	size_t keys_at, keys_len;
};

/* --- borrowed descriptors --- */

static int borrow(struct borrowed_fd *b)
{
	int flags = fcntl(b->fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	if (fcntl(b->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	b->flags = flags;
	return 0;
}

static void give_back(struct borrowed_fd *b)
{
	if (b->flags >= 0 && fcntl(b->fd, F_SETFL, b->flags) < 0)
		log_warn("console: cannot restore the flags of descriptor %d: %s", b->fd,
			 strerror(errno));
	b->flags = -1;
}

/* --- output --- */

/* Takes what the guest has sent, without the chunks that the limit does not allow.
 * False when there is nothing more. */
static bool refill_chunk(struct console *c)
{
	while (c->chunk_at == c->chunk_len) {
		c->chunk_at = 0;
		c->chunk_len = serial_take_output(c->serial, c->chunk, sizeof(c->chunk));
		if (c->chunk_len == 0)
			return false;
		if (limiter_take(&c->limiter, c->chunk_len, clock_now_us()) == 0)
			break;
		c->limited += c->chunk_len;
		c->chunk_at = c->chunk_len;
	}
	return true;
}

/* 1 after progress, 0 when there is nothing to write, or a negative errno: -EAGAIN
 * when the descriptor is not ready. */
static int write_chunk(struct console *c)
{
	ssize_t n;

	if (!refill_chunk(c))
		return 0;
	n = write(c->out.fd, c->chunk + c->chunk_at, c->chunk_len - c->chunk_at);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	c->chunk_at += (size_t)n;
	return 1;
}

/* From here on the ring fills up and the port drops the rest. */
static void turn_output_off(struct console *c, int error)
{
	log_warn("console: output turned off: %s", strerror(error));
	c->output_failed = true;
	loop_source_remove(c->output);
	loop_source_remove(c->timer);
	loop_source_remove(c->writable);
	c->output = c->timer = c->writable = NULL;
}

static void write_output(struct console *c)
{
	int r = 1;

	for (unsigned i = 0; i < CHUNKS_A_TURN && r > 0; i++)
		r = write_chunk(c);
	if (r > 0)
		loop_source_defer(c->timer);
	else if (r == -EAGAIN && c->writable)
		r = loop_source_set(c->writable, EPOLLOUT);
	if (r < 0)
		turn_output_off(c, -r);
}

static void on_output(void *arg, uint32_t events)
{
	struct itimerspec once = { .it_value.tv_nsec = GATHER_NS };
	struct console *c = arg;

	(void)events;
	fd_event_drain(serial_output_fd(c->serial));
	if (timerfd_settime(c->timer_fd, 0, &once, NULL) < 0)
		write_output(c);
}

static void on_timer(void *arg, uint32_t events)
{
	struct console *c = arg;

	/* A deferred turn (0) has no expiry to take. */
	if (events != 0)
		fd_event_drain(c->timer_fd);
	write_output(c);
}

static void on_writable(void *arg, uint32_t events)
{
	struct console *c = arg;

	if (events & (EPOLLERR | EPOLLHUP)) {
		turn_output_off(c, EPIPE);
		return;
	}
	int r = loop_source_set(c->writable, 0);

	if (r < 0)
		turn_output_off(c, -r);
	else
		write_output(c);
}

/* --- input --- */

/* The escape key's commands are taken out; returns how many keys are left. */
static size_t filter_keys(struct console *c, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		char key = c->keys[i];

		if (!c->escaped && key == ESCAPE_KEY) {
			c->escaped = true;
			continue;
		}
		if (c->escaped && key == QUIT_KEY) {
			log_info("console: the user ended the machine");
			loop_stop(c->loop, 0);
		} else if (!c->escaped || key == ESCAPE_KEY) {
			c->keys[kept++] = key;
		}
		c->escaped = false;
	}
	return kept;
}

static bool all_keys_taken(struct console *c)
{
	c->keys_at += serial_put_input(c->serial, c->keys + c->keys_at, c->keys_len - c->keys_at);
	return c->keys_at == c->keys_len;
}

static void stop_reading(struct console *c)
{
	loop_source_remove(c->input);
	c->input = NULL;
}

static void on_input(void *arg, uint32_t events)
{
	struct console *c = arg;
	ssize_t n = read(c->in.fd, c->keys, sizeof(c->keys));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_info("console: end of input");
		stop_reading(c);
		loop_source_remove(c->room);
		c->room = NULL;
		return;
	}
	c->keys_at = 0;
	c->keys_len = c->is_tty ? filter_keys(c, (size_t)n) : (size_t)n;
	if (!all_keys_taken(c))
		stop_reading(c);
}

static void on_room(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	fd_event_drain(serial_input_fd(c->serial));
	if (!all_keys_taken(c) || c->input)
		return;
	int r = loop_add(c->loop, c->in.fd, EPOLLIN, on_input, c, &c->input);

	if (r < 0)
		log_warn("console: input turned off: %s", strerror(-r));
}

/* --- life --- */

static int start_output(struct console *c)
{
	int r = loop_add(c->loop, c->out.fd, 0, on_writable, c, &c->writable);

	if (r == 0)
		r = borrow(&c->out);
	else if (r == -EPERM)
		r = 0;
	if (r < 0)
		return r;
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (c->timer_fd < 0)
		return -errno;
	r = loop_add(c->loop, c->timer_fd, EPOLLIN, on_timer, c, &c->timer);
	if (r < 0)
		return r;
	return loop_add(c->loop, serial_output_fd(c->serial), EPOLLIN, on_output, c, &c->output);
}

/* A terminal belongs to its foreground: reading it from the background, or setting
 * its mode, would stop the process. */
static bool is_input(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
		return true;
	return isatty(fd) && tcgetpgrp(fd) == getpgrp();
}

/* Output stays as it is set: the log may share the terminal. */
static int make_raw(struct console *c)
{
	struct termios raw;

	if (!isatty(c->in.fd))
		return 0;
	if (tcgetattr(c->in.fd, &c->cooked) < 0)
		return -errno;
	raw = c->cooked;
	cfmakeraw(&raw);
	raw.c_oflag = c->cooked.c_oflag;
	if (tcsetattr(c->in.fd, TCSANOW, &raw) < 0)
		return -errno;
	c->is_tty = true;
	return 0;
}

static int start_input(struct console *c)
{
	int r;

	if (!is_input(c->in.fd))
		return 0;
	r = borrow(&c->in);
	if (r == 0)
		r = make_raw(c);
	if (r == 0)
		r = loop_add(c->loop, serial_input_fd(c->serial), EPOLLIN, on_room, c, &c->room);
	if (r == 0)
		r = loop_add(c->loop, c->in.fd, EPOLLIN, on_input, c, &c->input);
	return r;
}

int console_create(struct serial *serial, struct loop *loop, const struct console_ends *ends,
		   struct console **ret)
{
	const struct limiter_config limits = { .bandwidth = ends->limit, .has_bandwidth = true };
	struct console *c;
	int r;

	/* The loop watches a descriptor once. */
	if (ends->in_fd == ends->out_fd)
		return -EEXIST;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->serial = serial;
	c->loop = loop;
	c->timer_fd = -1;
	limiter_configure(&c->limiter, &limits, clock_now_us());
	c->out = (struct borrowed_fd){ .fd = ends->out_fd, .flags = -1 };
	c->in = (struct borrowed_fd){ .fd = ends->in_fd, .flags = -1 };
	r = start_output(c);
	if (r == 0)
		r = start_input(c);
	if (r < 0) {
		console_destroy(c);
		return r;
	}
	*ret = c;
	return 0;
}

static int wait_writable(struct console *c, uint64_t deadline_us)
{
	struct pollfd p = { .fd = c->out.fd, .events = POLLOUT };
	uint64_t now_us = clock_now_us();

	if (now_us >= deadline_us)
		return -ETIMEDOUT;
	if (poll(&p, 1, (int)((deadline_us - now_us) / US_PER_MS + 1)) < 0 && errno != EINTR)
		return -errno;
	return 1;
}

void console_flush(struct console *c)
{
	uint64_t deadline_us = clock_now_us() + FINAL_FLUSH_US;
	int r = c->output_failed ? 0 : 1;

	while (r > 0) {
		r = write_chunk(c);
		if (r == -EAGAIN)
			r = wait_writable(c, deadline_us);
	}
	if (r == 0)
		return;
	log_warn("console: the last output was lost: %s", strerror(-r));
	c->output_failed = true;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	console_flush(c);
	if (serial_dropped(c->serial) > 0)
		log_warn("console: %" PRIu64 " bytes of output came too fast and were dropped",
			 serial_dropped(c->serial));
	if (c->limited > 0)
		log_warn("console: %" PRIu64 " bytes of output exceeded the limit and were dropped",
			 c->limited);
	loop_source_remove(c->input);
	loop_source_remove(c->room);
	loop_source_remove(c->output);
	loop_source_remove(c->timer);
	loop_source_remove(c->writable);
	fd_close(c->timer_fd);
	/* In reverse: both may be the same terminal. */
	if (c->is_tty && tcsetattr(c->in.fd, TCSANOW, &c->cooked) < 0)
		log_warn("console: cannot restore the terminal: %s", strerror(errno));
	give_back(&c->in);
	give_back(&c->out);
	free(c);
}
