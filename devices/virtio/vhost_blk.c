/* vhost_blk.c - a block device that another process serves (vhost-user-blk).
 *
 * Requests, serial number and contents never come by here. What does is the
 * configuration space, in which the number of queues must be the one that the driver
 * finds.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "devices/virtio/vhost_blk.h"

#define BIT(n) (UINT64_C(1) << (n))

static void fit_config(void *config, unsigned queues)
{
	const size_t at = offsetof(struct virtio_blk_config, num_queues);
	uint16_t told;

	memcpy(&told, (char *)config + at, sizeof(told));
	if (told <= queues)
		return;
	told = (uint16_t)queues;
	memcpy((char *)config + at, &told, sizeof(told));
}

/* The configuration space up to what virtio 1.1 had, which every back end has. */
static const struct vhost_user_kind blk_kind = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.features = BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
		    BIT(VIRTIO_BLK_F_GEOMETRY) | BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		    BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
		    BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_MQ) |
		    BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES) |
		    BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
		    BIT(VIRTIO_F_VERSION_1),
	.min_queues = 1,
	.config_len = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
	.fit_config = fit_config,
	.section = STATE_VHOST_BLK,
	.same_config_len = sizeof(((struct virtio_blk_config *)NULL)->capacity),
};

int vhost_blk_create(const char *socket, bool writeback, struct virtio_dev **ret, struct error *err)
{
	const struct vhost_user_options options = {
		.kind = &blk_kind,
		.socket = socket,
		.masked_features =
			writeback ? 0 : BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE),
	};

	return vhost_user_create(&options, ret, err);
}
