/* use.c - from the things that the host uses back to the functions that they hang on.
 *
 * Each thing (a disk, a network interface, an input device) is a link in /sys/class to a
 * folder below the function that brings it, so the path of that folder names the function.
 * Disks of an NVMe subsystem hang on no single function: the subsystem lists its controllers.
 * What is found first is what is told; one use is enough.
 */
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/device/tree.h"
#include "supervisor/device/use.h"

enum { PATH_BYTES = 512 };

struct scan {
	int root;
	struct inventory *v;
	char *mounts, *swaps; /* of procfs; may be NULL */
};

static struct pci_function *find(struct inventory *v, const char *address)
{
	return (struct pci_function *)inventory_find(v, address);
}

/* The innermost function on a path. */
static struct pci_function *function_of(struct inventory *v, const char *path)
{
	struct pci_function *f = NULL;
	char part[PCI_ADDRESS_BYTES];

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len < sizeof(part)) {
			struct pci_function *inner;

			snprintf(part, sizeof(part), "%.*s", (int)len, path);
			inner = find(v, part);
			f = inner ? inner : f;
		}
		path += len + (path[len] == '/');
	}
	return f;
}

static void mark(struct pci_function *f, const char *name, const char *how)
{
	if (f && !f->use[0])
		snprintf(f->use, sizeof(f->use), "%.32s %s", name, how);
}

/* --- networks --- */

static bool is_part_of_another(const struct scan *s, const char *name)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "sys/class/net/%s", name);
	dir = tree_list(s->root, path);
	while (dir && !found && (entry = readdir(dir)) != NULL)
		found = strncmp(entry->d_name, "upper_", 6) == 0 ||
			strcmp(entry->d_name, "master") == 0;
	if (dir)
		closedir(dir);
	return found;
}

static void look_at_network(struct scan *s, const char *name, const char *target)
{
	struct pci_function *f = function_of(s->v, target);
	char path[PATH_BYTES];

	if (!f)
		return;
	snprintf(path, sizeof(path), "sys/class/net/%s/flags", name);
	if (tree_number(s->root, path, 0) & IFF_UP)
		mark(f, name, "is up");
	else if (is_part_of_another(s, name))
		mark(f, name, "is part of another interface");
}

/* --- disks --- */

static bool is_mounted(const struct scan *s, const char *name)
{
	char path[PATH_BYTES], number[32], field[40];

	snprintf(path, sizeof(path), "sys/class/block/%s/dev", name);
	if (!s->mounts || !tree_text(s->root, path, number, sizeof(number)) || !number[0])
		return false;
	snprintf(field, sizeof(field), " %s ", number);
	return strstr(s->mounts, field) != NULL;
}

static bool is_swap(const struct scan *s, const char *name)
{
	char word[64];

	snprintf(word, sizeof(word), "/dev/%.32s ", name);
	return s->swaps && strstr(s->swaps, word) != NULL;
}

static bool has_holder(const struct scan *s, const char *name)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "sys/class/block/%s/holders", name);
	dir = tree_list(s->root, path);
	while (dir && !found && (entry = readdir(dir)) != NULL)
		found = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return found;
}

/* All controllers of the subsystem that the disk's path names. */
static void mark_subsystem(struct scan *s, const char *target, const char *name, const char *how)
{
	const char *at = strstr(target, "/nvme-subsystem/");
	char path[PATH_BYTES], link[PATH_MAX];
	struct dirent *entry;
	size_t len;
	DIR *dir;

	if (!at)
		return;
	len = strcspn(at + strlen("/nvme-subsystem/"), "/");
	snprintf(path, sizeof(path), "sys/devices/virtual/nvme-subsystem/%.*s", (int)len,
		 at + strlen("/nvme-subsystem/"));
	dir = tree_list(s->root, path);
	while (dir && (entry = readdir(dir)) != NULL)
		if (tree_link(dirfd(dir), entry->d_name, link, sizeof(link)))
			mark(function_of(s->v, link), name, how);
	if (dir)
		closedir(dir);
}

static void look_at_disk(struct scan *s, const char *name, const char *target)
{
	const char *how = is_mounted(s, name)	? "is mounted"
			  : is_swap(s, name)	? "is swap"
			  : has_holder(s, name) ? "is part of another disk"
						: NULL;

	if (!how)
		return;
	mark(function_of(s->v, target), name, how);
	mark_subsystem(s, target, name, how);
}

/* --- the rest --- */

static void look_at_input(struct scan *s, const char *name, const char *target)
{
	(void)name;
	mark(function_of(s->v, target), "an input device", "is connected to it");
}

static void each(struct scan *s, const char *folder,
		 void (*look)(struct scan *s, const char *name, const char *target))
{
	DIR *dir = tree_list(s->root, folder);
	char target[PATH_MAX];
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL)
		if (tree_link(dirfd(dir), entry->d_name, target, sizeof(target)))
			look(s, entry->d_name, target);
	if (dir)
		closedir(dir);
}

void use_find(int root, struct inventory *v)
{
	struct scan s = {
		.root = root,
		.v = v,
		.mounts = tree_file(root, "proc/self/mountinfo"),
		.swaps = tree_file(root, "proc/swaps"),
	};

	each(&s, "sys/class/net", look_at_network);
	each(&s, "sys/class/block", look_at_disk);
	each(&s, "sys/bus/hid/devices", look_at_input);
	free(s.swaps);
	free(s.mounts);
}
