/* userfault.c - page faults of our own memory, told through a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/memory/userfault.h"

#define DEVICE "/dev/userfaultfd"

/* A descriptor, or a negative errno. */
static int open_by_device(void)
{
	int device = open(DEVICE, O_RDWR | O_CLOEXEC), fd;

	if (device < 0)
		return -errno;
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	fd_close(device);
	return fd;
}

static int open_by_call(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int userfault_open(uint64_t features, int *ret, struct error *err)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = open_by_device();

	if (fd < 0)
		fd = open_by_call();
	if (fd < 0) {
		errno = -fd;
		return error_errno(err, NULL,
				   "let wisp open " DEVICE ", in a jail by "
				   "--device userfaultfd",
				   "Page faults cannot be handled outside of the kernel");
	}
	if (ioctl(fd, UFFDIO_API, &api) < 0) {
		error_errno(err, NULL, "is it Linux 5.10 or later?",
			    "The kernel does not know all that is needed of userfaultfd");
		fd_close(fd);
		return err ? err->code : -EINVAL;
	}
	*ret = fd;
	return 0;
}

int userfault_register(int fd, const void *host, size_t len, uint64_t mode)
{
	struct uffdio_register arg = { .range = { (uintptr_t)host, len }, .mode = mode };

	return ioctl(fd, UFFDIO_REGISTER, &arg) < 0 ? -errno : 0;
}

int userfault_wake(int fd, const void *host, size_t len)
{
	struct uffdio_range arg = { (uintptr_t)host, len };

	return ioctl(fd, UFFDIO_WAKE, &arg) < 0 ? -errno : 0;
}

int userfault_protect(int fd, const void *host, size_t len, bool on)
{
	struct uffdio_writeprotect arg = {
		.range = { (uintptr_t)host, len },
		.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};
	int r;

	/* The kernel gives up for the moment when mappings change. */
	do
		r = ioctl(fd, UFFDIO_WRITEPROTECT, &arg);
	while (r < 0 && errno == EAGAIN);
	return r < 0 ? -errno : 0;
}
