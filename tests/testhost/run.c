/* run.c - one run: the emulated host from start to end.
 *
 * One thread, one poll(2) loop over four descriptors: signals, the console (QEMU's
 * own output and the kernel's), and the two streams of the command. A stream is
 * read only when all that was read before has been written, and written only when
 * there is room, so that a slow reader holds the guest back while signals and the
 * time limit still work.
 *
 * The run is over when both streams have brought their end mark (endmark.h). The
 * guest writes it after everything else has been written and synced, so QEMU is
 * killed at once, not powered off. A stream that ends without its mark means that
 * QEMU died, by a panic, a power-off inside, or of its own.
 *
 * Nothing but memory and descriptors is used, and QEMU asked for our death signal:
 * however this process ends, nothing stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/testhost/check.h"
#include "tests/testhost/endmark.h"
#include "tests/testhost/initrd.h"
#include "tests/testhost/job.h"
#include "tests/testhost/options.h"
#include "tests/testhost/process.h"
#include "tests/testhost/qemu.h"
#include "tests/testhost/run.h"
#include "tests/testhost/tail.h"
#include "vmm/base/clock.h"
#include "vmm/base/error.h"
#include "vmm/base/fd.h"

enum {
	CHUNK_BYTES = 64 * 1024,
	CONSOLE_LINES = 50,	/* shown when something went wrong */
	EXIT_BROKEN_PIPE = 141, /* what a shell reports for a death by SIGPIPE */
};

struct stream {
	int from, to;	   /* our end of the guest's port; our stdout or stderr */
	int guest_end;	   /* QEMU's end, until it runs */
	bool done;	   /* nothing more will be read */
	size_t start, end; /* what of buf is still to be written */
	struct endmark mark;
	char buf[CHUNK_BYTES + ENDMARK_HELD_MAX];
};

struct run {
	const struct options *options;
	struct interrupt *interrupt;
	struct process qemu;
	int initrd_fd;
	int console[2];
	uint64_t start_us, deadline_us;
	struct stream out, err;
	struct tail log;
	bool line_open; /* verbose: the console's last line has no end yet */
};

static int make_token(char token[ENDMARK_TOKEN_LEN + 1])
{
	unsigned char raw[ENDMARK_TOKEN_LEN / 2];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
		return -EIO;
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(token + 2 * i, 3, "%02x", raw[i]);
	return 0;
}

static int stream_open(struct stream *s, int to, const char *token, struct error *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(e, NULL, NULL, "cannot make a socket");
	s->from = pair[0];
	s->guest_end = pair[1];
	s->to = to;
	endmark_init(&s->mark, token);
	return 0;
}

/* Builds the RAM disk with the job inside. */
static int make_initrd(struct run *r, const struct kernel *k, const char *token, struct error *e)
{
	char busybox[PATH_MAX], *cwd = getcwd(NULL, 0), *job = NULL;
	struct initrd_source from = { .kernel = k, .busybox = busybox };
	int ret;

	if (!cwd) {
		ret = error_errno(e, NULL, NULL, "cannot find the working directory");
		goto done;
	}

	const struct job_context context = { .cwd = cwd, .environ = environ, .token = token };

	ret = job_text(r->options, &context, &job, &from.job_len);
	if (ret < 0) {
		error_set(e, ret, NULL, NULL, "out of memory");
		goto done;
	}
	from.job = job;
	ret = check_busybox(busybox, sizeof(busybox));
	if (ret < 0)
		error_set(e, ret, NULL, "apt-get install busybox-static", "no static busybox");
	else
		ret = initrd_create(&from, &r->initrd_fd, e);
done:
	free(job);
	free(cwd);
	return ret;
}

static int start_qemu(struct run *r, const struct kernel *k, struct error *e)
{
	const int keep[] = { r->initrd_fd, r->out.guest_end, r->err.guest_end };
	char emulator[PATH_MAX];
	int ret = check_emulator(emulator, sizeof(emulator), e);

	if (ret < 0)
		return ret;

	const struct qemu_wiring wiring = { .emulator = emulator,
					    .kernel = k,
					    .initrd_fd = r->initrd_fd,
					    .stdout_fd = r->out.guest_end,
					    .stderr_fd = r->err.guest_end };
	char **argv = NULL;

	ret = qemu_args(r->options, &wiring, &argv, e);

	if (ret < 0)
		return ret;

	const struct process_start how = { .argv = (const char *const *)argv,
					   .output = r->console[1],
					   .keep = keep,
					   .nkeep = sizeof(keep) / sizeof(keep[0]) };

	ret = process_start(&how, &r->qemu, e);
	qemu_args_free(argv);
	/* Only QEMU may hold these now: their end is QEMU's end. */
	r->console[1] = fd_close(r->console[1]);
	r->out.guest_end = fd_close(r->out.guest_end);
	r->err.guest_end = fd_close(r->err.guest_end);
	return ret;
}

static int run_start(struct run *r, const struct kernel *k, struct error *e)
{
	char token[ENDMARK_TOKEN_LEN + 1];
	int ret = make_token(token);

	if (ret < 0)
		return error_set(e, ret, NULL, NULL, "no random numbers");
	ret = make_initrd(r, k, token, e);
	if (ret == 0)
		ret = stream_open(&r->out, STDOUT_FILENO, token, e);
	if (ret == 0)
		ret = stream_open(&r->err, STDERR_FILENO, token, e);
	if (ret == 0 && pipe2(r->console, O_CLOEXEC) < 0)
		ret = error_errno(e, NULL, NULL, "cannot make a pipe");
	return ret < 0 ? ret : start_qemu(r, k, e);
}

static void run_end(struct run *r)
{
	process_kill(&r->qemu);
	fd_close(r->initrd_fd);
	fd_close(r->console[0]);
	fd_close(r->console[1]);
	fd_close(r->out.from);
	fd_close(r->out.guest_end);
	fd_close(r->err.from);
	fd_close(r->err.guest_end);
}

static void stream_read(struct stream *s)
{
	char chunk[CHUNK_BYTES];
	ssize_t n = read(s->from, chunk, sizeof(chunk));

	if (n < 0 && errno == EINTR)
		return;
	s->start = 0;
	s->end = n > 0 ? endmark_feed(&s->mark, chunk, (size_t)n, s->buf)
		       : endmark_rest(&s->mark, s->buf);
	s->done = n <= 0 || s->mark.complete;
}

/* 0, or a negative errno. */
static int stream_write(struct stream *s)
{
	size_t len = s->end - s->start;

	/* What poll() promised room for; more might block. */
	if (len > PIPE_BUF)
		len = PIPE_BUF;

	ssize_t n = write(s->to, s->buf + s->start, len);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	s->start += (size_t)n;
	return 0;
}

static bool stream_writing(const struct stream *s)
{
	return s->start < s->end;
}

static struct pollfd stream_poll(const struct stream *s)
{
	if (stream_writing(s))
		return (struct pollfd){ .fd = s->to, .events = POLLOUT };
	return (struct pollfd){ .fd = s->done ? -1 : s->from, .events = POLLIN };
}

static int stream_serve(struct stream *s, short revents)
{
	if (!revents)
		return 0;
	if (stream_writing(s))
		return stream_write(s);
	stream_read(s);
	return 0;
}

/* The console, with the seconds since the start before each line. */
static void show_console(struct run *r, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\r')
			continue;
		if (!r->line_open)
			fprintf(stderr, "[%8.3f] ", (double)(clock_now_us() - r->start_us) / 1e6);
		fputc(text[i], stderr);
		r->line_open = text[i] != '\n';
	}
}

/* False once the console has ended. */
static bool console_read(struct run *r)
{
	char chunk[4096];
	ssize_t n = read(r->console[0], chunk, sizeof(chunk));

	if (n <= 0)
		return n < 0 && errno == EINTR;
	tail_add(&r->log, chunk, (size_t)n);
	if (r->options->verbose)
		show_console(r, chunk, (size_t)n);
	return true;
}

/* Says what happened; the console's end, too, unless it was shown already. */
static void complain(struct run *r, const char *what)
{
	fprintf(stderr, "wisp-testhost: %s\n", what);
	if (!r->options->verbose && r->log.used > 0)
		fprintf(stderr, "%s\n", tail_lines(&r->log, CONSOLE_LINES));
}

/* The exit code, once both streams have ended. */
static int verdict(struct run *r)
{
	if (r->out.mark.complete && r->err.mark.complete)
		return r->out.mark.status;
	while (console_read(r))
		;
	complain(r, "the test host ended before the command; its console said:");
	return RUN_HOST_DIED;
}

static int time_out(struct run *r)
{
	char text[128];

	snprintf(text, sizeof(text), "not done after %u s: ended (--timeout sets the limit)",
		 r->options->timeout_s);
	complain(r, text);
	return RUN_TIMED_OUT;
}

static bool all_passed_on(const struct stream *s)
{
	return s->done && !stream_writing(s);
}

static int run_loop(struct run *r, struct error *e)
{
	while (!all_passed_on(&r->out) || !all_passed_on(&r->err)) {
		struct pollfd fds[] = { { .fd = r->interrupt->fd, .events = POLLIN },
					{ .fd = r->console[0], .events = POLLIN },
					stream_poll(&r->out),
					stream_poll(&r->err) };
		uint64_t now = clock_now_us();

		if (now >= r->deadline_us)
			return time_out(r);
		if (poll(fds, 4, (int)((r->deadline_us - now) / 1000 + 1)) < 0 && errno != EINTR)
			return error_errno(e, NULL, NULL, "cannot wait");
		if (interrupt_pending(r->interrupt))
			return error_set(e, -EINTR, NULL, NULL, "interrupted");
		if (fds[1].revents && !console_read(r))
			r->console[0] = fd_close(r->console[0]);

		int ret = stream_serve(&r->out, fds[2].revents);

		if (ret == 0)
			ret = stream_serve(&r->err, fds[3].revents);
		if (ret == -EPIPE)
			return EXIT_BROKEN_PIPE;
		if (ret < 0)
			return error_set(e, ret, NULL, NULL, "cannot pass the output on: %s",
					 strerror(-ret));
	}
	return verdict(r);
}

static int run_once(const struct options *o, const struct kernel *k, struct interrupt *i,
		    uint64_t deadline_us, struct error *e)
{
	struct run *r = calloc(1, sizeof(*r));

	if (!r)
		return error_set(e, -ENOMEM, NULL, NULL, "out of memory");
	r->options = o;
	r->interrupt = i;
	r->initrd_fd = r->console[0] = r->console[1] = -1;
	r->out.from = r->out.guest_end = r->err.from = r->err.guest_end = -1;
	r->start_us = clock_now_us();
	r->deadline_us = deadline_us;

	int ret = run_start(r, k, e);

	if (ret == 0)
		ret = run_loop(r, e);
	run_end(r);
	free(r);
	return ret;
}

int run_command(const struct options *o, const struct kernel *k, struct interrupt *i,
		struct error *e)
{
	const uint64_t deadline_us = clock_now_us() + (uint64_t)o->timeout_s * 1000000;
	int ret = run_once(o, k, i, deadline_us, e);

	if (ret != RUN_GUEST_LOST)
		return ret;
	fprintf(stderr,
		"wisp-testhost: a guest stood still without a timer; again, in a new host\n");
	return run_once(o, k, i, deadline_us, e);
}
