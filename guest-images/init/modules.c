/* modules.c - finit_module(2) for each line of a list.
 *
 * The order of the list is the order of dependencies, worked out when the initrd was
 * made (guest-images/images/cloud.sh), so that nothing is searched or resolved in the
 * guest while it boots.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest-images/init/modules.h"
#include "guest-images/init/report.h"

enum { LIST_LEN = 16 * 1024 };

/* Reads the file as one string. Its length, or a negative errno. */
static ssize_t list_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	int error = errno;
	close(fd);
	if (n < 0)
		return -error;
	if (len == size - 1)
		return -E2BIG;
	text[len] = '\0';
	return (ssize_t)len;
}

static void module_load(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		report_errno("cannot open module %s", path);
		return;
	}
	/* EEXIST: it is in this kernel already. */
	if (syscall(SYS_finit_module, fd, parameters, 0) < 0 && errno != EEXIST)
		report_errno("cannot load module %s", path);
	close(fd);
}

void modules_load(const char *list)
{
	char text[LIST_LEN], *rest = text, *line;
	ssize_t len = list_read(list, text, sizeof(text));

	if (len < 0) {
		errno = (int)-len;
		if (errno != ENOENT)
			report_errno("cannot read %s", list);
		return;
	}
	while ((line = strsep(&rest, "\n"))) {
		char *path = strsep(&line, " ");

		if (*path && *path != '#')
			module_load(path, line ? line : "");
	}
}
