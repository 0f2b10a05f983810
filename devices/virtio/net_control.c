/* net_control.c - a network interface's control queue (virtio 1.2, section 5.1.6.5).
 *
 * What a driver gets wrong here is answered with VIRTIO_NET_ERR; only a command without
 * room for the answer fails the device.
 */
#include <linux/virtio_net.h>

#include "devices/virtio/net_control.h"

enum { CONTROL_BURST = 64 };

bool net_control_is_at(const struct virtio_dev *d, unsigned pairs, unsigned queue)
{
	bool many = virtio_dev_has(d, VIRTIO_NET_F_MQ);

	return virtio_dev_has(d, VIRTIO_NET_F_CTRL_VQ) && queue == (many ? 2 * pairs : 2);
}

static uint8_t obey(struct virtio_dev *d, const struct iov *out, const struct net_control *c)
{
	struct {
		struct virtio_net_ctrl_hdr hdr;
		struct virtio_net_ctrl_mq mq;
	} __attribute__((packed)) command;

	if (!virtio_dev_has(d, VIRTIO_NET_F_MQ) || out->len != sizeof(command))
		return VIRTIO_NET_ERR;
	iov_read(out, 0, &command, sizeof(command));
	if (command.hdr.class != VIRTIO_NET_CTRL_MQ ||
	    command.hdr.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || command.mq.virtqueue_pairs < 1 ||
	    command.mq.virtqueue_pairs > c->pairs)
		return VIRTIO_NET_ERR;
	return c->use_pairs(d, command.mq.virtqueue_pairs) < 0 ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
}

bool net_control_turn(struct virtio_dev *d, struct virtq *q, const struct net_control *c)
{
	struct virtq_req req;
	int served = 0;

	while (served < CONTROL_BURST && virtq_pop(q, &req) > 0) {
		if (req.in.len == 0) {
			virtio_dev_fail(d, "network command without room for a status");
			break;
		}

		uint8_t status = obey(d, &req.out, c);

		iov_write(&req.in, 0, &status, sizeof(status));
		d->counters.errors += status != VIRTIO_NET_OK;
		virtq_push(q, &req, sizeof(status));
		served++;
	}
	virtq_publish(q);
	return served == CONTROL_BURST;
}
