/* grow.c - the verb grow, and what wisp-init does for wisp.grow.
 *
 * The kernel moves an ext4's end while it is mounted (EXT4_IOC_RESIZE_FS, Documentation/admin-guide/ext4.rst);
 * how large the disk is, sysfs says, where no name of the device is needed; wisp-init, which
 * has not mounted that yet, has the name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "guest-images/agent/grow.h"
#include "guest-images/agent/session.h"

/* fs/ext4/ext4.h; no header for programs has it. The number of blocks that it is to have. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

enum { SECTOR_BYTES = 512, PATH_BYTES = 64, NUMBER_BYTES = 32 };

static uint64_t bytes_in_sysfs(dev_t device)
{
	char path[PATH_BYTES], text[NUMBER_BYTES];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size", major(device), minor(device));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return strtoull(text, NULL, 10) * SECTOR_BYTES;
}

static uint64_t bytes_of(const char *disk)
{
	int fd = open(disk, O_RDONLY | O_CLOEXEC);
	uint64_t bytes = 0;

	if (fd < 0)
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		bytes = 0;
	close(fd);
	return bytes;
}

int grow_root(const char *disk)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct statfs fs;
	struct stat st;
	uint64_t blocks;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) {
		r = -errno;
	} else if (fs.f_type != EXT4_SUPER_MAGIC || fs.f_bsize <= 0) {
		r = -EOPNOTSUPP;
	} else {
		blocks = (disk ? bytes_of(disk) : bytes_in_sysfs(st.st_dev)) / (uint64_t)fs.f_bsize;
		if (blocks == 0)
			r = -ENODEV;
		else if (ioctl(fd, EXT4_IOC_RESIZE_FS, &blocks) < 0)
			r = -errno;
	}
	close(fd);
	return r;
}

void grow_serve(struct session *s)
{
	struct fields nothing = { 0 };
	int r = grow_root(NULL);

	if (r < 0)
		session_fault(s, -r, "the root file system cannot grow: %s", strerror(-r));
	else
		session_answer(s, &nothing);
}
