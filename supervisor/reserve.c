/* reserve.c - a file whose blocks are worth more than its content. */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "supervisor/reserve.h"
#include "vmm/base/fd.h"

static const char *path_in(const char *state_dir, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/reserve", state_dir);
	return path;
}

/* Room for it and as much again: what giving it up has brought is not room. */
static bool has_room(const char *state_dir)
{
	struct statvfs fs;

	return statvfs(state_dir, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize >= UINT64_C(2) * RESERVE_BYTES;
}

bool reserve_make(const char *state_dir)
{
	char path[PATH_MAX];
	bool made;
	int fd;

	if (access(path_in(state_dir, path), F_OK) < 0 && !has_room(state_dir))
		return false;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	made = fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
	fd_close(fd);
	/* Half of it would only take the room that there is. */
	if (fd >= 0 && !made)
		unlink(path);
	return made;
}

bool reserve_give_up(const char *state_dir)
{
	char path[PATH_MAX];

	return unlink(path_in(state_dir, path)) == 0;
}
