/* mount_ns.c - a mount namespace with next to nothing in it, for jails to be copied from.
 *
 * A child makes it, and this process mounts it, which keeps it when the child is gone. The
 * kernel mounts only what it takes for younger than where it is mounted, by numbers that
 * each processor draws from a stock of its own (Linux 6.18): so all of them are tried, and
 * the one on which this process's own namespace was made is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jailer/mount_ns.h"
#include "vmm/base/fd.h"

/* The one path that is sure to be there serves to mount the new root on. */
static bool keep_only_proc(void)
{
	int proc;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	proc = (int)syscall(SYS_open_tree, AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return proc >= 0 && mount("tmpfs", "/proc", "tmpfs", 0, "size=4k,mode=0755") == 0 &&
	       chdir("/proc") == 0 && mkdir("proc", 0555) == 0 &&
	       syscall(SYS_move_mount, proc, "", AT_FDCWD, "proc", MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
	       syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 &&
	       mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0;
}

/* Says so by a byte, or what the error was, and stays until it is told to go. */
static void hold(size_t processor, int say, int go)
{
	cpu_set_t one;
	char byte;
	int why;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	why = sched_setaffinity(0, sizeof(one), &one) == 0 && keep_only_proc() ? 0 : errno;
	if (write(say, &why, sizeof(why)) == sizeof(why))
		(void)!read(go, &byte, 1);
	_exit(EXIT_SUCCESS);
}

static int mount_held(pid_t holder, int hear, const char *path)
{
	char from[32];
	int why;

	if (read(hear, &why, sizeof(why)) != sizeof(why))
		return -ECHILD;
	if (why)
		return -why;
	snprintf(from, sizeof(from), "/proc/%d/ns/mnt", (int)holder);
	return mount(from, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int hold_and_mount(size_t processor, const char *path)
{
	int say[2] = { -1, -1 }, go[2] = { -1, -1 }, r = -1;
	pid_t holder = -1;

	if (pipe2(say, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0)
		holder = fork();
	if (holder == 0) {
		fd_close(go[1]);
		hold(processor, say[1], go[0]);
	}
	r = holder < 0 ? -errno : 0;
	say[1] = fd_close(say[1]);
	if (r == 0)
		r = mount_held(holder, say[0], path);
	fd_close(say[0]);
	fd_close(go[0]);
	fd_close(go[1]);
	if (holder > 0)
		waitpid(holder, NULL, 0);
	return r;
}

static int try_processors(const char *path)
{
	cpu_set_t all;
	int r = -EINVAL;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return -errno;
	for (size_t i = 0; i < CPU_SETSIZE && r == -EINVAL; i++)
		if (CPU_ISSET(i, &all))
			r = hold_and_mount(i, path);
	return r;
}

int mount_ns_prepare(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400), r;

	if (fd < 0)
		return error_errno(err, "prepare", "give a name that is free", "Cannot make %s",
				   path);
	fd_close(fd);
	r = try_processors(path);
	if (r == 0)
		return 0;
	unlink(path);
	return error_set(err, r, "prepare", "is the mount that it is in private?",
			 "Cannot make a mount namespace at %s: %s", path, strerror(-r));
}
