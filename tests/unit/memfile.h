/* memfile.h - a file that a test makes up, without a path. */
#ifndef TESTS_UNIT_MEMFILE_H
#define TESTS_UNIT_MEMFILE_H

#include <stddef.h>
#include <sys/mman.h>

#include "vmm/base/fd.h"

/* A descriptor of a file with these bytes; the caller closes it. */
static inline int memfile(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || fd_pwrite_all(fd, data, len, 0) < 0)
		return fd_close(fd);
	return fd;
}

#endif
