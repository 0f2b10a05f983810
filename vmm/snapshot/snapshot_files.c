/* snapshot_files.c - files that are whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/snapshot_files.h"

static int check_target(const struct staged_file *f, struct error *err)
{
	struct stat st;

	if (lstat(f->path, &st) < 0)
		return errno == ENOENT ? 0
				       : error_errno(err, f->field,
						     "give a path in a folder that "
						     "wisp may write to",
						     "The path %.128s cannot be used", f->path);
	if (S_ISREG(st.st_mode))
		return 0;
	return error_set(err, -EINVAL, f->field, "give another path",
			 "The path %.128s exists and is no regular file", f->path);
}

int staged_file_open(struct staged_file *f, const char *path, const char *field, struct error *err)
{
	int r;

	*f = (struct staged_file){ .field = field, .fd = -1 };
	if (strlen(path) + sizeof(".new") > sizeof(f->aside))
		return error_set(err, -ENAMETOOLONG, field, "give a shorter one",
				 "The path is too long");
	strcpy(f->path, path);
	snprintf(f->aside, sizeof(f->aside), "%.*s.new", (int)sizeof(f->aside) - 5, path);
	r = check_target(f, err);
	if (r < 0)
		return r;
	/* Of a run that was interrupted. */
	unlink(f->aside);
	f->fd = open(f->aside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd < 0)
		return error_errno(err, field, "give a path in a folder that wisp may write to",
				   "The file %.128s cannot be made", f->aside);
	return 0;
}

/* Without holes becoming data. */
static int copy_data(int from, int to, off_t end)
{
	off_t data = lseek(from, 0, SEEK_DATA);

	while (data >= 0 && data < end) {
		off_t hole = lseek(from, data, SEEK_HOLE), out = data;

		while (data < hole) {
			ssize_t n =
				copy_file_range(from, &data, to, &out, (size_t)(hole - data), 0);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -ENODATA;
		}
		data = lseek(from, data, SEEK_DATA);
	}
	return data >= 0 || errno == ENXIO ? 0 : -errno;
}

static int copy_old(const struct staged_file *f, int old, uint64_t size)
{
	if (ioctl(f->fd, FICLONE, old) == 0)
		return 0;
	if (ftruncate(f->fd, (off_t)size) < 0)
		return -errno;
	return copy_data(old, f->fd, (off_t)size);
}

int staged_file_start_from_old(struct staged_file *f, uint64_t size, bool *ret, struct error *err)
{
	int old = open(f->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), r = 0;
	struct stat st;

	*ret = old >= 0 && fstat(old, &st) == 0 && (uint64_t)st.st_size == size;
	if (*ret)
		r = copy_old(f, old, size);
	fd_close(old);
	return r < 0 ? error_set(err, r, f->field, "is there room on its disk?",
				 "The file %.128s cannot be copied: %s", f->path, strerror(-r))
		     : 0;
}

int staged_file_sync(struct staged_file *f, struct error *err)
{
	if (fsync(f->fd) == 0)
		return 0;
	return error_errno(err, f->field, "look at its disk", "The file %.128s cannot be kept",
			   f->aside);
}

/* That a folder has the name is on disk when the folder is. */
static int sync_folder(const char *path)
{
	char folder[PATH_MAX];
	char *slash;
	int fd, r = 0;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder ? 1 : 0] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

int staged_file_publish(struct staged_file *f, struct error *err)
{
	int r = rename(f->aside, f->path) < 0 ? -errno : 0;

	if (r == 0) {
		f->aside[0] = '\0';
		r = sync_folder(f->path);
	}
	return r < 0 ? error_set(err, r, f->field, NULL,
				 "The file %.128s cannot be put in place: %s", f->path,
				 strerror(-r))
		     : 0;
}

void staged_file_drop(struct staged_file *f)
{
	if (f->fd >= 0 && f->aside[0])
		unlink(f->aside);
	f->fd = fd_close(f->fd);
}

/* --- the state --- */

static int read_state(int fd, const char *field, struct state **ret, struct error *err)
{
	struct stat st;
	void *bytes;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, field, "give the file that was made",
				 "The state is no regular file");
	if (st.st_size > STATE_MAX_BYTES)
		return error_set(err, -EFBIG, field, "give the file that was made",
				 "The state has more than %d bytes", STATE_MAX_BYTES);
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return error_set(err, -ENOMEM, field, NULL, "No memory for the state");
	r = fd_pread_all(fd, bytes, (size_t)st.st_size, 0);
	if (r < 0)
		error_set(err, r, field, NULL, "The state cannot be read: %s", strerror(-r));
	else
		r = state_parse(bytes, (size_t)st.st_size, ret, err);
	free(bytes);
	return r;
}

int snapshot_read_state(const char *path, const char *field, struct state **ret, struct error *err)
{
	/* O_NONBLOCK: a FIFO must not hang us before fstat() refuses it. */
	int fd = fd_open(path, O_RDONLY | O_NONBLOCK, 0), r;

	if (fd < 0)
		return error_errno(err, field, "give the path of a file that wisp may read",
				   "The state %.128s cannot be opened", path);
	r = read_state(fd, field, ret, err);
	fd_close(fd);
	return r;
}
