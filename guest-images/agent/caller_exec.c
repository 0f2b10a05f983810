/* caller_exec.c - a command in the guest, with our terminal, pipes and signals.
 *
 * Output is written as it comes, and may wait for who reads it: meanwhile nothing is taken
 * from the guest, which is what slows the command down. Input is read only when the channel
 * has room. Signals arrive by a descriptor, so they meet nothing half done.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "guest-images/agent/caller.h"
#include "guest-images/agent/caller_frames.h"
#include "vmm/base/fd.h"

enum { CHUNK = 32 * 1024, NUMBER_LEN = 64, SEED_BYTES = 32 };

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

struct exec {
	struct channel *channel;
	int signals;	 /* signalfd */
	bool input_open; /* ours */
	bool raw;	 /* our terminal was changed */
	struct termios saved;
	sigset_t saved_mask;
};

/* --- our side --- */

static int signals_take(struct exec *x)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &x->saved_mask);
	x->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return x->signals < 0 ? -errno : 0;
}

static void terminal_raw(struct exec *x)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &x->saved) < 0)
		return;
	raw = x->saved;
	cfmakeraw(&raw);
	x->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void restore(struct exec *x)
{
	if (x->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &x->saved);
	fd_close(x->signals);
	sigprocmask(SIG_SETMASK, &x->saved_mask, NULL);
}

/* --- the request --- */

struct texts {
	char **text;
	size_t count, size;
};

static int text_add(struct texts *t, const char *name, const char *value)
{
	if (t->count + 1 >= t->size) {
		size_t size = t->size ? 2 * t->size : 32;
		char **more = reallocarray(t->text, size, sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->text = more;
		t->size = size;
	}
	if (asprintf(&t->text[t->count], "%s=%s", name, value) < 0)
		return -ENOMEM;
	t->text[++t->count] = NULL;
	return 0;
}

static int number_add(struct texts *t, const char *name, unsigned value)
{
	char text[NUMBER_LEN];

	snprintf(text, sizeof(text), "%u", value);
	return text_add(t, name, text);
}

static int terminal_add(struct texts *t)
{
	struct winsize size;
	int r = text_add(t, "terminal", "1");

	if (r == 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		r = number_add(t, "rows", size.ws_row);
		if (r == 0)
			r = number_add(t, "columns", size.ws_col);
	}
	return r;
}

/* A clone that has just been loaded may still draw what its sister drew: the kernel sees
 * that it is another by an interrupt, which may come after this request. */
static int seed_add(struct texts *t)
{
	unsigned char bytes[SEED_BYTES];
	char hex[2 * SEED_BYTES + 1];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	return text_add(t, "seed", hex);
}

static int texts_fill(struct texts *t, const struct caller_exec *e)
{
	int r = seed_add(t);

	for (size_t i = 0; r == 0 && e->arguments[i]; i++)
		r = text_add(t, "argument", e->arguments[i]);
	for (size_t i = 0; r == 0 && e->environment && e->environment[i]; i++)
		r = text_add(t, "environment", e->environment[i]);
	if (r == 0 && e->user)
		r = text_add(t, "user", e->user);
	if (r == 0 && e->directory)
		r = text_add(t, "directory", e->directory);
	if (r == 0 && e->timeout_ms)
		r = number_add(t, "timeout_ms", e->timeout_ms);
	if (r == 0 && e->terminal)
		r = terminal_add(t);
	return r;
}

static int request(struct exec *x, const struct caller_exec *e, struct error *err)
{
	struct texts t = { 0 };
	int r = texts_fill(&t, e);

	if (r == 0)
		r = caller_request(x->channel, "exec", (const char *const *)t.text, err);
	else
		error_set(err, r, NULL, NULL, "Out of memory");
	for (size_t i = 0; i < t.count; i++)
		free(t.text[i]);
	free(t.text);
	return r;
}

/* --- the streams --- */

static int signal_send(struct exec *x, unsigned number)
{
	char bytes[NUMBER_LEN];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };

	fields_add(&f, "number", "%u", number);
	return channel_send(x->channel, FRAME_SIGNAL, f.bytes, f.len);
}

static int size_send(struct exec *x)
{
	char bytes[NUMBER_LEN];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		return 0;
	fields_add(&f, "rows", "%u", size.ws_row);
	fields_add(&f, "columns", "%u", size.ws_col);
	return channel_send(x->channel, FRAME_RESIZE, f.bytes, f.len);
}

static int signals_serve(struct exec *x)
{
	struct signalfd_siginfo info = { 0 };

	if (read(x->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	return info.ssi_signo == SIGWINCH ? size_send(x) : signal_send(x, info.ssi_signo);
}

static int input_serve(struct exec *x)
{
	char chunk[CHUNK];
	ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	x->input_open = n > 0;
	return channel_put(x->channel, FRAME_INPUT, chunk, n > 0 ? (size_t)n : 0);
}

static int output_write(int fd, const struct frame *f, struct error *err)
{
	size_t done = 0;

	while (done < f->len) {
		ssize_t n = write(fd, f->payload + done, f->len - done);

		if (n < 0 && errno != EINTR)
			return error_errno(err, NULL, NULL, "Cannot write the command's output");
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int answer_read(const struct frame *f, struct caller_outcome *ret, struct error *err)
{
	uint64_t value;

	if (!fields_valid(f->payload, f->len))
		return caller_broken(-EPROTO, err);
	if (fields_number(f->payload, f->len, "signal", 1, 127, &value))
		ret->status = 128 + (int)value;
	else if (fields_number(f->payload, f->len, "status", 0, 255, &value))
		ret->status = (int)value;
	else
		return caller_broken(-EPROTO, err);
	ret->timed_out = fields_get(f->payload, f->len, "timeout") != NULL;
	return 1;
}

/* 1: it was the last one. */
static int frame_serve(const struct frame *f, struct caller_outcome *ret, int *guest_code,
		       struct error *err)
{
	if (f->type == FRAME_OUTPUT)
		return output_write(STDOUT_FILENO, f, err);
	if (f->type == FRAME_ERRORS)
		return output_write(STDERR_FILENO, f, err);
	if (f->type == FRAME_FAULT)
		return caller_fault(f, guest_code, err);
	if (f->type == FRAME_ANSWER)
		return answer_read(f, ret, err);
	return caller_broken(-EPROTO, err);
}

static int guest_serve(struct exec *x, struct caller_outcome *ret, int *guest_code,
		       struct error *err)
{
	struct frame f = { 0 };
	int r = channel_flush(x->channel);

	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		r = channel_take(x->channel, &f); /* what it said last explains the end */
	if (r == -EAGAIN)
		return 0;
	return r < 0 ? caller_broken(r, err) : frame_serve(&f, ret, guest_code, err);
}

/* 0: go on; 1: the command has ended. */
static int turn(struct exec *x, struct caller_outcome *ret, int *guest_code, struct error *err)
{
	bool room = channel_room(x->channel) >= CHUNK;
	struct pollfd p[] = {
		{ .fd = channel_fd(x->channel), .events = channel_events(x->channel, true) },
		{ .fd = x->signals, .events = POLLIN },
		{ .fd = x->input_open && room ? STDIN_FILENO : -1, .events = POLLIN },
	};
	int r = 0;

	if (poll(p, 3, -1) < 0)
		return errno == EINTR ? 0 : caller_broken(-errno, err);
	/* A guest that is gone is noticed by what can be read from it. */
	if (p[1].revents)
		signals_serve(x);
	if (p[2].revents)
		input_serve(x);
	if (p[0].revents)
		r = guest_serve(x, ret, guest_code, err);
	return r;
}

static int relay(struct exec *x, const struct caller_exec *e, struct caller_outcome *ret,
		 int *guest_code, struct error *err)
{
	int r = 0;

	x->input_open = e->interactive;
	if (!e->interactive)
		channel_send(x->channel, FRAME_INPUT, NULL, 0);
	while (r == 0)
		r = turn(x, ret, guest_code, err);
	return r < 0 ? r : 0;
}

int caller_exec(int fd, const struct caller_exec *e, struct caller_outcome *ret, int *guest_code,
		struct error *err)
{
	struct exec x = { .signals = -1 };
	int r = caller_channel(fd, &x.channel, err);

	if (r < 0)
		return r;
	*guest_code = 0;
	r = signals_take(&x);
	if (r < 0)
		error_set(err, r, NULL, NULL, "Cannot wait for signals: %s", strerror(-r));
	if (r == 0)
		r = request(&x, e, err);
	if (r == 0 && e->terminal && e->interactive)
		terminal_raw(&x);
	if (r == 0)
		r = relay(&x, e, ret, guest_code, err);
	restore(&x);
	channel_destroy(x.channel);
	return r;
}

int caller_status(int r, int guest_code, const struct caller_outcome *o)
{
	if (r == 0)
		return o->timed_out ? CALLER_TIMED_OUT : o->status;
	if (guest_code == ENOENT)
		return CALLER_NOT_FOUND;
	return guest_code == EACCES || guest_code == ENOEXEC ? CALLER_CANNOT_RUN : CALLER_FAILED;
}
