/* vhost_queue.c - the queues of a vhost-user device that are relayed. */
#include <linux/virtio_ring.h>

#include "devices/virtio/vhost_state.h"

void vhost_queue_reset(struct vhost_user *v, unsigned q)
{
	struct virtq_rings rings;

	v->queue[q].stopped = true;
	v->queue[q].base = 0;
	if (!v->relay || !virtq_enabled(v->dev.vq[q]))
		return;
	virtq_rings(v->dev.vq[q], &rings);
	vhost_relay_reset(v->relay, q, rings.size,
			  virtio_dev_has(&v->dev, VIRTIO_RING_F_EVENT_IDX));
}

int vhost_queue_collect(struct vhost_user *v, unsigned q)
{
	struct vring_used_elem e;
	int r = 0;

	if (!v->relay)
		return 0;
	while (r = vhost_relay_finished(v->relay, q, &e), r > 0)
		virtq_push(v->dev.vq[q], &(struct virtq_req){ .head = (uint16_t)e.id }, e.len);
	virtq_publish(v->dev.vq[q]);
	if (r < 0)
		v->fault = "it finished a request that it did not have";
	return r;
}

/* While nobody has the queues, requests stay in the driver's ring: a handover ends with a
 * kick. As many can be in flight as the ring has entries. */
void vhost_queue_offer(struct vhost_user *v, unsigned q)
{
	struct virtq_req req;

	if (!v->relay || v->phase != VHOST_RUNNING)
		return;
	while (virtq_pop(v->dev.vq[q], &req) > 0) {
		if (vhost_relay_offer(v->relay, q, req.head) < 0) {
			virtio_dev_fail(&v->dev, "a request that is in flight was offered again");
			break;
		}
	}
	vhost_relay_kick(v->relay, q);
}
