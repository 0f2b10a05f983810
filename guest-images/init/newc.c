/* newc.c - writing a cpio archive of the kind the kernel unpacks at boot. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-images/init/newc.h"
#include "vmm/base/fd.h"

enum { HEADER_BYTES = 110, ALIGN_BYTES = 4 };

static int put(struct newc *a, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(a->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int pad(struct newc *a, size_t len)
{
	static const char zeros[ALIGN_BYTES];

	return put(a, zeros, -len % ALIGN_BYTES);
}

static int put_header(struct newc *a, const char *path, unsigned mode, size_t size)
{
	char header[HEADER_BYTES + 1];
	size_t name_bytes = strlen(path) + 1;

	if (size > UINT_MAX)
		return -EFBIG;
	/* ino mode uid gid nlink mtime size, device and rdevice, name, check */
	snprintf(header, sizeof(header),
		 "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++a->ino, mode, 0, 0,
		 S_ISDIR(mode) ? 2 : 1, 0, (unsigned)size, 0, 0, 0, 0, (unsigned)name_bytes, 0);

	int r = put(a, header, HEADER_BYTES);

	if (r == 0)
		r = put(a, path, name_bytes);
	return r < 0 ? r : pad(a, HEADER_BYTES + name_bytes);
}

int newc_dir(struct newc *a, const char *path)
{
	return put_header(a, path, S_IFDIR | 0755, 0);
}

int newc_file(struct newc *a, const char *path, unsigned mode, const void *data, size_t len)
{
	int r = put_header(a, path, S_IFREG | mode, len);

	if (r == 0)
		r = put(a, data, len);
	return r < 0 ? r : pad(a, len);
}

static int put_content(struct newc *a, int from, size_t len)
{
	size_t left = len;

	while (left > 0) {
		ssize_t n = sendfile(a->fd, from, NULL, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA; /* shrank under our eyes */
		left -= (size_t)n;
	}
	return pad(a, len);
}

int newc_copy(struct newc *a, const char *path, unsigned mode, const char *from)
{
	struct stat st;
	int fd = open(from, O_RDONLY | O_CLOEXEC), r;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		goto done;
	}
	r = put_header(a, path, S_IFREG | mode, (size_t)st.st_size);
	if (r == 0)
		r = put_content(a, fd, (size_t)st.st_size);
done:
	fd_close(fd);
	return r;
}

int newc_end(struct newc *a)
{
	return put_header(a, "TRAILER!!!", 0, 0);
}
