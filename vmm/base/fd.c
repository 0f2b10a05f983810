/* fd.c - descriptors: closing, eventfds, whole transfers. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"

enum { NAMED_DIGITS_MAX = 7 }; /* of a number that an int can hold */

static const char named[] = "fd:";

int fd_close(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

bool fd_is_named(const char *path)
{
	return strncmp(path, named, strlen(named)) == 0;
}

/* What this process opens itself is O_CLOEXEC, and what it was started with cannot be. */
static int find_named(const char *path)
{
	const char *digits = path + strlen(named);
	size_t len = strspn(digits, "0123456789");
	int fd, flags;

	if (len == 0 || len > NAMED_DIGITS_MAX || digits[len] || digits[0] == '0')
		return -EBADF;
	fd = (int)strtol(digits, NULL, 10);
	flags = fd > STDERR_FILENO ? fcntl(fd, F_GETFD) : -1;
	return flags < 0 || flags & FD_CLOEXEC ? -EBADF : fd;
}

static int duplicate_named(const char *path, int access)
{
	int fd = find_named(path), flags = fd < 0 ? fd : fcntl(fd, F_GETFL);

	if (fd < 0 || flags < 0 || flags & O_PATH ||
	    ((flags & O_ACCMODE) != O_RDWR && (flags & O_ACCMODE) != access)) {
		errno = EBADF;
		return -1;
	}
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int fd_open(const char *path, int flags, mode_t mode)
{
	if (fd_is_named(path))
		return duplicate_named(path, flags & O_ACCMODE);
	return open(path, flags | O_CLOEXEC, mode);
}

int fd_take_socket(const char *path)
{
	int fd = find_named(path), flags;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return fd;
}

/* Read and write: a FIFO opened for writing alone would need a reader. */
int fd_open_lines(const char *path, mode_t mode)
{
	const int flags = O_APPEND | O_NONBLOCK;
	int fd;

	if (!fd_is_named(path)) {
		fd = open(path, O_RDWR | O_CREAT | O_NOCTTY | O_CLOEXEC | flags, mode);
		return fd < 0 ? -errno : fd;
	}
	fd = duplicate_named(path, O_WRONLY);
	if (fd >= 0 && fcntl(fd, F_SETFL, flags) < 0)
		fd = fd_close(fd);
	return fd < 0 ? -errno : fd;
}

int fd_event(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void fd_event_signal(int fd)
{
	uint64_t one = 1;
	ssize_t n;

	do
		n = write(fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

int fd_event_drain(int fd)
{
	uint64_t count;
	ssize_t n;

	do
		n = read(fd, &count, sizeof(count));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(count);
}

int fd_pread_all(int fd, void *buf, size_t len, off_t off)
{
	char *at = buf;

	while (len > 0) {
		ssize_t n = pread(fd, at, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		at += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_all(int fd, const void *buf, size_t len, off_t off)
{
	const char *at = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, at, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		off += n;
		len -= (size_t)n;
	}
	return 0;
}
