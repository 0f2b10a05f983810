/* steer.c - lines of /proc/interrupts that are VFIO's, and files of /proc/irq. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/device/inventory.h"
#include "supervisor/device/steer.h"
#include "supervisor/device/tree.h"
#include "vmm/base/fd.h"

enum { PATH_BYTES = 96, LIST_BYTES = 256 };

/* " 45:  0  3  IR-PCI-MSI 2097152-edge  vfio-msix[0](0000:00:04.0)": its number, -1: another's. */
static long number_of(const char *line, const char *mark)
{
	size_t len = strcspn(line, "\n");
	const char *vfio = memmem(line, len, "vfio-", strlen("vfio-"));
	char *end;
	long number = strtol(line, &end, 10);

	if (!vfio || !memmem(line, len, mark, strlen(mark)))
		return -1;
	return end != line && *end == ':' ? number : -1;
}

static bool move(int root, long number, const char *cpus)
{
	char path[PATH_BYTES], now[LIST_BYTES];

	snprintf(path, sizeof(path), "proc/irq/%ld/smp_affinity_list", number);
	return tree_text(root, path, now, sizeof(now)) && strcmp(now, cpus) != 0 &&
	       tree_write(root, path, cpus) == 0;
}

static unsigned move_all(int root, const char *address, const char *cpus)
{
	char *text = tree_file(root, "proc/interrupts"), mark[PCI_ADDRESS_BYTES + 2];
	unsigned moved = 0;

	snprintf(mark, sizeof(mark), "(%s)", address);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		long number;

		line += *line == '\n';
		number = number_of(line, mark);
		if (number >= 0)
			moved += move(root, number, cpus);
	}
	free(text);
	return moved;
}

unsigned steer_interrupts(const char *root, const char *address)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[PATH_BYTES], cpus[LIST_BYTES];
	unsigned moved = 0;

	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/local_cpulist", address);
	if (tree_text(fd, path, cpus, sizeof(cpus)) && cpus[0])
		moved = move_all(fd, address, cpus);
	fd_close(fd);
	return moved;
}
