/* mounts.c - a table of mounts, in order. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "guest-images/init/mounts.h"
#include "guest-images/init/report.h"

struct mount_entry {
	const char *type;
	const char *target;
	const char *options;
	unsigned long flags;
	mode_t mode; /* of the directory, should it have to be made */
};

static const struct mount_entry first[] = {
	{ "proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0555 },
	{ "devtmpfs", "/dev", "mode=0755", MS_NOSUID, 0755 },
};

static const struct mount_entry rest[] = {
	{ "sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0555 },
	{ "devpts", "/dev/pts", "gid=5,mode=0620,ptmxmode=0666", MS_NOSUID | MS_NOEXEC, 0755 },
	{ "tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV, 01777 },
	{ "tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV, 0755 },
	{ "tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV, 01777 },
	{ "cgroup2", "/sys/fs/cgroup", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755 },
};

/* For a kernel without devtmpfs. */
static const struct {
	const char *path;
	unsigned major_number, minor_number;
	mode_t mode;
} nodes[] = {
	{ "/dev/null", 1, 3, 0666 },	{ "/dev/zero", 1, 5, 0666 },	{ "/dev/full", 1, 7, 0666 },
	{ "/dev/random", 1, 8, 0666 },	{ "/dev/urandom", 1, 9, 0666 }, { "/dev/tty", 5, 0, 0666 },
	{ "/dev/console", 5, 1, 0600 }, { "/dev/mem", 1, 1, 0600 },
};

/* 0 when the file system is there afterwards, however it got there. */
static int entry_mount(const struct mount_entry *e)
{
	int r = mount(e->type, e->target, e->type, e->flags, e->options);

	/* In most images the directory exists: mkdir only when it does not. */
	if (r < 0 && errno == ENOENT && mkdir(e->target, e->mode) == 0)
		r = mount(e->type, e->target, e->type, e->flags, e->options);
	return r < 0 && errno != EBUSY ? -errno : 0;
}

static void entry_report(const struct mount_entry *e, int error)
{
	/* ENODEV: this kernel was built without it. */
	if (error == 0 || error == -ENODEV)
		return;
	errno = -error;
	report_errno("cannot mount %s on %s", e->type, e->target);
}

static void dev_populate(void)
{
	static const struct mount_entry dev = { "tmpfs", "/dev", "mode=0755", MS_NOSUID, 0755 };
	int r = entry_mount(&dev);

	if (r < 0) {
		entry_report(&dev, r);
		return;
	}
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		dev_t number = makedev(nodes[i].major_number, nodes[i].minor_number);

		if (mknod(nodes[i].path, S_IFCHR | nodes[i].mode, number) < 0 && errno != EEXIST)
			report_errno("cannot make %s", nodes[i].path);
	}
}

void mounts_first(void)
{
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		int r = entry_mount(&first[i]);

		if (r == -ENODEV && i == sizeof(first) / sizeof(first[0]) - 1)
			dev_populate();
		else
			entry_report(&first[i], r);
	}
}

void mounts_rest(void)
{
	for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
		entry_report(&rest[i], entry_mount(&rest[i]));
}

/* An image of a few files may have no folder for it; where none can be made, it is read-only. */
static int mount_move(const char *from, const char *to, mode_t mode)
{
	int r = mount(from, to, NULL, MS_MOVE, NULL);

	if (r < 0 && errno == ENOENT && mkdir(to, mode) == 0)
		r = mount(from, to, NULL, MS_MOVE, NULL);
	return r;
}

void mounts_move(const char *root)
{
	char target[PATH_MAX];

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		snprintf(target, sizeof(target), "%s%s", root, first[i].target);
		if (mount_move(first[i].target, target, first[i].mode) == 0)
			continue;
		if (errno != EROFS)
			report_errno("cannot move %s to %s", first[i].target, target);
		umount2(first[i].target, MNT_DETACH);
	}
}
