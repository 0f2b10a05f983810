/* session.c - a program under test, by pipes and poll(2). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/hang.h"
#include "tests/integration/session.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { OUTPUT_MAX = 4 * 1024 * 1024, CHUNK = 65536, SHOWN = 3000, ARGS_MAX = 64, HANG_LOOK_S = 2 };

struct session {
	pid_t pid;
	int in, out;
	bool ended;
	int status;
	char *text;
	size_t len, seen; /* seen: where the next wait starts */
};

/* With WISP_SECCOMP_LOG, a folder, in the environment, wisp leaves a file in it of the
 * system calls that it made: what test_allow_lists.c reads. */
static const char *const *add_seccomp_log(const char *const argv[])
{
	const char *folder = getenv("WISP_SECCOMP_LOG"), *name = strrchr(argv[0], '/');
	static const char *longer[ARGS_MAX];
	static char path[256];
	unsigned n = 0;

	if (!folder || !name || strcmp(name, "/wisp") != 0)
		return argv;
	for (; n < ARGS_MAX - 3 && argv[n]; n++)
		longer[n] = argv[n];
	/* A process of the same number may have been here before. */
	snprintf(path, sizeof(path), "%s/%d-%llu.json", folder, (int)getpid(),
		 (unsigned long long)clock_now_us());
	longer[n++] = "--seccomp-log";
	longer[n] = path;
	return longer;
}

static void child(const char *const argv[], int in, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	argv = add_seccomp_log(argv);
	execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

struct session *session_start(const char *const argv[])
{
	struct session *s = calloc(1, sizeof(*s));
	int in[2], out[2];

	assert_non_null(s);
	s->text = malloc(OUTPUT_MAX + 1);
	assert_non_null(s->text);
	s->text[0] = '\0';
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0)
		child(argv, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
	return s;
}

/* Reads once, waiting until deadline. False: nothing more will come. */
static bool read_more(struct session *s, uint64_t deadline_us)
{
	uint64_t now = clock_now_us();
	struct pollfd p = { .fd = s->out, .events = POLLIN };
	size_t room = OUTPUT_MAX - s->len;
	ssize_t n;

	if (now >= deadline_us || s->out < 0 || room == 0)
		return false;
	if (poll(&p, 1, (int)((deadline_us - now) / 1000 + 1)) <= 0)
		return clock_now_us() < deadline_us;
	n = read(s->out, s->text + s->len, room < CHUNK ? room : CHUNK);
	if (n <= 0) {
		s->out = fd_close(s->out);
		return false;
	}
	/* A NUL byte of a guest must not end the text for strstr(). */
	for (ssize_t i = 0; i < n; i++) {
		if (s->text[s->len + (size_t)i] == '\0')
			s->text[s->len + (size_t)i] = '?';
	}
	s->len += (size_t)n;
	s->text[s->len] = '\0';
	return true;
}

bool session_sees(struct session *s, const char *text, unsigned limit_s)
{
	uint64_t deadline_us = clock_now_us() + limit_s * 1000000ull;

	do {
		const char *at = strstr(s->text + s->seen, text);

		if (at) {
			s->seen = (size_t)(at - s->text) + strlen(text);
			return true;
		}
	} while (read_more(s, deadline_us));
	return false;
}

/* Not by fail_msg(): it cuts at 1 KiB. */
static void show_last_output(const struct session *s)
{
	fprintf(stderr, "the output ends with:\n%s\n",
		s->len > SHOWN ? s->text + s->len - SHOWN : s->text);
}

/* A guest that goes on when a key is pressed had lost an interrupt, or its timer. */
static void show_after_key(struct session *s)
{
	const size_t before = s->len;
	uint64_t deadline_us = clock_now_us() + HANG_LOOK_S * 1000000ull;

	signal(SIGPIPE, SIG_IGN);
	if (write(s->in, "\n", 1) == 1)
		while (read_more(s, deadline_us))
			;
	fprintf(stderr, "within %d seconds after a key: %zu bytes more\n", HANG_LOOK_S,
		s->len - before);
}

/* The output last, since what is long is cut by those who pass it on. */
static void show_hang(struct session *s)
{
	hang_show(s->pid);
	show_after_key(s);
	hang_show(s->pid);
	show_last_output(s);
}

void session_expect(struct session *s, const char *text, unsigned limit_s)
{
	if (session_sees(s, text, limit_s))
		return;
	if (s->out < 0) {
		show_last_output(s);
		fail_msg("it ended without \"%s\"", text);
	}
	show_hang(s);
	fail_msg("waited %u s for \"%s\"", limit_s, text);
}

void session_send(struct session *s, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(write(s->in, text, len), (ssize_t)len);
}

static bool reap(struct session *s, int flags)
{
	int status;

	if (s->ended)
		return true;
	if (waitpid(s->pid, &status, flags) != s->pid)
		return false;
	s->ended = true;
	s->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return true;
}

int session_wait(struct session *s, unsigned limit_s)
{
	uint64_t deadline_us = clock_now_us() + limit_s * 1000000ull;

	while (read_more(s, deadline_us))
		continue;
	/* The output is closed or time is up: the end itself may be a moment away. */
	while (!reap(s, WNOHANG)) {
		if (clock_now_us() > deadline_us) {
			show_hang(s);
			fail_msg("still running after %u s", limit_s);
		}
		usleep(1000);
	}
	return s->status;
}

void session_kill(struct session *s, int signal)
{
	if (!s->ended)
		kill(s->pid, signal);
}

pid_t session_pid(const struct session *s)
{
	return s->pid;
}

const char *session_output(const struct session *s)
{
	return s->text;
}

void session_end(struct session *s)
{
	if (!s)
		return;
	session_kill(s, SIGKILL);
	reap(s, 0);
	fd_close(s->in);
	fd_close(s->out);
	free(s->text);
	free(s);
}
