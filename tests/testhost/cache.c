/* cache.c - the folder in which the test host keeps what it fetched.
 *
 * Whatever has its final name is complete: content is made in a scratch folder
 * and renamed. Several test hosts may fill the cache at once; they waste work
 * then, but each finds a whole kernel.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/testhost/cache.h"
#include "vmm/base/error.h"

enum { WALK_DESCRIPTORS = 16, PATH_BYTES = 4096 };

/* The path before it exists. False when the environment names no place. */
static int wanted_folder(char *path, size_t len)
{
	const char *own = getenv("WISP_CACHE"), *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n = -1;

	if (own && *own)
		n = snprintf(path, len, "%s/testhost", own);
	else if (xdg && *xdg == '/')
		n = snprintf(path, len, "%s/wisp/testhost", xdg);
	else if (home && *home == '/')
		n = snprintf(path, len, "%s/.cache/wisp/testhost", home);
	return n > 0 && (size_t)n < len;
}

static int make_folders(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		int r = mkdir(path, 0755);
		*at = '/';
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int cache_folder(char *path, size_t len, struct error *e)
{
	char wanted[PATH_BYTES];

	if (!wanted_folder(wanted, sizeof(wanted)))
		return error_set(e, -EINVAL, "WISP_CACHE", "set WISP_CACHE to a folder",
				 "no place for a cache: HOME is not set");
	if (make_folders(wanted) < 0)
		return error_errno(e, "WISP_CACHE",
				   "set WISP_CACHE to a folder that can be written",
				   "cannot make %s", wanted);

	char *real = realpath(wanted, NULL);

	if (!real)
		return error_errno(e, "WISP_CACHE", NULL, "cannot use %s", wanted);

	int n = snprintf(path, len, "%s", real);

	free(real);
	return (size_t)n < len ? 0
			       : error_set(e, -ENAMETOOLONG, "WISP_CACHE", NULL,
					   "the cache's path is too long");
}

int cache_scratch(const char *folder, char *path, size_t len, struct error *e)
{
	int n = snprintf(path, len, "%s/.new-XXXXXX", folder);

	if ((size_t)n >= len)
		return error_set(e, -ENAMETOOLONG, "WISP_CACHE", NULL,
				 "the cache's path is too long");
	if (!mkdtemp(path) || chmod(path, 0755) < 0)
		return error_errno(e, "WISP_CACHE",
				   "set WISP_CACHE to a folder that can be written",
				   "cannot make a folder in %s", folder);
	return 0;
}

int cache_publish(const char *scratch, const char *folder, const char *name, struct error *e)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (rename(scratch, path) == 0)
		return 0;
	if (errno != EEXIST && errno != ENOTEMPTY)
		return error_errno(e, "WISP_CACHE", NULL, "cannot rename %s to %s", scratch, path);
	cache_remove(scratch);
	return 0;
}

int cache_point(const char *folder, const char *name, struct error *e)
{
	char link[PATH_BYTES], fresh[PATH_BYTES];

	snprintf(link, sizeof(link), "%s/current", folder);
	snprintf(fresh, sizeof(fresh), "%s/.current-%d", folder, (int)getpid());
	unlink(fresh);
	if (symlink(name, fresh) < 0 || rename(fresh, link) < 0) {
		int r = error_errno(e, "WISP_CACHE", NULL, "cannot make the link %s", link);

		unlink(fresh);
		return r;
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

void cache_remove(const char *path)
{
	nftw(path, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}
