/* vsock_event.c - what the device tells its driver of itself (5.10.6.7). */
#include <endian.h>

#include "devices/virtio/transport.h"
#include "devices/virtio/vsock_device.h"

void vsock_event_serve(struct virtio_vsock *v)
{
	const struct virtio_vsock_event event = {
		.id = htole32(VIRTIO_VSOCK_EVENT_TRANSPORT_RESET),
	};
	struct virtq *q = v->dev.vq[VSOCK_QUEUE_EVENT];
	struct virtq_req req;

	if (!v->event_due || !virtio_dev_live(&v->dev) || !virtq_enabled(q) ||
	    virtq_pop(q, &req) <= 0)
		return;
	if (req.out.len > 0 || iov_write(&req.in, 0, &event, sizeof(event)) < 0) {
		virtio_dev_fail(&v->dev, "event buffer without room for an event");
		return;
	}
	virtq_push(q, &req, sizeof(event));
	virtq_publish(q);
	v->event_due = false;
}
