/* survey.c - the roots of jails, sorted, and each process's root looked up among them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/instance.h"
#include "supervisor/metering/survey.h"
#include "vmm/base/fd.h"

enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

struct root {
	dev_t dev;
	ino_t ino;
	char id[INSTANCE_ID_BYTES];
};

struct roots {
	struct root *list;
	size_t count, room;
};

static int compare(const void *left, const void *right)
{
	const struct root *a = left, *b = right;

	if (a->ino != b->ino)
		return a->ino < b->ino ? -1 : 1;
	return (a->dev > b->dev) - (a->dev < b->dev);
}

static int add(struct roots *r, int jails, const char *id)
{
	char path[INSTANCE_ID_BYTES + 8];
	struct stat st;

	if (strlen(id) >= INSTANCE_ID_BYTES)
		return 0;
	snprintf(path, sizeof(path), "%s/root", id);
	if (fstatat(jails, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (r->count == r->room) {
		size_t room = r->room ? 2 * r->room : 64;
		struct root *list = reallocarray(r->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		r->list = list;
		r->room = room;
	}
	r->list[r->count] = (struct root){ .dev = st.st_dev, .ino = st.st_ino };
	snprintf(r->list[r->count++].id, INSTANCE_ID_BYTES, "%s", id);
	return 0;
}

static int find_roots(struct roots *r, int jails)
{
	int fd = openat(jails, ".", OPEN_FOLDER), result = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		result = -errno;
		fd_close(fd);
		return result;
	}
	while (result == 0 && (entry = readdir(dir)) != NULL)
		result = entry->d_name[0] == '.' ? 0 : add(r, jails, entry->d_name);
	closedir(dir);
	if (result == 0 && r->count)
		qsort(r->list, r->count, sizeof(*r->list), compare);
	return result;
}

static int look_at_processes(const struct roots *r, survey_fn fn, void *ctx)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		struct root key, *found;
		char path[64];
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
		if (pid <= 0 || stat(path, &st) < 0)
			continue;
		key = (struct root){ .dev = st.st_dev, .ino = st.st_ino };
		found = bsearch(&key, r->list, r->count, sizeof(*r->list), compare);
		if (found)
			fn(ctx, found->id, pid);
	}
	closedir(proc);
	return 0;
}

int survey_jails(int jails, survey_fn fn, void *ctx)
{
	struct roots roots = { 0 };
	int r = find_roots(&roots, jails);

	if (r == 0 && roots.count)
		r = look_at_processes(&roots, fn, ctx);
	free(roots.list);
	return r;
}
