/* tree.c - a walk on one side, and its repetition on the other.
 *
 * ENTRY frames come parents first. Their paths are relative to the tree's top, which is
 * the entry with an empty path. Behind a file's ENTRY come DATA frames, the last of which
 * is empty; behind the last entry END.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest-images/agent/fields.h"
#include "guest-images/agent/tree.h"

enum { MAX_DEPTH = 128, CHUNK = 64 * 1024, ENTRY_LEN = 2 * PATH_MAX + 256 };

__attribute__((format(printf, 3, 4))) static int failed(struct tree_result *ret, int code,
							const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(ret->fault, sizeof(ret->fault), fmt, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof(ret->fault))
		snprintf(ret->fault + n, sizeof(ret->fault) - (size_t)n, ": %s", strerror(-code));
	return code;
}

/* --- sending --- */

struct sender {
	struct channel *channel;
	struct tree_result *result;
	char path[PATH_MAX]; /* of the entry, below the top */
};

static const char *type_name(mode_t mode)
{
	return S_ISDIR(mode) ? "directory" : S_ISLNK(mode) ? "link" : "file";
}

static int entry_send(struct sender *s, const struct stat *st, const char *target)
{
	char bytes[ENTRY_LEN];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };

	fields_add(&f, "path", "%s", s->path);
	fields_add(&f, "type", "%s", type_name(st->st_mode));
	fields_add(&f, "mode", "%u", st->st_mode & 07777);
	fields_add(&f, "uid", "%u", st->st_uid);
	fields_add(&f, "gid", "%u", st->st_gid);
	fields_add(&f, "mtime_s", "%lld", (long long)st->st_mtim.tv_sec);
	if (target)
		fields_add(&f, "target", "%s", target);
	s->result->entries++;
	return channel_send(s->channel, FRAME_ENTRY, f.bytes, f.len);
}

static int file_send(struct sender *s, int fd)
{
	char chunk[CHUNK];
	ssize_t n;
	int r;

	do {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0)
			return failed(s->result, -errno, "cannot read %s", s->path);
		r = channel_send(s->channel, FRAME_DATA, chunk, (size_t)n);
		s->result->bytes += (uint64_t)n;
	} while (n > 0 && r == 0);
	return r;
}

static int link_send(struct sender *s, int parent, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

	if (n < 0)
		return failed(s->result, -errno, "cannot read the link %s", s->path);
	target[n] = '\0';
	return entry_send(s, st, target);
}

static int directory_send(struct sender *s, int fd, unsigned depth);

/* Takes over fd. */
static int open_send(struct sender *s, int fd, const struct stat *st, unsigned depth)
{
	int r = entry_send(s, st, NULL);

	if (r == 0 && S_ISDIR(st->st_mode))
		return directory_send(s, fd, depth);
	if (r == 0)
		r = file_send(s, fd);
	close(fd);
	return r;
}

static int child_send(struct sender *s, int parent, const char *name, unsigned depth)
{
	struct stat st = { 0 };
	int fd;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : failed(s->result, -errno, "cannot look at %s", s->path);
	if (S_ISLNK(st.st_mode))
		return link_send(s, parent, name, &st);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int e = -errno;

		if (fd >= 0)
			close(fd);
		return failed(s->result, e, "cannot open %s", s->path);
	}
	return open_send(s, fd, &st, depth);
}

/* Takes over fd. */
static int directory_send(struct sender *s, int fd, unsigned depth)
{
	size_t len = strlen(s->path);
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		close(fd);
		return failed(s->result, -ENOMEM, "cannot list %s", s->path);
	}
	while (r == 0 && (e = readdir(dir))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (depth == MAX_DEPTH || len + strlen(e->d_name) + 2 > sizeof(s->path)) {
			r = failed(s->result, -ENAMETOOLONG, "%s is too deep", s->path);
			break;
		}
		sprintf(s->path + len, "%s%s", len ? "/" : "", e->d_name);
		r = child_send(s, dirfd(dir), e->d_name, depth + 1);
		s->path[len] = '\0';
	}
	closedir(dir);
	return r;
}

int tree_send(struct channel *c, const char *path, struct tree_result *ret)
{
	struct sender s = { .channel = c, .result = ret };
	struct stat st = { 0 };
	int fd, r;

	*ret = (struct tree_result){ 0 };
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		r = failed(ret, -errno, "cannot open %s", path);
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		r = failed(ret, -EINVAL, "%s is neither a file nor a directory", path);
	else
		r = 0;
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = open_send(&s, fd, &st, 0);
	return r == 0 ? channel_send(c, FRAME_END, NULL, 0) : r;
}

/* --- receiving --- */

struct receiver {
	struct channel *channel;
	struct tree_result *result;
	bool owners;
	int parent; /* directory that the top is in */
	const char *top;
	int file; /* that DATA frames are for; -1: none */
	struct timespec mtime;
};

/* One component, which leads nowhere but down. */
static bool name_valid(const char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

/* Opens the directory that the entry is in, and finds its last component, which is what
 * *name ends up with. A descriptor to be closed, or a negative errno. */
static int entry_parent(const struct receiver *rx, const char *path, const char **name)
{
	int at = fcntl(rx->parent, F_DUPFD_CLOEXEC, 0);
	char component[NAME_MAX + 1];

	*name = rx->top;
	while (at >= 0 && *path) {
		size_t len = strcspn(path, "/");
		int next;

		if (!name_valid(path, len)) {
			close(at);
			return -EINVAL;
		}
		snprintf(component, sizeof(component), "%s", *name);
		component[strcspn(component, "/")] = '\0';
		next = openat(at, component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(at);
		at = next;
		*name = path;
		path += len;
		if (*path == '/' && !*++path) {
			close(at);
			return -EINVAL;
		}
	}
	return at < 0 ? -errno : at;
}

struct entry {
	const char *path, *type, *target;
	uint64_t mode, uid, gid, mtime_s;
};

static bool entry_read(const struct frame *f, struct entry *e)
{
	*e = (struct entry){ 0 };
	if (!fields_valid(f->payload, f->len))
		return false;
	e->path = fields_get(f->payload, f->len, "path");
	e->type = fields_get(f->payload, f->len, "type");
	e->target = fields_get(f->payload, f->len, "target");
	fields_number(f->payload, f->len, "mtime_s", 0, INT32_MAX, &e->mtime_s);
	return e->path && e->type &&
	       fields_number(f->payload, f->len, "mode", 0, 07777, &e->mode) &&
	       fields_number(f->payload, f->len, "uid", 0, UINT32_MAX - 1, &e->uid) &&
	       fields_number(f->payload, f->len, "gid", 0, UINT32_MAX - 1, &e->gid);
}

static int attributes_set(const struct receiver *rx, const struct entry *e, int fd, mode_t extra)
{
	mode_t mode = (mode_t)e->mode & (rx->owners ? 07777 : 0777);

	if (rx->owners && fchown(fd, (uid_t)e->uid, (gid_t)e->gid) < 0)
		return -errno;
	return fchmod(fd, mode | (rx->owners ? 0 : extra)) < 0 ? -errno : 0;
}

static int directory_make(const struct receiver *rx, const struct entry *e, int at,
			  const char *name)
{
	int fd, r;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = attributes_set(rx, e, fd, 0700); /* files are to be made in it */
	close(fd);
	return r;
}

static int link_make(const struct receiver *rx, const struct entry *e, int at, const char *name)
{
	if (!e->target || !*e->target)
		return -EINVAL;
	if (unlinkat(at, name, 0) < 0 && errno != ENOENT)
		return -errno;
	if (symlinkat(e->target, at, name) < 0)
		return -errno;
	if (rx->owners && fchownat(at, name, (uid_t)e->uid, (gid_t)e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int file_make(struct receiver *rx, const struct entry *e, int at, const char *name)
{
	int fd = openat(at, name,
			O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EEXIST;
	if (r == 0)
		r = attributes_set(rx, e, fd, 0);
	if (r < 0) {
		close(fd);
		return r;
	}
	rx->file = fd;
	rx->mtime = (struct timespec){ .tv_sec = (time_t)e->mtime_s };
	return 0;
}

static int entry_make(struct receiver *rx, const struct entry *e)
{
	const char *name;
	int at = entry_parent(rx, e->path, &name), r = -EINVAL;

	if (at < 0)
		return failed(rx->result, at, "cannot get to %s", e->path);
	if (strcmp(e->type, "directory") == 0)
		r = directory_make(rx, e, at, name);
	else if (strcmp(e->type, "link") == 0)
		r = link_make(rx, e, at, name);
	else if (strcmp(e->type, "file") == 0)
		r = file_make(rx, e, at, name);
	if (r < 0)
		failed(rx->result, r, "cannot make %s", *e->path ? e->path : rx->top);
	close(at);
	return r;
}

static int entry_receive(struct receiver *rx, const struct frame *f)
{
	struct entry e;

	if (rx->file >= 0 || !entry_read(f, &e))
		return failed(rx->result, -EPROTO, "what comes is no file tree");
	rx->result->entries++;
	return entry_make(rx, &e);
}

static int data_receive(struct receiver *rx, const struct frame *f)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, rx->mtime };
	size_t done = 0;
	int r;

	if (rx->file < 0)
		return failed(rx->result, -EPROTO, "what comes is no file tree");
	while (done < f->len) {
		ssize_t n = write(rx->file, f->payload + done, f->len - done);

		if (n < 0 && errno != EINTR)
			return failed(rx->result, -errno, "cannot write %s", rx->top);
		done += n > 0 ? (size_t)n : 0;
	}
	rx->result->bytes += f->len;
	if (f->len > 0)
		return 0;
	futimens(rx->file, times); /* a file system may have no times */
	r = close(rx->file);
	rx->file = -1;
	return r < 0 ? failed(rx->result, -errno, "cannot write %s", rx->top) : 0;
}

static int fault_receive(struct receiver *rx, const struct frame *f)
{
	const char *text = NULL;

	if (fields_valid(f->payload, f->len))
		text = fields_get(f->payload, f->len, "text");
	snprintf(rx->result->fault, sizeof(rx->result->fault), "%s", text ? text : "");
	return -EREMOTE;
}

static int frame_receive(struct receiver *rx, const struct frame *f)
{
	if (f->type == FRAME_ENTRY)
		return entry_receive(rx, f);
	if (f->type == FRAME_DATA)
		return data_receive(rx, f);
	if (f->type == FRAME_FAULT)
		return fault_receive(rx, f);
	return failed(rx->result, -EPROTO, "what comes is no file tree");
}

static int tree_take(struct receiver *rx)
{
	struct frame f;
	int r;

	for (;;) {
		r = channel_receive(rx->channel, &f);
		if (r < 0)
			return failed(rx->result, r, "the other side is gone");
		if (f.type == FRAME_END && rx->file < 0)
			return 0;
		r = frame_receive(rx, &f);
		if (r < 0)
			return r;
	}
}

/* Splits where the tree goes into a directory and a name in it, both in buffers of
 * PATH_MAX. */
static int destination_split(const char *path, const char *name, char *parent, char *top)
{
	struct stat st;
	char *slash;

	if (strlen(path) + 2 > PATH_MAX || !*path)
		return -EINVAL;
	strcpy(parent, path);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		strcpy(top, name);
		return 0;
	}
	slash = strrchr(parent, '/');
	strcpy(top, slash ? slash + 1 : parent);
	if (slash)
		slash[slash == parent] = '\0'; /* "/" stays */
	else
		strcpy(parent, ".");
	return 0;
}

int tree_receive(struct channel *c, const char *path, const char *name, bool owners,
		 struct tree_result *ret)
{
	struct receiver rx = { .channel = c, .result = ret, .owners = owners, .file = -1 };
	char parent[PATH_MAX], top[PATH_MAX];
	int r;

	*ret = (struct tree_result){ 0 };
	if (strlen(name) >= sizeof(top) || destination_split(path, name, parent, top) < 0 ||
	    !name_valid(top, strlen(top)) || strchr(top, '/'))
		return failed(ret, -EINVAL, "%s is no place for \"%s\"", path, name);
	rx.top = top;
	rx.parent = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rx.parent < 0)
		return failed(ret, -errno, "cannot open the directory %s", parent);
	r = tree_take(&rx);
	if (rx.file >= 0)
		close(rx.file);
	close(rx.parent);
	return r;
}
