/* root.c - the file system that a jailed VMM sees.
 *
 * The folder may have been a jail before, or have been filled by whoever starts this one:
 * what lies in it is the VMM's own and not to be trusted. So everything in it is reached
 * from open descriptors, never through a link: a mount goes onto an open file, and after
 * one that is made by name its root is opened again and checked to be what was mounted.
 *
 * What is to be mounted of the host's, the folder and the binary, is taken as a mount that
 * is nowhere yet (open_tree(2)) and put into its place when the process has left the
 * host's mount namespace, whichever it went to.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "jailer/folder.h"
#include "jailer/root.h"
#include "vmm/base/fd.h"

enum {
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	PATH_BYTES = 32,
	CLOSED = MS_NOSUID | MS_NODEV | MS_NOEXEC,
	FOLDER_MODE = 0700, /* Firecracker's, for all folders of the jail */
};

/* Devices by what they are, not by what the host's folder says that they are. */
static const struct device {
	const char *name;
	unsigned major, minor; /* major 0: as the host's node has it */
	bool usual;
} devices[] = {
	{ "kvm", 10, 232, true },	 { "net/tun", 10, 200, true },
	{ "null", 1, 3, true },		 { "urandom", 1, 9, true },
	{ "userfaultfd", 0, 0, false },	 { "vhost-vsock", 0, 0, false },
	{ "vfio/vfio", 10, 196, false },
};

enum { DEVICES_COUNT = sizeof(devices) / sizeof(devices[0]) };

/* The name of a group of VFIO's is its number; its device number is another on each host. */
static bool is_vfio_group(const char *name)
{
	size_t digits = strncmp(name, "vfio/", 5) == 0 ? strspn(name + 5, "0123456789") : 0;

	return digits > 0 && digits < 10 && !name[5 + digits];
}

static bool find_device(const char *name, struct device *ret)
{
	for (size_t i = 0; i < DEVICES_COUNT; i++) {
		if (strcmp(devices[i].name, name) != 0)
			continue;
		*ret = devices[i];
		return true;
	}
	*ret = (struct device){ .name = name };
	return is_vfio_group(name);
}

static const char *fd_path(int fd, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "/proc/self/fd/%d", fd);
	return path;
}

/* --- on the host --- */

/* A hard link elsewhere would be a second name under which to change the binary. */
static int check_exec(const struct jail_options *o, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(err, "exec-file", NULL, "Cannot look at %s", o->exec_file);
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "exec-file", "give a program's file",
				 "%s is not a regular file", o->exec_file);
	if (st.st_nlink > 1)
		return error_set(err, -EINVAL, "exec-file", "copy it",
				 "%s has more than one hard link", o->exec_file);
	if (st.st_mode & (S_ISUID | S_ISGID | S_IWGRP | S_IWOTH) ||
	    (!o->cleanup && st.st_uid == o->uid))
		return error_set(err, -EPERM, "exec-file", "chmod 0755, and another owner",
				 "%s can be written to by others, or runs as another user",
				 o->exec_file);
	return 0;
}

/* By its real name; a link swapped for it afterwards is refused. */
static int open_exec(const struct jail_options *o, char real[PATH_MAX], struct error *err)
{
	int fd, r;

	if (!realpath(o->exec_file, real))
		return error_errno(err, "exec-file", "give the VMM's file", "Cannot find %s",
				   o->exec_file);
	fd = open(real, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "exec-file", NULL, "Cannot open %s", o->exec_file);
	r = check_exec(o, fd, err);
	if (r < 0) {
		fd_close(fd);
		return r;
	}
	return fd;
}

static void take_name(const char *real, char name[JAIL_NAME_BYTES])
{
	snprintf(name, JAIL_NAME_BYTES, "%s", strrchr(real, '/') + 1);
}

/* A program of the host's stays where it is, with what it needs beside it. */
static int set_path(const struct jail_options *o, struct jail_root *r, struct error *err)
{
	take_name(r->path, r->name);
	if (!o->system_program)
		snprintf(r->path, sizeof(r->path), "/%s", r->name);
	else if (strncmp(r->path, "/usr/", 5) != 0)
		return error_set(err, -EINVAL, "system-program", "a program below /usr",
				 "The jail would have no %s", r->path);
	return 0;
}

int root_open_parent(const struct jail_options *o, char name[JAIL_NAME_BYTES], struct error *err)
{
	char real[PATH_MAX];
	int exec_fd = open_exec(o, real, err), base, fd;

	if (exec_fd < 0)
		return exec_fd;
	fd_close(exec_fd);
	take_name(real, name);
	base = folder_open_trusted(o->base, "chroot-base-dir", err);
	if (base < 0)
		return base;
	fd = openat(base, name, OPEN_FOLDER);
	if (fd < 0)
		fd = error_errno(err, "chroot-base-dir", NULL, "Cannot open %s/%s", o->base, name);
	fd_close(base);
	return fd;
}

/* <base>/<name>/<id>/root; the last belongs to the VMM. */
static int make_folders(const struct jail_options *o, struct jail_root *r, struct error *err)
{
	int base = folder_open_trusted(o->base, "chroot-base-dir", err), parent, id;

	if (base < 0)
		return base;
	parent = folder_make(base, r->name, 0755, 0, err);
	fd_close(base);
	if (parent < 0)
		return parent;
	id = folder_make(parent, o->id, 0755, 0, err);
	fd_close(parent);
	if (id < 0)
		return id;
	r->root_fd = folder_make(id, "root", FOLDER_MODE, o->uid, err);
	fd_close(id);
	return r->root_fd < 0 ? r->root_fd : 0;
}

/* A mount of what fd is open on, and of that alone, which is not yet anywhere. */
static int take_tree(int fd, struct error *err)
{
	int tree = (int)syscall(SYS_open_tree, fd, "",
				AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return tree < 0 ? error_errno(err, NULL, NULL, "Cannot take the jail's mounts") : tree;
}

static int take_trees(const struct jail_options *o, struct jail_root *r, struct error *err)
{
	int usr = -1;

	r->host_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (o->system_program)
		usr = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->host_fd < 0 || (o->system_program && usr < 0))
		return error_errno(err, NULL, NULL, "Cannot open the host's folders");
	r->root_tree = take_tree(r->root_fd, err);
	if (r->root_tree >= 0)
		r->exec_tree = take_tree(o->system_program ? usr : r->exec_fd, err);
	fd_close(usr);
	return r->exec_tree < 0 ? err->code : 0;
}

int root_open(const struct jail_options *o, struct jail_root *ret, struct error *err)
{
	int r;

	*ret = (struct jail_root){
		.host_fd = -1,
		.exec_fd = -1,
		.root_fd = -1,
		.exec_tree = -1,
		.root_tree = -1,
		.null_fd = -1,
		.pid_fd = -1,
	};
	ret->exec_fd = open_exec(o, ret->path, err);
	if (ret->exec_fd < 0)
		return ret->exec_fd;
	r = set_path(o, ret, err);
	if (r == 0)
		r = make_folders(o, ret, err);
	if (r == 0)
		r = take_trees(o, ret, err);
	if (r < 0 || !o->daemonize)
		return r;
	ret->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return ret->null_fd < 0 ? error_errno(err, NULL, NULL, "Cannot open /dev/null") : 0;
}

void root_close(struct jail_root *r)
{
	r->host_fd = fd_close(r->host_fd);
	r->exec_fd = fd_close(r->exec_fd);
	r->root_fd = fd_close(r->root_fd);
	r->exec_tree = fd_close(r->exec_tree);
	r->root_tree = fd_close(r->root_tree);
	r->null_fd = fd_close(r->null_fd);
	r->pid_fd = fd_close(r->pid_fd);
}

/* --- mounts --- */

/* source over the folder or file of fd. */
static int bind_over(int source, int fd)
{
	char from[PATH_BYTES], to[PATH_BYTES];

	if (mount(fd_path(source, from), fd_path(fd, to), NULL, MS_BIND, NULL) < 0)
		return -errno;
	return 0;
}

/* A bind mount ignores flags at first; a second call sets them, on the mount's root. */
static int restrict_mount(int fd, unsigned long flags)
{
	char path[PATH_BYTES];

	if (mount(NULL, fd_path(fd, path), NULL, MS_BIND | MS_REMOUNT | flags, NULL) < 0)
		return -errno;
	return 0;
}

/* Puts a tree over what is at path below fd, or over fd itself. It hears no more of what
 * is mounted where it was taken, and tells nobody there. */
static int put_tree(int tree, int fd, const char *path, unsigned long flags)
{
	unsigned empty = MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH);
	char at[PATH_BYTES];

	if (syscall(SYS_move_mount, tree, "", fd, path, empty) < 0 ||
	    mount(NULL, fd_path(tree, at), NULL, MS_PRIVATE, NULL) < 0)
		return -errno;
	return restrict_mount(tree, flags);
}

static int mount_exec(const struct jail_root *r, int root)
{
	int fd, result;

	if (unlinkat(root, r->name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(root, r->name, O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0)
		return -errno;
	result = put_tree(r->exec_tree, fd, "", MS_NOSUID | MS_NODEV | MS_RDONLY);
	fd_close(fd);
	return result;
}

/* What is in the way there is the last VMM's. */
static int link_anew(int host, int root, const char *name)
{
	char target[64];
	ssize_t n = readlinkat(host, name, target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	target[n] = '\0';
	r = folder_remove(root, name);
	if (r < 0)
		return r;
	return symlinkat(target, root, name) < 0 ? -errno : 0;
}

/* The host's programs and libraries, read-only, and the names by which they are found. */
static int mount_system(const struct jail_root *jail, int root)
{
	static const char *const links[] = { "lib", "lib64", "bin" };
	int fd, r;

	if (mkdirat(root, "usr", 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(root, "usr", OPEN_FOLDER);
	if (fd < 0)
		return -errno;
	r = put_tree(jail->exec_tree, fd, "", MS_NOSUID | MS_NODEV | MS_RDONLY);
	fd_close(fd);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]) && r == 0; i++)
		r = link_anew(jail->host_fd, root, links[i]);
	return r;
}

/* Some have another number on each host. */
static int device_number(int host, const struct device *d, dev_t *ret)
{
	struct stat st;
	char path[64];

	*ret = makedev(d->major, d->minor);
	if (d->major)
		return 0;
	snprintf(path, sizeof(path), "dev/%s", d->name);
	if (fstatat(host, path, &st, 0) < 0)
		return -errno;
	*ret = st.st_rdev;
	return S_ISCHR(st.st_mode) ? 0 : -ENODEV;
}

static int make_node(int host, int dev, const struct device *d, const struct jail_options *o)
{
	const char *slash = strchr(d->name, '/');
	char folder[16];
	dev_t number;
	int r = device_number(host, d, &number);

	if (r < 0)
		return r;
	if (slash) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - d->name), d->name);
		if ((mkdirat(dev, folder, FOLDER_MODE) < 0 && errno != EEXIST) ||
		    fchownat(dev, folder, o->uid, o->gid, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	if (mknodat(dev, d->name, S_IFCHR | 0600, number) < 0 ||
	    fchownat(dev, d->name, o->uid, o->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

/* Opens folder name in root, made if it is missing; links and other things are not it. */
static int own_folder(int root, const char *name, const struct jail_options *o)
{
	int fd;

	if (mkdirat(root, name, FOLDER_MODE) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(root, name, OPEN_FOLDER);
	if (fd < 0)
		return -errno;
	if (fchown(fd, o->uid, o->gid) < 0 || fchmod(fd, FOLDER_MODE) < 0) {
		int r = -errno;

		fd_close(fd);
		return r;
	}
	return fd;
}

/* Those asked for, or else the usual ones. */
static int make_nodes(int host, int dev, const struct jail_options *o)
{
	struct device d;
	int r = 0;

	for (unsigned i = 0; i < DEVICES_COUNT && r == 0 && !o->device_count; i++)
		if (devices[i].usual)
			r = make_node(host, dev, &devices[i], o);
	for (unsigned i = 0; i < o->device_count && r == 0; i++)
		r = find_device(o->device[i], &d) ? make_node(host, dev, &d, o) : -ENODEV;
	return r;
}

static int mount_dev(const struct jail_options *o, int host, int root)
{
	struct statfs fs = { 0 };
	char path[PATH_BYTES], options[64];
	int fd = own_folder(root, "dev", o), r = 0;

	if (fd < 0)
		return fd;
	snprintf(options, sizeof(options), "size=64k,mode=0700,uid=%u,gid=%u", o->uid, o->gid);
	if (mount("tmpfs", fd_path(fd, path), "tmpfs", MS_NOSUID | MS_NOEXEC, options) < 0)
		r = -errno;
	fd_close(fd);
	if (r < 0)
		return r;
	fd = openat(root, "dev", OPEN_FOLDER);
	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		r = -ESTALE;
	if (r == 0)
		r = make_nodes(host, fd, o);
	if (r == 0)
		r = restrict_mount(fd, MS_NOSUID | MS_NOEXEC | MS_RDONLY);
	fd_close(fd);
	return r;
}

/* The old root is mounted over the new one for a moment, and taken away. */
static int pivot(int root)
{
	if (fchdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int check_devices(const struct jail_options *o, struct error *err)
{
	struct device d;

	for (unsigned i = 0; i < o->device_count; i++)
		if (!find_device(o->device[i], &d))
			return error_set(err, -EINVAL, "device",
					 "kvm, net/tun, null, urandom, userfaultfd, vhost-vsock, "
					 "vfio/vfio or vfio/N",
					 "The argument 'device' cannot be '%.80s'", o->device[i]);
	return 0;
}

static int cannot(const char *what, int r, struct error *err)
{
	return error_set(err, r, NULL, NULL, "Cannot %s the jail: %s", what, strerror(-r));
}

/* By way of the host's mount, which can be written to when the jail's cannot. */
static int make_pid_file(struct jail_root *r)
{
	char name[JAIL_NAME_BYTES + 8];

	snprintf(name, sizeof(name), "%s.pid", r->name);
	if (unlinkat(r->root_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	r->pid_fd = openat(r->root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			   0644);
	return r->pid_fd < 0 ? -errno : 0;
}

/* What can be written to when the root cannot is a mount of its own. */
static int mount_run(const struct jail_options *o, int root)
{
	int fd = own_folder(root, "run", o), r = fd < 0 ? fd : 0;

	if (r == 0 && o->read_only_root)
		r = bind_over(fd, fd);
	fd_close(fd);
	if (r < 0 || !o->read_only_root)
		return r;
	fd = openat(root, "run", OPEN_FOLDER);
	r = fd < 0 ? -errno : restrict_mount(fd, CLOSED);
	fd_close(fd);
	return r;
}

static int close_root(const struct jail_options *o, int root)
{
	return o->read_only_root ? restrict_mount(root, CLOSED | MS_RDONLY) : 0;
}

static int fill_root(const struct jail_options *o, struct jail_root *r, int root, struct error *err)
{
	int result = make_pid_file(r);

	if (result < 0)
		return cannot("make the PID file of", result, err);
	if ((result = mount_run(o, root)) < 0)
		return cannot("make /run in", result, err);
	if ((result = o->system_program ? mount_system(r, root) : mount_exec(r, root)) < 0)
		return cannot("mount the VMM in", result, err);
	if ((result = mount_dev(o, r->host_fd, root)) < 0)
		return cannot("make /dev in", result, err);
	if ((result = close_root(o, root)) < 0)
		return cannot("make read-only the root of", result, err);
	if ((result = pivot(root)) < 0)
		return cannot("enter", result, err);
	return 0;
}

int root_enter(const struct jail_options *o, struct jail_root *r, struct error *err)
{
	int result = check_devices(o, err);

	if (result < 0)
		return result;
	result = put_tree(r->root_tree, AT_FDCWD, "/", CLOSED);
	if (result < 0)
		return cannot("mount the root of", result, err);
	if (fchown(r->root_fd, o->uid, o->gid) < 0 || fchmod(r->root_fd, FOLDER_MODE) < 0)
		return cannot("set the owner of", -errno, err);
	return fill_root(o, r, r->root_tree, err);
}

int root_write_pid(struct jail_root *r, pid_t pid, struct error *err)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)pid), result = 0;

	if (write(r->pid_fd, text, (size_t)len) != len)
		result = error_errno(err, NULL, NULL, "Cannot write /%s.pid", r->name);
	r->pid_fd = fd_close(r->pid_fd);
	return result;
}
