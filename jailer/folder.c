/* folder.c - files and folders that nobody but root can have moved. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/folder.h"
#include "vmm/base/fd.h"

enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, DEPTH_MAX = 32 };

/* Only root can rename or replace what is in it. */
static bool is_trusted(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == 0 &&
	       (!(st.st_mode & (S_IWGRP | S_IWOTH)) || (st.st_mode & S_ISVTX));
}

static int distrust(const char *path, const char *field, struct error *err)
{
	return error_set(err, -EPERM, field, "only root may own it or write to it",
			 "A folder on the way to %s is not root's alone", path);
}

/* real: absolute, without links, "." and "..". It is cut into pieces. */
static int walk(char *real, const char *path, const char *field, struct error *err)
{
	int fd = open("/", OPEN_FOLDER);
	char *rest = NULL;

	for (const char *part = strtok_r(real, "/", &rest); part && fd >= 0;
	     part = strtok_r(NULL, "/", &rest)) {
		int next = is_trusted(fd) ? openat(fd, part, OPEN_FOLDER) : -1;

		if (next < 0 && !is_trusted(fd)) {
			fd_close(fd);
			return distrust(path, field, err);
		}
		fd_close(fd);
		fd = next;
	}
	if (fd < 0)
		return error_errno(err, field, NULL, "Cannot open %s", path);
	return fd;
}

int folder_open_trusted(const char *path, const char *field, struct error *err)
{
	char real[PATH_MAX];
	int fd;

	if (!realpath(path, real))
		return error_errno(err, field, "give a folder that is there", "Cannot open %s",
				   path);
	fd = walk(real, path, field, err);
	if (fd >= 0 && !is_trusted(fd)) {
		fd_close(fd);
		return distrust(path, field, err);
	}
	return fd;
}

int folder_make(int parent, const char *name, mode_t mode, uid_t owner, struct error *err)
{
	struct stat st;
	int fd;

	if (mkdirat(parent, name, mode) < 0 && errno != EEXIST)
		return error_errno(err, NULL, NULL, "Cannot make the folder %s", name);
	fd = openat(parent, name, OPEN_FOLDER);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = error_errno(err, NULL, "remove what is in its place",
				    "Cannot open the folder %s", name);

		fd_close(fd);
		return r;
	}
	if ((st.st_uid != 0 && st.st_uid != owner) || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		fd_close(fd);
		return error_set(err, -EPERM, NULL, "remove it, or use another id",
				 "The folder %s is another user's, or others may write to it",
				 name);
	}
	return fd;
}

static int remove_content(int fd, unsigned depth);

static int remove_entry(int parent, const char *name, unsigned depth)
{
	int fd, r;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(parent, name, OPEN_FOLDER);
	if (fd < 0)
		return -errno;
	r = depth < DEPTH_MAX ? remove_content(fd, depth + 1) : -ELOOP;
	fd_close(fd);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

static int remove_content(int fd, unsigned depth)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;

	if (!dir) {
		r = -errno;
		fd_close(copy);
		return r;
	}
	while (r == 0 && (e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = remove_entry(fd, e->d_name, depth);
	closedir(dir);
	return r;
}

int folder_remove(int parent, const char *name)
{
	return remove_entry(parent, name, 0);
}

int folder_write(int parent, const char *name, const char *text)
{
	int fd = openat(parent, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = errno ? -errno : -EIO;
	fd_close(fd);
	return r;
}
