/* zstd.c - the zstd program as a filter. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/zstd.h"

static int spawn(enum zstd_direction direction, int in, int out, pid_t *ret)
{
	static const char *const compress[] = { "zstd", "-q", "-c", NULL };
	static const char *const decompress[] = { "zstd", "-q", "-d", "-c", NULL };
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawnp(
			ret, "zstd", &actions, NULL,
			(char *const *)(direction == ZSTD_COMPRESS ? compress : decompress),
			environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int zstd_start(struct zstd *z, enum zstd_direction direction, int file, struct error *err)
{
	bool compress = direction == ZSTD_COMPRESS;
	int ends[2], r;

	*z = (struct zstd){ .fd = -1 };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_errno(err, NULL, NULL, "There is no pipe to zstd");
	r = spawn(direction, compress ? ends[0] : file, compress ? file : ends[1], &z->pid);
	close(ends[compress ? 0 : 1]);
	if (r < 0) {
		close(ends[compress ? 1 : 0]);
		return error_set(err, r, NULL, "install zstd", "zstd cannot be started: %s",
				 strerror(-r));
	}
	z->fd = ends[compress ? 1 : 0];
	return 0;
}

/* Its exit status, as waitpid() tells it. */
static int end(struct zstd *z)
{
	int status = -1;
	pid_t pid;

	z->fd = fd_close(z->fd);
	do
		pid = waitpid(z->pid, &status, 0);
	while (pid < 0 && errno == EINTR);
	return status;
}

int zstd_finish(struct zstd *z, struct error *err)
{
	if (end(z) == 0)
		return 0;
	return error_set(err, -EIO, NULL, "see what it printed", "zstd failed");
}

void zstd_drop(struct zstd *z)
{
	if (z->fd >= 0)
		end(z);
}
