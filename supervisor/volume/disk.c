/* disk.c - making, copying, lending and erasing files of volumes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "supervisor/images/blob.h"
#include "supervisor/life/process.h"
#include "supervisor/volume/disk.h"
#include "vmm/base/fd.h"

enum { MKFS_TIMEOUT_MS = 300000, OWN_MODE = 0600, READ_ONLY_MODE = 0440 };

static int open_folder(const struct config *c, struct error *err)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/volumes", c->state_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "state_dir", NULL, "Cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "state_dir", NULL, "Cannot open %s", path) : fd;
}

static int open_disk(const struct config *c, const char *id, int flags, struct error *err)
{
	int folder = open_folder(c, err), fd;

	if (folder < 0)
		return folder;
	fd = openat(folder, id, flags | O_NOFOLLOW | O_CLOEXEC, OWN_MODE);
	if (fd < 0)
		fd = error_errno(err, "volume", NULL, "Cannot open the file of %s", id);
	fd_close(folder);
	return fd;
}

/* --- making --- */

/* What an earlier attempt left is made anew. */
static int open_new(const struct config *c, const char *id, struct error *err)
{
	int r = disk_remove(c, id, err);

	return r < 0 ? r : open_disk(c, id, O_RDWR | O_CREAT | O_EXCL, err);
}

static int fill_ext4(const struct config *c, const char *id, struct error *err)
{
	char path[PATH_MAX + 64];
	const char *const argv[] = { "/sbin/mkfs.ext4", "-q", "-F", path, NULL };

	snprintf(path, sizeof(path), "%s/volumes/%s", c->state_dir, id);
	return process_run(argv, MKFS_TIMEOUT_MS, err);
}

int disk_make(const struct config *c, const char *id, int64_t size_mib, bool ext4,
	      struct error *err)
{
	int fd = open_new(c, id, err), r = 0;

	if (fd < 0)
		return fd;
	if (ftruncate(fd, size_mib << 20) < 0)
		r = error_errno(err, "size_mib", NULL, "Cannot make a file of that size");
	if (r == 0 && ext4)
		r = fill_ext4(c, id, err);
	if (r == 0 && fsync(fd) < 0)
		r = error_errno(err, "volume", NULL, "Cannot write the file of %s", id);
	fd_close(fd);
	return r;
}

static int copy(int from, int to, bool *shared, struct error *err)
{
	int r = blob_copy_file(from, to, shared);

	if (r == 0 && fsync(to) < 0)
		r = -errno;
	return r < 0 ? error_set(err, r, "volume", NULL, "Cannot copy the volume: %s", strerror(-r))
		     : 0;
}

int disk_fill(const struct config *c, const char *id, int from, bool *shared, struct error *err)
{
	int target = open_new(c, id, err), r;

	r = target < 0 ? target : copy(from, target, shared, err);
	fd_close(target);
	return r;
}

int disk_copy(const struct config *c, const char *from, const char *id, bool *shared,
	      struct error *err)
{
	int source = open_disk(c, from, O_RDONLY, err), r;

	if (source < 0)
		return source;
	r = disk_fill(c, id, source, shared, err);
	fd_close(source);
	return r;
}

int disk_copy_out(const struct config *c, const char *id, int64_t size_mib, int folder,
		  const char *name, mode_t mode, struct error *err)
{
	int fd = open_disk(c, id, O_RDONLY, err), r;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || st.st_size > size_mib << 20)
		r = error_set(err, -EPERM, "volume", "detach it, and look at its instance",
			      "The file of %s is larger than it was made", id);
	else
		r = blob_copy_to(fd, folder, name, 0, mode, err);
	fd_close(fd);
	return r;
}

int disk_back_up(const struct config *c, const char *id, const char *path, struct error *err)
{
	int source = open_disk(c, id, O_RDONLY, err), target, r;
	bool shared;

	if (source < 0)
		return source;
	target = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, OWN_MODE);
	if (target < 0)
		r = error_errno(err, "path", "a file that is not there yet, in a folder that is",
				"Cannot make %s", path);
	else
		r = copy(source, target, &shared, err);
	if (target >= 0 && r < 0)
		unlink(path);
	fd_close(target);
	fd_close(source);
	return r;
}

int disk_grow(const struct config *c, const char *id, int64_t size_mib, struct error *err)
{
	int fd = open_disk(c, id, O_RDWR, err), r = 0;

	if (fd < 0)
		return fd;
	if (ftruncate(fd, size_mib << 20) < 0 || fsync(fd) < 0)
		r = error_errno(err, "size_mib", NULL, "Cannot make the file larger");
	fd_close(fd);
	return r;
}

/* --- removing --- */

int disk_remove(const struct config *c, const char *id, struct error *err)
{
	int folder = open_folder(c, err), r = 0;

	if (folder < 0)
		return folder;
	if ((unlinkat(folder, id, 0) < 0 && errno != ENOENT) || fsync(folder) < 0)
		r = error_errno(err, "volume", NULL, "Cannot remove the file of %s", id);
	fd_close(folder);
	return r;
}

int disk_erase(const struct config *c, const char *id, struct erasure *ret, struct error *err)
{
	int fd = open_disk(c, id, O_RDWR, err), r;

	if (fd < 0)
		return fd;
	r = erasure_run(fd, ret);
	fd_close(fd);
	if (r == 0)
		return 0;
	return error_set(err, r, "volume", "keep the disk, and look at the kernel's log",
			 "Volume %s could not be erased: %s", id, strerror(-r));
}

/* --- lending --- */

int disk_lend(const struct config *c, const char *id, int folder, const char *name, uid_t owner,
	      bool read_only, struct error *err)
{
	int fd = open_disk(c, id, O_RDONLY, err), volumes, r = 0;

	if (fd < 0)
		return fd;
	volumes = open_folder(c, err);
	if (volumes < 0)
		r = volumes;
	else if (unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		r = error_errno(err, "volume", NULL, "Cannot remove %s", name);
	else if (fchown(fd, read_only ? 0 : owner, owner) < 0 ||
		 fchmod(fd, read_only ? READ_ONLY_MODE : OWN_MODE) < 0 ||
		 linkat(volumes, id, folder, name, 0) < 0)
		r = error_errno(err, "volume", "put jail_dir and state_dir on one file system",
				"Cannot give %s to its VMM", id);
	fd_close(volumes);
	fd_close(fd);
	return r;
}

int disk_take_back(const struct config *c, const char *id, int folder, const char *name,
		   struct error *err)
{
	int fd = open_disk(c, id, O_RDONLY, err), r = 0;

	if (fd < 0)
		return fd;
	if ((unlinkat(folder, name, 0) < 0 && errno != ENOENT) || fchown(fd, 0, 0) < 0 ||
	    fchmod(fd, OWN_MODE) < 0)
		r = error_errno(err, "volume", NULL, "Cannot take %s back from its VMM", id);
	fd_close(fd);
	return r;
}

/* --- looking --- */

int disk_sweep(const struct config *c, bool (*is_nobodys)(void *ctx, const char *id), void *ctx,
	       struct error *err)
{
	int folder = open_folder(c, err), removed = 0;
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;

	if (!dir)
		return folder < 0 ? folder : (fd_close(folder), -ENOMEM);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && is_nobodys(ctx, entry->d_name) &&
		    unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			removed++;
	closedir(dir);
	return removed;
}

int disk_check_room(const struct config *c, int64_t more_mib, struct error *err)
{
	struct statvfs fs;
	uint64_t free_mib;

	if (statvfs(c->state_dir, &fs) < 0)
		return error_errno(err, "state_dir", NULL, "Cannot ask %s for its room",
				   c->state_dir);
	free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
	if ((uint64_t)more_mib + c->disk_reserve_mib <= free_mib)
		return 0;
	return error_set(err, -ENOSPC, "size_mib", "remove volumes, images or instances",
			 "The disk has %llu MiB free, and %llu of them are kept",
			 (unsigned long long)free_mib, (unsigned long long)c->disk_reserve_mib);
}
