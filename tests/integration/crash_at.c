/* crash_at.c - kills the program that it is loaded into before the N-th thing it does.
 *
 * Loaded by LD_PRELOAD, CRASH_AT=N. What counts is what changes anything outside of memory:
 * writes and flushes of files, names made and removed, processes made, threads and gates
 * let go. The call itself is not made: N = 1 dies before the first. Lines on standard error
 * do not count.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static atomic_long left;

static void __attribute__((constructor)) read_number(void)
{
	const char *text = getenv("CRASH_AT");

	atomic_store(&left, text ? strtol(text, NULL, 10) : 0);
	/* Not for those that it starts. */
	unsetenv("CRASH_AT");
	unsetenv("LD_PRELOAD");
}

static void count(void)
{
	if (atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1)
		kill(getpid(), SIGKILL);
}

/* The C library's own, behind this one. */
static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* A function by that name that counts, and then calls the C library's. */
/* NOLINTBEGIN(bugprone-macro-parentheses): types and lists of parameters */
#define COUNTED(type, name, parameters, arguments)                            \
	EXPORT type name parameters;                                          \
	EXPORT type name parameters                                           \
	{                                                                     \
		type(*original) parameters = (type(*) parameters)next(#name); \
                                                                              \
		count();                                                      \
		return original arguments;                                    \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

COUNTED(ssize_t, pwrite64, (int fd, const void *buf, size_t len, off_t at), (fd, buf, len, at))
COUNTED(ssize_t, pwrite, (int fd, const void *buf, size_t len, off_t at), (fd, buf, len, at))
COUNTED(int, fdatasync, (int fd), (fd))
COUNTED(int, fsync, (int fd), (fd))
COUNTED(int, ftruncate64, (int fd, off_t len), (fd, len))
COUNTED(int, unlink, (const char *path), (path))
COUNTED(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags))
COUNTED(int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
COUNTED(int, linkat, (int from, const char *old, int to, const char *new, int flags),
	(from, old, to, new, flags))
COUNTED(int, renameat, (int from, const char *old, int to, const char *new), (from, old, to, new))
COUNTED(pid_t, fork, (void), ())

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t (*original)(int, const void *, size_t) =
		(ssize_t(*)(int, const void *, size_t))next("write");

	if (fd != STDERR_FILENO)
		count();
	return original(fd, buf, len);
}
