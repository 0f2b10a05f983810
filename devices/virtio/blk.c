/* blk.c - a raw file or block device as the guest's disk (virtio 1.2, section 5.2).
 *
 * One queue. A request is a header in the readable bytes, data, and a status byte
 * at the very end of the writable ones; how these are cut into descriptors is the
 * driver's business (2.7.4), so all three are found by offset, never by
 * descriptor. The header is copied out once. Data moves between the file and guest
 * memory by preadv and pwritev on the very spans of the request, no copy between.
 *
 * The file is raw, always: its content is the guest's and is never looked at to
 * find out what it might be. Its size is taken once, at creation; a file that
 * shrinks later gives I/O errors behind its end.
 *
 * What a guest can do:
 * - Reach sectors 0 to capacity - 1 and nothing else. A read-only drive is opened
 *   read-only and refuses writes whatever was negotiated (5.2.6.2).
 * - Ask for much at once. A request carries at most SEG_MAX segments of SIZE_MAX
 *   bytes, which a driver that heeds the two features cannot exceed; more is an
 *   error. A turn ends after BURST requests or BURST_BYTES, and at once after
 *   anything that waited for the disk.
 * - Send a request without room for header or status. There is nowhere to put an
 *   answer, so the device fails. Every other mistake is answered in the status.
 *
 * Durability (5.2.6.2). With writeback, FLUSH is offered and is fdatasync(2); a
 * driver that does not accept it must find every completed write on disk, so its
 * writes carry RWF_DSYNC. Without writeback nothing is promised: "Unsafe".
 *
 * Two microVMs that write to one file destroy its file system. The file is locked
 * with an open-file-description lock, whole, advisory: shared by readers, exclusive
 * for a writer. A file system that has no locks is used without, with a warning.
 *
 * System calls: preadv, pwritev2, fdatasync.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/virtio/blk.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	BLK_SECTOR = 512,
	BLK_QUEUE_SIZE = 256,
	BLK_SEG_MAX = BLK_QUEUE_SIZE - 2, /* header and status take one each */
	BLK_SIZE_MAX = 128 * 1024,
	BLK_BURST = 64,
	BLK_BURST_BYTES = 4 * 1024 * 1024,
};

#define BLK_MAX_BYTES ((size_t)BLK_SEG_MAX * BLK_SIZE_MAX)

struct virtio_blk {
	struct virtio_dev dev;
	int fd;
	bool read_only, writeback;
	bool sync_writes; /* the driver relies on it; fixed at activation */
	uint64_t sectors;
	struct virtio_blk_config config; /* what the guest reads */
	char serial[VIRTIO_BLK_ID_BYTES];
};

/* A request taken apart. in keeps the data only; its status byte is apart. */
struct blk_req {
	struct virtio_blk_outhdr header; /* our copy */
	struct iov out, in;
	uint8_t *status;
};

/* What was done for one. */
struct blk_result {
	uint8_t status; /* VIRTIO_BLK_S_* */
	size_t done;	/* bytes of data moved */
	bool waited;	/* for the disk: the turn is over */
};

static struct virtio_blk *to_blk(const struct virtio_dev *d)
{
	return container_of(d, struct virtio_blk, dev);
}

/* --- one request --- */

/* False when the request has no room for header or status. */
static bool blk_parse(struct virtq_req *req, struct blk_req *ret)
{
	if (iov_read(&req->out, 0, &ret->header, sizeof(ret->header)) < 0 || req->in.len == 0)
		return false;

	const struct iovec *last = &req->in.vec[req->in.count - 1];

	ret->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	ret->out = req->out;
	ret->in = req->in;
	iov_skip(&ret->out, sizeof(ret->header));
	iov_truncate(&ret->in, ret->in.len - 1);
	return true;
}

/* Moves all of data from or to the file at off. The bytes moved: fewer when the
 * file ends or fails first. */
static size_t blk_move(struct virtio_blk *blk, struct iov data, off_t off, bool write)
{
	int flags = blk->sync_writes ? RWF_DSYNC : 0;
	size_t done = 0;

	while (data.len > 0) {
		int count = (int)data.count;
		ssize_t n = write ? pwritev2(blk->fd, data.vec, count, off, flags)
				  : preadv(blk->fd, data.vec, count, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		iov_skip(&data, (size_t)n);
		off += n;
		done += (size_t)n;
	}
	return done;
}

static bool blk_in_range(const struct virtio_blk *blk, uint64_t sector, size_t len)
{
	if (len % BLK_SECTOR != 0 || len > BLK_MAX_BYTES)
		return false;
	return sector <= blk->sectors && len / BLK_SECTOR <= blk->sectors - sector;
}

static struct blk_result blk_read_write(struct virtio_blk *blk, const struct blk_req *r, bool write)
{
	const struct iov *data = write ? &r->out : &r->in;
	struct blk_result res = { .status = VIRTIO_BLK_S_IOERR };

	if ((write && blk->read_only) || !blk_in_range(blk, r->header.sector, data->len))
		return res;
	res.done = blk_move(blk, *data, (off_t)(r->header.sector * BLK_SECTOR), write);
	res.waited = write && blk->sync_writes;
	if (res.done == data->len)
		res.status = VIRTIO_BLK_S_OK;
	if (write)
		blk->dev.counters.write_bytes += res.done;
	else
		blk->dev.counters.read_bytes += res.done;
	return res;
}

static struct blk_result blk_flush(struct virtio_blk *blk)
{
	if (!blk->writeback)
		return (struct blk_result){ .status = VIRTIO_BLK_S_UNSUPP };

	bool ok = fdatasync(blk->fd) == 0;

	return (struct blk_result){
		.status = ok ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR,
		.waited = true,
	};
}

static struct blk_result blk_get_id(const struct virtio_blk *blk, const struct blk_req *r)
{
	if (iov_write(&r->in, 0, blk->serial, sizeof(blk->serial)) < 0)
		return (struct blk_result){ .status = VIRTIO_BLK_S_IOERR };
	return (struct blk_result){ .status = VIRTIO_BLK_S_OK, .done = sizeof(blk->serial) };
}

static struct blk_result blk_serve(struct virtio_blk *blk, const struct blk_req *r)
{
	switch (r->header.type) {
	case VIRTIO_BLK_T_IN:
		return blk_read_write(blk, r, false);
	case VIRTIO_BLK_T_OUT:
		return blk_read_write(blk, r, true);
	case VIRTIO_BLK_T_FLUSH:
		return blk_flush(blk);
	case VIRTIO_BLK_T_GET_ID:
		return blk_get_id(blk, r);
	default:
		return (struct blk_result){ .status = VIRTIO_BLK_S_UNSUPP };
	}
}

/* Bytes known to be written from the start of the writable part: the status byte
 * counts only when all before it does (2.7.8.2). */
static uint32_t blk_written(const struct blk_req *r, const struct blk_result *res)
{
	size_t data = r->header.type == VIRTIO_BLK_T_OUT ? 0 : res->done;

	return (uint32_t)(data == r->in.len ? data + 1 : data);
}

/* --- the device --- */

static bool blk_kick(struct virtio_dev *d, unsigned index)
{
	struct virtio_blk *blk = to_blk(d);
	struct virtq *q = d->vq[index];
	size_t moved = 0;
	bool left = false;

	for (int served = 1; !left; served++) {
		struct virtq_req req;
		struct blk_req r;

		if (virtq_pop(q, &req) <= 0)
			break;
		if (!blk_parse(&req, &r)) {
			virtio_dev_fail(d, "block request without room for header and status");
			break;
		}

		struct blk_result res = blk_serve(blk, &r);

		*r.status = res.status;
		d->counters.errors += res.status != VIRTIO_BLK_S_OK;
		virtq_push(q, &req, blk_written(&r, &res));
		moved += res.done;
		left = served == BLK_BURST || moved >= BLK_BURST_BYTES || res.waited;
	}
	virtq_publish(q);
	return left;
}

static uint64_t blk_features(const struct virtio_dev *d)
{
	const struct virtio_blk *blk = to_blk(d);
	uint64_t f = 1u << VIRTIO_BLK_F_SIZE_MAX | 1u << VIRTIO_BLK_F_SEG_MAX |
		     1u << VIRTIO_BLK_F_BLK_SIZE;

	if (blk->read_only)
		f |= 1u << VIRTIO_BLK_F_RO;
	if (blk->writeback)
		f |= 1u << VIRTIO_BLK_F_FLUSH;
	return f;
}

static void blk_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	memcpy(dst, (const char *)&to_blk(d)->config + off, len);
}

static int blk_activate(struct virtio_dev *d)
{
	struct virtio_blk *blk = to_blk(d);

	blk->sync_writes = blk->writeback && !virtio_dev_has(d, VIRTIO_BLK_F_FLUSH);
	return 0;
}

static void blk_destroy(struct virtio_dev *d)
{
	if (!d)
		return;
	fd_close(to_blk(d)->fd); /* and with it the lock */
	free(to_blk(d));
}

static const uint16_t blk_queue_sizes[] = { BLK_QUEUE_SIZE };

static const struct virtio_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.nqueues = 1,
	.queue_sizes = blk_queue_sizes,
	.config_len = sizeof(struct virtio_blk_config),
	.features = blk_features,
	.config_read = blk_config_read,
	.activate = blk_activate,
	.kick = blk_kick,
	.destroy = blk_destroy,
};

/* --- the file behind it --- */

static int blk_check_type(const char *path, mode_t mode, struct error *err)
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

static int blk_lock(int fd, const struct virtio_blk_drive *c, struct error *err)
{
	struct flock whole = {
		.l_type = c->read_only ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return error_set(err, -EBUSY, "path_on_host",
				 "stop the other user, make the drive read-only in both, or use "
				 "a copy",
				 "drive '%s' is in use by another process%s", c->path,
				 c->read_only ? " that writes to it" : "");
	log_warn("drive '%s' cannot be locked (%s): nothing keeps a second microVM off it", c->path,
		 strerror(errno));
	return 0;
}

static int blk_measure(struct virtio_blk *blk, const char *path, struct error *err)
{
	off_t end = lseek(blk->fd, 0, SEEK_END);

	if (end < 0)
		return error_errno(err, "path_on_host", NULL, "cannot find the size of drive '%s'",
				   path);
	blk->sectors = (uint64_t)end / BLK_SECTOR;
	if (end % BLK_SECTOR != 0)
		log_warn("drive '%s' has %lld bytes: the last %lld make no whole sector and are "
			 "ignored",
			 path, (long long)end, (long long)(end % BLK_SECTOR));
	return 0;
}

static int blk_open(struct virtio_blk *blk, const struct virtio_blk_drive *c, struct error *err)
{
	struct stat st;
	int access = c->read_only ? O_RDONLY : O_RDWR;

	/* O_NONBLOCK: a FIFO must not hang us before it is refused. */
	blk->fd = open(c->path, access | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (blk->fd < 0 && errno == EISDIR)
		return blk_check_type(c->path, S_IFDIR, err);
	if (blk->fd < 0)
		return error_errno(err, "path_on_host",
				   c->read_only ? "check the path and its permissions"
						: "check the path and its permissions, or make "
						  "the drive read-only",
				   "cannot open drive '%s'", c->path);
	if (fstat(blk->fd, &st) < 0)
		return error_errno(err, "path_on_host", NULL, "cannot look at drive '%s'", c->path);

	int r = blk_check_type(c->path, st.st_mode, err);

	if (r == 0)
		r = blk_lock(blk->fd, c, err);
	if (r == 0)
		r = blk_measure(blk, c->path, err);
	return r;
}

int virtio_blk_create(const struct virtio_blk_drive *c, struct virtio_dev **ret, struct error *err)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));

	if (!blk)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	blk->dev.ops = &blk_ops;
	blk->fd = -1;
	blk->read_only = c->read_only;
	blk->writeback = c->writeback;
	memcpy(blk->serial, c->serial, strnlen(c->serial, sizeof(blk->serial)));

	int r = blk_open(blk, c, err);

	if (r < 0)
		goto fail;
	blk->config = (struct virtio_blk_config){
		.capacity = blk->sectors,
		.size_max = BLK_SIZE_MAX,
		.seg_max = BLK_SEG_MAX,
		.blk_size = BLK_SECTOR,
	};
	*ret = &blk->dev;
	return 0;

fail:
	blk_destroy(&blk->dev);
	return r;
}
