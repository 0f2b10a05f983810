/* archive.c - tar lists, and each line is judged.
 *
 *   -rw-r--r-- 0/0             12 2026-11-21 00:00 "etc/hostname"
 *   hrw-r--r-- 0/0              0 2026-11-21 00:00 "bin/b" link to "bin/a"
 *
 * The list has the size that a file will have, however well it is packed: a bomb is seen
 * before it is let off.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/images/archive.h"
#include "supervisor/life/confined.h"

enum { BLOCK_BYTES = 4096, INODE_BYTES = 256, LIST_TIMEOUT_MS = 600000 };

#define TAR "/usr/bin/tar"

/* Whether a path of a list, up to its closing quote, has a part that is "..". */
static bool leads_out(const char *name)
{
	bool begins = true;

	for (; *name && *name != '"'; name++) {
		if (begins && strncmp(name, "..", 2) == 0 &&
		    (name[2] == '/' || name[2] == '"' || name[2] == '\0'))
			return true;
		begins = *name == '/';
		if (*name == '\\' && name[1])
			name++;
	}
	return false;
}

/* Behind the closing quote. */
static const char *skip_name(const char *name)
{
	while (*name && *name != '"')
		name += *name == '\\' && name[1] ? 2 : 1;
	return *name ? name + 1 : name;
}

static int refuse(const char *what, const char *name, struct error *err)
{
	return error_set(err, -EINVAL, "source", "such an archive is not unpacked",
			 "%s in the archive: %.*s", what, (int)strcspn(name, "\""), name);
}

static int check_name(const char *line, const char *name, struct error *err)
{
	const char *target = strstr(skip_name(name), "link to \"");

	if (leads_out(name))
		return refuse("A path that leads out", name, err);
	if (!strchr("-dlh", line[0]))
		return refuse("A device or another special file", name, err);
	if (line[0] != 'h')
		return 0;
	target = target ? strchr(target, '"') + 1 : "/";
	return *target == '/' || leads_out(target) ? refuse("A hard link to outside", name, err)
						   : 0;
}

/* The third word; of a device two numbers with a comma, of which the first will do. */
static bool read_size(const char *line, uint64_t *ret)
{
	const char *at = line;
	char *end;

	for (unsigned word = 0; word < 2; word++) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
	}
	*ret = strtoull(at, &end, 10);
	return end > at;
}

int archive_check_line(const struct config *c, const char *line, struct archive_size *size,
		       struct error *err)
{
	const uint64_t most = c->image_max_mib << 20;
	const char *name = strchr(line, '"');
	uint64_t bytes = 0;
	int r;

	if (!name || !read_size(line, &bytes))
		return refuse("Something unknown", line, err);
	r = check_name(line, name + 1, err);
	if (r < 0)
		return r;
	size->entries++;
	if (bytes > most || size->entries > ARCHIVE_ENTRIES_MAX)
		size->bytes = most + 1;
	else
		size->bytes += (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES + INODE_BYTES;
	if (size->bytes > most)
		return error_set(err, -EFBIG, "source", "raise image_max_mib",
				 "The archive holds more than an image may have");
	return 0;
}

struct list {
	const struct config *config;
	struct archive_size *size;
};

static int on_line(void *ctx, char *line, struct error *err)
{
	struct list *list = ctx;

	return archive_check_line(list->config, line, list->size, err);
}

int archive_check(const struct config *c, int dir, const char *path, struct archive_size *size,
		  struct error *err)
{
	const char *const argv[] = {
		TAR, "--list", "--verbose", "--numeric-owner", "--quoting-style=c", "-f", path, NULL
	};
	struct list list = { c, size };
	const struct confined run = {
		.config = c,
		.argv = argv,
		.dir = dir,
		.timeout_ms = LIST_TIMEOUT_MS,
		.line = on_line,
		.ctx = &list,
	};

	return confined_run(&run, err);
}
