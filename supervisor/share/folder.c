/* folder.c - paths that are names, and one that the kernel keeps below a folder. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/share/folder.h"
#include "vmm/base/fd.h"

bool folder_name_plain(const char *path)
{
	if (path[0] != '/')
		return false;
	for (const char *part = path; *part; part += 1 + strcspn(part + 1, "/")) {
		size_t len = strcspn(part + 1, "/");

		if (len == 0 || (len == 1 && part[1] == '.') ||
		    (len == 2 && part[1] == '.' && part[2] == '.'))
			return false;
	}
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return true;
}

int share_folder_open(const char *allowed, const char *below, struct error *err)
{
	const struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int root = open(allowed, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	if (root < 0)
		return error_errno(err, "shares", NULL, "Cannot open %s", allowed);
	fd = (int)syscall(SYS_openat2, root, below[0] ? below : ".", &how, sizeof(how));
	if (fd < 0 && (errno == ELOOP || errno == EXDEV))
		error_set(err, -errno, "shares", "name the folder itself",
			  "A link is on the way to %s/%s", allowed, below);
	else if (fd < 0)
		error_errno(err, "shares", NULL, "Cannot open %s/%s", allowed, below);
	fd_close(root);
	return fd < 0 ? err->code : fd;
}
