/* blk_request.c - one request to a disk: taken apart, judged, answered (5.2.6).
 *
 * A request is a header in the readable bytes, data, and a status byte at the very
 * end of the writable ones; how these are cut into descriptors is the driver's
 * business (2.7.4), so all three are found by offset, never by descriptor. The
 * header is copied out once, and so is the range of a discard.
 *
 * What a request can ask for is bounded here: sectors 0 to capacity - 1 and nothing
 * else; SEG_MAX segments of SIZE_MAX bytes, which a driver that heeds the two
 * features cannot exceed; one range of ERASE_SECTORS to discard or zero; no write to
 * a read-only disk, whatever was negotiated (5.2.6.2). Every mistake but a missing
 * header or status is answered in the status.
 *
 * Discards and zeroes: fallocate(2) makes holes and zeroes in files and in block
 * devices; what it cannot do there is answered UNSUPP, and drivers then go on
 * without. A discard of a block device promises nothing about its content, so that
 * is BLKDISCARD, which more devices have.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <sys/uio.h>

#include "devices/virtio/blk_request.h"

#define BLK_MAX_BYTES ((size_t)BLK_SEG_MAX * BLK_SIZE_MAX)

bool blk_request_parse(struct blk_request *r)
{
	if (iov_read(&r->req.out, 0, &r->header, sizeof(r->header)) < 0 || r->req.in.len == 0)
		return false;

	const struct iovec *last = &r->req.in.vec[r->req.in.count - 1];

	r->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	r->out = r->req.out;
	r->in = r->req.in;
	iov_skip(&r->out, sizeof(r->header));
	iov_truncate(&r->in, r->in.len - 1);
	r->in_len = r->in.len;
	r->op = (struct blk_op){ .kind = BLK_OP_READ };
	r->waits = false;
	return true;
}

size_t blk_request_bytes(const struct blk_request *r)
{
	switch (r->header.type) {
	case VIRTIO_BLK_T_IN:
		return r->in.len;
	case VIRTIO_BLK_T_OUT:
		return r->out.len;
	default:
		return 0;
	}
}

static bool in_range(const struct blk_rules *rules, uint64_t sector, uint64_t count)
{
	return sector <= rules->sectors && count <= rules->sectors - sector;
}

static int plan_read_write(struct blk_request *r, const struct blk_rules *rules, bool write)
{
	const struct iov *data = write ? &r->out : &r->in;

	if ((write && rules->read_only) || data->len % BLK_SECTOR != 0 ||
	    data->len > BLK_MAX_BYTES || !in_range(rules, r->header.sector, data->len / BLK_SECTOR))
		return VIRTIO_BLK_S_IOERR;
	if (data->len == 0)
		return VIRTIO_BLK_S_OK;
	r->op = (struct blk_op){
		.kind = write ? BLK_OP_WRITE : BLK_OP_READ,
		.flags = write && rules->sync_writes ? RWF_DSYNC : 0,
		.data = *data,
		.off = r->header.sector * BLK_SECTOR,
	};
	r->waits = r->op.flags != 0;
	return BLK_RUN;
}

static int plan_flush(struct blk_request *r, const struct blk_rules *rules)
{
	if (!rules->flush)
		return VIRTIO_BLK_S_UNSUPP;
	r->op.kind = BLK_OP_FLUSH;
	r->waits = true;
	return BLK_RUN;
}

static int plan_get_id(struct blk_request *r, const struct blk_rules *rules)
{
	if (iov_write(&r->in, 0, rules->serial, sizeof(rules->serial)) < 0)
		return VIRTIO_BLK_S_IOERR;
	r->op.done = sizeof(rules->serial);
	return VIRTIO_BLK_S_OK;
}

/* 5.2.6.1: how the file takes a range, by the request's type and its one flag. */
static void plan_range(struct blk_request *r, const struct blk_rules *rules, bool unmap)
{
	bool zeroes = r->header.type == VIRTIO_BLK_T_WRITE_ZEROES;

	r->op.kind = !zeroes && rules->is_device ? BLK_OP_DISCARD : BLK_OP_ALLOCATE;
	r->op.flags = FALLOC_FL_KEEP_SIZE |
		      (zeroes && !unmap ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
	r->waits = true;
}

static int plan_erase(struct blk_request *r, const struct blk_rules *rules)
{
	bool zeroes = r->header.type == VIRTIO_BLK_T_WRITE_ZEROES;
	struct virtio_blk_discard_write_zeroes range;
	bool unmap;

	if (!(zeroes ? rules->write_zeroes : rules->discard))
		return VIRTIO_BLK_S_UNSUPP;
	if (r->out.len != sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	iov_read(&r->out, 0, &range, sizeof(range));
	unmap = range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	if ((range.flags & ~(uint32_t)VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0 ||
	    (unmap && !zeroes))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors == 0 || range.num_sectors > BLK_ERASE_SECTORS ||
	    !in_range(rules, range.sector, range.num_sectors))
		return VIRTIO_BLK_S_IOERR;
	plan_range(r, rules, unmap);
	r->op.off = range.sector * BLK_SECTOR;
	r->op.len = (uint64_t)range.num_sectors * BLK_SECTOR;
	return BLK_RUN;
}

int blk_request_plan(struct blk_request *r, const struct blk_rules *rules)
{
	switch (r->header.type) {
	case VIRTIO_BLK_T_IN:
		return plan_read_write(r, rules, false);
	case VIRTIO_BLK_T_OUT:
		return plan_read_write(r, rules, true);
	case VIRTIO_BLK_T_FLUSH:
		return plan_flush(r, rules);
	case VIRTIO_BLK_T_GET_ID:
		return plan_get_id(r, rules);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return plan_erase(r, rules);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

int blk_request_result(const struct blk_request *r)
{
	bool erase = r->op.kind == BLK_OP_ALLOCATE || r->op.kind == BLK_OP_DISCARD;

	if (r->op.error == 0)
		return VIRTIO_BLK_S_OK;
	return erase && r->op.error == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

uint32_t blk_request_answer(const struct blk_request *r, int status)
{
	size_t data = r->header.type == VIRTIO_BLK_T_OUT ? 0 : r->op.done;

	*r->status = (uint8_t)status;
	return (uint32_t)(data == r->in_len ? data + 1 : data);
}
