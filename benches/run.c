/* run.c - one run of a VMM, from its exec to its end, and what was seen of it.
 *
 * The child is created and held, the probes are attached, then it is let go and
 * everything that can happen is waited for in one poll(2): console bytes, messages,
 * the end of the process, the first event of a probe, the time limit.
 *
 * Console times are those of a reader: the moment at which read(2) returned the
 * byte. The kernel's events carry the kernel's own time stamps.
 *
 * When memory is asked for, the VMM is stopped at the marker (SIGSTOP), read, and
 * continued, so that what is read is one moment.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/run.h"
#include "benches/spawn.h"
#include "vmm/base/clock.h"

enum { MAX_POLL = 1024, CHUNK = 1024 };

enum { FD_OUT, FD_ERR, FD_PID, FD_PROBES };

struct run {
	const struct run_spec *spec;
	struct run_result *result;
	struct error *err;
	struct spawn child;
	struct probe *probes[RUN_MAX_PROBES];
	uint64_t deadline_us;
	int64_t first_byte_us, marker_us; /* CLOCK_MONOTONIC; -1: not yet */
	bool ended, killed;
	struct pollfd fds[MAX_POLL];
	struct probe *owner[MAX_POLL]; /* of each entry from FD_PROBES on */
};

bool run_has_marker(const char *text, size_t len, const char *marker)
{
	size_t marker_len = strlen(marker);
	const char *at = text;

	while ((at = memmem(at, len - (size_t)(at - text), marker, marker_len))) {
		if (at == text || at[-1] != '=')
			return true;
		at++;
	}
	return false;
}

static void tail_add(struct run_tail *t, const char *data, size_t len)
{
	size_t drop = t->len + len > RUN_TAIL_BYTES ? t->len + len - RUN_TAIL_BYTES : 0;

	memmove(t->data, t->data + drop, t->len - drop);
	t->len -= drop;
	memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

static int read_memory(struct run *run)
{
	const struct run_spec *spec = run->spec;
	pid_t pid = run->child.pid;
	siginfo_t info;
	int r;

	if (kill(pid, SIGSTOP) < 0 ||
	    waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOWAIT) < 0)
		return error_errno(run->err, NULL, NULL, "cannot stop the VMM");
	r = smaps_read(pid, spec->guest_bytes, &run->result->memory, run->err);
	kill(pid, SIGCONT);
	return r;
}

static int marker_seen(struct run *run)
{
	int r = run->spec->memory ? read_memory(run) : 0;

	if (run->spec->end == RUN_TO_MARKER) {
		kill(run->child.pid, SIGKILL);
		run->killed = true;
	}
	return r;
}

static int console_bytes(struct run *run, const char *data, size_t len)
{
	struct run_tail *tail = &run->result->console;
	const char *marker = run->spec->marker;
	int64_t now = (int64_t)clock_now_us();
	size_t keep;

	if (run->first_byte_us < 0)
		run->first_byte_us = now;
	tail_add(tail, data, len);
	if (!marker || run->marker_us >= 0)
		return 0;
	/* The marker may have begun in an earlier chunk, after one byte that counts. */
	keep = len + strlen(marker);
	if (keep > tail->len)
		keep = tail->len;
	if (!run_has_marker(tail->data + tail->len - keep, keep, marker))
		return 0;
	run->marker_us = now;
	return marker_seen(run);
}

/* Reads what a pipe has; its entry is muted at EOF. */
static int drain(struct run *run, size_t slot)
{
	char data[CHUNK];
	int r = 0;

	while (r == 0 && run->fds[slot].fd >= 0) {
		ssize_t n = read(run->fds[slot].fd, data, sizeof(data));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (n == 0)
			run->fds[slot].fd = -1;
		else if (slot == FD_ERR)
			tail_add(&run->result->err, data, (size_t)n);
		else
			r = console_bytes(run, data, (size_t)n);
	}
	return r;
}

static int ended(struct run *run)
{
	uint64_t now;
	int status = spawn_reap(&run->child);

	now = clock_now_us();
	run->ended = true;
	if (status < 0)
		return status;
	run->result->exit_us = (int64_t)(now - spawn_exec_us(&run->child));
	run->result->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	run->result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return 0;
}

static size_t fill_poll(struct run *run)
{
	size_t n = FD_PROBES;

	for (size_t i = 0; i < run->spec->nprobes; i++) {
		size_t first = n;

		n += probe_poll(run->probes[i], run->fds + n, MAX_POLL - n);
		for (size_t slot = first; slot < n; slot++)
			run->owner[slot] = run->probes[i];
	}
	return n;
}

/* A probe whose event came is turned off, or its every event would cost time. */
static void disarm_ready(struct run *run, size_t nfds)
{
	for (size_t slot = FD_PROBES; slot < nfds; slot++)
		if (run->fds[slot].revents)
			probe_disarm(run->owner[slot]);
}

static int step(struct run *run)
{
	uint64_t now = clock_now_us();
	size_t n = fill_poll(run);
	int wait_ms, r = 0;

	if (now >= run->deadline_us)
		return error_set(run->err, -ETIMEDOUT, "timeout", "--timeout SECONDS",
				 "still running after %u s", run->spec->timeout_s);
	wait_ms = (int)((run->deadline_us - now) / 1000 + 1);
	if (poll(run->fds, n, wait_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	disarm_ready(run, n);
	if (run->fds[FD_OUT].revents)
		r = drain(run, FD_OUT);
	if (r == 0 && run->fds[FD_ERR].revents)
		r = drain(run, FD_ERR);
	if (r == 0 && run->fds[FD_PID].revents)
		r = ended(run);
	return r;
}

static int start(struct run *run)
{
	const struct run_spec *spec = run->spec;
	int r = spawn_create(spec->argv, &run->child, run->err);

	for (size_t i = 0; i < spec->nprobes && r == 0; i++)
		r = probe_create(spec->tracefs, run->child.pid, &spec->probes[i], &run->probes[i],
				 run->err);
	if (r < 0)
		return r;
	run->fds[FD_OUT] = (struct pollfd){ .fd = run->child.out, .events = POLLIN };
	run->fds[FD_ERR] = (struct pollfd){ .fd = run->child.err, .events = POLLIN };
	run->fds[FD_PID] = (struct pollfd){ .fd = run->child.pidfd, .events = POLLIN };
	run->deadline_us = clock_now_us() + run->spec->timeout_s * UINT64_C(1000000);
	return spawn_release(&run->child);
}

/* Clock times become times since the exec. */
static int64_t since_exec(const struct run *run, int64_t at_us)
{
	return at_us < 0 ? -1 : at_us - (int64_t)spawn_exec_us(&run->child);
}

static void collect(struct run *run)
{
	struct run_result *result = run->result;

	result->console_us = since_exec(run, run->first_byte_us);
	result->marker_us = since_exec(run, run->marker_us);
	for (size_t i = 0; i < run->spec->nprobes; i++) {
		int64_t seen = probe_read(run->probes[i]);

		if (run->spec->probes[i].kind == PROBE_FIRST)
			seen = since_exec(run, seen);
		result->probes[i] = seen < 0 ? -1 : seen;
	}
}

static int verdict(const struct run *run)
{
	int code = spawn_exec_errno(&run->child);

	if (code)
		return error_set(run->err, -code, NULL, NULL, "cannot execute %s: %s",
				 run->spec->argv[0], strerror(code));
	if (run->result->signal && !run->killed)
		return error_set(run->err, -ECANCELED, NULL, NULL, "ended by signal %d (%s)",
				 run->result->signal, strsignal(run->result->signal));
	if (run->spec->marker && run->marker_us < 0)
		return error_set(run->err, -ENOENT, "marker", NULL,
				 "ended with exit code %d before the console said \"%s\"",
				 run->result->exit_code, run->spec->marker);
	return 0;
}

static void run_clear(struct run *run)
{
	spawn_end(&run->child);
	for (size_t i = 0; i < run->spec->nprobes; i++)
		probe_destroy(run->probes[i]);
}

int run_once(const struct run_spec *spec, struct run_result *ret, struct error *err)
{
	struct run run = {
		.spec = spec,
		.result = ret,
		.err = err,
		.child = SPAWN_NONE,
		.first_byte_us = -1,
		.marker_us = -1,
	};
	int r;

	*ret = (struct run_result){ .exit_us = -1, .exit_code = -1 };
	r = start(&run);
	while (r == 0 && !run.ended)
		r = step(&run);
	/* What the VMM wrote last may still be in the pipes. */
	if (r == 0)
		r = drain(&run, FD_OUT);
	if (run.fds[FD_ERR].fd > 0)
		drain(&run, FD_ERR);
	if (r == 0)
		collect(&run);
	if (r == 0)
		r = verdict(&run);
	run_clear(&run);
	return r;
}
