/* where.c - an instance's topology, piece by piece.
 *
 * Memory is counted by its control group (memory.numa_stat), node by node. The maps of the
 * process (numa_maps) say the same, but walk all of its page tables, and hold up the guest's
 * faults meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "supervisor/books/seats.h"
#include "supervisor/device/steer.h"
#include "supervisor/device/tree.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/pin.h"
#include "supervisor/life/runtime.h"
#include "supervisor/life/where.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"

enum {
	PATH_ROOM = 128,
	LINE_BYTES = 1024,
	STAT_CPU = 39, /* the field of /proc/PID/stat: where it ran last */
	MIB_SHIFT = 20,
};

/* --- processors --- */

struct threads {
	const char *pattern;
	json_t *vcpus;
	unsigned others;
};

static int last_cpu(pid_t thread)
{
	char path[PATH_ROOM], text[LINE_BYTES];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)thread);
	if (!tree_text(AT_FDCWD, path, text, sizeof(text)))
		return -1;
	/* The second field is a name in brackets, with anything in it. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < STAT_CPU; field++)
		at = strchr(at + 1, ' ');
	return at ? (int)strtol(at, NULL, 10) : -1;
}

static void add_thread(void *ctx, pid_t thread, const char *name)
{
	struct threads *t = ctx;
	int vcpu = pin_vcpu_of(t->pattern, name);
	char cpus[TOPOLOGY_LIST_BYTES];
	cpu_set_t set;

	if (vcpu < 0) {
		t->others++;
		return;
	}
	if (sched_getaffinity(thread, sizeof(set), &set) < 0)
		return;
	json_array_append_new(t->vcpus,
			      json_pack("{s:i, s:i, s:s, s:i, s:b}", "vcpu", vcpu, "thread",
					(int)thread, "cpus",
					topology_list(&set, cpus, sizeof(cpus)), "ran_last_on",
					last_cpu(thread), "bound", CPU_COUNT(&set) == 1));
}

static json_t *describe_vcpus(const struct launch *l)
{
	struct threads t = { .pattern = l->runtime->vcpu_thread, .vcpus = json_array() };
	struct error none;

	/* Without a VMM there are none. */
	if (l->config->cgroup[0])
		(void)pin_each_thread(l->config, l->id, add_thread, &t, &none);
	return t.vcpus;
}

/* --- memory --- */

/* Adds "N0=bytes N1=bytes" of a line to an object, in MiB. */
static void add_nodes(json_t *to, const char *line, const char *end)
{
	for (const char *at = line; (at = strstr(at, " N")) != NULL && at < end;) {
		char name[16], *rest;
		long node = strtol(at + 2, &rest, 10);
		long long mib = *rest == '=' ? strtoll(rest + 1, NULL, 10) >> MIB_SHIFT : 0;

		snprintf(name, sizeof(name), "%ld", node);
		mib += json_integer_value(json_object_get(to, name));
		json_object_set_new(to, name, json_integer(mib));
		at = rest;
	}
}

/* What of a file's lines is a guest's memory: its own pages, and those of a memfd. */
static json_t *read_nodes(const struct launch *l, const char *controller, const char *file,
			  const char *const lines[])
{
	int group = pin_open_group(l->config, controller, l->id);
	char *text = group < 0 ? NULL : tree_file(group, file);
	json_t *nodes = json_object();

	fd_close(group);
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL)
		for (unsigned i = 0; lines[i]; i++)
			if (strncmp(at, lines[i], strlen(lines[i])) == 0)
				add_nodes(nodes, at, at + strcspn(at, "\n"));
	free(text);
	return nodes;
}

static json_t *describe_memory(const struct launch *l)
{
	static const char *const ordinary[] = { "anon ", "shmem ", NULL };
	static const char *const huge[] = { "total=", NULL };
	json_t *memory = json_pack("{s:I, s:b}", "mem_mib", (json_int_t)l->mem_mib, "huge_pages",
				   l->place.huge_pages);

	json_object_set_new(memory, "bound_to", json_string(l->place.mems));
	json_object_set_new(memory, "mib_on_nodes",
			    read_nodes(l, "memory", "memory.numa_stat", ordinary));
	if (l->place.huge_pages)
		json_object_set_new(memory, "huge_mib_on_nodes",
				    read_nodes(l, "hugetlb", "hugetlb.2MB.numa_stat", huge));
	return memory;
}

/* --- what is attached --- */

static unsigned count_queues(int link)
{
	DIR *list = tree_list(link, "queues");
	struct dirent *entry;
	unsigned n = 0;

	while (list && (entry = readdir(list)) != NULL)
		n += strncmp(entry->d_name, "rx-", 3) == 0;
	if (list)
		closedir(list);
	return n;
}

static json_t *describe_interfaces(const struct launch *l)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < l->nnets; i++) {
		char path[PATH_ROOM], bridge[PATH_ROOM] = "";
		int link;

		snprintf(path, sizeof(path), "/sys/class/net/%s", l->nets[i].lease.link);
		link = tree_open(AT_FDCWD, path);
		if (link >= 0)
			tree_link_name(link, "master", bridge, sizeof(bridge));
		json_array_append_new(all,
				      json_pack("{s:s, s:s, s:s, s:i}", "id", l->nets[i].id, "link",
						l->nets[i].lease.link, "bridge", bridge, "queues",
						link < 0 ? 0 : (int)count_queues(link)));
		fd_close(link);
	}
	return all;
}

static const char *file_system(const char *path)
{
	static const struct {
		long magic;
		const char *name;
	} names[] = {
		{ EXT4_SUPER_MAGIC, "ext4" },	      { XFS_SUPER_MAGIC, "xfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" },	      { TMPFS_MAGIC, "tmpfs" },
		{ OVERLAYFS_SUPER_MAGIC, "overlay" }, { NFS_SUPER_MAGIC, "nfs" },
	};
	struct statfs fs;

	if (statfs(path, &fs) == 0)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (names[i].magic == fs.f_type)
				return names[i].name;
	return "other";
}

static json_t *describe_drives(const struct launch *l)
{
	const char *storage = file_system(l->config->state_dir);
	json_t *all = json_array();

	for (unsigned i = 0; i < l->ndrives; i++)
		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:b}", "id", l->drives[i].id,
						     "volume", l->drives[i].volume, "storage",
						     storage, "read_only", l->drives[i].read_only));
	return all;
}

static json_t *describe_devices(const struct launch *l)
{
	int root = open(l->config->device_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *all = json_array();

	for (unsigned i = 0; i < l->ndevices; i++) {
		char path[PATH_ROOM], cpus[TOPOLOGY_LIST_BYTES] = "";
		json_int_t node = -1;
		int dir;

		snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", l->devices[i].address);
		dir = tree_open(root, path);
		if (dir >= 0) {
			tree_text(dir, "local_cpulist", cpus, sizeof(cpus));
			node = tree_number(dir, "numa_node", -1);
		}
		json_array_append_new(
			all,
			json_pack("{s:s, s:I, s:s, s:o}", "address", l->devices[i].address, "node",
				  node, "cpus", cpus, "interrupts",
				  steer_describe(l->config->device_root, l->devices[i].address)));
		fd_close(dir);
	}
	fd_close(root);
	return all;
}

/* --- as a whole --- */

static json_t *list_defaults(const struct instance *i)
{
	json_t *all = json_array();

	if (i->wish.profile == PLACE_SHARED)
		json_array_append_new(all, json_string("processors"));
	if (!i->wish.has_node)
		json_array_append_new(all, json_string("node"));
	if (!i->wish.huge_pages)
		json_array_append_new(all, json_string("huge_pages"));
	return all;
}

static json_t *describe(const struct instance *i, const struct launch *l)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "runtime", i->runtime,
			 "profile", place_profile_names[i->wish.profile], "cpus", l->place.cpus,
			 "vcpus", describe_vcpus(l), "memory", describe_memory(l), "interfaces",
			 describe_interfaces(l), "drives", describe_drives(l), "devices",
			 describe_devices(l), "defaults", list_defaults(i));
}

json_t *where_describe(struct wispd *d, const struct instance *i, struct error *err)
{
	struct launch *l = calloc(1, sizeof(*l));
	json_t *all = NULL;

	if (!l)
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	else if (lifecycle_load(d, i, l, err) == 0)
		all = describe(i, l);
	free(l);
	return all;
}
