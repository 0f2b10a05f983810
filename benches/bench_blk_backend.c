/* bench_blk_backend.c - the disk alone: no VMM, no KVM, a driver in this process.
 *
 * A file of 64 MiB is read in blocks of 4 KiB, each block once and in an order that no
 * readahead sees through: from the page cache, and after the file was thrown out of
 * it. Both engines, one request at a time and 32. One thread does it all, so requests
 * per second are those of one core where the disk does not have to wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "benches/backend.h"
#include "benches/bench.h"
#include "devices/virtio/blk.h"
#include "vmm/base/fd.h"

enum {
	BACKEND_RUNS = 5,
	BLOCK = 4096,
	BLOCKS = 16384, /* a power of two */
	STEP = 10007,	/* odd, so that it reaches every block */
	HEADER_BYTES = sizeof(struct virtio_blk_outhdr),
	SLOT_BYTES = 2 * BLOCK, /* data, then header and status */
};

struct reads {
	const char *path;
	unsigned depth;
	bool async, cached;
};

static unsigned describe(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc)
{
	struct virtio_blk_outhdr *header = (void *)((char *)host + BLOCK);
	uint64_t header_at = at.v + BLOCK;

	(void)arg;
	*header = (struct virtio_blk_outhdr){
		.type = VIRTIO_BLK_T_IN,
		.sector = n * STEP % BLOCKS * (BLOCK / 512),
	};
	((unsigned char *)(header + 1))[0] = VIRTIO_BLK_S_IOERR;
	desc[0] = (struct vring_desc){ .addr = header_at, .len = HEADER_BYTES };
	desc[1] = (struct vring_desc){ .addr = at.v, .len = BLOCK, .flags = VRING_DESC_F_WRITE };
	desc[2] = (struct vring_desc){ .addr = header_at + HEADER_BYTES,
				       .len = 1,
				       .flags = VRING_DESC_F_WRITE };
	return 3;
}

static bool answered(void *arg, const void *host)
{
	(void)arg;
	return ((const unsigned char *)host)[BLOCK + HEADER_BYTES] == VIRTIO_BLK_S_OK;
}

/* Written out, so that it can be thrown out of the page cache. */
static int make_file(const char *path)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600), r = 0;
	char block[BLOCK];

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < BLOCKS && r == 0; i++) {
		memset(block, (int)(i % 255 + 1), sizeof(block));
		r = fd_pwrite_all(fd, block, sizeof(block), (off_t)i * BLOCK);
	}
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	fd_close(fd);
	return r;
}

/* Into the page cache, or out of it. */
static int prepare(const struct reads *reads)
{
	int fd = open(reads->path, O_RDONLY | O_CLOEXEC), r;
	char block[BLOCK];

	if (fd < 0)
		return -errno;
	r = -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (unsigned i = 0; i < BLOCKS && reads->cached && r == 0; i++)
		r = fd_pread_all(fd, block, sizeof(block), (off_t)i * BLOCK);
	fd_close(fd);
	return r;
}

static int add(struct bench *b, const struct reads *reads, const struct backend_result *got,
	       struct error *err)
{
	const struct {
		const char *what;
		int64_t value;
	} all[] = {
		{ "iops", (int64_t)(BLOCKS * 1e9 / (double)got->ns) },
		{ "cpu_ns", (int64_t)(got->cpu_ns / BLOCKS) },
		{ "cycles", got->cycles < 0 ? -1 : got->cycles / BLOCKS },
		{ "syscalls_per_1000", got->syscalls < 0 ? -1 : got->syscalls * 1000 / BLOCKS },
		{ "interrupts_per_1000", (int64_t)(got->interrupts * 1000 / BLOCKS) },
		{ "kicks_per_1000", (int64_t)(got->kicks * 1000 / BLOCKS) },
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == 0; i++) {
		char metric[REPORT_NAME_LEN + 1];

		snprintf(metric, sizeof(metric), "%s%u_%s", reads->cached ? "cached" : "uncached",
			 reads->depth, all[i].what);
		r = report_add(&b->report, reads->async ? "async" : "sync", metric, all[i].value);
	}
	return r < 0 ? error_set(err, r, NULL, NULL, "no memory for samples") : 0;
}

static int run_once_with(struct bench *b, const struct reads *reads, struct error *err)
{
	const struct virtio_blk_drive drive = {
		.path = reads->path,
		.serial = "bench",
		.read_only = true,
		.async = reads->async,
	};
	const struct backend_job job = {
		.depth = reads->depth,
		.count = BLOCKS,
		.slot_bytes = SLOT_BYTES,
		.tracefs = b->tracefs,
		.describe = describe,
		.answered = answered,
	};
	struct backend_result result = { 0 };
	struct virtio_dev *dev;
	int r = prepare(reads);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot read %s", reads->path);
	r = virtio_blk_create(&drive, &dev, err);
	if (r == 0)
		r = backend_run(dev, &job, &result, err);
	return r == 0 ? add(b, reads, &result, err) : r;
}

static int backend_bench_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, BACKEND_RUNS);
	char path[PATH_MAX + 16];
	int r;

	snprintf(path, sizeof(path), "%s/disk.raw", b->dir);
	r = make_file(path);
	if (r < 0)
		return error_set(err, r, NULL, "set TMPDIR", "cannot write %s", path);
	for (unsigned i = 0; i < runs * 8 && r == 0; i++) {
		const struct reads reads = {
			.path = path,
			.depth = i & 1 ? 32 : 1,
			.async = i & 2,
			.cached = !(i & 4),
		};

		r = run_once_with(b, &reads, err);
	}
	return r;
}

const struct bench_row bench_blk_backend = {
	.name = "blk-backend",
	.help = "the disk alone, its driver in this process: no KVM, no guest",
	.in_process = true,
	.run = backend_bench_run,
};
