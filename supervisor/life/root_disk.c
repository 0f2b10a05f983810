/* root_disk.c - opening and growing it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/images/blob.h"
#include "supervisor/life/root_disk.h"
#include "supervisor/life/runtime.h"
#include "vmm/base/fd.h"

enum { MIB_SHIFT = 20 };

bool root_disk_is_own(const struct launch *l)
{
	return l->rootfs[0] && !l->rootfs_read_only;
}

/* What a VMM has put there instead of its disk is not opened. */
int root_disk_open(const struct launch *l, struct error *err)
{
	int folder = l->runtime->open_folder(l, err), fd;
	struct stat st;

	if (folder < 0)
		return folder;
	fd = openat(folder, "rootfs", O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = error_errno(err, NULL, NULL, "Cannot open the disk of %s", l->id);
	fd_close(folder);
	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == l->uid))
		return fd;
	fd_close(fd);
	return error_set(err, -EPERM, NULL, NULL, "The disk of %s is not its own", l->id);
}

int root_disk_grow(const struct launch *l, int64_t size_mib, struct error *err)
{
	int fd = root_disk_open(l, err), r = 0;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || (st.st_size < size_mib << MIB_SHIFT &&
				   (ftruncate(fd, size_mib << MIB_SHIFT) < 0 || fsync(fd) < 0)))
		r = error_errno(err, "disk_mib", NULL, "Cannot make the disk of %s larger", l->id);
	fd_close(fd);
	return r;
}

int root_disk_of_image(const struct config *c, const char *rootfs, bool read_only, int64_t *ret,
		       struct error *err)
{
	int folder, r = 0;
	struct stat st;

	*ret = 0;
	if (!rootfs[0] || read_only)
		return 0;
	folder = blob_open_folder(c, err);
	if (folder < 0)
		return folder;
	if (fstatat(folder, rootfs, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = error_errno(err, "image", NULL, "The image's disk is not there");
	else
		*ret = (int64_t)((st.st_size + (1 << MIB_SHIFT) - 1) >> MIB_SHIFT);
	fd_close(folder);
	return r;
}
