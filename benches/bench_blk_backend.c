/* bench_blk_backend.c - the disk alone: no VMM, no KVM, a driver in this process.
 *
 * A file of 64 MiB is read in blocks of 4 KiB, each block once and in an order that no
 * readahead sees through: from the page cache, and after the file was thrown out of
 * it. Both engines; one request at a time, 32, 32 in two queues that one thread serves, and
 * 32 in each of two queues that have a thread each. With one thread requests per second are
 * those of one core where the disk does not have to wait.
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
	unsigned depth, queues, threads; /* depth: of all queues together */
	bool async, cached;
	uint64_t begun; /* atomic */
};

static const struct {
	unsigned depth, queues, threads;
} shapes[] = { { 1, 1, 1 }, { 32, 1, 1 }, { 32, 2, 1 }, { 64, 2, 2 } };

enum { NSHAPES = sizeof(shapes) / sizeof(shapes[0]), KINDS = 4 };

static unsigned describe(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc)
{
	struct virtio_blk_outhdr *header = (void *)((char *)host + BLOCK);
	uint64_t header_at = at.v + BLOCK;
	struct reads *reads = arg;

	/* n is of the queue; a block is read once whichever queue it is in. */
	n = __atomic_fetch_add(&reads->begun, 1, __ATOMIC_RELAXED);
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
	char prefix[32];

	snprintf(prefix, sizeof(prefix), "%s%u%s%s", reads->cached ? "cached" : "uncached",
		 reads->depth, reads->queues > 1 ? "_2_queues" : "",
		 reads->threads > 1 ? "_2_threads" : "");
	return backend_report(&b->report, reads->async ? "async" : "sync", prefix, "iops", got,
			      err);
}

static struct backend_job job_of(struct reads *reads, int tracefs)
{
	struct backend_job job = {
		.nqueues = reads->queues,
		.threads = reads->threads,
		.tracefs = tracefs,
		.arg = reads,
	};

	if (reads->queues > 1)
		job.features |= UINT64_C(1) << VIRTIO_BLK_F_MQ;
	for (unsigned i = 0; i < reads->queues; i++)
		job.queues[i] = (struct backend_queue){
			.index = i,
			.depth = reads->depth / reads->queues,
			.count = BLOCKS / reads->queues,
			.slot_bytes = SLOT_BYTES,
			.describe = describe,
			.answered = answered,
		};
	return job;
}

static int run_once_with(struct bench *b, struct reads *reads, struct error *err)
{
	const struct virtio_blk_drive drive = {
		.path = reads->path,
		.serial = "bench",
		.read_only = true,
		.async = reads->async,
	};
	const struct backend_job job = job_of(reads, b->tracefs);
	struct backend_result result = { 0 };
	struct virtio_dev *dev;
	int r = prepare(reads);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "cannot read %s", reads->path);
	r = virtio_blk_create(&drive, &dev, err);
	if (r < 0)
		return r;
	virtio_blk_set_vcpus(dev, reads->queues);
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
	for (unsigned i = 0; i < runs * NSHAPES * KINDS && r == 0; i++) {
		struct reads reads = {
			.path = path,
			.depth = shapes[i % NSHAPES].depth,
			.queues = shapes[i % NSHAPES].queues,
			.threads = shapes[i % NSHAPES].threads,
			.async = i / NSHAPES & 1,
			.cached = !(i / NSHAPES & 2),
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
