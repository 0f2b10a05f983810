/* unknown.c - a folder of root's, and names in it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/unknown.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { FOLDER_MODE = 0700, OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static int move_aside(int state, int folder, const char *name, const char *as)
{
	int to, r = 0;

	if (mkdirat(state, "unknown", FOLDER_MODE) < 0 && errno != EEXIST)
		return -errno;
	to = openat(state, "unknown", OPEN_FOLDER);
	if (to < 0 || renameat2(folder < 0 ? state : folder, name, to, as, RENAME_NOREPLACE) < 0)
		r = -errno;
	fd_close(to);
	return r;
}

bool unknown_keep(struct wispd *d, int folder, const char *name, const char *as)
{
	int state, r;

	if (!d->restored)
		return false;
	state = open(d->config.state_dir, OPEN_FOLDER & ~O_NOFOLLOW);
	r = state < 0 ? -errno : move_aside(state, folder, name, as);
	fd_close(state);
	if (r < 0)
		log_warn("%s, which the restored ledger does not know, stays: %s", as,
			 strerror(-r));
	else
		log_warn("%s, which the restored ledger does not know, is in %s/unknown", as,
			 d->config.state_dir);
	return true;
}
