/* virtio_probe.c - a virtio device for tests: it touches every byte it is given. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/virtio_probe.h"

static struct probe *to_probe(const struct virtio_dev *d)
{
	return container_of(d, struct probe, dev);
}

static void probe_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	memcpy(dst, to_probe(d)->config + off, len);
}

static void probe_config_write(struct virtio_dev *d, size_t off, const void *src, size_t len)
{
	memcpy(to_probe(d)->config + off, src, len);
}

static int probe_activate(struct virtio_dev *d)
{
	to_probe(d)->activated++;
	return to_probe(d)->refuse_activation ? -EIO : 0;
}

static void probe_touch(struct probe *p, const struct virtq_req *req)
{
	for (unsigned i = 0; i < req->out.count; i++) {
		const unsigned char *at = req->out.vec[i].iov_base;

		for (size_t n = 0; n < req->out.vec[i].iov_len; n++)
			p->sum += at[n];
	}
	for (unsigned i = 0; i < req->in.count; i++)
		memset(req->in.vec[i].iov_base, PROBE_FILL, req->in.vec[i].iov_len);
	p->readable_bytes += req->out.len;
	p->writable_bytes += req->in.len;
	p->last_out = req->out.count;
	p->last_in = req->in.count;
}

static bool probe_kick(struct virtio_dev *d, unsigned index)
{
	struct virtq_req req;
	int served = 0;

	while (served < PROBE_BURST && virtq_pop(d->vq[index], &req) > 0) {
		probe_touch(to_probe(d), &req);
		virtq_push(d->vq[index], &req, (uint32_t)req.in.len);
		served++;
	}
	virtq_publish(d->vq[index]);
	return served == PROBE_BURST;
}

static void probe_quiesce(struct virtio_dev *d)
{
	to_probe(d)->quiesced++;
}

static void probe_destroy(struct virtio_dev *d)
{
	if (d)
		free(to_probe(d));
}

static const uint16_t probe_queue_sizes[] = { PROBE_QUEUE0, PROBE_QUEUE1 };

static const struct virtio_ops probe_ops = {
	.name = "probe",
	.id = PROBE_ID,
	.nqueues = 2,
	.queue_sizes = probe_queue_sizes,
	.config_len = PROBE_CONFIG_LEN,
	.config_read = probe_config_read,
	.config_write = probe_config_write,
	.activate = probe_activate,
	.kick = probe_kick,
	.quiesce = probe_quiesce,
	.destroy = probe_destroy,
};

struct probe *probe_create(void)
{
	struct probe *p = calloc(1, sizeof(*p));

	if (p)
		p->dev.ops = &probe_ops;
	return p;
}
