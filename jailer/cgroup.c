/* cgroup.c - the control groups of a jail.
 *
 * Version 1 has a mount for a controller or a few; a new cpuset starts empty there and
 * takes its processors and memory from its parent, level by level. Version 2 has one
 * mount; a controller must be handed down by every level above (cgroup.subtree_control).
 * Kernel documents: admin-guide/cgroup-v1, admin-guide/cgroup-v2.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "jailer/folder.h"
#include "vmm/base/fd.h"

enum { CONTROLLER_BYTES = 64, OPEN_GROUP = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* "cpu" of "cpu.max". */
static void controller_of(const struct jail_cgroup_value *v, char name[CONTROLLER_BYTES])
{
	snprintf(name, CONTROLLER_BYTES, "%.*s", (int)strcspn(v->file, "."), v->file);
}

static const char own_mounts[] = "/proc/self/mounts";

int cgroup_open_mount(const char *mounts, unsigned version, const char *controller)
{
	FILE *f = setmntent(mounts, "re");
	struct mntent m;
	char line[4096];
	int fd = -ENOENT;

	while (f && fd < 0 && getmntent_r(f, &m, line, sizeof(line))) {
		bool right = version == 2 ? strcmp(m.mnt_type, "cgroup2") == 0
					  : strcmp(m.mnt_type, "cgroup") == 0 &&
						    hasmntopt(&m, controller);

		if (right)
			fd = open(m.mnt_dir, OPEN_GROUP & ~O_NOFOLLOW);
	}
	if (f)
		endmntent(f);
	return fd;
}

static int open_mount(unsigned version, const char *controller)
{
	return cgroup_open_mount(own_mounts, version, controller);
}

static int read_value(int group, const char *file, char *value, size_t size)
{
	int fd = openat(group, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, value, size - 1);

	fd_close(fd);
	value[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -errno : 0;
}

/* A cpuset of version 1 without processors or memory takes no process. */
static void inherit_cpuset(int parent, int group)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char value[4096];

	for (unsigned i = 0; i < 2; i++) {
		if (read_value(group, files[i], value, sizeof(value)) < 0 || value[0] > ' ')
			continue;
		if (read_value(parent, files[i], value, sizeof(value)) == 0)
			(void)folder_write(group, files[i], value); /* joining tells */
	}
}

/* Hands the controllers of all values down; what fails shows when a value is written. */
static void enable_controllers(int group, const struct jail_options *o)
{
	char text[CONTROLLER_BYTES + 1] = "+";

	for (unsigned i = 0; i < o->cgroup_count; i++) {
		controller_of(&o->cgroup[i], text + 1);
		(void)folder_write(group, "cgroup.subtree_control", text);
	}
}

/* One level down; closes parent. */
static int make_level(int parent, const char *name, unsigned version, const struct jail_options *o)
{
	int fd;

	if (version == 2)
		enable_controllers(parent, o);
	fd = mkdirat(parent, name, 0755) < 0 && errno != EEXIST ? -1
								: openat(parent, name, OPEN_GROUP);
	if (fd < 0)
		fd = -errno;
	else if (version == 1)
		inherit_cpuset(parent, fd);
	fd_close(parent);
	return fd;
}

/* <mount>/<parent>/<id>, made as far as it is missing. Takes mount. */
static int make_group(int mount, const char *parent, unsigned version, const struct jail_options *o)
{
	char path[PATH_MAX];
	char *rest = NULL;
	int fd = mount;

	snprintf(path, sizeof(path), "%s/%s", parent, o->id);
	for (const char *part = strtok_r(path, "/", &rest); part && fd >= 0;
	     part = strtok_r(NULL, "/", &rest))
		fd = make_level(fd, part, version, o);
	return fd;
}

static int cannot(const char *what, const char *name, int r, struct error *err)
{
	return error_set(err, r, "cgroup", "is the controller mounted, and handed down to there?",
			 "Cannot %s the control group%s%s: %s", what, *name ? " for " : "", name,
			 strerror(-r));
}

/* The version in which a value's controller is, with its mount in *mount. */
static unsigned find_version(const char *controller, unsigned wanted, int *mount)
{
	unsigned version = wanted == 2 ? 2 : 1;

	*mount = open_mount(version, controller);
	if (*mount < 0 && wanted == 0) {
		version = 2;
		*mount = open_mount(version, controller);
	}
	return version;
}

static int set_value(const struct jail_options *o, const struct jail_cgroup_value *v,
		     const char *parent, struct cgroups *c, struct error *err)
{
	char controller[CONTROLLER_BYTES];
	int mount, group, r;
	unsigned version;

	controller_of(v, controller);
	version = find_version(controller, o->cgroup_version, &mount);
	group = mount < 0 ? mount : make_group(mount, parent, version, o);
	if (group < 0)
		return cannot("make", v->file, group, err);
	if (version == 1) {
		c->v1[c->v1_count++] = group;
	} else {
		fd_close(c->v2);
		c->v2 = group;
	}
	r = folder_write(group, v->file, v->value);
	return r < 0 ? cannot("set", v->file, r, err) : 0;
}

/* As Firecracker does: no values, but a parent that is there. */
static int use_parent(const struct jail_options *o, struct cgroups *c, struct error *err)
{
	int mount = o->parent_cgroup && o->cgroup_version != 1 ? open_mount(2, NULL) : -1;

	if (mount < 0)
		return 0;
	c->v2 = openat(mount, o->parent_cgroup, OPEN_GROUP);
	fd_close(mount);
	if (c->v2 < 0 && errno != ENOENT)
		return cannot("open", o->parent_cgroup, -errno, err);
	return 0;
}

int cgroups_create(const struct jail_options *o, const char *parent, struct cgroups *ret,
		   struct error *err)
{
	int r = 0;

	*ret = (struct cgroups){ .v2 = -1 };
	if (o->cgroup_count == 0)
		return use_parent(o, ret, err);
	for (unsigned i = 0; i < o->cgroup_count && r == 0; i++)
		r = set_value(o, &o->cgroup[i], o->parent_cgroup ? o->parent_cgroup : parent, ret,
			      err);
	return r;
}

void cgroups_close(struct cgroups *c)
{
	c->v2 = fd_close(c->v2);
	while (c->v1_count > 0)
		fd_close(c->v1[--c->v1_count]);
}

int cgroups_join(const struct cgroups *c, bool all, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < c->v1_count && r == 0; i++)
		r = folder_write(c->v1[i], "cgroup.procs", "0");
	if (r == 0 && all && c->v2 >= 0)
		r = folder_write(c->v2, "cgroup.procs", "0");
	return r < 0 ? cannot("join", "", r, err) : 0;
}

int cgroups_remove_named(const char *parent, const char *id, struct error *err)
{
	FILE *f = setmntent(own_mounts, "re");
	struct mntent m;
	char line[4096], path[PATH_MAX];
	int r = 0;

	while (f && getmntent_r(f, &m, line, sizeof(line))) {
		if (strcmp(m.mnt_type, "cgroup2") != 0 && strcmp(m.mnt_type, "cgroup") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", m.mnt_dir, parent, id);
		if (rmdir(path) < 0 && errno != ENOENT)
			r = error_errno(err, "cleanup", "does the microVM still run?",
					"Cannot remove %s", path);
	}
	if (f)
		endmntent(f);
	return r;
}

int cgroups_remove(const struct jail_options *o, const char *parent, struct error *err)
{
	return cgroups_remove_named(o->parent_cgroup ? o->parent_cgroup : parent, o->id, err);
}
