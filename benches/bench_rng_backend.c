/* bench_rng_backend.c - the entropy device alone: its driver in this process.
 *
 * Requests of 64 bytes, as Linux's hwrng makes them, and of 4 KiB.
 */
#include <stdio.h>

#include "benches/backend.h"
#include "benches/bench.h"
#include "devices/virtio/rng.h"

enum { RNG_RUNS = 5, RNG_COUNT = 16384, RNG_DEPTH = 8, SLOT_BYTES = 4096 };

static const unsigned sizes[] = { 64, 4096 };

static unsigned describe(void *arg, uint64_t n, gpa_t at, void *host, struct vring_desc *desc)
{
	const unsigned *bytes = arg;

	(void)n;
	(void)host;
	desc[0] = (struct vring_desc){ .addr = at.v, .len = *bytes, .flags = VRING_DESC_F_WRITE };
	return 1;
}

static bool answered(void *arg, const void *host)
{
	(void)arg;
	(void)host;
	return true;
}

static int run_size(struct bench *b, unsigned bytes, struct error *err)
{
	const struct backend_job job = {
		.queues = { {
			.depth = RNG_DEPTH,
			.count = RNG_COUNT,
			.slot_bytes = SLOT_BYTES,
			.describe = describe,
			.answered = answered,
		} },
		.nqueues = 1,
		.threads = 1,
		.tracefs = b->tracefs,
		.arg = &bytes,
	};
	const struct limiter_config unlimited = { 0 };
	struct backend_result result;
	struct virtio_dev *dev;
	char prefix[32];
	int r = virtio_rng_create(&unlimited, &dev);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "out of memory");
	snprintf(prefix, sizeof(prefix), "read%u", bytes);
	r = backend_run(dev, &job, &result, err);
	return r < 0 ? r : backend_report(&b->report, "rng", prefix, "requests/s", &result, err);
}

static int rng_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, RNG_RUNS);
	int r = 0;

	for (unsigned i = 0; i < runs && r == 0; i++)
		for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]) && r == 0; k++)
			r = run_size(b, sizes[k], err);
	return r;
}

const struct bench_row bench_rng_backend = {
	.name = "rng-backend",
	.help = "entropy alone, its driver in this process",
	.in_process = true,
	.run = rng_run,
};
