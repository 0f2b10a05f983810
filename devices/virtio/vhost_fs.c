/* vhost_fs.c - a directory of the host that the guest shares (virtio-fs, 5.11).
 *
 * Two queues, one for requests that must not wait and one for the others. The tag is
 * ours; everything else is FUSE between the guest and the back end. A back end that was
 * restarted knows nothing of the files that the guest has open: it refuses them, and
 * the guest mounts again.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "devices/virtio/vhost_fs.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { HIGH_PRIORITY_QUEUES = 1, REQUEST_QUEUES = 1 };

static const struct vhost_user_kind fs_kind = {
	.name = "fs",
	.id = VIRTIO_ID_FS,
	.features = BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
		    BIT(VIRTIO_F_VERSION_1),
	.min_queues = HIGH_PRIORITY_QUEUES + REQUEST_QUEUES,
	.config_len = sizeof(struct virtio_fs_config),
	.in_order = true,
};

int vhost_fs_create(const char *tag, const char *socket, struct virtio_dev **ret, struct error *err)
{
	struct virtio_fs_config config = { .num_request_queues = REQUEST_QUEUES };
	const struct vhost_user_options options = {
		.kind = &fs_kind,
		.socket = socket,
		.config = &config,
	};
	size_t len = strlen(tag);

	if (len == 0 || len > VHOST_FS_TAG_LEN)
		return error_set(err, -EINVAL, "tag", "choose a shorter one",
				 "A tag has 1 to %d bytes, and this one %zu: \"%s\"",
				 VHOST_FS_TAG_LEN, len, tag);
	memcpy(config.tag, tag, len);
	return vhost_user_create(&options, ret, err);
}
