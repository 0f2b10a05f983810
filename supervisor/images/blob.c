/* blob.c - copying in, linking and copying out. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/hex.h"
#include "supervisor/images/blob.h"
#include "vmm/base/fd.h"

enum { CHUNK_BYTES = 1 << 18, BLOB_MODE = 0444, NAME_TEMPORARY_BYTES = 32 };

/* A part without a byte in it is left out: disks are mostly holes. */
static bool is_zero(const uint8_t *data, size_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* Everything from one file to another; hash may be NULL. */
static int copy_data(int from, int to, struct sha256_ctx *hash, uint64_t *bytes)
{
	uint8_t *chunk = malloc(CHUNK_BYTES);
	off_t at = 0;
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0) {
		ssize_t n = pread(from, chunk, CHUNK_BYTES, at);

		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		if (hash)
			sha256_update(hash, (size_t)n, chunk);
		if (!is_zero(chunk, (size_t)n))
			r = fd_pwrite_all(to, chunk, (size_t)n, at);
		at += n;
	}
	if (r == 0 && ftruncate(to, at) < 0)
		r = -errno;
	free(chunk);
	*bytes = (uint64_t)at;
	return r;
}

int blob_copy_file(int from, int to, bool *shared)
{
	uint64_t bytes;

	*shared = ioctl(to, FICLONE, from) == 0;
	return *shared ? 0 : copy_data(from, to, NULL, &bytes);
}

int blob_copy_data(int from, int to, char *digest)
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;
	uint64_t bytes;
	int r;

	sha256_init(&hash);
	r = copy_data(from, to, digest ? &hash : NULL, &bytes);
	if (r == 0 && digest) {
		sha256_digest(&hash, sizeof(sum), sum);
		hex_encode(sum, sizeof(sum), digest);
	}
	return r;
}

int blob_open_folder(const struct config *c, struct error *err)
{
	char path[PATH_MAX + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/blobs", c->state_dir);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "state_dir", NULL, "Cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, "state_dir", NULL, "Cannot open %s", path) : fd;
}

static int open_source(const char *path, struct error *err)
{
	/* A FIFO must not hang us before it is refused. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return error_errno(err, "path", "wispd must be able to read it", "Cannot open %s",
				   path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	fd_close(fd);
	return error_set(err, -EINVAL, "path", "give a file", "%s is not a regular file", path);
}

/* Into a file that nobody else knows; its name is left in temporary. */
static int open_temporary(int folder, char temporary[NAME_TEMPORARY_BYTES], struct error *err)
{
	static _Atomic unsigned count;
	int fd;

	snprintf(temporary, NAME_TEMPORARY_BYTES, "tmp-%u", count++);
	if (unlinkat(folder, temporary, 0) < 0 && errno != ENOENT)
		return error_errno(err, NULL, NULL, "Cannot remove a left-over");
	fd = openat(folder, temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? error_errno(err, NULL, NULL, "Cannot make a file") : fd;
}

static int import(int folder, int from, const char *temporary, int to, char digest[DIGEST_BYTES],
		  uint64_t *bytes)
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;
	int r;

	sha256_init(&hash);
	r = copy_data(from, to, &hash, bytes);
	if (r < 0)
		return r;
	sha256_digest(&hash, sizeof(sum), sum);
	hex_encode(sum, sizeof(sum), digest);
	if (fchmod(to, BLOB_MODE) < 0 || fsync(to) < 0 ||
	    renameat(folder, temporary, folder, digest) < 0 || fsync(folder) < 0)
		return -errno;
	return 0;
}

int blob_import(const struct config *c, const char *path, char digest[DIGEST_BYTES],
		uint64_t *bytes, struct error *err)
{
	char temporary[NAME_TEMPORARY_BYTES];
	int folder = blob_open_folder(c, err), from = -1, to = -1, r = folder;

	if (r >= 0)
		r = from = open_source(path, err);
	if (r >= 0)
		r = to = open_temporary(folder, temporary, err);
	if (r >= 0) {
		r = import(folder, from, temporary, to, digest, bytes);
		if (r < 0) {
			unlinkat(folder, temporary, 0);
			error_set(err, r, "path", NULL, "Cannot copy %s: %s", path, strerror(-r));
		}
	}
	fd_close(to);
	fd_close(from);
	fd_close(folder);
	return r < 0 ? r : 0;
}

static int open_blob(int folder, const char *digest, struct error *err)
{
	int fd = openat(folder, digest, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? error_errno(err, "image", "import the image again", "Cannot open blob %s",
				    digest)
		      : fd;
}

int blob_copy_to(int from, int folder, const char *name, uid_t owner, mode_t mode,
		 struct error *err)
{
	char temporary[NAME_TEMPORARY_BYTES];
	int to = open_temporary(folder, temporary, err), r = 0;
	bool shared;

	if (to < 0)
		return to;
	r = blob_copy_file(from, to, &shared);
	if (r == 0 && (fchmod(to, mode) < 0 || fchown(to, owner, owner) < 0 ||
		       renameat(folder, temporary, folder, name) < 0))
		r = -errno;
	if (r < 0) {
		unlinkat(folder, temporary, 0);
		error_set(err, r, "image", NULL, "Cannot write %s: %s", name, strerror(-r));
	}
	fd_close(to);
	return r;
}

int blob_copy(const struct config *c, const char *digest, int folder, const char *name, uid_t owner,
	      struct error *err)
{
	int blobs = blob_open_folder(c, err), from, r;

	if (blobs < 0)
		return blobs;
	from = open_blob(blobs, digest, err);
	r = from < 0 ? from : blob_copy_to(from, folder, name, owner, 0600, err);
	fd_close(from);
	fd_close(blobs);
	return r;
}

int blob_link(const struct config *c, const char *digest, int folder, const char *name,
	      struct error *err)
{
	int blobs = blob_open_folder(c, err), from = -1, r = blobs;

	if (r >= 0 && unlinkat(folder, name, 0) < 0 && errno != ENOENT)
		r = error_errno(err, NULL, NULL, "Cannot remove %s", name);
	if (r >= 0 && linkat(blobs, digest, folder, name, 0) < 0) {
		/* Another file system, or too many links: a copy, root's. */
		r = from = open_blob(blobs, digest, err);
		if (r >= 0)
			r = blob_copy_to(from, folder, name, 0, BLOB_MODE, err);
	}
	fd_close(from);
	fd_close(blobs);
	return r < 0 ? r : 0;
}
