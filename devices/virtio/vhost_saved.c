/* vhost_saved.c - a vhost-user device in a saved state.
 *
 * The back end has nothing that the queues do not say, but for where it goes on in rings
 * that are not relayed. After a load the queues are handed over when the loop turns.
 */
#include <string.h>

#include "devices/virtio/life.h"
#include "devices/virtio/vhost_state.h"

/* A driver's requests are all in its rings, or finished. */
static bool has_queues_back(const struct vhost_user *v)
{
	for (unsigned q = 0; q < v->ops.nqueues; q++) {
		if (virtq_enabled(v->dev.vq[q]) && !v->queue[q].stopped)
			return false;
	}
	return v->phase == VHOST_READY;
}

/* What is in the file must be the same disk; its size is all that can be seen of it. */
static void same_config(const struct vhost_user *v, struct state *s)
{
	uint8_t config[VHOST_USER_MAX_CONFIG];

	memcpy(config, v->config, sizeof(config));
	state_bytes(s, config, v->kind->same_config_len);
	if (memcmp(config, v->config, v->kind->same_config_len) != 0)
		state_fail(s, "the back end's disk has another size than when the state was saved");
}

void vhost_saved_state(struct virtio_dev *d, struct state *s)
{
	struct vhost_user *v = container_of(d, struct vhost_user, dev);
	bool direct = v->ops.direct;

	if (!state_loading(s) && virtio_dev_live(d) && !has_queues_back(v))
		state_fail(s, "its back end is away; try again when it is there");
	state_bool(s, &direct);
	if (direct != v->ops.direct)
		state_fail(s, "the back end tracks requests in another way than the one before");
	same_config(v, s);
	for (unsigned q = 0; q < v->ops.nqueues; q++)
		state_u16(s, &v->queue[q].base);
}
