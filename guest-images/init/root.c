/* root.c - mount, move over, start the next init.
 *
 * The initrd's files are memory: they are deleted once nothing needs them. That is a
 * recursive deletion of "/", so it is done only while / is known to be a file system
 * in memory, and never crosses into another one (the new root is mounted below it).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/grow.h"
#include "guest-images/init/cmdline.h"
#include "guest-images/init/mounts.h"
#include "guest-images/init/report.h"
#include "guest-images/init/root.h"

#define NEW_ROOT "/sysroot"

enum {
	WAIT_STEP_MS = 1,
	WAIT_LIMIT_MS = 10 * 1000,
};

bool root_is_initrd(void)
{
	struct statfs fs;

	return statfs("/", &fs) == 0 && (fs.f_type == RAMFS_MAGIC || fs.f_type == TMPFS_MAGIC);
}

/* A driver may still be finding its device. False when time is over. */
static bool device_wait(const char *path, bool forever)
{
	const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };

	for (int waited_ms = 0; access(path, F_OK) < 0; waited_ms += WAIT_STEP_MS) {
		if (waited_ms >= WAIT_LIMIT_MS) {
			if (!forever)
				return false;
			report("still waiting for %s", path);
			waited_ms = 0;
		}
		nanosleep(&step, NULL);
	}
	return true;
}

static int root_mount(const struct cmdline *cmdline)
{
	const char *type = cmdline->rootfstype ? cmdline->rootfstype : "ext4";

	if (cmdline->root[0] != '/') {
		report("root=%s: only a path such as /dev/vda is understood", cmdline->root);
		return -EINVAL;
	}
	if (!device_wait(cmdline->root, cmdline->rootwait)) {
		report("root=%s: no such device after %d seconds", cmdline->root,
		       WAIT_LIMIT_MS / 1000);
		return -ENODEV;
	}
	if (mkdir(NEW_ROOT, 0755) < 0 && errno != EEXIST) {
		report_errno("cannot make " NEW_ROOT);
		return -errno;
	}
	if (mount(cmdline->root, NEW_ROOT, type, cmdline->root_writable ? 0 : MS_RDONLY,
		  cmdline->rootflags) < 0) {
		report_errno("cannot mount root=%s as %s", cmdline->root, type);
		return -errno;
	}
	return 0;
}

/* Deletes what is in the directory, staying on its file system. Takes over fd. What
 * cannot be deleted stays: it costs memory, no more. */
static void tree_delete(int fd, dev_t device)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != device)
			continue;
		if (S_ISDIR(st.st_mode)) {
			int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			if (child >= 0)
				tree_delete(child, device);
		}
		unlinkat(fd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	closedir(dir);
}

/* Makes NEW_ROOT the root directory. */
static int root_enter(void)
{
	struct stat st;
	int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || fstat(old, &st) < 0 || chdir(NEW_ROOT) < 0)
		goto fail;
	mounts_move(NEW_ROOT);
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		goto fail;
	tree_delete(old, st.st_dev);
	return 0;

fail:
	report_errno("cannot switch to the root file system");
	if (old >= 0)
		close(old);
	return -EIO;
}

void root_exec_init(const char *wanted, char **argv)
{
	static const char *const usual[] = { "/sbin/init", "/etc/init", "/bin/init", "/bin/sh" };

	if (wanted) {
		argv[0] = (char *)wanted;
		execv(wanted, argv);
		report_errno("cannot run init=%s", wanted);
		return;
	}
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		argv[0] = (char *)usual[i];
		execv(usual[i], argv);
		if (errno != ENOENT)
			report_errno("cannot run %s", usual[i]);
	}
	report("no init program on the root file system: give init=PATH");
}

/* A root that stays as small is a root. */
static void root_grow(const struct cmdline *cmdline)
{
	int r = grow_root(cmdline->root);

	if (r < 0)
		report("the root file system cannot grow: %s", strerror(-r));
}

int root_switch(const struct cmdline *cmdline)
{
	int r = root_mount(cmdline);

	if (r == 0)
		r = root_enter();
	if (r == 0 && cmdline->grow && cmdline->root_writable)
		root_grow(cmdline);
	return r;
}
