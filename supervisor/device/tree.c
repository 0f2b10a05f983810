/* tree.c - small files, links and folders of sysfs and procfs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/device/tree.h"
#include "vmm/base/fd.h"

enum { FILE_MAX_BYTES = 1 << 20, FILE_FIRST_BYTES = 4096, NUMBER_BYTES = 32 };

int tree_open(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

DIR *tree_list(int dir, const char *name)
{
	int fd = tree_open(dir, name);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (!list && fd >= 0)
		fd_close(fd);
	return list;
}

bool tree_text(int dir, const char *name, char *buf, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	fd_close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	if (n > 0 && buf[n - 1] == '\n')
		buf[n - 1] = '\0';
	return n >= 0;
}

/* Files of procfs have no size: read until they end. */
static char *read_all(int fd)
{
	size_t room = FILE_FIRST_BYTES, len = 0;
	char *text = malloc(room);

	while (text) {
		ssize_t n = read(fd, text + len, room - len - 1);
		char *grown;

		if (n <= 0) {
			text[len] = '\0';
			return text;
		}
		len += (size_t)n;
		if (len < room - 1)
			continue;
		room *= 2;
		grown = room > FILE_MAX_BYTES ? NULL : realloc(text, room);
		if (!grown)
			free(text);
		text = grown;
	}
	return NULL;
}

char *tree_file(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char *text = fd < 0 ? NULL : read_all(fd);

	fd_close(fd);
	return text;
}

int64_t tree_number(int dir, const char *name, int64_t fallback)
{
	char text[NUMBER_BYTES], *end;
	int64_t n;

	if (!tree_text(dir, name, text, sizeof(text)) || !text[0])
		return fallback;
	errno = 0;
	n = strtoll(text, &end, 0);
	return errno || *end ? fallback : n;
}

bool tree_link(int dir, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(dir, name, buf, size - 1);

	buf[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

bool tree_link_name(int dir, const char *name, char *buf, size_t size)
{
	char target[PATH_MAX];
	const char *slash;

	buf[0] = '\0';
	if (!tree_link(dir, name, target, sizeof(target)))
		return false;
	slash = strrchr(target, '/');
	return snprintf(buf, size, "%s", slash ? slash + 1 : target) < (int)size;
}

bool tree_has(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

int tree_write(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = -errno;
	fd_close(fd);
	return r;
}
