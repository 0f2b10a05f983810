/* cgroup.h - the control groups of a jail, of either version, or some of each.
 *
 * A jail's group is <mount>/<parent>/<id>, of version 1 once for each controller that a
 * value names. Root only.
 */
#ifndef JAILER_CGROUP_H
#define JAILER_CGROUP_H

#include "jailer/options.h"
#include "vmm/base/error.h"

enum { CGROUPS_MAX = JAIL_CGROUPS_MAX + 1 };

struct cgroups {
	int v2;		     /* the group of version 2, to be cloned into; -1: none */
	int v1[CGROUPS_MAX]; /* those of version 1, to be joined */
	unsigned v1_count;
};

/* Makes the groups and writes the values. Without values nothing is made; with a parent
 * named that is there in version 2 the jail goes into that one. parent: the default.
 * cgroups_close() in any case. */
int cgroups_create(const struct jail_options *o, const char *parent, struct cgroups *ret,
		   struct error *err);
void cgroups_close(struct cgroups *c);

/* Moves this process into the groups of version 1, and of version 2 if all is set. */
int cgroups_join(const struct cgroups *c, bool all, struct error *err);

/* The mount of version 2, or of a controller of version 1, by a file like
 * /proc/self/mounts. A descriptor, or -ENOENT. Any user. */
int cgroup_open_mount(const char *mounts, unsigned version, const char *controller);

/* Removes <mount>/<parent>/<id> in all mounts. 0, also when there are none; -EBUSY: a
 * process is in it. */
int cgroups_remove_named(const char *parent, const char *id, struct error *err);

/* Removes the groups of a jail that is no more, in all mounts. 0, also when there are
 * none. */
int cgroups_remove(const struct jail_options *o, const char *parent, struct error *err);

#endif
