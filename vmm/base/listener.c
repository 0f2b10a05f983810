/* listener.c - a Unix stream socket that listens at a path. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/listener.h"

static int stream_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int set_address(struct listener *l, const char *path, size_t reserve,
		       const struct listener_name *name, struct error *err)
{
	size_t max = sizeof(l->address.sun_path) - 1 - reserve, len = strlen(path);

	if (len == 0 || len > max)
		return error_set(err, -ENAMETOOLONG, name->field, "choose a shorter path",
				 "The path of the %s has %zu bytes and can have 1 to %zu: %s",
				 name->what, len, max, path);
	l->address.sun_family = AF_UNIX;
	memcpy(l->address.sun_path, path, len + 1);
	return 0;
}

/* The path is taken: by whom decides what its owner can do about it. */
static int explain_taken(const struct listener *l, const struct listener_name *name,
			 struct error *err)
{
	int fd = stream_socket();
	bool live = fd >= 0 &&
		    (connect(fd, (const struct sockaddr *)&l->address, sizeof(l->address)) == 0 ||
		     errno == EAGAIN);

	fd_close(fd);
	if (live)
		return error_set(err, -EADDRINUSE, name->field, "choose another path",
				 "The %s %s is in use by another process", name->what,
				 l->address.sun_path);
	return error_set(err, -EADDRINUSE, name->field, "remove it, or choose another path",
			 "The %s cannot be created: %s exists and nobody listens on it", name->what,
			 l->address.sun_path);
}

static int explain_bind(const struct listener *l, int errnum, const struct listener_name *name,
			struct error *err)
{
	static const struct {
		int errnum;
		const char *hint;
	} hints[] = {
		{ ENOENT, "create its directory, or choose another path" },
		{ ENOTDIR, "a part of the path is not a directory" },
		{ EACCES, "write permission on its directory is needed" },
		{ EPERM, "write permission on its directory is needed" },
		{ EROFS, "choose a path on a writable file system" },
	};
	const char *hint = "choose another path";

	if (errnum == EADDRINUSE)
		return explain_taken(l, name, err);
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		if (hints[i].errnum == errnum)
			hint = hints[i].hint;
	}
	return error_set(err, -errnum, name->field, hint, "The %s %s cannot be created: %s",
			 name->what, l->address.sun_path, strerror(errnum));
}

int listener_open(struct listener *l, const char *path, size_t reserve, int backlog,
		  const struct listener_name *name, struct error *err)
{
	struct stat st;
	int r;

	*l = (struct listener){ .fd = -1 };
	r = set_address(l, path, reserve, name, err);
	if (r < 0)
		return r;
	l->fd = stream_socket();
	if (l->fd < 0)
		return error_errno(err, name->field, NULL, "A Unix socket cannot be created");
	if (bind(l->fd, (const struct sockaddr *)&l->address, sizeof(l->address)) < 0)
		return explain_bind(l, errno, name, err);
	if (lstat(path, &st) < 0)
		return error_errno(err, name->field, NULL, "The %s %s vanished", name->what, path);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->bound = true;
	if (listen(l->fd, backlog) < 0)
		return error_errno(err, name->field, NULL, "Listening on %s failed", path);
	return 0;
}

int listener_adopt(struct listener *l, int fd, const struct listener_name *name, struct error *err)
{
	int flags = fcntl(fd, F_GETFL);

	*l = (struct listener){ .fd = fd };
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_errno(err, name->field, NULL, "The %s cannot be used", name->what);
	return 0;
}

void listener_close(struct listener *l)
{
	struct stat st;

	if (l->bound && lstat(l->address.sun_path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->address.sun_path);
	l->bound = false;
	l->fd = fd_close(l->fd);
}
