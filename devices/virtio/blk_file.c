/* blk_file.c - the file behind a disk.
 *
 * Raw, always: its content is the guest's and is never looked at to find out what it
 * might be. Its size is taken once; a file that shrinks later gives I/O errors behind
 * its end.
 *
 * Two microVMs that write to one file destroy its file system. The file is locked
 * with an open-file-description lock, whole, advisory: shared by readers, exclusive
 * for a writer. A file system that has no locks is used without, with a warning.
 *
 * Past the page cache (O_DIRECT) the kernel takes whole blocks only, of a size that it
 * shows by refusing others. That size becomes the guest's; a guest that keeps to it has
 * buffers that are aligned well enough, and one that does not gets I/O errors.
 *
 * System calls: preadv2, pwritev2, fdatasync, fallocate, ioctl(BLKDISCARD); to open:
 * open, fstat, ioctl(BLKROGET), fcntl, clock_nanosleep, lseek, pread.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/virtio/blk_file.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { BLOCK_MAX = 4096, LOCK_WAIT_MS = 1000, LOCK_POLL_MS = 5 };

/* --- opening --- */

static int check_type(const char *path, mode_t mode, struct error *err)
{
	static const char hint[] = "give a raw disk image or a block device";

	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return error_set(err, S_ISDIR(mode) ? -EISDIR : -EINVAL, "path_on_host", hint,
			 "drive '%s' is a %s", path,
			 S_ISDIR(mode)	  ? "directory"
			 : S_ISFIFO(mode) ? "FIFO"
			 : S_ISCHR(mode)  ? "character device"
					  : "special file");
}

/* The kernel opens a read-only device for writing, and then fails each write. */
static int check_writable(int fd, const char *path, struct error *err)
{
	int read_only = 0;

	if (ioctl(fd, BLKROGET, &read_only) < 0 || !read_only)
		return 0;
	return error_set(err, -EROFS, "path_on_host",
			 "make the drive read-only, or the device writable (blockdev --setrw)",
			 "cannot open drive '%s': the device is read-only", path);
}

/* A process that was killed with an io_uring is gone some milliseconds before the kernel
 * has taken the ring apart, and the file that is registered with it keeps its lock until
 * then. So a lock that is held is waited for a little. 0, or -1 with errno. */
static int try_lock(int fd, short type)
{
	const struct timespec pause = { .tv_nsec = LOCK_POLL_MS * 1000000L };
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	int r = fcntl(fd, F_OFD_SETLK, &whole);

	for (unsigned ms = 0; r < 0 && errno == EAGAIN && ms < LOCK_WAIT_MS; ms += LOCK_POLL_MS) {
		nanosleep(&pause, NULL);
		r = fcntl(fd, F_OFD_SETLK, &whole);
	}
	return r;
}

static int lock_file(int fd, const char *path, bool read_only, struct error *err)
{
	if (try_lock(fd, read_only ? F_RDLCK : F_WRLCK) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EBUSY, "path_on_host",
				 "stop the other user, make the drive read-only in both, or use "
				 "a copy",
				 "drive '%s' is in use by another process%s", path,
				 read_only ? " that writes to it" : "");
	log_warn("drive '%s' cannot be locked (%s): nothing keeps a second microVM off it", path,
		 strerror(errno));
	return 0;
}

static int measure(struct blk_file *f, const char *path, struct error *err)
{
	off_t end = lseek(f->fd, 0, SEEK_END);

	if (end < 0)
		return error_errno(err, "path_on_host", NULL, "cannot find the size of drive '%s'",
				   path);
	f->sectors = (uint64_t)end / f->block * (f->block / BLK_SECTOR);
	if (end % f->block != 0)
		log_warn("drive '%s' has %lld bytes: the last %lld make no whole %s and are "
			 "ignored",
			 path, (long long)end, (long long)(end % f->block),
			 f->block == BLK_SECTOR ? "sector" : "block");
	return 0;
}

/* The least block that can be read. An empty file takes any. */
static int find_block(struct blk_file *f)
{
	_Alignas(BLOCK_MAX) char buf[BLOCK_MAX];
	ssize_t n = -1;

	for (f->block = BLK_SECTOR; f->block <= BLOCK_MAX; f->block *= 2) {
		n = pread(f->fd, buf, f->block, f->block);
		if (n >= 0 || errno != EINVAL)
			break;
	}
	return n < 0 ? -errno : 0;
}

static int go_direct(struct blk_file *f, const char *path, struct error *err)
{
	int r = fcntl(f->fd, F_SETFL, O_DIRECT) < 0 ? -errno : find_block(f);

	f->cannot_peek = true; /* the cache */
	if (r == 0)
		return 0;
	return error_set(err, r, "io_engine", "use Async, or a file system that has O_DIRECT",
			 "drive '%s' cannot be Direct: its page cache cannot be passed by: %s",
			 path, strerror(-r));
}

/* O_NONBLOCK, so that a FIFO does not hang us before it is refused; then off again,
 * or io_uring would answer EAGAIN where it ought to wait. */
static int open_blocking(const char *path, int access)
{
	int fd = fd_open(path, access | O_NONBLOCK | O_NOCTTY, 0);

	if (fd >= 0)
		fcntl(fd, F_SETFL, 0);
	return fd;
}

static int open_unlocked(const char *path, struct blk_file_mode mode, struct blk_file *f,
			 struct error *err)
{
	struct stat st;
	int r;

	f->block = BLK_SECTOR;
	f->fd = open_blocking(path, mode.read_only ? O_RDONLY : O_RDWR);
	if (f->fd < 0 && errno == EISDIR)
		return check_type(path, S_IFDIR, err);
	if (f->fd < 0)
		return error_errno(err, "path_on_host",
				   mode.read_only ? "check the path and its permissions"
						  : "check the path and its permissions, or make "
						    "the drive read-only",
				   "cannot open drive '%s'", path);
	if (fstat(f->fd, &st) < 0)
		return error_errno(err, "path_on_host", NULL, "cannot look at drive '%s'", path);
	f->is_device = S_ISBLK(st.st_mode);
	r = check_type(path, st.st_mode, err);
	if (r == 0 && f->is_device && !mode.read_only)
		r = check_writable(f->fd, path, err);
	if (r == 0 && mode.direct)
		r = go_direct(f, path, err);
	return r < 0 ? r : measure(f, path, err);
}

int blk_file_open(const char *path, struct blk_file_mode mode, struct blk_file *ret,
		  struct error *err)
{
	struct blk_file f = { .fd = -1 };
	int r = open_unlocked(path, mode, &f, err);

	if (r == 0)
		r = lock_file(f.fd, path, mode.read_only, err);
	if (r < 0) {
		blk_file_close(&f);
		return r;
	}
	*ret = f;
	return 0;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* The same file again is measured again: its second lock would fail on its first. What is
 * not locked is not unlocked either: two descriptors of one opening share a lock. */
int blk_file_replace(struct blk_file *f, const char *path, struct blk_file_mode mode,
		     struct error *err)
{
	struct blk_file fresh = { .fd = -1 };
	int r = open_unlocked(path, mode, &fresh, err);

	/* A driver that is told of another size is not told of other blocks. */
	if (r == 0 && fresh.block != f->block)
		r = error_set(err, -EINVAL, "path_on_host", "copy it to where the first one is",
			      "drive '%s' has blocks of %u bytes, the one before of %u", path,
			      fresh.block, f->block);

	if (r == 0 && same_file(f->fd, fresh.fd)) {
		f->sectors = fresh.sectors;
		fd_close(fresh.fd);
		return 0;
	}
	if (r == 0)
		r = lock_file(fresh.fd, path, mode.read_only, err);
	if (r < 0) {
		fd_close(fresh.fd);
		return r;
	}
	blk_file_close(f);
	*f = fresh;
	return 0;
}

/* The lock by name: an io_uring lets go of its files some time after it was closed, and
 * the same drive may be wanted again at once. */
void blk_file_close(struct blk_file *f)
{
	struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (f->fd >= 0 && fcntl(f->fd, F_OFD_SETLK, &whole) < 0)
		log_debug("a drive's lock was not there to release: %s", strerror(errno));
	f->fd = fd_close(f->fd);
}

/* --- operations --- */

static int discard_device(int fd, const struct blk_op *op)
{
	uint64_t range[2] = { op->off, op->len };

	return ioctl(fd, BLKDISCARD, range);
}

static ssize_t op_once(int fd, const struct blk_op *op, int rw_flags)
{
	off_t off = (off_t)op->off;
	int count = (int)op->data.count;
	ssize_t n = -1;

	switch (op->kind) {
	case BLK_OP_READ:
		n = preadv2(fd, op->data.vec, count, off, op->flags | rw_flags);
		break;
	case BLK_OP_WRITE:
		n = pwritev2(fd, op->data.vec, count, off, op->flags);
		break;
	case BLK_OP_FLUSH:
		n = fdatasync(fd);
		break;
	case BLK_OP_ALLOCATE:
		n = fallocate(fd, op->flags, off, (off_t)op->len);
		break;
	case BLK_OP_DISCARD:
		n = discard_device(fd, op);
		break;
	}
	return n < 0 ? -errno : n;
}

bool blk_op_advance(struct blk_op *op, ssize_t result)
{
	bool moves = op->kind == BLK_OP_READ || op->kind == BLK_OP_WRITE;

	if (result == -EINTR)
		return false;
	op->error = result < 0 ? (int)result : 0;
	if (result < 0 || !moves)
		return true;
	/* Nothing moved: the file ends here. */
	if (result == 0 && op->data.len > 0)
		op->error = -EIO;
	iov_skip(&op->data, (size_t)result);
	op->off += (uint64_t)result;
	op->done += (size_t)result;
	return result == 0 || op->data.len == 0;
}

void blk_file_run(const struct blk_file *f, struct blk_op *op)
{
	while (!blk_op_advance(op, op_once(f->fd, op, 0)))
		continue;
}

bool blk_file_try(struct blk_file *f, struct blk_op *op)
{
	ssize_t n;

	if (__atomic_load_n(&f->cannot_peek, __ATOMIC_RELAXED))
		return false;
	n = op_once(f->fd, op, RWF_NOWAIT);
	if (n == -EOPNOTSUPP)
		__atomic_store_n(&f->cannot_peek, true, __ATOMIC_RELAXED);
	return n > 0 && blk_op_advance(op, n);
}
