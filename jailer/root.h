/* root.h - the file system that a jailed VMM sees.
 *
 *   /                 <base>/<name of the VMM>/<id>/root on the host: nosuid, nodev, noexec
 *   /<name of the VMM>  the binary, mounted read-only: all jails share its one inode
 *   /dev              a small file system of its own with the devices asked for: noexec
 *   /run              a folder for sockets; with --read-only-root all that can be written to
 *
 *   /usr              with --system-program, instead of the binary: the host's, read-only, and
 *                     /lib, /lib64 and /bin as links into it
 *
 * Nothing else: no /proc, no /sys, else no library.
 */
#ifndef JAILER_ROOT_H
#define JAILER_ROOT_H

#include <limits.h>

#include "jailer/options.h"
#include "vmm/base/error.h"

enum { JAIL_NAME_BYTES = 256 };

/* What is opened on the host before the jail closes. */
struct jail_root {
	char name[JAIL_NAME_BYTES]; /* of the VMM */
	char path[PATH_MAX];	    /* of its binary, as the jail sees it */
	int host_fd;		    /* the host's root, O_PATH */
	int exec_fd;		    /* the binary, O_PATH */
	int root_fd;		    /* <id>/root */
	int exec_tree, root_tree;   /* mounts of both, for the jail; or of /usr */
	int null_fd;		    /* the host's /dev/null, when daemonizing */
	int pid_fd;		    /* /<name>.pid, from root_enter() on */
};

/* Checks and opens the binary and the base folder, and makes the jail's folders. Descriptors
 * are -1 where it failed: root_close() in any case. */
int root_open(const struct jail_options *o, struct jail_root *ret, struct error *err);
void root_close(struct jail_root *r);

/* <base>/<name>, for cleanup; a descriptor, -ENOENT when there is none. */
int root_open_parent(const struct jail_options *o, char name[JAIL_NAME_BYTES], struct error *err);

/* In a mount namespace of the process's own, which has a /proc: mounts all that is above,
 * makes it the root and lets go of what was there. */
int root_enter(const struct jail_options *o, struct jail_root *r, struct error *err);

/* Writes /<name>.pid, in the jail, and closes it. */
int root_write_pid(struct jail_root *r, pid_t pid, struct error *err);

#endif
