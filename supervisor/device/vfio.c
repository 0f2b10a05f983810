/* vfio.c - container, group, device: the way to a reset that nobody else can get between. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "supervisor/device/vfio.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { BUSY_LIMIT_US = 5000000, BUSY_POLL_MS = 10, DEPENDENT_MAX = 32 };

/* A VMM that was killed takes a moment to let go of its descriptors. */
static int open_group(int number, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + BUSY_LIMIT_US;
	char path[32];

	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	for (;;) {
		int fd = open(path, O_RDWR | O_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno != EBUSY || clock_now_us() > deadline_us)
			return error_errno(err, NULL, "lsof shows who has it", "Cannot open %s",
					   path);
		poll(NULL, 0, BUSY_POLL_MS);
	}
}

static int check_viable(int group, int number, struct error *err)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0)
		return error_errno(err, NULL, NULL, "Cannot ask how group %d is", number);
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	return error_set(err, -EPERM, NULL, "name all of its devices for the same guest",
			 "Group %d is not viable: a driver of the host has part of it", number);
}

static int join(int container, int group, struct error *err)
{
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0 ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		return error_errno(err, NULL, "dmesg says why",
				   "The IOMMU does not take the group");
	return 0;
}

/* All on the bus must be this group's, or it would be somebody else's reset, too. */
static bool bus_is_ours(int device, int number)
{
	struct {
		struct vfio_pci_hot_reset_info head;
		struct vfio_pci_dependent_device devices[DEPENDENT_MAX];
	} info = { .head.argsz = sizeof(info) };

	if (ioctl(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info) < 0)
		return false;
	for (unsigned i = 0; i < info.head.count && i < DEPENDENT_MAX; i++)
		if (info.devices[i].group_id != (unsigned)number)
			return false;
	return info.head.count <= DEPENDENT_MAX;
}

static bool reset_bus(int device, int group, int number)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t group;
	} request = { .head = { .argsz = sizeof(request), .count = 1 }, .group = group };

	return bus_is_ours(device, number) &&
	       ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &request) == 0;
}

static int reset(int group, int number, const char *address, struct error *err)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address), r;

	if (fd < 0)
		return error_errno(err, NULL, NULL, "Cannot open %s by its group", address);
	if (ioctl(fd, VFIO_DEVICE_GET_INFO, &info) < 0)
		r = error_errno(err, NULL, NULL, "Cannot ask what %s can", address);
	else if (!(info.flags & VFIO_DEVICE_FLAGS_RESET))
		r = reset_bus(fd, group, number) ? VFIO_RESET_BUS : VFIO_RESET_NONE;
	else
		r = ioctl(fd, VFIO_DEVICE_RESET) < 0
			    ? error_errno(err, NULL, NULL, "The reset of %s failed", address)
			    : VFIO_RESET_FUNCTION;
	fd_close(fd);
	return r;
}

int vfio_reset(int number, const char *address, struct error *err)
{
	int group = open_group(number, err), container = -1, r;

	if (group < 0)
		return group;
	r = check_viable(group, number, err);
	if (r == 0) {
		container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
		if (container < 0)
			r = error_errno(err, NULL, "modprobe vfio", "Cannot open /dev/vfio/vfio");
	}
	if (r == 0)
		r = join(container, group, err);
	if (r == 0)
		r = reset(group, number, address, err);
	fd_close(group);
	fd_close(container);
	return r;
}
