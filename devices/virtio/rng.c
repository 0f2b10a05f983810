/* rng.c - entropy for the guest (virtio 1.2, section 5.4).
 *
 * One queue; every buffer that the guest offers is filled from the host's
 * getrandom(2), straight into guest memory. A request is given at most
 * RNG_MAX_BYTES, which the specification allows, and a turn at most RNG_BURST
 * requests: a guest can neither hold the main thread nor drain anything that
 * another guest needs, since getrandom(2) does not run dry.
 *
 * A rate limiter (throttle.h) counts what a request is given; one that has to wait
 * stays in its queue.
 *
 * System calls: getrandom.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "devices/virtio/life.h"
#include "devices/virtio/rng.h"
#include "devices/virtio/throttle.h"
#include "vmm/base/clock.h"

enum {
	RNG_QUEUE_SIZE = 256,
	RNG_MAX_BYTES = 64 * 1024,
	RNG_BURST = 16,
};

struct virtio_rng {
	struct virtio_dev dev;
	struct throttle throttle; /* while it waits, no request is begun */
};

static struct virtio_rng *to_rng(struct virtio_dev *d)
{
	return container_of(d, struct virtio_rng, dev);
}

static uint32_t rng_fill(struct virtio_dev *d, struct iov *in)
{
	uint32_t total = 0;

	while (in->len > 0) {
		ssize_t n = getrandom(in->vec->iov_base, in->vec->iov_len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			d->counters.errors++;
			break;
		}
		iov_skip(in, (size_t)n);
		total += (uint32_t)n;
	}
	d->counters.read_bytes += total;
	return total;
}

static bool rng_kick(struct virtio_dev *d, unsigned index)
{
	struct throttle *throttle = &to_rng(d)->throttle;
	struct virtq *q = d->vq[index];
	uint64_t now_us = clock_now_us();
	struct virtq_req req;
	int served = 0;

	while (served < RNG_BURST && !throttle_waits(throttle) && virtq_pop(q, &req) > 0) {
		if (req.out.len > 0) {
			virtio_dev_fail(d, "entropy request with a readable buffer");
			break;
		}
		iov_truncate(&req.in, RNG_MAX_BYTES);
		if (!throttle_admit(throttle, req.in.len, now_us)) {
			virtq_unpop(q);
			break;
		}
		virtq_push(q, &req, rng_fill(d, &req.in));
		served++;
	}
	virtq_publish(q);
	return served == RNG_BURST;
}

static bool on_admission(void *arg, uint32_t events)
{
	struct virtio_rng *rng = arg;

	(void)events;
	return virtio_dev_kick(&rng->dev, 0);
}

static int rng_attach(struct virtio_dev *d)
{
	return throttle_attach(&to_rng(d)->throttle, d->events, on_admission, to_rng(d));
}

static void rng_detach(struct virtio_dev *d)
{
	throttle_detach(&to_rng(d)->throttle);
}

static void rng_destroy(struct virtio_dev *d)
{
	if (d)
		free(to_rng(d));
}

static const uint16_t rng_queue_sizes[] = { RNG_QUEUE_SIZE };

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.nqueues = 1,
	.queue_sizes = rng_queue_sizes,
	.attach = rng_attach,
	.detach = rng_detach,
	.kick = rng_kick,
	.section = STATE_RNG,
	.destroy = rng_destroy,
};

int virtio_rng_create(const struct limiter_config *limits, struct virtio_dev **ret)
{
	struct virtio_rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return -ENOMEM;
	rng->dev.ops = &rng_ops;
	throttle_init(&rng->throttle);
	throttle_configure(&rng->throttle, limits);
	*ret = &rng->dev;
	return 0;
}
