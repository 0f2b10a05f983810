/* files.c - taking a snapshot's files from a VMM, and giving them to others. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/folder.h"
#include "supervisor/images/blob.h"
#include "supervisor/life/runtime.h"
#include "supervisor/snapshot/files.h"
#include "supervisor/volume/disk.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum {
	OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
	OPEN_FILE = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	FOLDER_MODE = 0700,
	FILE_MODE = 0444, /* in a folder that is closed to others */
	STATE_BYTES_MAX = 16 << 20,
	LABEL_BYTES = 4096, /* behind the memory */
	BLOCK_BYTES = 512,  /* of st_blocks */
	AWAIT_MS = 600000,
	AWAIT_POLL_MS = 20,
};

#define ROOTFS	   "rootfs"
#define STATE_NEW  SNAPSHOT_STATE ".new"
#define MEMORY_NEW SNAPSHOT_MEMORY ".new"

static int open_snapshots(const struct config *c, struct error *err)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/snapshots", c->state_dir);
	if (mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST)
		return error_errno(err, "state_dir", NULL, "Cannot make %s", path);
	fd = open(path, OPEN_FOLDER);
	return fd < 0 ? error_errno(err, "state_dir", NULL, "Cannot open %s", path) : fd;
}

static int open_snapshot(const struct config *c, const char *id, struct error *err)
{
	int snapshots = open_snapshots(c, err), fd;

	if (snapshots < 0)
		return snapshots;
	fd = openat(snapshots, id, OPEN_FOLDER);
	if (fd < 0)
		fd = error_errno(err, "snapshot", NULL, "Cannot open the folder of %s", id);
	fd_close(snapshots);
	return fd;
}

/* Where the VMM writes. */
static int open_run(const struct launch *l, struct error *err)
{
	int root = l->runtime->open_folder(l, err), fd;

	if (root < 0)
		return root;
	fd = openat(root, "run", OPEN_FOLDER);
	if (fd < 0)
		fd = error_errno(err, NULL, NULL, "%s has no folder for its files", l->id);
	fd_close(root);
	return fd;
}

/* --- making --- */

static int make_folder(const struct config *c, const char *id, struct error *err)
{
	int snapshots = open_snapshots(c, err), r;

	if (snapshots < 0)
		return snapshots;
	r = folder_remove(snapshots, id);
	if (r == 0 && mkdirat(snapshots, id, FOLDER_MODE) < 0)
		r = -errno;
	fd_close(snapshots);
	return r < 0 ? error_set(err, r, "snapshot", NULL, "Cannot make the folder of %s: %s", id,
				 strerror(-r))
		     : 0;
}

/* What it writes has these names until it is whole. */
static bool is_written(int run)
{
	struct stat st;

	return fstatat(run, STATE_NEW, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       fstatat(run, MEMORY_NEW, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int snapshot_files_await(const struct launch *l, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + AWAIT_MS * UINT64_C(1000);
	struct pollfd process = { .fd = l->pidfd, .events = POLLIN };
	int run = open_run(l, err), r = 0;

	if (run < 0)
		return run;
	while (r == 0 && is_written(run)) {
		if (poll(&process, 1, AWAIT_POLL_MS) > 0)
			r = error_set(err, -ECHILD, NULL, NULL, "The VMM ended");
		else if (clock_now_us() > deadline_us)
			r = error_set(err, -ETIMEDOUT, NULL, NULL,
				      "The VMM of %s is still writing an earlier snapshot", l->id);
	}
	fd_close(run);
	return r;
}

/* What the VMM writes is its own: one that begins to do what an earlier wispd wanted, when that
 * was waited for already, has files that snapshot_files_await() is to see the next time. */
int snapshot_files_begin(const struct launch *l, struct error *err)
{
	static const char *const names[] = { SNAPSHOT_STATE, SNAPSHOT_MEMORY };
	int r = make_folder(l->config, l->save.snapshot, err), run;

	if (r < 0)
		return r;
	run = open_run(l, err);
	if (run < 0)
		return run;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
		r = folder_remove(run, names[i]);
	fd_close(run);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot clear the folder of %s", l->id) : 0;
}

/* A file that the VMM's user made, with no other name, at most this large. It is opened by
 * a path that the VMM cannot reach any more, or only read. */
static int check_file(const struct launch *l, int fd, int64_t most_bytes, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == l->uid && st.st_nlink == 1 &&
	    st.st_size <= most_bytes)
		return 0;
	return error_set(err, -EPERM, NULL, "delete it: its VMM cannot be trusted",
			 "What %s has for a file is not what its VMM should have made", l->id);
}

static int keep_file(const struct launch *l, int fd, int64_t most_bytes, struct error *err)
{
	int r = check_file(l, fd, most_bytes, err);

	if (r == 0 && (fchown(fd, 0, 0) < 0 || fchmod(fd, FILE_MODE) < 0 || fsync(fd) < 0))
		r = error_errno(err, "snapshot", NULL, "Cannot keep a file of %s", l->id);
	return r;
}

/* Out of the VMM's folder first, then it is looked at. */
static int take_file(const struct launch *l, int run, int folder, const char *name,
		     int64_t most_bytes, struct error *err)
{
	int fd, r;

	if (renameat(run, name, folder, name) < 0)
		return error_errno(err, "snapshot", "put jail_dir and state_dir on one file system",
				   "Cannot take the %s of %s", name, l->id);
	fd = openat(folder, name, OPEN_FILE);
	if (fd < 0)
		return error_errno(err, "snapshot", NULL, "Cannot open the %s of %s", name, l->id);
	r = keep_file(l, fd, most_bytes, err);
	fd_close(fd);
	return r;
}

static bool has_disk(const struct launch *l)
{
	return l->rootfs[0] && !l->rootfs_read_only;
}

/* Its name is the snapshot's from the beginning: who finds half of it finds a snapshot that
 * is being made. */
static int copy_disk(const struct launch *l, int folder, struct error *err)
{
	int root = l->runtime->open_folder(l, err), from, r;

	if (root < 0)
		return root;
	from = openat(root, ROOTFS, OPEN_FILE);
	fd_close(root);
	if (from < 0)
		return error_errno(err, NULL, NULL, "Cannot open the disk of %s", l->id);
	r = check_file(l, from, l->save.disk_most_mib << 20, err);
	if (r == 0)
		r = blob_copy_to(from, folder, ROOTFS, 0, FILE_MODE, err);
	fd_close(from);
	return r;
}

static bool is_volume_to_copy(const struct launch_drive *d)
{
	return d->volume[0] && !d->read_only;
}

int snapshot_files_copy_disks(const struct launch *l, struct error *err)
{
	int folder = open_snapshot(l->config, l->save.snapshot, err), r;

	if (folder < 0)
		return folder;
	r = has_disk(l) ? copy_disk(l, folder, err) : 0;
	for (unsigned i = 0; i < l->ndrives && r == 0; i++) {
		const struct launch_drive *d = &l->drives[i];

		if (is_volume_to_copy(d))
			r = disk_copy_out(l->config, d->volume, d->size_mib, folder, d->file,
					  FILE_MODE, err);
	}
	fd_close(folder);
	return r;
}

static int64_t space_bytes(int folder, const char *name)
{
	struct stat st;

	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0
		       ? 0
		       : (int64_t)st.st_blocks * BLOCK_BYTES;
}

static int64_t space_mib(const struct launch *l, int folder)
{
	int64_t bytes = space_bytes(folder, SNAPSHOT_STATE) + space_bytes(folder, SNAPSHOT_MEMORY) +
			space_bytes(folder, ROOTFS);

	for (unsigned i = 0; i < l->ndrives; i++)
		if (is_volume_to_copy(&l->drives[i]))
			bytes += space_bytes(folder, l->drives[i].file);
	return (bytes >> 20) + 1;
}

int snapshot_files_take(const struct launch *l, int64_t *size_mib, struct error *err)
{
	int run = open_run(l, err), folder, r;

	if (run < 0)
		return run;
	folder = open_snapshot(l->config, l->save.snapshot, err);
	r = folder < 0 ? folder : take_file(l, run, folder, SNAPSHOT_STATE, STATE_BYTES_MAX, err);
	if (r == 0)
		r = take_file(l, run, folder, SNAPSHOT_MEMORY,
			      (l->mem_room_mib << 20) + LABEL_BYTES, err);
	if (r == 0 && fsync(folder) < 0)
		r = error_errno(err, "snapshot", NULL, "Cannot write %s", l->save.snapshot);
	if (r == 0)
		*size_mib = space_mib(l, folder);
	fd_close(folder);
	fd_close(run);
	return r;
}

/* --- giving --- */

int snapshot_files_give_disk(const struct launch *l, int folder, struct error *err)
{
	int snapshot = open_snapshot(l->config, l->load.snapshot, err), from, r;

	if (snapshot < 0)
		return snapshot;
	from = openat(snapshot, ROOTFS, OPEN_FILE);
	fd_close(snapshot);
	if (from < 0)
		return error_errno(err, "snapshot", NULL, "Cannot open the disk of %s",
				   l->load.snapshot);
	r = blob_copy_to(from, folder, ROOTFS, l->uid, 0600, err);
	fd_close(from);
	return r;
}

int snapshot_files_give_volume(const struct launch *l, const struct launch_drive *d, bool *shared,
			       struct error *err)
{
	int snapshot = open_snapshot(l->config, l->load.snapshot, err), from, r;

	if (snapshot < 0)
		return snapshot;
	from = openat(snapshot, d->file, OPEN_FILE);
	fd_close(snapshot);
	if (from < 0)
		return error_errno(err, "snapshot", NULL, "Cannot open %s of %s", d->file,
				   l->load.snapshot);
	r = disk_fill(l->config, d->volume, from, shared, err);
	fd_close(from);
	return r;
}

static int lend_file(int snapshot, const char *name, int folder, const char *as, struct error *err)
{
	if (linkat(snapshot, name, folder, as, 0) == 0)
		return 0;
	return error_errno(err, "snapshot", "put jail_dir and state_dir on one file system",
			   "Cannot give a VMM the snapshot's %s", name);
}

int snapshot_files_lend(const struct launch *l, struct error *err)
{
	int r = snapshot_files_take_back(l, err), snapshot, folder;

	if (r < 0)
		return r;
	snapshot = open_snapshot(l->config, l->load.snapshot, err);
	if (snapshot < 0)
		return snapshot;
	folder = l->runtime->open_folder(l, err);
	r = folder < 0 ? folder
		       : lend_file(snapshot, SNAPSHOT_STATE, folder, SNAPSHOT_LOAD_STATE, err);
	if (r == 0)
		r = lend_file(snapshot, SNAPSHOT_MEMORY, folder, SNAPSHOT_LOAD_MEMORY, err);
	fd_close(folder);
	fd_close(snapshot);
	return r;
}

bool snapshot_files_are_lent(const struct launch *l)
{
	struct error err;
	int folder = l->runtime->open_folder(l, &err);
	bool lent = folder >= 0 &&
		    faccessat(folder, SNAPSHOT_LOAD_STATE, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

	fd_close(folder);
	return lent;
}

int snapshot_files_take_back(const struct launch *l, struct error *err)
{
	int folder = l->runtime->open_folder(l, err), r;

	if (folder < 0)
		return folder == -ENOENT ? 0 : folder;
	r = folder_remove(folder, SNAPSHOT_LOAD_STATE);
	if (r == 0)
		r = folder_remove(folder, SNAPSHOT_LOAD_MEMORY);
	fd_close(folder);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot clear the folder of %s", l->id) : 0;
}

/* --- removing --- */

int snapshot_files_remove(const struct config *c, const char *id, struct error *err)
{
	int snapshots = open_snapshots(c, err), r;

	if (snapshots < 0)
		return snapshots;
	r = folder_remove(snapshots, id);
	if (r == 0 && fsync(snapshots) < 0)
		r = -errno;
	fd_close(snapshots);
	return r < 0 ? error_set(err, r, "snapshot", NULL, "Cannot remove the files of %s: %s", id,
				 strerror(-r))
		     : 0;
}

int snapshot_files_sweep(const struct config *c, bool (*is_nobodys)(void *ctx, const char *id),
			 void *ctx, struct error *err)
{
	int folder = open_snapshots(c, err), removed = 0;
	DIR *dir = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;

	if (!dir)
		return folder < 0 ? folder : (fd_close(folder), -ENOMEM);
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && is_nobodys(ctx, entry->d_name) &&
		    folder_remove(dirfd(dir), entry->d_name) == 0)
			removed++;
	closedir(dir);
	return removed;
}
