/* vsock_event.c - what the device tells its driver of itself (5.10.6.7).
 *
 * A driver that hears of a reset ends all of its connections. One that the host has opened
 * since must not be among them, and a driver may look at its receive buffers before it
 * looks at its events, whichever came first. So it gets no packet until it has the event
 * behind it: that is when it offers a buffer for the next one.
 */
#include <endian.h>

#include "devices/virtio/transport.h"
#include "devices/virtio/vsock_device.h"

/* What the driver has offered so far. */
static uint16_t offered(const struct virtq *q)
{
	struct virtq_rings rings;

	virtq_rings(q, &rings);
	return __atomic_load_n(&rings.avail->idx, __ATOMIC_ACQUIRE);
}

/* Has the driver kick when it offers another buffer: a queue asks for that where it finds
 * no more. */
static void await_buffer(struct virtq *q)
{
	struct virtq_req req;
	unsigned n = 0;

	while (n < virtq_size(q) && virtq_pop(q, &req) > 0)
		n++;
	while (n-- > 0)
		virtq_unpop(q);
}

bool vsock_event_is_unread(struct virtio_vsock *v)
{
	struct virtq *q = v->dev.vq[VSOCK_QUEUE_EVENT];

	if (v->event_unread && (!virtq_enabled(q) || offered(q) != v->event_mark))
		v->event_unread = false;
	return v->event_unread;
}

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
	await_buffer(q);
	v->event_mark = offered(q);
	v->event_unread = true;
	v->event_due = false;
	virtq_publish(q);
}
