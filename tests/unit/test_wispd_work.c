/* test_wispd_work.c - worker threads, gated processes, and files by their content. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/images/blob.h"
#include "supervisor/life/process.h"
#include "supervisor/life/workers.h"
#include "tests/unit/scratch.h"
#include "vmm/base/fd.h"

enum { PIECES = 200, THREADS = 4, TIMEOUT_MS = 60000, GIVEN_UP_MS = 50 };

/* --- workers --- */

struct piece {
	struct work work;
	sd_event *loop;
	int *left; /* the loop's */
	int value; /* the worker's, then the loop's */
};

static void double_it(struct work *work)
{
	struct piece *p = (struct piece *)work;

	p->value *= 2;
}

static void take_back(struct work *work)
{
	struct piece *p = (struct piece *)work;

	if (--*p->left == 0)
		sd_event_exit(p->loop, 0);
}

static void test_workers(void **state)
{
	struct piece pieces[PIECES];
	struct workers *w;
	sd_event *loop;
	int left = PIECES;

	(void)state;
	assert_true(sd_event_new(&loop) >= 0);
	assert_int_equal(workers_create(loop, THREADS, &w), 0);
	for (int i = 0; i < PIECES; i++) {
		pieces[i] = (struct piece){ .work = { .run = double_it, .done = take_back },
					    .loop = loop,
					    .left = &left,
					    .value = i };
		workers_add(w, &pieces[i].work);
	}
	assert_int_equal(sd_event_loop(loop), 0);
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(pieces[i].value, 2 * i);
	/* What was not begun at the end is given back all the same. */
	left = 2;
	workers_add(w, &pieces[0].work);
	workers_add(w, &pieces[1].work);
	workers_destroy(w);
	assert_int_equal(left, 0);
	sd_event_unref(loop);
}

/* --- processes --- */

/* It waits as wisp-jailer does. */
static const char *const touch[] = { "/bin/sh", "-c",
				     "[ $(head -c 1 <&3 | wc -c) = 1 ] && echo here; exit 3",
				     NULL };

static int open_output(struct scratch *dir)
{
	return open(scratch_path(dir, "output"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static off_t output_length(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

static void await_end(const struct process *p)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOWAIT), 0);
}

static void test_gate(void **state)
{
	int out = open_output(*state), code;
	struct process p, same;
	struct error err;

	assert_int_equal(process_spawn(touch, out, &p, &err), 0);
	assert_true(p.start > 0);
	/* Who comes later finds it by number and start, and nobody else. */
	assert_int_equal(process_adopt(p.pid, p.start, &same), 0);
	fd_close(same.pidfd);
	assert_int_equal(process_adopt(p.pid, p.start + 1, &same), -ESRCH);
	assert_int_equal(output_length(out), 0);
	process_go(&p);
	await_end(&p);
	assert_int_equal(process_adopt(p.pid, p.start, &same), -ESRCH);
	assert_string_equal(process_reap(&p, &code), "exit");
	assert_int_equal(code, 3);
	assert_int_equal(output_length(out), 5);
	fd_close(out);
}

/* One that was never let go has done nothing; nor has one whose parent died. */
static void test_closed_gate(void **state)
{
	int out = open_output(*state), status;
	struct process p;
	struct error err;
	pid_t parent;

	assert_int_equal(process_spawn(touch, out, &p, &err), 0);
	process_cancel(&p);
	parent = fork();
	if (parent == 0) {
		struct process child;

		if (process_spawn(touch, out, &child, &err) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(parent, &status, 0), parent);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(output_length(out), 0);
	fd_close(out);
}

static void test_signal(void **state)
{
	static const char *const sleeper[] = { "/bin/sleep", "1000", NULL };
	int out = open_output(*state), code;
	struct process p;
	struct error err;

	assert_int_equal(process_spawn(sleeper, out, &p, &err), 0);
	process_go(&p);
	kill(p.pid, SIGKILL);
	await_end(&p);
	assert_string_equal(process_reap(&p, &code), "signal");
	assert_int_equal(code, SIGKILL);
	fd_close(out);
}

static void test_run(void **state)
{
	static const char *const well[] = { "/bin/sh", "-c", "exit 0", NULL };
	static const char *const ill[] = { "/bin/sh", "-c",
					   "yes | head -n 5000; echo the last line; exit 1", NULL };
	static const char *const nothing[] = { "/nonexistent", NULL };
	static const char *const slow[] = { "/bin/sleep", "1000", NULL };
	struct error err;

	(void)state;
	assert_int_equal(process_run(well, TIMEOUT_MS, &err), 0);
	assert_int_equal(process_run(ill, TIMEOUT_MS, &err), -EIO);
	assert_string_equal(err.text, "the last line");
	assert_int_equal(process_run(nothing, TIMEOUT_MS, &err), -EIO);
	assert_non_null(strstr(err.text, "/nonexistent"));
	assert_int_equal(process_run(slow, GIVEN_UP_MS, &err), -ETIMEDOUT);
}

/* --- blobs --- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(ftruncate(fileno(f), 1 << 20), 0);
	fclose(f);
}

static void test_blobs(void **state)
{
	static struct config c;
	char digest[DIGEST_BYTES], again[DIGEST_BYTES], start[5] = "";
	struct scratch *dir = *state;
	struct stat a, b;
	struct error err;
	uint64_t bytes;
	int folder;

	snprintf(c.state_dir, sizeof(c.state_dir), "%s", dir->dir);
	write_file(scratch_path(dir, "source"), "text");
	assert_int_equal(blob_import(&c, scratch_path(dir, "source"), digest, &bytes, &err), 0);
	assert_int_equal(bytes, 1 << 20);
	assert_int_equal(blob_import(&c, scratch_path(dir, "source"), again, &bytes, &err), 0);
	assert_string_equal(digest, again);

	folder = open(dir->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(blob_link(&c, digest, folder, "link", &err), 0);
	assert_int_equal(blob_link(&c, digest, folder, "link", &err), 0);
	assert_int_equal(blob_copy(&c, digest, folder, "copy", getuid(), &err), 0);
	assert_int_equal(fstatat(folder, "link", &a, 0), 0);
	assert_int_equal(fstatat(folder, "copy", &b, 0), 0);
	/* The link cannot be written to; the copy is another file, with its holes. */
	assert_int_equal(a.st_mode & 0777, 0444);
	assert_int_equal(b.st_mode & 0777, 0600);
	assert_int_not_equal(a.st_ino, b.st_ino);
	assert_int_equal(b.st_size, 1 << 20);
	assert_true(b.st_blocks * 512 < 1 << 20);
	fd_close(folder);
	folder = open(scratch_path(dir, "copy"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fd_pread_all(folder, start, 4, 0), 0);
	assert_string_equal(start, "text");
	fd_close(folder);
}

static void test_bad_blobs(void **state)
{
	static struct config c;
	char digest[DIGEST_BYTES];
	struct scratch *dir = *state;
	struct error err;
	uint64_t bytes;
	int folder;

	snprintf(c.state_dir, sizeof(c.state_dir), "%s", dir->dir);
	assert_int_equal(mkfifo(scratch_path(dir, "fifo"), 0600), 0);
	assert_int_equal(blob_import(&c, scratch_path(dir, "fifo"), digest, &bytes, &err), -EINVAL);
	assert_int_equal(blob_import(&c, dir->dir, digest, &bytes, &err), -EINVAL);
	assert_int_equal(blob_import(&c, scratch_path(dir, "none"), digest, &bytes, &err), -ENOENT);
	folder = open(dir->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(blob_link(&c, "none", folder, "link", &err), -ENOENT);
	assert_int_equal(blob_copy(&c, "none", folder, "copy", getuid(), &err), -ENOENT);
	fd_close(folder);
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workers), SCRATCH_TEST(test_gate),
		SCRATCH_TEST(test_closed_gate), SCRATCH_TEST(test_signal),
		cmocka_unit_test(test_run),	SCRATCH_TEST(test_blobs),
		SCRATCH_TEST(test_bad_blobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
