/* test_fd.c - descriptors by name: which may be had, and for what. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/memfile.h"
#include "vmm/base/fd.h"

enum { NUMBER = 100, OWN = 101, SOCKET = 102, PATH_ONLY = 103, READABLE = 104 };

/* As if this process had been started with them; OWN is one that it opened itself. */
static int set_up(void **state)
{
	int file = memfile("content", 7), pair[2];

	(void)state;
	assert_int_equal(dup2(file, NUMBER), NUMBER);
	assert_int_equal(dup3(file, OWN, O_CLOEXEC), OWN);
	close(file);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(dup2(pair[0], SOCKET), SOCKET);
	close(pair[0]);
	file = open("/", O_PATH | O_CLOEXEC);
	assert_int_equal(dup2(file, PATH_ONLY), PATH_ONLY);
	close(file);
	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(dup2(file, READABLE), READABLE);
	close(file);
	return 0;
}

static void test_names(void **state)
{
	static const char *const others[] = { "", "fd", "fd3", "/fd:3", "./fd:3", "FD:3" };

	(void)state;
	assert_true(fd_is_named("fd:3"));
	assert_true(fd_is_named("fd:"));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(fd_is_named(others[i]));
}

static void test_refused(void **state)
{
	static const struct {
		const char *path;
		int flags, errnum;
	} rows[] = {
		{ "fd:", O_RDONLY, EBADF },
		{ "fd:0", O_RDONLY, EBADF },
		{ "fd:1", O_WRONLY, EBADF },
		{ "fd:2", O_WRONLY, EBADF },
		{ "fd:-1", O_RDONLY, EBADF },
		{ "fd:+100", O_RDONLY, EBADF },
		{ "fd:0100", O_RDONLY, EBADF },
		{ "fd:100 ", O_RDONLY, EBADF },
		{ "fd:100/", O_RDONLY, EBADF },
		{ "fd:0x64", O_RDONLY, EBADF },
		{ "fd:4294967396", O_RDONLY, EBADF }, /* 2^32 + 100 */
		{ "fd:99", O_RDONLY, EBADF },	      /* not open */
		{ "fd:101", O_RDONLY, EBADF },	      /* our own */
		{ "fd:103", O_RDONLY, EBADF },	      /* O_PATH */
		{ "fd:104", O_RDWR, EBADF },
		{ "fd:104", O_WRONLY, EBADF },
		{ "fd:100", O_RDWR, 0 },
		{ "fd:100", O_RDONLY, 0 },
		{ "fd:104", O_RDONLY | O_NONBLOCK, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd = fd_open(rows[i].path, rows[i].flags, 0);

		if (rows[i].errnum ? fd >= 0 || errno != rows[i].errnum : fd < 0)
			fail_msg("%s: %d, %s", rows[i].path, fd, strerror(errno));
		fd_close(fd);
	}
}

/* Another descriptor, closed on exec, for the same file. */
static void test_duplicate(void **state)
{
	char text[8] = "";
	int fd = fd_open("fd:100", O_RDONLY, 0);

	(void)state;
	assert_true(fd > STDERR_FILENO && fd != NUMBER);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pread(fd, text, 7, 0), 7);
	assert_string_equal(text, "content");
	fd_close(fd);
	assert_int_equal(fcntl(NUMBER, F_GETFD), 0);
}

static void test_lines(void **state)
{
	int fd = fd_open_lines("fd:100", 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
	fd_close(fd);
	assert_int_equal(fd_open_lines("fd:104", 0600), -EBADF);
}

/* A connection has one user. */
static void test_socket(void **state)
{
	(void)state;
	assert_int_equal(fd_take_socket("fd:100"), -ENOTSOCK);
	assert_int_equal(fd_take_socket("fd:101"), -EBADF);
	assert_int_equal(fd_take_socket("fd:102"), SOCKET);
	assert_int_equal(fcntl(SOCKET, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(SOCKET, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_take_socket("fd:102"), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_duplicate), cmocka_unit_test(test_lines),
		cmocka_unit_test(test_socket),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
