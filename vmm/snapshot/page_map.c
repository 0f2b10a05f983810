/* page_map.c - what the kernel knows of this process's pages. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/page_map.h"

enum { PAGE = 4096 };

int page_map_open(const struct gmem *mem)
{
	int given = gmem_page_map(mem), fd;

	if (given >= 0)
		fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	else
		fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int page_map_open_at(int folder)
{
	struct statfs fs;
	int fd;

	if (fstatfs(folder, &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -EINVAL;
	fd = openat(folder, "pagemap", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int page_map_read(int fd, const void *host, size_t pages, uint64_t entry[])
{
	return fd_pread_all(fd, entry, pages * sizeof(entry[0]),
			    (off_t)((uintptr_t)host / PAGE * sizeof(entry[0])));
}
