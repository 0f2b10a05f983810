/* exec.c - the verb that runs a command and carries its streams.
 *
 * One loop waits for the caller, the command's streams and its end. Nothing in it blocks:
 * output is read only when the channel has room for it, and the caller's frames are
 * taken only when what came before was written to the command. So a command that does
 * not read, or a caller that does not, slows down nobody but the two of them.
 *
 * The command ends by itself, or at its time limit, or because the caller went away: then
 * it is asked to (SIGTERM, SIGHUP), and killed when it has not gone after five seconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/identity.h"
#include "guest-images/agent/job.h"
#include "guest-images/agent/session.h"

enum {
	CHUNK = 32 * 1024,
	GRACE_MS = 5000,
	ANSWER_LEN = 128,
	MAX_TIMEOUT_MS = INT32_MAX,
};

struct relay {
	struct session *session;
	struct job job;
	char input[FRAME_MAX]; /* from the caller, not yet written to the command */
	size_t input_at, input_len;
	bool input_ends;     /* the caller has no more */
	bool caller_gone;    /* the channel is of no use any more */
	bool ended;	     /* the command */
	bool timed_out;	     /* its limit is why it was asked to end */
	int next_signal;     /* sent at the deadline */
	int64_t deadline_ms; /* -1: none */
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* --- the request --- */

/* False: too many. */
static bool words_collect(const struct session *s, const char *name,
			  const char *words[JOB_MAX_WORDS + 1])
{
	size_t place = 0, count = 0;
	const char *word;

	while ((word = fields_next(s->bytes, s->len, name, &place))) {
		if (count == JOB_MAX_WORDS)
			return false;
		words[count++] = word;
	}
	words[count] = NULL;
	return true;
}

static bool environment_valid(const struct job_spec *spec)
{
	for (size_t i = 0; spec->environment[i]; i++) {
		const char *sign = strchr(spec->environment[i], '=');

		if (!sign || sign == spec->environment[i])
			return false;
	}
	return true;
}

/* False when it was refused. */
static bool spec_read(struct session *s, struct job_spec *spec, struct user *user)
{
	const char *name = fields_get(s->bytes, s->len, "user");
	uint64_t rows = 0, columns = 0;

	if (user_find(name ? name : "0", user) < 0) {
		session_fault(s, EINVAL, "user \"%s\": /etc/passwd or /etc/group has no such entry",
			      name);
		return false;
	}
	if (!words_collect(s, "argument", spec->arguments) || !spec->arguments[0] ||
	    !words_collect(s, "environment", spec->environment)) {
		session_fault(s, EINVAL, "a command has 1 to %d arguments, and as many variables",
			      JOB_MAX_WORDS);
		return false;
	}
	if (!environment_valid(spec)) {
		session_fault(s, EINVAL, "a variable is given as NAME=VALUE");
		return false;
	}
	spec->user = user;
	spec->directory = fields_get(s->bytes, s->len, "directory");
	spec->terminal = fields_get(s->bytes, s->len, "terminal") != NULL;
	fields_number(s->bytes, s->len, "rows", 0, UINT16_MAX, &rows);
	fields_number(s->bytes, s->len, "columns", 0, UINT16_MAX, &columns);
	spec->rows = (uint16_t)rows;
	spec->columns = (uint16_t)columns;
	return true;
}

static void start_fault(struct session *s, const struct job_spec *spec, enum job_step step,
			int error)
{
	switch (step) {
	case JOB_PREPARE:
		session_fault(s, -error, "cannot start a process: %s", strerror(-error));
		return;
	case JOB_USER:
		session_fault(s, -error, "cannot become user %u: %s", spec->user->uid,
			      strerror(-error));
		return;
	case JOB_DIRECTORY:
		session_fault(s, -error, "cannot enter directory %s: %s",
			      spec->directory ? spec->directory : "/", strerror(-error));
		return;
	case JOB_PROGRAM:
		session_fault(s, -error, "cannot run %s: %s", spec->arguments[0], strerror(-error));
		return;
	}
}

/* --- ends --- */

static void end_ask(struct relay *r, int number)
{
	job_signal(&r->job, number);
	r->next_signal = SIGKILL;
	r->deadline_ms = now_ms() + GRACE_MS;
}

static void caller_lost(struct relay *r)
{
	if (r->caller_gone)
		return;
	r->caller_gone = true;
	end_ask(r, SIGHUP);
}

static void deadline_check(struct relay *r)
{
	if (r->deadline_ms < 0 || now_ms() < r->deadline_ms)
		return;
	if (r->next_signal == SIGTERM) {
		r->timed_out = true;
		end_ask(r, SIGTERM);
	} else {
		job_signal(&r->job, SIGKILL);
		r->deadline_ms = -1;
	}
}

static int wait_ms(const struct relay *r)
{
	int64_t left = r->deadline_ms < 0 ? -1 : r->deadline_ms - now_ms();

	return r->deadline_ms < 0 ? -1 : left < 0 ? 0 : (int)left;
}

/* --- the streams --- */

static void close_stream(int *fd)
{
	close(*fd);
	*fd = -1;
}

/* The end of the caller's input: the end of a pipe, or what a terminal has for it. */
static void input_end(struct relay *r)
{
	r->input_ends = true;
	if (r->job.errors >= 0) {
		close_stream(&r->job.in);
		return;
	}
	r->input[0] = 4; /* Ctrl-D */
	r->input_at = 0;
	r->input_len = 1;
}

static void input_write(struct relay *r)
{
	ssize_t n = write(r->job.in, r->input + r->input_at, r->input_len);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		/* Nobody reads there any more. What else the caller sends is dropped. */
		close_stream(&r->job.in);
		r->input_len = 0;
	} else if (n > 0) {
		r->input_at += (size_t)n;
		r->input_len -= (size_t)n;
	}
}

static void frame_serve(struct relay *r, const struct frame *f)
{
	uint64_t number, rows, columns;

	if (f->type == FRAME_INPUT && r->job.in >= 0 && !r->input_ends) {
		if (f->len == 0) {
			input_end(r);
			return;
		}
		memcpy(r->input, f->payload, f->len);
		r->input_at = 0;
		r->input_len = f->len;
	}
	if (f->type != FRAME_SIGNAL && f->type != FRAME_RESIZE)
		return;
	if (!fields_valid(f->payload, f->len))
		return;
	if (fields_number(f->payload, f->len, "number", 1, (uint64_t)SIGRTMAX, &number))
		job_signal(&r->job, (int)number);
	if (fields_number(f->payload, f->len, "rows", 1, UINT16_MAX, &rows) &&
	    fields_number(f->payload, f->len, "columns", 1, UINT16_MAX, &columns))
		job_resize(&r->job, (uint16_t)rows, (uint16_t)columns);
}

static void caller_serve(struct relay *r)
{
	struct frame f;
	int e;

	if (channel_flush(r->session->channel) < 0) {
		caller_lost(r);
		return;
	}
	if (r->input_len)
		return;
	e = channel_take(r->session->channel, &f);
	if (e == 0)
		frame_serve(r, &f);
	else if (e != -EAGAIN)
		caller_lost(r);
}

/* Carries one read of a stream. False when it has nothing, or ended. */
static bool output_carry(struct relay *r, int *fd, enum frame_type type)
{
	char chunk[CHUNK];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		close_stream(fd); /* a terminal ends with EIO */
		return false;
	}
	if (!r->caller_gone && channel_put(r->session->channel, type, chunk, (size_t)n) < 0)
		caller_lost(r);
	return true;
}

/* --- the loop --- */

enum { WAIT_CALLER, WAIT_IN, WAIT_OUT, WAIT_ERRORS, WAIT_END, WAITS };

static void wait_for_work(const struct relay *r, struct pollfd p[WAITS])
{
	bool room = r->caller_gone || channel_room(r->session->channel) >= CHUNK;

	for (int i = 0; i < WAITS; i++)
		p[i] = (struct pollfd){ .fd = -1 };
	if (!r->caller_gone) {
		p[WAIT_CALLER].fd = channel_fd(r->session->channel);
		p[WAIT_CALLER].events = channel_events(r->session->channel, r->input_len == 0);
	}
	if (r->input_len)
		p[WAIT_IN] = (struct pollfd){ .fd = r->job.in, .events = POLLOUT };
	if (room) {
		p[WAIT_OUT] = (struct pollfd){ .fd = r->job.out, .events = POLLIN };
		p[WAIT_ERRORS] = (struct pollfd){ .fd = r->job.errors, .events = POLLIN };
	}
	p[WAIT_END] = (struct pollfd){ .fd = r->job.pidfd, .events = POLLIN };
	poll(p, WAITS, wait_ms(r));
}

static void relay_turn(struct relay *r)
{
	struct pollfd p[WAITS];

	wait_for_work(r, p);
	if (p[WAIT_CALLER].revents & (POLLHUP | POLLERR))
		caller_lost(r); /* before its answer */
	else if (p[WAIT_CALLER].revents)
		caller_serve(r);
	if (p[WAIT_IN].revents && r->input_len)
		input_write(r);
	if (p[WAIT_OUT].revents)
		output_carry(r, &r->job.out, FRAME_OUTPUT);
	if (p[WAIT_ERRORS].revents && channel_room(r->session->channel) >= CHUNK)
		output_carry(r, &r->job.errors, FRAME_ERRORS);
	if (p[WAIT_END].revents)
		r->ended = true;
	deadline_check(r);
}

/* What the command wrote before it ended, but not what its children still may. */
static void output_drain(struct relay *r)
{
	bool more = true;

	while (more && !r->caller_gone) {
		if (channel_drain(r->session->channel) < 0)
			return;
		more = r->job.out >= 0 && output_carry(r, &r->job.out, FRAME_OUTPUT);
		if (!more && r->job.errors >= 0)
			more = output_carry(r, &r->job.errors, FRAME_ERRORS);
	}
}

static void outcome_tell(struct relay *r, int status)
{
	char bytes[ANSWER_LEN];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };

	if (WIFSIGNALED(status))
		fields_add(&f, "signal", "%d", WTERMSIG(status));
	else
		fields_add(&f, "status", "%d", WEXITSTATUS(status));
	if (r->timed_out)
		fields_add(&f, "timeout", "1");
	session_answer(r->session, &f);
}

static void limit_set(struct relay *r)
{
	uint64_t limit_ms;

	r->deadline_ms = -1;
	if (!fields_number(r->session->bytes, r->session->len, "timeout_ms", 1, MAX_TIMEOUT_MS,
			   &limit_ms))
		return;
	r->next_signal = SIGTERM;
	r->deadline_ms = now_ms() + (int64_t)limit_ms;
}

static void run(struct relay *r, const struct job_spec *spec)
{
	enum job_step step;
	int e = job_start(spec, &r->job, &step);

	if (e < 0) {
		start_fault(r->session, spec, step, e);
		return;
	}
	limit_set(r);
	while (!r->ended)
		relay_turn(r);
	output_drain(r);
	e = job_finish(&r->job);
	if (!r->caller_gone)
		outcome_tell(r, e);
}

/* An agent that is not root cannot, nor one in a root without a /dev. */
static bool mix_seed(struct session *s)
{
	const char *seed = fields_get(s->bytes, s->len, "seed");
	int r = seed ? identity_seed(seed) : 0;

	if (r == 0 || r == -EPERM || r == -ENOENT)
		return true;
	session_fault(s, -r, "the seed cannot be mixed in: %s", strerror(-r));
	return false;
}

void exec_serve(struct session *s)
{
	struct job_spec *spec = calloc(1, sizeof(*spec));
	struct relay *r = calloc(1, sizeof(*r));
	struct user user;

	if (!spec || !r) {
		session_fault(s, ENOMEM, "the guest is out of memory");
	} else if (mix_seed(s) && spec_read(s, spec, &user)) {
		r->session = s;
		run(r, spec);
	}
	free(r);
	free(spec);
}
