/* test_activation.c - the program started by another: a socket that it inherits, and
 * word that it is ready. The machine is a fake one. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOCKET_FD = 3, READY_FD = 9, TIME_LIMIT_S = 60 };

struct dir {
	char path[40];
	struct sockaddr_un api, notify, own;
	int listening, notified;
	int ready[2];
};

static int unix_socket(struct sockaddr_un *a, const char *dir, const char *name, int type)
{
	const struct timeval limit = { .tv_sec = TIME_LIMIT_S };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%s/%s", dir, name);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

static int set_up(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	snprintf(d->path, sizeof(d->path), "/tmp/wisp-activation-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	assert_int_equal(pipe2(d->ready, O_CLOEXEC), 0);
	d->listening = unix_socket(&d->api, d->path, "api", SOCK_STREAM);
	assert_int_equal(listen(d->listening, 4), 0);
	d->notified = unix_socket(&d->notify, d->path, "notify", SOCK_DGRAM);
	snprintf(d->own.sun_path, sizeof(d->own.sun_path), "%s/own", d->path);
	*state = d;
	return 0;
}

static int tear_down(void **state)
{
	struct dir *d = *state;

	close(d->listening);
	close(d->notified);
	close(d->ready[0]);
	unlink(d->api.sun_path); /* the program leaves it */
	unlink(d->notify.sun_path);
	assert_int_equal(rmdir(d->path), 0);
	free(d);
	return 0;
}

struct how {
	int fd;		   /* becomes SOCKET_FD; -1: that is closed */
	const char *count; /* LISTEN_FDS */
	bool other_pid;	   /* LISTEN_PID is another's */
	bool no_ready_fd;  /* READY_FD is closed */
	const char *api;   /* --api-sock; NULL: a path of its own */
};

/* Whatever number was before, inherited perhaps. */
static void become(int fd, int number)
{
	if (fd < 0)
		close(number);
	else
		dup2(fd, number);
}

static pid_t start(const struct dir *d, const struct how *how)
{
	pid_t pid = fork();
	char number[16];

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(number, sizeof(number), "%d", how->other_pid ? 1 : (int)getpid());
	setenv("LISTEN_PID", number, 1);
	setenv("LISTEN_FDS", how->count, 1);
	setenv("NOTIFY_SOCKET", d->notify.sun_path, 1);
	become(how->no_ready_fd ? -1 : d->ready[1], READY_FD);
	become(how->fd, SOCKET_FD);
	execl(WISP_UNDER_TEST, "wisp", "--api-sock", how->api ? how->api : d->own.sun_path,
	      "--ready-fd", "9", (char *)NULL);
	_exit(127);
}

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect_told(struct dir *d)
{
	char text[64] = "";

	assert_int_equal(recv(d->notified, text, sizeof(text), 0), 8);
	assert_string_equal(text, "READY=1\n");
	close(d->ready[1]);
	assert_int_equal(read(d->ready[0], text, sizeof(text)), 1);
	assert_int_equal(text[0], '\n');
	assert_int_equal(read(d->ready[0], text, sizeof(text)), 0); /* closed */
}

static void expect_served(const struct sockaddr_un *a)
{
	static const char request[] = "GET /version HTTP/1.1\r\n\r\n";
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[1024] = "";

	assert_int_equal(connect(s, (const struct sockaddr *)a, sizeof(*a)), 0);
	assert_int_equal(send(s, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	assert_true(recv(s, answer, sizeof(answer) - 1, 0) > 0);
	assert_non_null(strstr(answer, "200"));
	close(s);
}

/* Ready means served: no retry. */
static void test_inherited_socket(void **state)
{
	struct dir *d = *state;
	pid_t pid = start(d, &(struct how){ .fd = d->listening, .count = "1" });

	expect_told(d);
	expect_served(&d->api);
	assert_int_not_equal(access(d->own.sun_path, F_OK), 0);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(wait_for(pid), 128 + SIGTERM);
	assert_int_equal(access(d->api.sun_path, F_OK), 0);
}

/* By its number, without a variable. */
static void test_named_socket(void **state)
{
	struct dir *d = *state;
	pid_t pid = start(d, &(struct how){ .fd = d->listening, .count = "0", .api = "fd:3" });

	expect_told(d);
	expect_served(&d->api);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(wait_for(pid), 128 + SIGTERM);
	assert_int_equal(access(d->api.sun_path, F_OK), 0);
}

/* What was meant for another process is left alone. */
static void test_other_process(void **state)
{
	struct dir *d = *state;
	pid_t pid = start(d, &(struct how){ .fd = d->listening, .count = "1", .other_pid = true });

	d->own.sun_family = AF_UNIX;
	expect_told(d);
	expect_served(&d->own);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(wait_for(pid), 128 + SIGTERM);
}

static void test_refused(void **state)
{
	struct dir *d = *state;
	const struct how rows[] = {
		{ .fd = d->listening, .count = "2" },
		{ .fd = d->notified, .count = "1" },
		{ .fd = d->ready[0], .count = "1" },
		{ .fd = -1, .count = "1" },
		{ .fd = d->listening, .count = "1", .no_ready_fd = true },
		{ .fd = -1, .count = "0", .api = "fd:3" },
		{ .fd = d->ready[0], .count = "0", .api = "fd:3" },
		{ .fd = d->notified, .count = "0", .api = "fd:3" },
		{ .fd = d->listening, .count = "0", .api = "fd:03" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(wait_for(start(d, &rows[i])), 1);
	close(d->ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inherited_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_named_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_process, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
	};

	alarm(TIME_LIMIT_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
