/* reach.c - waiting for a wispd that is just beginning.
 *
 * Its socket is there when it listens. One that was killed has left its own, which refuses.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

enum { LIMIT_US = 30000000, SILENT_US = 1000000, POLL_NS = 20000000 };

/* 0, or why not. */
static int knock(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, r = 0;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

bool cli_await_wispd(struct cli *cli)
{
	static const struct timespec pause = { .tv_nsec = POLL_NS };
	const uint64_t began_us = clock_now_us();
	bool said = cli->quiet;
	int r;

	for (;;) {
		uint64_t waited_us;

		r = knock(cli->socket);
		waited_us = clock_now_us() - began_us;
		cli->no_wait = cli->no_wait || waited_us > LIMIT_US;
		if ((r != -ENOENT && r != -ECONNREFUSED) || cli->no_wait)
			return r == 0;
		if (!said && waited_us > SILENT_US) {
			fprintf(stderr, "wispctl: waiting for wispd at %s\n", cli->socket);
			said = true;
		}
		nanosleep(&pause, NULL);
	}
}
