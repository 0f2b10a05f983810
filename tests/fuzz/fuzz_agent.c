/* fuzz_agent.c - all that a guest's agent can send to a host which copies from it.
 *
 * The input is the stream of bytes. Whatever it is, the host's folder outside of the
 * destination stays as it was: a canary lies where ".." or a link could lead.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-images/agent/tree.h"

enum { MAX_BYTES = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* The destination's parent, with the canary in it. */
static char folder_path[] = "/tmp/fuzz-agent-XXXXXX";

static void remove_folder(void)
{
	nftw(folder_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Made once. */
static const char *folder(void)
{
	static bool made;

	if (!made && (!mkdtemp(folder_path) || atexit(remove_folder) != 0))
		abort();
	made = true;
	return folder_path;
}

static void check_canary(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != 0 ||
	    (st.st_mode & 07777) != 0444)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char canary[PATH_MAX], to[PATH_MAX];
	struct tree_result result;
	struct channel *c;
	int pair[2], fd;

	if (size > MAX_BYTES)
		return 0;
	snprintf(canary, sizeof(canary), "%s/canary", folder());
	snprintf(to, sizeof(to), "%s/to", folder());
	fd = open(canary, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);
	if (fd < 0 || close(fd) < 0 || mkdir(to, 0700) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		abort();
	if (send(pair[0], data, size, 0) != (ssize_t)size || shutdown(pair[0], SHUT_WR) < 0 ||
	    channel_create(pair[1], &c) < 0)
		abort();
	tree_receive(c, to, "tree", false, &result);
	check_canary(canary);
	channel_destroy(c);
	close(pair[0]);
	close(pair[1]);
	nftw(to, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
