/* program.c - the instructions that libseccomp makes of a filter.
 *
 * It exports them to a descriptor only: one of memory.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/seccomp/program.h"

static int read_code(int fd, struct program *ret)
{
	off_t bytes = lseek(fd, 0, SEEK_END);

	if (bytes < 0)
		return -errno;
	if (bytes == 0 || (size_t)bytes > sizeof(ret->code))
		return -E2BIG;
	if (pread(fd, ret->code, (size_t)bytes, 0) != bytes)
		return -EIO;
	ret->count = (size_t)bytes / sizeof(ret->code[0]);
	return 0;
}

int program_export(scmp_filter_ctx filter, struct program *ret)
{
	int fd = memfd_create("filter", MFD_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(filter, fd);
	if (r == 0)
		r = read_code(fd, ret);
	close(fd);
	return r;
}
