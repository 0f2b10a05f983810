/* test_landlock.c - what is restricted by which version of the kernel's interface; and what
 * rules let through, asked of the real kernel by a child process under them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/base/fd.h"
#include "vmm/base/landlock.h"

enum { WORKED = 0, SETUP_FAILED = 250 };

/* Bits that came later take effect where the kernel has them and nowhere else. */
static void test_versions(void **state)
{
	static const struct {
		int abi;
		uint64_t fs, net, scoped, write, all;
	} rows[] = {
		{ 1, 0x1fff, 0, 0, 0x2, 0x132e },	{ 2, 0x3fff, 0, 0, 0x2, 0x132e },
		{ 3, 0x7fff, 0, 0, 0x4002, 0x532e },	{ 4, 0x7fff, 3, 0, 0x4002, 0x532e },
		{ 5, 0xffff, 3, 0, 0x4002, 0xd32e },	{ 6, 0xffff, 3, 3, 0x4002, 0xd32e },
		{ 8, 0xffff, 3, 3, 0x4002, 0xd32e },	{ 9, 0x1ffff, 3, 3, 0x4002, 0x1d32e },
		{ 99, 0x1ffff, 3, 3, 0x4002, 0x1d32e },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct landlock_masks m = landlock_masks(rows[i].abi);

		assert_int_equal(m.fs, rows[i].fs);
		assert_int_equal(m.net, rows[i].net);
		assert_int_equal(m.scoped, rows[i].scoped);
		assert_int_equal(landlock_granted(rows[i].abi, LANDLOCK_WRITE), rows[i].write);
		assert_int_equal(landlock_granted(rows[i].abi, LANDLOCK_ALL), rows[i].all);
		assert_int_equal(landlock_granted(rows[i].abi, 0), 0);
	}
	/* Nobody ever gets these. */
	assert_int_equal(landlock_granted(99, LANDLOCK_ALL) &
				 (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
				  LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER),
			 0);
}

/* --- under rules --- */

static int result(int r)
{
	return r < 0 ? errno : WORKED;
}

static int open_it(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), r = result(fd);

	fd_close(fd);
	return r;
}

static int read_it(const char *path)
{
	return open_it(path, O_RDONLY);
}

static int write_it(const char *path)
{
	return open_it(path, O_WRONLY);
}

static int make_it(const char *path)
{
	return open_it(path, O_WRONLY | O_CREAT | O_EXCL);
}

static int remove_it(const char *path)
{
	return result(unlink(path));
}

static int replace_it(const char *path)
{
	char aside[256];

	snprintf(aside, sizeof(aside), "%s.new", path);
	return make_it(aside) == WORKED ? result(rename(aside, path)) : errno;
}

static int make_folder(const char *path)
{
	return result(mkdir(path, 0700));
}

static int execute_it(const char *path)
{
	execl(path, path, (char *)NULL);
	return errno;
}

static int bind_it(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	r = result(bind(fd, (const struct sockaddr *)&a, sizeof(a)));
	fd_close(fd);
	return r;
}

/* To the parent, which is outside. */
static int signal_out(const char *path)
{
	(void)path;
	return result(kill(getppid(), 0));
}

struct folder {
	char path[64];
	char allowed[80], named[80], other[80], inside[80], program[80];
};

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	assert_true(fd >= 0);
	close(fd);
}

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->path, sizeof(f->path), "/tmp/test_landlock.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	snprintf(f->allowed, sizeof(f->allowed), "%s/allowed", f->path);
	snprintf(f->named, sizeof(f->named), "%s/named", f->path);
	snprintf(f->other, sizeof(f->other), "%s/other", f->path);
	snprintf(f->inside, sizeof(f->inside), "%s/allowed/file", f->path);
	snprintf(f->program, sizeof(f->program), "%s/allowed/program", f->path);
	assert_int_equal(mkdir(f->allowed, 0700), 0);
	make_file(f->named);
	make_file(f->other);
	make_file(f->inside);
	make_file(f->program);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *f = *state;
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", f->path);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* All below one folder, and one file to read. */
static int restrict_to(const struct folder *f)
{
	struct landlock *l;
	int r = landlock_create(&l);

	if (r < 0)
		return r;
	r = landlock_allow(l, f->allowed, LANDLOCK_ALL);
	if (r == 0)
		r = landlock_allow(l, f->named, LANDLOCK_READ);
	if (r == 0)
		r = landlock_count(l) == 2 ? landlock_restrict(l) : -EINVAL;
	landlock_destroy(l);
	return r;
}

/* What a child under the rules gets: WORKED or an errno. */
static int attempt(const struct folder *f, int (*what)(const char *path), const char *path)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(restrict_to(f) < 0 ? SETUP_FAILED : what(path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_rules(void **state)
{
	const struct folder *f = *state;
	const struct {
		int (*what)(const char *path);
		const char *path;
		int result, abi; /* from this version on */
	} rows[] = {
		{ read_it, f->named, WORKED, 1 },
		{ write_it, f->named, EACCES, 1 },
		{ remove_it, f->named, EACCES, 1 },
		{ read_it, f->other, EACCES, 1 },
		{ write_it, f->other, EACCES, 1 },
		{ remove_it, f->other, EACCES, 1 },
		{ replace_it, f->other, EACCES, 1 },
		{ read_it, "/etc/passwd", EACCES, 1 },
		{ read_it, "/", EACCES, 1 },
		{ read_it, f->inside, WORKED, 1 },
		{ write_it, f->inside, WORKED, 1 },
		{ replace_it, f->inside, WORKED, 1 },
		{ read_it, f->allowed, WORKED, 1 },
		{ make_folder, "/tmp/test_landlock_folder", EACCES, 1 },
		{ execute_it, f->program, EACCES, 1 },
		{ execute_it, "/bin/true", EACCES, 1 },
		{ bind_it, "/tmp/test_landlock_socket", EACCES, 1 },
		{ signal_out, "", EPERM, 6 },
	};
	int abi = landlock_abi();

	if (abi < 0)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = abi < rows[i].abi ? rows[i].result : attempt(f, rows[i].what, rows[i].path);

		if (r != rows[i].result)
			fail_msg("row %zu, %s: %s", i, rows[i].path, strerror(r));
	}
}

/* A rule holds for the file, whatever it is called later; a folder is found by its file. */
static void test_moved(void **state)
{
	const struct folder *f = *state;
	char elsewhere[96];
	struct landlock *l;
	pid_t pid;
	int status;

	if (landlock_abi() < 0)
		skip();
	snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", f->path);
	pid = fork();
	if (pid == 0) {
		if (landlock_create(&l) < 0 || landlock_allow(l, f->named, LANDLOCK_READ) < 0 ||
		    landlock_allow_folder_of(l, f->inside, LANDLOCK_READ) < 0 ||
		    rename(f->named, elsewhere) < 0 || landlock_restrict(l) < 0)
			_exit(SETUP_FAILED);
		_exit(read_it(elsewhere) | read_it(f->inside));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), WORKED);
}

static void test_no_such_path(void **state)
{
	struct landlock *l;

	(void)state;
	if (landlock_abi() < 0)
		skip();
	assert_int_equal(landlock_create(&l), 0);
	assert_int_equal(landlock_allow(l, "/nonexistent", LANDLOCK_READ), -ENOENT);
	assert_int_equal(landlock_allow_folder_of(l, "/nonexistent/file", LANDLOCK_READ), -ENOENT);
	assert_int_equal(landlock_allow_folder_of(l, "/file", LANDLOCK_READ), 0);
	assert_int_equal(landlock_allow_folder_of(l, "file", LANDLOCK_READ), 0);
	/* Nothing of it is for a file: no rule. */
	assert_int_equal(landlock_allow(l, "/proc/self/stat", LANDLOCK_MAKE), 0);
	assert_int_equal(landlock_count(l), 2);
	landlock_destroy(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test_setup_teardown(test_rules, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved, set_up, tear_down),
		cmocka_unit_test(test_no_such_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
