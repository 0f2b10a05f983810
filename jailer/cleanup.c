/* cleanup.c - removes what a jail leaves behind.
 *
 * A jail's mounts went with its namespace, so what is left is one folder and the control
 * groups. Whether a VMM is still in there is asked of the kernel: the process that the
 * PID file names has this very folder for its root, or it is somebody else by now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/cgroup.h"
#include "jailer/cleanup.h"
#include "jailer/folder.h"
#include "jailer/root.h"
#include "vmm/base/fd.h"

enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* The VMM could have written anything into the file. */
static long read_pid(int root, const char *name)
{
	char path[JAIL_NAME_BYTES + 8], text[16];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s.pid", name);
	fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	fd_close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return strtol(text, NULL, 10);
}

static bool still_runs(int id, const char *name)
{
	int root = openat(id, "root", OPEN_FOLDER);
	struct stat of_jail, of_process;
	char path[64];
	bool runs;

	if (root < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%ld/root", read_pid(root, name));
	runs = fstat(root, &of_jail) == 0 && stat(path, &of_process) == 0 &&
	       of_jail.st_dev == of_process.st_dev && of_jail.st_ino == of_process.st_ino;
	fd_close(root);
	return runs;
}

static int remove_folder(const struct jail_options *o, int parent, const char *name,
			 struct error *err)
{
	int id = openat(parent, o->id, OPEN_FOLDER), r;

	if (id < 0 && errno == ENOENT)
		return 0;
	if (id >= 0 && still_runs(id, name)) {
		fd_close(id);
		return error_set(err, -EBUSY, "cleanup", "end it first",
				 "The microVM %s still runs", o->id);
	}
	fd_close(id);
	r = folder_remove(parent, o->id);
	return r < 0 ? error_set(err, r, "cleanup", NULL, "Cannot remove the jail of %s: %s", o->id,
				 strerror(-r))
		     : 0;
}

int cleanup_jail(const struct jail_options *o, struct error *err)
{
	char name[JAIL_NAME_BYTES];
	int parent = root_open_parent(o, name, err), r = 0;

	if (parent < 0 && parent != -ENOENT)
		return parent;
	if (parent >= 0)
		r = remove_folder(o, parent, name, err);
	fd_close(parent);
	return r < 0 ? r : cgroups_remove(o, name, err);
}
