/* fake_devices.c - files, links and folders as the kernel would show them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/fake_devices.h"

/* Makes the folders on the way; the whole path is left in full. */
static int reach(const char *root, const char *path, char full[PATH_MAX])
{
	int len = snprintf(full, PATH_MAX, "%s/%s", root, path);

	if (len >= PATH_MAX)
		return -1;
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return 0;
}

static int put_bytes(const char *root, const char *path, const void *data, size_t len)
{
	char full[PATH_MAX];
	int fd, r;

	if (reach(root, path, full) < 0)
		return -1;
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	r = fd >= 0 && write(fd, data, len) == (ssize_t)len ? 0 : -1;
	if (fd >= 0)
		close(fd);
	return r;
}

int fake_file(const char *root, const char *path, const char *text)
{
	return put_bytes(root, path, text, strlen(text));
}

int fake_link(const char *root, const char *path, const char *target)
{
	char full[PATH_MAX];

	if (reach(root, path, full) < 0)
		return -1;
	unlink(full);
	return symlink(target, full);
}

int fake_remove(const char *root, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	return unlink(full);
}

int fake_function(const char *root, const char *address, const char *class_code, int group)
{
	static const struct {
		const char *name, *text;
	} attributes[] = {
		{ "vendor", "0x8086\n" },
		{ "device", "0x10d3\n" },
		{ "subsystem_vendor", "0x1\n" },
		{ "subsystem_device", "0x2\n" },
		{ "numa_node", "0\n" },
		{ "local_cpulist", "0-3\n" },
		{ "reset_method", "flr bus\n" },
		{ "power_state", "D0\n" },
		{ "driver_override", "(null)\n" },
		{ "resource", "0x00000000fe000000 0x00000000fe01ffff 0x0000000000040200\n"
			      "0x0 0x0 0x0\n0xc000 0xc01f 0x40101\n" },
	};
	static const unsigned char config[64] = { 0x86, 0x80, 0xd3, 0x10 };
	char path[PATH_MAX], target[64];
	int r = 0;

	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", address,
			 attributes[i].name);
		r |= fake_file(root, path, attributes[i].text);
	}
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/class", address);
	r |= fake_file(root, path, class_code);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/config", address);
	r |= put_bytes(root, path, config, sizeof(config));
	if (group < 0)
		return r;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", address);
	snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
	return r | fake_link(root, path, target);
}

int fake_host(const char *root)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{ "sys/class/iommu/dmar0/x", "" },
		{ "sys/kernel/iommu_groups/1/x", "" },
		{ "sys/kernel/mm/ksm/run", "0\n" },
		{ "sys/bus/pci/drivers/vfio-pci/x", "" },
		{ "sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
		  "64\n" },
		{ "dev/vfio/vfio", "" },
		{ "sys/module/vfio_iommu_type1/parameters/disable_hugepages", "N\n" },
		{ "proc/interrupts", " 0: 12 IR-IO-APIC 2-edge timer\n" },
		{ "proc/cmdline", "quiet intel_iommu=on\n" },
		{ "proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n" },
		{ "proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" },
		{ "proc/swaps", "Filename Type Size\n/dev/sda2 partition 1 0 -2\n" },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		r |= fake_file(root, files[i].path, files[i].text);
	r |= fake_function(root, "0000:00:00.0", "0x060000\n", 0);
	r |= fake_function(root, FAKE_NIC, "0x020000\n", 1);
	return r | fake_function(root, FAKE_NVME, "0x010802\n", 2);
}
