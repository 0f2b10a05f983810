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

enum { PATH_BYTES = 96, LIST_BYTES = 4096 };

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

typedef void (*interrupt_fn)(void *ctx, int root, long number);

/* Calls fn for each that VFIO has for this function. */
static void each(int root, const char *address, interrupt_fn fn, void *ctx)
{
	char *text = tree_file(root, "proc/interrupts"), mark[PCI_ADDRESS_BYTES + 2];

	snprintf(mark, sizeof(mark), "(%s)", address);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		long number;

		line += *line == '\n';
		number = number_of(line, mark);
		if (number >= 0)
			fn(ctx, root, number);
	}
	free(text);
}

static bool read_list(int root, long number, char path[PATH_BYTES], char list[LIST_BYTES])
{
	snprintf(path, PATH_BYTES, "proc/irq/%ld/smp_affinity_list", number);
	return tree_text(root, path, list, LIST_BYTES);
}

struct moving {
	const char *cpus;
	unsigned moved;
};

static void move(void *ctx, int root, long number)
{
	char path[PATH_BYTES], now[LIST_BYTES];
	struct moving *m = ctx;

	if (read_list(root, number, path, now) && strcmp(now, m->cpus) != 0)
		m->moved += tree_write(root, path, m->cpus) == 0;
}

unsigned steer_interrupts(const char *root, const char *address, const char *cpus)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char path[PATH_BYTES], near[LIST_BYTES] = "";
	struct moving m = { .cpus = cpus[0] ? cpus : near };

	if (fd < 0)
		return 0;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/local_cpulist", address);
	if (!cpus[0])
		tree_text(fd, path, near, sizeof(near));
	if (m.cpus[0])
		each(fd, address, move, &m);
	fd_close(fd);
	return m.moved;
}

static void add(void *ctx, int root, long number)
{
	char path[PATH_BYTES], now[LIST_BYTES];

	if (read_list(root, number, path, now))
		json_array_append_new(
			ctx, json_pack("{s:I, s:s}", "interrupt", (json_int_t)number, "cpus", now));
}

json_t *steer_describe(const char *root, const char *address)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *all = json_array();

	if (fd >= 0)
		each(fd, address, add, all);
	fd_close(fd);
	return all;
}
